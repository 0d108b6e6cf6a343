// Recognizes a file with the client that was made of /openapi.json: ADDRESS TOKEN FILE.
// Prints what it got as JSON.

import { readFile } from "node:fs/promises";

import { client } from "./client/client.gen.js";
import {
  deleteTask,
  ErrorCode,
  getDocument,
  getResult,
  getTask,
  makeFormat,
  recognize,
  State,
  type Task,
  watchTask,
} from "./client/index.js";

const [address, token, path] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl: address, auth: token });

const image_file = new Blob([await readFile(path)]);
const created = await recognize({
  body: { image_file, format: "txt", language: "English", sync: "0" },
  headers: { "Idempotency-Key": "typescript" },
  throwOnError: true,
});
let task: Task = created.data.data;
let polls = 0;
const watched = await watchTask({ path: { task_id: task.task_id } });
let last: number | undefined;
for await (const event of watched.stream) {
  if (typeof event === "object" && "state" in event) last = event.state;
}
while (task.state !== State.COMPLETE && task.state >= State.QUEUED) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  polls += 1;
  task = (await getTask({ path: { task_id: task.task_id }, throwOnError: true })).data.data;
}
const name = task.file?.split("/").pop() ?? "";
const result = await getResult({ path: { name }, throwOnError: true });
const whole = (await getDocument({ path: { task_id: task.task_id }, throwOnError: true })).data;
if (typeof whole === "string" || !("pages" in whole)) throw new Error("It is no document.");
const word = await makeFormat({
  path: { task_id: task.task_id },
  body: { format: "docx" },
  throwOnError: true,
});

const failed = await recognize({ body: { image_file: new Blob(["no image"]) }, throwOnError: true });
const named = Object.entries(State).find(([, value]) => value === failed.data.data.state);
// @ts-expect-error: a format that there is not is found by the compiler already.
const wrong = await recognize({ body: { image_file, format: "odt" } });
await deleteTask({ path: { task_id: task.task_id } });
const gone = await getTask({ path: { task_id: task.task_id } });
if (gone.error === undefined || !("status" in gone.error)) throw new Error("It is still there.");
if (gone.error.error.code !== ErrorCode.TASK_NOT_EXIST) throw new Error(gone.error.message);
const refused = await getTask({ path: { task_id: task.task_id }, auth: "sk-wrong" });

console.log(
  JSON.stringify({
    text: result.data instanceof Blob ? await result.data.text() : String(result.data),
    words: whole.pages[0]?.blocks.length,
    word: word.data.data.file?.split(".").pop(),
    polls,
    watched: last,
    failed: named?.[0],
    wrong: wrong.error?.error.code,
    gone: gone.error.status,
    refused: refused.error?.error.code,
  }),
);
