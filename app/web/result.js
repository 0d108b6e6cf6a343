// The result of a complete task: the page as it looks beside what was read on it.

import { ask } from "./api.js";
import { $, announce, copy, h, icon, keep, kept } from "./dom.js";
import { downloads } from "./downloads.js";
import { wait } from "./follow.js";
import { nameOf, removed } from "./list.js";
import { backLink } from "./progress.js";
import { plainText, tablesOf, textOf } from "./reading.js";
import { sheet, shown } from "./sheet.js";
import { percent, reason, t } from "./text.js";

const ZOOMS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4];
const WIDE = matchMedia("(min-width: 56rem)");
const MOST_REPEATS = 20; // While a page is not ready.

/** Show the result of `item` in `place`, at page `first`. */
export function result(place, item, first) {
  const count = item.record.file_pages ?? 1;
  const cache = new Map(); // Page number: promise of {page, url}.
  let number = Math.min(Math.max(first, 1), count);
  let current = null; // {page, sheet, text}
  let zoom = 1;
  let view = "text";
  let left = false;
  const aborted = new AbortController();

  const title = h("h1", { tabindex: "-1", "data-first": true }, nameOf(item));
  const previous = tool("back", t("previous"), () => turn(number - 1));
  const next = tool("next", t("next"), () => turn(number + 1));
  const field = h("input", {
    type: "text",
    inputmode: "numeric",
    class: "page-number",
    "aria-label": t("pageNumber"),
    value: number,
  });
  field.addEventListener("change", () => turn(Number(field.value) || number));
  const pager = h(
    "div",
    { class: "pager", role: "group", "aria-label": t("pageNumber"), hidden: count === 1 },
    previous,
    field,
    h("span", { class: "muted" }, t("of", count)),
    next,
  );

  const zoomText = h("button", {
    type: "button",
    class: "quiet",
    title: t("zoomFit"),
    onclick: () => zoomTo(1),
  });
  const marked = h("input", { type: "checkbox", checked: kept("ocr.mark", false) });
  const marks = h("span", { class: "badge" });
  const tools = h(
    "div",
    { class: "tools", role: "group", "aria-label": t("view.page") },
    tool("minus", t("zoomOut"), () => zoomTo(ZOOMS.findLast((each) => each < zoom))),
    zoomText,
    tool("plus", t("zoomIn"), () => zoomTo(ZOOMS.find((each) => each > zoom))),
    h("label", { class: "switch" }, marked, h("span", {}, t("mark")), marks),
  );

  const tabs = ["page", "text", "tables"].map((name) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": `pane-${name}`,
        class: "tab",
        onclick: () => look(name),
      },
      t(`view.${name}`),
    ),
  );
  const copyText = h(
    "button",
    { type: "button", class: "quiet", onclick: () => current && copy(plainText(current.page)) },
    icon("copy"),
    t("copyText"),
  );
  const tabRow = h(
    "div",
    { class: "tab-row" },
    h("div", { class: "tabs", role: "tablist", "aria-label": t("viewLabel") }, tabs),
    copyText,
  );
  const panes = Object.fromEntries(
    ["page", "text", "tables"].map((name) => [
      name,
      h("section", {
        class: `pane pane-${name}`,
        id: `pane-${name}`,
        tabindex: "0",
        "data-loading": t("loading"),
      }),
    ]),
  );

  const element = h(
    "div",
    { class: "viewer" },
    h(
      "div",
      { class: "viewbar" },
      backLink(),
      title,
      pager,
      h(
        "div",
        { class: "actions" },
        downloads(item),
        tool("bin", t("remove"), async () => {
          if ((await removed([item])) && !left) location.hash = "#/";
        }),
      ),
    ),
    tools,
    tabRow,
    panes.page,
    panes.text,
    panes.tables,
  );
  element.classList.toggle("marked", marked.checked);
  place.replaceChildren(element);

  marked.addEventListener("change", () => {
    keep("ocr.mark", marked.checked);
    element.classList.toggle("marked", marked.checked);
  });

  /** Page `n`: {page, url}, both promised; the text is there before the picture. */
  function load(n) {
    if (!cache.has(n)) {
      const { signal } = aborted;
      const page = patient(`task/${item.id}/document?format=json&page=${n}`, signal).then(
        (response) => response.json(),
      );
      const url = patient(`task/${item.id}/pages/${n}`, signal)
        .then((response) => response.blob())
        .then((blob) => URL.createObjectURL(blob));
      cache.set(n, { page, url });
      for (const part of [page, url]) part.catch(() => cache.delete(n));
    }
    return cache.get(n);
  }

  function forget(far) {
    for (const [n, loaded] of cache) {
      if (!far(n)) continue;
      cache.delete(n);
      loaded.url.then(URL.revokeObjectURL, () => {});
    }
  }

  async function go(n) {
    number = Math.min(Math.max(n, 1), count);
    field.value = number;
    previous.disabled = number === 1;
    next.disabled = number === count;
    const asked = number;
    element.setAttribute("aria-busy", "true");
    try {
      const loaded = load(asked);
      const page = await loaded.page;
      if (left || asked !== number) return;
      draw(shown(page));
      const drawn = current;
      forget((each) => Math.abs(each - asked) > 2);
      const url = await loaded.url.catch((error) => {
        // There is none of a workbook's sheet; its words are shown alone, as when one cannot be had.
        if (!left && drawn === current && error.code !== "page_not_exist") announce(reason(error));
      });
      if (left || drawn !== current) return;
      drawn.sheet.show(url);
      if (asked < count) load(asked + 1);
    } catch (error) {
      if (left || asked !== number || error.status === 401) return;
      fail(error);
    } finally {
      if (asked === number) element.removeAttribute("aria-busy");
    }
  }

  function draw(page) {
    const drawn = sheet(page, t("picture", number, count));
    const text = textOf(page);
    const tables = page.blocks.filter((block) => block.type === "table").length;
    current = { page, sheet: drawn, text };
    drawn.image.addEventListener("load", () => text.draw(drawn.image));
    panes.page.replaceChildren(h("div", { class: "desk" }, drawn.element));
    panes.text.replaceChildren(
      ...[
        page.recognized ? null : note("unread"),
        page.shortened ? note("shortened") : null,
        text.element,
      ].filter(Boolean),
    );
    panes.tables.replaceChildren(); // They are made when they are looked at.
    tabs[2].textContent = tables ? `${t("view.tables")} ${tables}` : t("view.tables");
    marks.textContent = drawn.uncertain;
    zoomTo(zoom);
    for (const pane of Object.values(panes)) pane.scrollTop = 0;
    arrange();
  }

  function fail(error) {
    current = null;
    const expired = error.code === "source_expired";
    const text = expired ? t("sourceExpired") : t("pageFailed", reason(error));
    const again = h(
      "button",
      { type: "button", class: "button small", onclick: () => go(number) },
      icon("again"),
      t("again"),
    );
    panes.page.replaceChildren(
      h(
        "div",
        { class: "trouble" },
        icon("warn"),
        h("p", { role: "alert" }, text),
        expired ? null : again,
      ),
    );
    panes.text.replaceChildren();
    panes.tables.replaceChildren();
    element.classList.toggle("alone", expired);
    if (!WIDE.matches) look("page");
  }

  /** Turn to page `n`; the address says so, for the way back and for others. */
  function turn(n) {
    const to = Math.min(Math.max(n, 1), count);
    history.replaceState(null, "", `#/task/${item.id}/${to}`);
    go(to);
    announce(t("picture", to, count), { silent: true });
  }

  function zoomTo(wanted) {
    if (!wanted) return;
    const pane = panes.page;
    const middle = (pane.scrollTop + pane.clientHeight / 2) / pane.scrollHeight;
    zoom = wanted;
    zoomText.textContent = `${percent(zoom)}%`;
    zoomText.setAttribute("aria-label", `${percent(zoom)}%, ${t("zoomFit")}`);
    if (!current) return;
    current.sheet.element.style.width = `${zoom * 100}%`;
    pane.scrollTop = middle * pane.scrollHeight - pane.clientHeight / 2;
  }

  function look(name, focus = false) {
    view = name;
    arrange();
    if (focus) $(`#tab-${view}`, element).focus();
  }

  function arrange() {
    if (WIDE.matches && view === "page") view = "text";
    element.dataset.view = view;
    if (view === "tables" && current && !panes.tables.children.length) {
      panes.tables.append(
        ...[current.page.shortened ? note("shortened") : null, tablesOf(current.page)].filter(
          Boolean,
        ),
      );
    }
    for (const tab of tabs) {
      const selected = tab.id === `tab-${view}`;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
    }
    for (const [name, pane] of Object.entries(panes)) {
      const tabbed = name !== "page" || !WIDE.matches;
      pane.setAttribute("role", tabbed ? "tabpanel" : "region");
      if (tabbed) pane.setAttribute("aria-labelledby", `tab-${name}`);
      else pane.removeAttribute("aria-labelledby");
      pane.setAttribute("aria-label", t(`view.${name}`));
      pane.hidden = !(name === view || (name === "page" && WIDE.matches));
    }
  }

  tabRow.addEventListener("keydown", (event) => {
    if (
      event.target.getAttribute("role") !== "tab" ||
      !["ArrowLeft", "ArrowRight"].includes(event.key)
    )
      return;
    event.stopPropagation();
    const there = WIDE.matches ? ["text", "tables"] : ["page", "text", "tables"];
    const step = event.key === "ArrowRight" ? 1 : -1;
    look(there[(there.indexOf(view) + step + there.length) % there.length], true);
  });

  /** Show on both sides the word that the pointer or the focus is on. */
  function point(event, scroll) {
    if (!current) return;
    const found = event.target.closest?.("[data-n]");
    const n = found ? Number(found.dataset.n) : null;
    for (const old of element.querySelectorAll(".reading .hit, .reading .near"))
      old.classList.remove("hit", "near");
    current.sheet.point(n);
    if (n === null) return;
    for (const name of ["text", "tables"]) {
      const word = $(`[data-n="${n}"]`, panes[name]);
      if (!word) continue;
      for (const near of panes[name].querySelectorAll(`[data-line="${word.dataset.line}"]`))
        near.classList.add("near");
      word.classList.add("hit");
      if (scroll && found !== word) reveal(word, panes[name]);
    }
    if (scroll && found !== current.sheet.word(n)) reveal(current.sheet.word(n), panes.page);
  }
  element.addEventListener("pointerover", (event) => point(event, false));
  element.addEventListener("focusin", (event) => point(event, true));
  element.addEventListener("click", (event) => {
    if (event.target.closest("[data-n]") && getSelection().isCollapsed) point(event, true);
  });
  panes.page.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoomTo(
        event.deltaY < 0
          ? ZOOMS.find((each) => each > zoom)
          : ZOOMS.findLast((each) => each < zoom),
      );
    },
    { passive: false },
  );
  WIDE.addEventListener("change", arrange);

  if (!WIDE.matches) view = "page";
  arrange();
  zoomTo(1);
  go(number);
  return {
    go,
    leave() {
      left = true;
      WIDE.removeEventListener("change", arrange);
      aborted.abort();
      forget(() => true);
    },
    keys(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (event.target.closest("input, textarea, [role=tab], dialog, .menu")) return;
      const keys = { ArrowLeft: -1, ArrowRight: 1 };
      if (!(event.key in keys)) return;
      if (zoom > 1 && panes.page.contains(event.target)) return; // They scroll there.
      event.preventDefault();
      turn(number + keys[event.key]);
    },
  };
}

/** The response, asked for again while the server says that it is not ready. */
async function patient(path, signal) {
  for (let n = 0; ; n++) {
    try {
      return await ask(path, { signal });
    } catch (error) {
      if (error.status !== 503 || n === MOST_REPEATS) throw error;
      await wait(Math.min(error.retryAfter || 1, 2) * 1000, signal);
    }
  }
}

function reveal(word, pane) {
  const [inner, outer] = [word.getBoundingClientRect(), pane.getBoundingClientRect()];
  const inside =
    inner.top >= outer.top &&
    inner.bottom <= outer.bottom &&
    inner.left >= outer.left &&
    inner.right <= outer.right;
  if (!inside && WIDE.matches)
    pane.scrollBy({
      top: inner.top - outer.top - outer.height / 3,
      left: inner.left - outer.left - outer.width / 3,
    });
}

const note = (name) => h("p", { class: "note muted small" }, t(name));
const tool = (name, label, onclick) =>
  h(
    "button",
    { type: "button", class: "quiet round", "aria-label": label, title: label, onclick },
    icon(name),
  );
