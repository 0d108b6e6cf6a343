// The frame of the page: which view is shown, and the controls that are always there.

import { json, token } from "./api.js";
import { $, announce, disclosure, h, icon, keep } from "./dom.js";
import { names } from "./languages.js";
import { home } from "./list.js";
import { operations } from "./operations.js";
import { receive } from "./send.js";
import { tasks } from "./tasks.js";
import { isChinese, reason, t, translate } from "./text.js";
import { viewer } from "./viewer.js";

const root = document.documentElement;
const brought = bring();
let view = null; // What is shown: {leave, keys}.

/** Show what the address names. Views are functions of a place and a part of the address. */
async function show({ moved = true } = {}) {
  view?.leave?.();
  view = null;
  const place = $("#main");
  const [, name, id, page] = location.hash.split("/");
  place.replaceChildren();
  document.title = t("title");
  place.className = `view-${token.value ? name || "home" : "gate"}`;
  $("#nav").hidden = !token.value;
  account();
  for (const link of $("#nav").children) {
    const here = link.hash.slice(2) === (name ?? "");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!token.value) view = gate(place);
  else if (name === "task") view = viewer(place, id, Number(page) || 1);
  else if (name === "operations") view = operations(place);
  else view = home(place);
  if (moved) (place.querySelector("[data-first]") ?? place).focus({ preventScroll: true });
}

/** Ask for the token. */
function gate(place, wrong = false) {
  const field = h("input", {
    id: "token",
    type: "password",
    autocomplete: "current-password",
    autocapitalize: "none",
    spellcheck: "false",
    "data-first": true,
    required: true,
    "aria-describedby": "token-error token-kept",
    "aria-invalid": wrong ? "true" : null,
  });
  field.value = brought;
  const error = h(
    "p",
    { id: "token-error", class: "error", role: "alert" },
    wrong ? t("tokenWrong") : "",
  );
  const button = h("button", { class: "button primary", type: "submit" }, t("tokenGo"));
  const form = h(
    "form",
    { class: "card", novalidate: true },
    h("img", { src: "web/icon.svg", alt: "", width: 48, height: 48 }),
    h("h1", {}, t("tokenTitle")),
    h("p", { class: "muted" }, t("tokenWhy")),
    h("label", { for: "token" }, t("tokenLabel")),
    field,
    error,
    button,
    h("p", { id: "token-kept", class: "muted small" }, t("tokenKept")),
  );
  const fail = (text) => {
    error.textContent = text;
    field.setAttribute("aria-invalid", "true");
    field.select();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const value = field.value.trim();
    if (!value) return fail(t("tokenNeeded"));
    button.disabled = true;
    error.textContent = "";
    token.set(value);
    try {
      await enter();
      show();
    } catch (refusal) {
      if (refusal.status !== 401) token.forget();
      fail(refusal.status === 401 ? t("tokenWrong") : reason(refusal));
    }
    button.disabled = false;
  });
  place.replaceChildren(form);
  return {};
}

/** Begin with a token: its tasks, and whether it is an operator's. Throws ApiError. */
async function enter() {
  await tasks.load();
  const link = $("#to-operations");
  json("operations").then(
    () => (link.hidden = false),
    () => (link.hidden = true),
  );
}

/**
 * The token in an address such as the server prints at its start. It is not used unasked: a link
 * could bring another's token, and documents would go there.
 */
function bring() {
  const [, value] = /^#token=(.+)$/.exec(location.hash) ?? [];
  if (!value) return "";
  history.replaceState(null, "", location.pathname);
  try {
    return decodeURIComponent(value);
  } catch {
    return "";
  }
}

function leave() {
  token.forget();
  tasks.clear();
  $("#to-operations").hidden = true;
  show();
}

function account() {
  const place = $("#account");
  place.replaceChildren();
  if (!token.value) return;
  const button = h(
    "button",
    { type: "button", class: "quiet round", "aria-label": t("account"), title: t("account") },
    icon("key"),
  );
  const forget = () => {
    leave();
    announce(t("forgotten"));
  };
  const panel = h(
    "div",
    { class: "panel right" },
    h("button", { type: "button", onclick: forget }, t("forget")),
  );
  place.append(disclosure(button, panel));
}

function controls() {
  translate(document);
  const language = $("#language");
  language.textContent = t("language");
  language.lang = isChinese() ? "en" : "zh-CN";
  language.setAttribute("aria-label", t("languageName"));
  const theme = root.dataset.theme;
  const button = $("#theme");
  button.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[theme]));
  button.title = t("theme", t(`theme.${theme}`));
  button.setAttribute("aria-label", button.title);
}

$("#language").addEventListener("click", () => {
  root.lang = isChinese() ? "en" : "zh-CN";
  keep("ocr.lang", root.lang);
  controls();
  show({ moved: false });
});

$("#theme").addEventListener("click", () => {
  const order = ["auto", "light", "dark"];
  root.dataset.theme = order[(order.indexOf(root.dataset.theme) + 1) % order.length];
  keep("ocr.theme", root.dataset.theme);
  controls();
  announce($("#theme").title);
});

document.addEventListener("refused", () => {
  if (!token.value) return;
  const atGate = $("#token");
  token.forget();
  tasks.clear();
  if (atGate) return; // It says so itself.
  show();
  view = gate($("#main"), true);
  $("#token").focus();
});

document.addEventListener("keydown", (event) => view?.keys?.(event));
$(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("#main").focus();
});
window.addEventListener("beforeunload", (event) => {
  if (tasks.items.some((item) => item.sending)) event.preventDefault(); // It would not arrive.
});
window.addEventListener("hashchange", () => {
  const [, name, id, page] = location.hash.split("/");
  if (!view?.moved?.(name, id, Number(page) || 1)) show();
});

controls();
receive($("#curtain"));
await names().catch(() => {}); // They are called by the names that the server knows, then.
show({ moved: !token.value });
if (token.value) {
  enter().catch((error) => {
    if (error.status !== 401) tasks.failed(error);
  });
}
