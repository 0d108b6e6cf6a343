// Requests to the server: the token, errors, uploads.

const KEY = "ocr.token";
let shown = read();

export class ApiError extends Error {
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export const token = {
  get value() {
    return shown;
  },
  set(value) {
    shown = value;
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // It holds for this visit.
    }
  },
  forget() {
    shown = "";
    try {
      localStorage.removeItem(KEY);
    } catch {
      // It was not kept.
    }
  },
};

function read() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** An address of the server, which may live below a path of a proxy. */
export const at = (path) => new URL(path, document.baseURI).href;

/** The response to a request. Throws ApiError; status 0 means that there was no answer. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(at(path), {
      ...options,
      cache: "no-store",
      headers: { ...options.headers, Authorization: `Bearer ${encoded(shown)}` },
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "");
  }
  if (response.ok) return response;
  throw refusal(response.status, await response.text(), response.headers.get("Retry-After"));
}

export const json = async (path, options) => (await ask(path, options)).json();

/** Send a form and hear how far it is; gives the record. Throws ApiError. */
export function upload(form, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", at("task/pic/ocr"));
    request.setRequestHeader("Authorization", `Bearer ${encoded(shown)}`);
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.onerror = () => reject(new ApiError(0, "unreachable", ""));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    request.onload = () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText).data);
      else
        reject(
          refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")),
        );
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

function refusal(status, body, retryAfter) {
  let code = "";
  let message = "";
  try {
    const said = JSON.parse(body);
    code = said.error.code;
    message = said.message ?? said.error.message.replace(/ \(request id: .*\)$/, "");
  } catch {
    // A proxy's page: its status has to do.
  }
  const error = new ApiError(status, code, message, Number(retryAfter) || 0);
  if (status === 401) document.dispatchEvent(new CustomEvent("refused"));
  return error;
}

// Headers take Latin-1 alone; what is beyond it cannot be a token, and is answered so.
const encoded = (text) => text.replace(/[^\x21-\x7e]/g, "?");
