// Ways in: files that are chosen, dropped or pasted, and web addresses; and what to make of them.

import { $, h, icon, keep, kept } from "./dom.js";
import { languageField } from "./languages.js";
import { tasks } from "./tasks.js";
import { t } from "./text.js";

const FORMATS = ["txt", "pdf", "docx", "xlsx", "pptx"];
const ACCEPT = ".pdf,.ppt,.pptx,.xls,.xlsx,.doc,.docx,.jpg,.jpeg,.png,.gif,.bmp,.tif,.tiff,.webp";
let form = null; // The one that is shown: {wish, address}.

/** The form at the head of the home view. */
export function sendForm() {
  const languages = languageField();
  const picker = h("input", {
    type: "file",
    id: "files",
    multiple: true,
    accept: ACCEPT,
    hidden: true,
    tabindex: "-1",
  });
  const choose = h(
    "button",
    { type: "button", class: "button primary", "data-first": true, onclick: () => picker.click() },
    icon("up"),
    t("choose"),
  );
  const byUrl = h(
    "button",
    { type: "button", class: "button", "aria-expanded": "false", "aria-controls": "url-form" },
    t("byUrl"),
  );
  const url = h("input", {
    id: "url",
    type: "url",
    inputmode: "url",
    autocomplete: "off",
    placeholder: "https://",
    "aria-describedby": "url-error",
  });
  const error = h("p", { id: "url-error", class: "error", role: "alert" });
  const urlForm = h(
    "form",
    { id: "url-form", class: "url-form", novalidate: true, hidden: true },
    h("label", { for: "url", class: "off-screen" }, t("urlLabel")),
    url,
    h("button", { class: "button", type: "submit" }, t("urlGo")),
    error,
  );
  const password = h("input", {
    id: "password",
    type: "password",
    maxlength: 32,
    autocomplete: "off",
    placeholder: t("passwordHint"),
  });
  const formats = h(
    "fieldset",
    { class: "field formats" },
    h("legend", { class: "label" }, t("format")),
    h(
      "div",
      { class: "segments" },
      FORMATS.map((format) =>
        h(
          "label",
          { title: t(`long.${format}`) },
          h("input", {
            type: "radio",
            name: "format",
            value: format,
            checked: format === kept("ocr.format", "docx"),
          }),
          h("span", {}, t(`format.${format}`)),
        ),
      ),
    ),
  );
  formats.addEventListener("change", (event) => keep("ocr.format", event.target.value));

  const wish = () => ({
    format: $("input[name=format]:checked", formats)?.value ?? "docx",
    languages: languages.chosen(),
    password: password.value,
  });
  const address = (text) => {
    urlForm.hidden = false;
    byUrl.setAttribute("aria-expanded", "true");
    url.value = text;
    url.focus();
  };
  picker.addEventListener("change", () => {
    add([...picker.files]);
    picker.value = "";
  });
  byUrl.addEventListener("click", () => {
    if (urlForm.hidden) return address("");
    urlForm.hidden = true;
    byUrl.setAttribute("aria-expanded", "false");
  });
  urlForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = url.value.trim();
    const good = /^https?:\/\/[^\s]+$/i.test(given);
    error.textContent = good ? "" : t("urlWrong");
    url.setAttribute("aria-invalid", String(!good));
    if (!good) return url.focus();
    tasks.add(null, { ...wish(), url: given });
    url.value = "";
  });

  form = { wish, address };
  return h(
    "section",
    { class: "send", "aria-labelledby": "drop-title" },
    h(
      "div",
      {
        class: "drop",
        onclick: (event) => event.target.closest("button, input, form") || picker.click(),
      },
      h("div", { class: "drop-icon" }, icon("page")),
      h("h1", { id: "drop-title" }, t("drop")),
      h("p", { class: "muted" }, t("dropHint")),
      h("div", { class: "drop-buttons" }, choose, byUrl, picker),
      urlForm,
    ),
    h(
      "div",
      { class: "wishes", role: "group", "aria-label": t("options") },
      languages.field,
      formats,
      h(
        "div",
        { class: "field" },
        h("label", { for: "password", class: "label" }, t("password")),
        password,
      ),
    ),
  );
}

/** Take what is dropped or pasted anywhere on the page; `curtain` shows that it can be let go. */
export function receive(curtain) {
  let depth = 0; // Each element that is entered is left, too.
  const shut = () => {
    depth = 0;
    curtain.hidden = true;
  };
  document.addEventListener("dragenter", (event) => {
    if (!form || !carries(event.dataTransfer)) return;
    event.preventDefault();
    depth++;
    curtain.hidden = false;
  });
  document.addEventListener("dragover", (event) => {
    if (form && carries(event.dataTransfer)) event.preventDefault();
  });
  document.addEventListener("dragleave", () => {
    if (--depth <= 0) shut();
  });
  document.addEventListener("drop", (event) => {
    shut();
    if (!form || !carries(event.dataTransfer)) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    if (!form || event.target.closest?.("input, textarea")) {
      if (!form || !event.clipboardData.files.length) return;
    }
    event.preventDefault();
    take(event.clipboardData);
  });
}

export const noForm = () => {
  form = null;
};

const carries = (data) => data.types.includes("Files") || data.types.includes("text/uri-list");

function take(data) {
  const files = [...data.items]
    .filter((item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile())
    .filter(Boolean);
  if (files.length) return add(files);
  const text = (data.getData("text/uri-list") || data.getData("text/plain")).trim().split("\n")[0];
  if (/^https?:\/\//i.test(text)) form.address(text);
}

function add(files) {
  const wish = form.wish();
  for (const file of files) tasks.add(file, wish);
}
