// Elements, icons, announcements, menus, dialogs: the little that every part needs.

import { t } from "./text.js";

/** An element with attributes, listeners (`onclick`) and children; false and null are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export const $ = (selector, root = document) => root.querySelector(selector);

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  up: "M12 16V5m0 0L7.5 9.5M12 5l4.5 4.5M5 16v2.5A1.5 1.5 0 0 0 6.5 20h11a1.5 1.5 0 0 0 1.5-1.5V16",
  down: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 16v2.5A1.5 1.5 0 0 0 6.5 20h11a1.5 1.5 0 0 0 1.5-1.5V16",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  more: "M6 9l6 6 6-6",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  bin: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10 10.5v5.5M14 10.5v5.5",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  warn: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.2",
  key: "M14.5 9.5a4 4 0 1 1-3.9-4 4 4 0 0 1 3.9 4zM13.4 12.3 20 19m-3-3-2 2",
  lock: "M6.5 11h11v9h-11zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  moon: "M20 14.5A8.3 8.3 0 0 1 9.5 4 8.3 8.3 0 1 0 20 14.5z",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16z",
  page: "M7 3.5h7l4 4v13H7zM14 3.5v4h4M10 12h5M10 15.5h5",
  again: "M19 8a8 8 0 1 0 1 5.5M19.5 4v4.5H15",
};

/** A line drawing; decoration, so it has no name of its own. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Has screen readers say `text`, and everybody see it for a while, if it is not `silent`. */
export function announce(text, { silent = false } = {}) {
  const place = $("#status");
  const note = h("p", { class: silent ? "off-screen" : null }, text);
  place.replaceChildren(note);
  setTimeout(() => note.remove(), 5000);
}

/** A button that opens `panel` below itself; Escape, a choice and a click elsewhere close it. */
export function disclosure(button, panel) {
  const set = (open) => {
    panel.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  };
  const leave = (event) => {
    if (!panel.isConnected) document.removeEventListener("pointerdown", leave);
    else if (!panel.contains(event.target) && !button.contains(event.target)) set(false);
  };
  set(false);
  button.addEventListener("click", () => set(panel.hidden));
  for (const part of [panel, button]) {
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || panel.hidden) return;
      event.stopPropagation();
      set(false);
      button.focus();
    });
  }
  panel.addEventListener("click", (event) => {
    if (event.target.closest("button, a")) set(false);
  });
  document.addEventListener("pointerdown", leave);
  return h("div", { class: "menu" }, button, panel);
}

/** Ask before something is lost; true if it is wanted. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "question" },
      h("p", { id: "question" }, question),
      h(
        "div",
        { class: "dialog-buttons" },
        h(
          "button",
          { type: "button", class: "button", onclick: () => dialog.close("") },
          t("cancel"),
        ),
        h(
          "button",
          { type: "button", class: "button danger", onclick: () => dialog.close("yes") },
          yes,
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Put `text` on the clipboard, as `html` too where that is possible. */
export async function copy(text, html = "") {
  const blob = (kind, content) => new Blob([content], { type: kind });
  try {
    if (html && window.ClipboardItem) {
      const item = { "text/plain": blob("text/plain", text), "text/html": blob("text/html", html) };
      await navigator.clipboard.write([new ClipboardItem(item)]);
    } else await navigator.clipboard.writeText(text);
  } catch {
    copyOld(text); // Browsers have no clipboard for pages that come over plain HTTP.
  }
  announce(t("copied"));
}

function copyOld(text) {
  const area = h("textarea", { class: "off-screen", "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}

/** What was kept under `key`, or `otherwise`. */
export function kept(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: it holds for this visit.
  }
}
