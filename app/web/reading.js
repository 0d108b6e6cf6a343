// The text of a page, flowing by its blocks, and its tables.

import { copy, h, icon } from "./dom.js";
import { UNCERTAIN } from "./sheet.js";
import { t } from "./text.js";

/** The page's blocks (JSON, words numbered) as HTML. `draw(image)` fills its pictures in. */
export function textOf(page) {
  const element = h("div", { class: "reading" });
  const pictures = [];
  let list = null;
  for (const block of page.blocks) {
    if (block.type === "paragraph" && block.kind === "item") {
      if (!list) element.append((list = h("ul", { class: "items" })));
      list.append(h("li", { class: `level-${block.level}` }, flowing(block)));
      continue;
    }
    list = null;
    if (block.type === "paragraph") element.append(paragraph(block));
    else if (block.type === "table")
      element.append(
        h(
          "div",
          {
            class: "table-frame",
            tabindex: "0",
            role: "group",
            "aria-label": t("tableSize", block.rows, block.columns),
          },
          table(block),
        ),
      );
    else {
      const canvas = h("canvas", { role: "img", "aria-label": t("image"), width: 0, height: 0 });
      pictures.push([canvas, block.box]);
      element.append(
        h(
          "figure",
          {},
          canvas,
          block.paragraphs.length ? h("figcaption", {}, block.paragraphs.map(paragraph)) : null,
        ),
      );
    }
  }
  if (!page.blocks.length) element.append(h("p", { class: "muted" }, t("noText")));
  const draw = (image) => {
    const scale = image.naturalWidth / page.width;
    for (const [canvas, [left, top, right, bottom]] of pictures) {
      canvas.width = Math.max(1, Math.round((right - left) * scale));
      canvas.height = Math.max(1, Math.round((bottom - top) * scale));
      canvas.style.width = `${((right - left) / page.width) * 100}%`;
      canvas.getContext("2d").drawImage(image, -left * scale, -top * scale);
    }
  };
  return { element, draw };
}

/** The page's tables alone, each to be copied. */
export function tablesOf(page) {
  const tables = page.blocks.filter((block) => block.type === "table");
  const element = h("div", { class: "reading" });
  for (const [n, block] of tables.entries()) {
    const made = table(block);
    const copied = () => copy(tsv(block), plain(made).outerHTML);
    element.append(
      h(
        "section",
        { class: "table-section", "aria-label": t("table", n + 1) },
        h(
          "div",
          { class: "table-head" },
          h("h3", {}, t("table", n + 1)),
          h("span", { class: "muted small" }, t("tableSize", block.rows, block.columns)),
          h(
            "button",
            { type: "button", class: "button small", onclick: copied },
            icon("copy"),
            t("copyTable"),
          ),
        ),
        h(
          "div",
          { class: "table-frame", tabindex: "0", role: "group", "aria-label": t("table", n + 1) },
          made,
        ),
      ),
    );
  }
  if (!tables.length) element.append(h("p", { class: "muted" }, t("noTables")));
  return element;
}

/** The page's text as a plain text: paragraphs, and tables as tab-separated rows. */
export function plainText(page) {
  const texts = page.blocks.map((block) => {
    if (block.type === "paragraph") return block.text;
    return block.type === "table"
      ? tsv(block)
      : block.paragraphs.map((each) => each.text).join("\n");
  });
  return texts.filter(Boolean).join("\n\n");
}

/** A table as tab-separated values: a spanning cell stands in its upper left place. */
function tsv(block) {
  const grid = Array.from({ length: block.rows }, () => Array(block.columns).fill(""));
  for (const cell of block.cells) {
    const text = cell.paragraphs.map((each) => each.text).join("\n");
    // As spreadsheets read it: what has a tab, a line break or a quote stands in quotes.
    grid[cell.row][cell.column] = /[\t\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
  return grid.map((row) => row.join("\t")).join("\n");
}

function paragraph(block) {
  const tag = block.kind === "heading" ? `h${Math.min(2 + block.level, 5)}` : "p";
  return h(tag, { class: `kind-${block.kind} align-${block.align}`, dir: "auto" }, flowing(block));
}

function table(block) {
  const rows = Array.from({ length: block.rows }, () => []);
  for (const cell of block.cells) {
    const head = cell.row < (block.heads ?? 0);
    const empty = !cell.paragraphs.length;
    rows[cell.row].push(
      h(
        head && !empty ? "th" : "td",
        {
          scope: head && !empty ? "col" : null,
          rowspan: cell.row_span > 1 ? cell.row_span : null,
          colspan: cell.column_span > 1 ? cell.column_span : null,
          class:
            cell.paragraphs.length && cell.paragraphs.every((each) => FIGURES.test(each.text))
              ? "figures"
              : null,
        },
        cell.paragraphs.map((each) => h("p", { dir: "auto" }, flowing(each))),
      ),
    );
  }
  return h(
    "table",
    { class: block.drawn === false ? "open" : null },
    h(
      "tbody",
      {},
      rows.map((cells) => h("tr", {}, cells)),
    ),
  );
}

const FIGURES = /^[\s\d.,:%+\-−–()¥￥$€£/]+$/;

/** Its words as elements, with what stands between them in the paragraph's own text. */
function flowing(block) {
  const { text } = block;
  const parts = [];
  let at = 0;
  for (const word of block.lines.flatMap((line) => line.words)) {
    // A word that was divided at the end of a line is put together without its hyphen.
    const found = [word.text, word.text.replace(/-$/, "")].find(
      (each) => skipped(text, at, each) >= 0,
    );
    const shown = found ?? word.text;
    const start = found === undefined ? at : skipped(text, at, found);
    if (start > at) parts.push(text.slice(at, start));
    else if (found === undefined && parts.length) parts.push(" ");
    const uncertain = word.confidence < UNCERTAIN ? " uncertain" : "";
    parts.push(
      h("span", { class: `w${uncertain}`, "data-n": word.n, "data-line": word.line }, shown),
    );
    at = found === undefined ? at : start + found.length;
  }
  if (!parts.length) parts.push(text);
  else if (at < text.length) parts.push(text.slice(at));
  return parts;
}

/** Where `word` stands in `text` from `at` on, after spaces at most; -1 if it does not. */
function skipped(text, at, word) {
  let start = at;
  while (text[start] === " ") start++;
  return text.startsWith(word, start) ? start : -1;
}

/** A table without what links it to the picture, for the clipboard. */
function plain(made) {
  const bare = made.cloneNode(true);
  for (const word of bare.querySelectorAll(".w")) word.replaceWith(word.textContent);
  for (const each of [bare, ...bare.querySelectorAll("*")]) {
    for (const name of ["class", "dir", "scope"]) each.removeAttribute(name);
  }
  return bare;
}
