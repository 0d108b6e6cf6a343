// How tasks go on: by the server's events, or by asking, where events do not come through.

import { ApiError, ask, json } from "./api.js";

const MOST_STREAMS = 3; // Browsers open six connections to a host; others need some, too.
const LOOK_MS = 2000;
const MOST_MS = 8000;
const FIRST_MS = 5000;
const SILENCE_MS = 30_000;
const TRIES = 2;
let streams = 0;

export const isFinal = (record) => record.state === 1 || record.state < 0;

/**
 * Tell `changed` of each record until the task is final; of null, if it is gone. `lost` is called
 * when the server cannot be reached.
 */
export async function follow(id, changed, signal, lost = () => {}) {
  let cuts = 0; // Streams in a row that told nothing: they do not come through.
  let failures = 0;
  let record = null;
  const heard = (news) => {
    cuts = failures = 0;
    record = news;
    changed(news);
  };
  while (!signal.aborted && !(record && isFinal(record))) {
    const streaming = streams < MOST_STREAMS && cuts < TRIES;
    try {
      if (streaming) await listen(id, heard, signal);
      else {
        record = (await json(`task/${id}`, { signal })).data;
        failures = 0;
        changed(record);
      }
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      if (error.code === "task_not_exist") return changed(null);
      if (!streaming) failures++;
      if (!streaming && error.status === 0) lost();
    }
    if (record && isFinal(record)) return;
    cuts += streaming;
    await wait(streaming ? 250 * 2 ** cuts : Math.min(LOOK_MS * 1.5 ** failures, MOST_MS), signal);
  }
}

/** A pause; it ends early with `signal`. */
export function wait(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

async function listen(id, heard, signal) {
  streams++;
  // The first event comes at once, unless a proxy keeps it.
  const kept = new AbortController();
  const timer = setTimeout(() => kept.abort(), FIRST_MS);
  const first = (news) => {
    clearTimeout(timer);
    heard(news);
  };
  try {
    const response = await ask(`task/${id}/events`, {
      signal: AbortSignal.any([signal, kept.signal]),
    });
    await events(response.body, first);
  } finally {
    clearTimeout(timer);
    streams--;
  }
}

/** Hear the events of a stream of text/event-stream. */
async function events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  for (;;) {
    // The server says something every ten seconds: who is silent is gone.
    const silence = setTimeout(() => reader.cancel(), SILENCE_MS);
    const { value, done } = await reader.read();
    clearTimeout(silence);
    if (done) return;
    unread += value.replaceAll("\r", "");
    const blocks = unread.split("\n\n");
    unread = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => line.split(/: ?(.*)/s));
      const named = (name) => fields.filter(([field]) => field === name).map(([, text]) => text);
      if (named("event")[0] === "gone") throw new ApiError(404, "task_not_exist", "");
      if (named("event")[0] === "task") heard(JSON.parse(named("data").join("\n")));
    }
  }
}
