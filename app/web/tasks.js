// The tasks of this token: what is on its way, what is done, and how they change.

import { json, upload } from "./api.js";
import { follow, isFinal, wait } from "./follow.js";

const SHOWN = 30; // Tasks that are asked for at once.
const MOST_UPLOADS = 2; // At the same time; others wait for them.
const MOST_REPEATS = 30; // Of an upload that is refused because the server is busy.

const listeners = new Set();
const waiting = []; // Items that are to be sent.
let uploads = 0;
let loading = Promise.resolve();

/**
 * An item is a task or what is to become one:
 * {id, record, sending, error, file, wish, abort}: `sending` {sent, total, busy} while it is on its
 * way, `lost` while it cannot be asked about, `error` when it was refused, `file` and `wish` {format, languages, password, url} if this page sent it.
 */
export const tasks = {
  items: [],
  more: false,
  loaded: false,
  error: null,

  /** Hear of changes: of one item, or of the list if there is none. Gives what ends it. */
  on(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },

  /** Look at the newest tasks; those that are known and older stay. Throws ApiError. */
  load() {
    return (loading = this.look());
  },

  async look() {
    const { data } = await json(`tasks?limit=${SHOWN}`);
    const known = new Map(this.items.map((item) => [item.id, item]));
    const ended = new Set();
    const fresh = data.tasks.map((record) => {
      const item = known.get(record.task_id) ?? made(record);
      known.delete(record.task_id);
      if (isFinal(record) && !isFinal(item.record)) ended.add(item);
      item.record = { ...item.record, ...record };
      return item;
    });
    const last = fresh.at(-1)?.record.created_at ?? 0;
    const older = (item) => data.more && item.record?.created_at <= last;
    // What this page sent may have come too late for the answer; all else is deleted.
    const kept = this.items.filter((item) => known.has(item.id) && (older(item) || item.wish));
    const when = (item) => item.record?.created_at ?? Infinity;
    if (!kept.some(older)) this.more = data.more;
    this.items = [...kept.filter((item) => !older(item)), ...fresh, ...kept.filter(older)].sort(
      (a, b) => when(b) - when(a) || 0,
    );
    Object.assign(this, { loaded: true, error: null });
    for (const item of this.items) tell(item, ended.has(item));
    tell(null);
  },

  /** Older tasks. Throws ApiError. */
  async loadMore() {
    const last = this.items.findLast((item) => item.id);
    const { data } = await json(`tasks?limit=${SHOWN}&before=${last.id}`);
    this.items.push(...data.tasks.filter((record) => !this.get(record.task_id)).map(made));
    this.more = data.more;
    tell(null);
  },

  get(id) {
    return this.items.find((item) => item.id === id);
  },

  /** The task, even if it is not in the list. Throws ApiError. */
  async find(id) {
    await loading.catch(() => {}); // Who asked for it hears of it.
    return this.get(id) ?? made((await json(`task/${encodeURIComponent(id)}`)).data);
  },

  /** Send a file, or the address `wish.url` of one. */
  add(file, wish) {
    const item = {
      file,
      wish,
      sending: { sent: 0, total: file?.size ?? 0 },
      abort: new AbortController(),
    };
    this.items.unshift(item);
    waiting.push(item);
    tell(null);
    send();
    return item;
  },

  /** Send the document of a failed item again; the failed one goes. */
  again(item, password) {
    const fresh = this.add(item.file, { ...item.wish, password: password ?? item.wish.password });
    this.items.splice(this.items.indexOf(fresh), 1);
    this.items[this.items.indexOf(item)] = fresh;
    item.abort.abort();
    if (item.id) json(`task/${item.id}`, { method: "DELETE" }).catch(() => {}); // Its retention will.
    tell(null);
    return fresh;
  },

  /** Delete items, on the server too. Throws the last ApiError, after all were tried. */
  async remove(items) {
    let failure = null;
    for (const item of items) {
      try {
        item.abort.abort();
        if (item.id) await json(`task/${item.id}`, { method: "DELETE" });
      } catch (error) {
        if (error.code !== "task_not_exist") {
          failure = error;
          item.abort = new AbortController();
          if (item.record) watch(item);
          continue;
        }
      }
      this.items = this.items.filter((each) => each !== item);
    }
    tell(null);
    if (failure) throw failure;
  },

  /** The record of the task's result in `format`, made now if it was not. Throws ApiError. */
  async result(item, format) {
    if (format === item.record.format && item.record.file)
      return (await json(`task/${item.id}`)).data;
    const form = new FormData();
    form.set("format", format);
    form.set("sync", "1");
    let { data } = await json(`task/${item.id}/formats`, { method: "POST", body: form });
    if (!isFinal(data)) {
      await follow(data.task_id, (record) => (data = record), item.abort.signal);
    }
    return data;
  },

  clear() {
    for (const item of this.items) item.abort.abort();
    waiting.length = 0;
    Object.assign(this, { items: [], more: false, loaded: false });
    tell(null);
  },

  failed(error) {
    this.error = error;
    tell(null);
  },
};

/** Whether its document can be sent again from here. */
export const canRepeat = (item) => Boolean(item.wish && (item.file || item.wish.url));

export const fileName = (item) => {
  const url = item.wish?.url ?? item.record?.source_url;
  const last = url?.split(/[?#]/)[0].split("/").findLast(Boolean);
  return item.record?.filename ?? item.file?.name ?? last ?? null;
};

function made(record) {
  const item = { id: record.task_id, record, abort: new AbortController() };
  watch(item);
  return item;
}

function watch(item) {
  if (isFinal(item.record)) return;
  const changed = (record) => {
    if (record) {
      const ended = isFinal(record) && !isFinal(item.record);
      item.lost = false;
      item.record = { ...without(item.record, "position"), ...record };
      tell(item, ended);
    } else {
      item.gone = true;
      tasks.items = tasks.items.filter((each) => each !== item);
      tell(null);
    }
  };
  const lost = () => {
    item.lost = true;
    tell(item);
  };
  follow(item.id, changed, item.abort.signal, lost);
}

async function send() {
  if (uploads >= MOST_UPLOADS || !waiting.length) return;
  const item = waiting.shift();
  uploads++;
  try {
    await sendOne(item);
  } finally {
    uploads--;
    send();
  }
}

async function sendOne(item) {
  const { signal } = item.abort;
  for (let n = 0; !signal.aborted; n++) {
    try {
      const record = await upload(
        form(item),
        (sent, total) => {
          item.sending = { sent, total };
          tell(item);
        },
        signal,
      );
      const { format, languages, url } = item.wish;
      item.id = record.task_id;
      item.record = {
        format,
        languages,
        source_url: url,
        filename: item.file?.name,
        formats: [],
        ...record,
      };
      item.sending = null;
      tell(item);
      watch(item);
      return;
    } catch (error) {
      if (signal.aborted) return;
      const busy = [429, 503].includes(error.status) && error.retryAfter && n < MOST_REPEATS;
      if (!busy) {
        item.sending = null;
        item.error = error;
        tell(item, true);
        return;
      }
      item.sending = { sent: 0, total: 0, busy: error.retryAfter };
      tell(item);
      await wait(error.retryAfter * 1000, signal);
    }
  }
}

function form({ file, wish }) {
  const form = new FormData();
  if (file) form.set("image_file", file, file.name);
  else form.set("image_url", wish.url);
  form.set("format", wish.format);
  form.set("language", wish.languages.join(","));
  form.set("sync", "0");
  if (wish.password) form.set("password", wish.password);
  return form;
}

function without(object, key) {
  const { [key]: _, ...rest } = object;
  return rest;
}

const tell = (item, ended = false) => listeners.forEach((listener) => listener(item, ended));
