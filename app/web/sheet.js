// The picture of a page with the words laid over it: to be selected, hovered, walked through.

import { h } from "./dom.js";
import { percent, t } from "./text.js";

/** Below this a word is uncertain (confidence, 0 to 1). */
export const UNCERTAIN = 0.8;

/** Words of a page that are shown: a sheet of a workbook may have a million. */
const MOST_WORDS = 6000;

const ink = document.createElement("canvas").getContext("2d");
ink.font = "100px sans-serif"; // As .word in viewer.css.

const paragraphsOf = (block) => {
  if (block.type === "paragraph") return [block];
  return block.type === "table" ? block.cells.flatMap((cell) => cell.paragraphs) : block.paragraphs;
};
const wordsIn = (paragraphs) =>
  paragraphs.reduce(
    (sum, each) => sum + each.lines.reduce((words, line) => words + line.words.length, 0),
    0,
  );

/** The page (JSON), or as much of its beginning as can be shown, then `shortened`. */
export function shown(page) {
  let left = MOST_WORDS;
  const blocks = [];
  for (const block of page.blocks) {
    const words = wordsIn(paragraphsOf(block));
    if (words <= left) {
      blocks.push(block);
      left -= words;
      continue;
    }
    if (block.type === "table") {
      const cells = [];
      for (const cell of block.cells) {
        left -= wordsIn(cell.paragraphs);
        if (left < 0) break;
        cells.push(cell);
      }
      const rows = cells.at(-1)?.row ?? 0; // The last one may not be whole.
      const kept = cells
        .filter((cell) => cell.row < rows)
        .map((cell) => ({ ...cell, row_span: Math.min(cell.row_span, rows - cell.row) }));
      blocks.push({ ...block, rows, cells: kept });
    }
    return { ...page, blocks, shortened: true };
  }
  return page;
}

/** Number the words and lines of a page in reading order; gives its lines. */
function numbered(page) {
  const lines = [];
  const paragraphs = page.blocks.flatMap(paragraphsOf);
  let n = 0;
  for (const line of paragraphs.flatMap((paragraph) => paragraph.lines)) {
    for (const word of line.words) Object.assign(word, { n: n++, line: lines.length });
    lines.push(line);
  }
  return lines;
}

/** The sheet of one page; its picture comes later. */
export function sheet(page, label) {
  const lines = numbered(page);
  const image = h("img", { alt: label, draggable: "false" });
  const tip = h("div", { class: "tip", id: "tip", role: "tooltip", hidden: true });
  const frame = h("div", { class: "line-frame", hidden: true });
  const words = h("div", { class: "words", role: "group", "aria-label": t("words") });
  const element = h("div", { class: "sheet" }, image, frame, words, tip);
  element.style.aspectRatio = `${page.width} / ${page.height}`;

  const spans = [];
  for (const line of lines) {
    const row = h("div", { class: "line" });
    for (const [n, word] of line.words.entries()) {
      if (n && word.spaced !== false) row.append(" ");
      const span = laid(word, line.vertical, page);
      spans.push(span);
      row.append(span);
    }
    words.append(row);
  }
  spans[0]?.setAttribute("tabindex", "0");

  const all = lines.flatMap((line) => line.words);
  words.addEventListener("keydown", (event) => {
    const from = Number(event.target.dataset.n);
    const to = target(event.key, from, all, lines);
    if (to === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    spans[from].tabIndex = -1;
    spans[to].tabIndex = 0;
    spans[to].focus();
  });

  /** Show word `n` and its line as meant; none, if it is null. */
  function point(n) {
    words.querySelector(".hit")?.classList.remove("hit");
    words.querySelector("[aria-describedby]")?.removeAttribute("aria-describedby");
    frame.hidden = tip.hidden = n === null;
    if (n === null) return;
    const word = all[n];
    spans[n].classList.add("hit");
    spans[n].setAttribute("aria-describedby", "tip");
    place(frame, lines[word.line].box, page);
    const [left, top, right, bottom] = word.box;
    const low = top < page.height * 0.06; // There is no room above it.
    tip.style.left = `${(Math.min(Math.max((left + right) / 2 / page.width, 0.1), 0.9) * 100).toFixed(3)}%`;
    tip.style.top = `${(((low ? bottom : top) / page.height) * 100).toFixed(3)}%`;
    tip.classList.toggle("below", low);
    tip.textContent = t("confidence", percent(word.confidence));
  }

  /** Lay the words over the picture at `address`; show them alone if there is none. */
  function show(address) {
    element.classList.toggle("bare", !address);
    if (address) image.src = address;
    else image.remove();
  }

  const uncertain = all.filter((word) => word.confidence < UNCERTAIN).length;
  return { element, image, show, point, uncertain, word: (n) => spans[n] };
}

/** A word, stretched over its box. Sizes are shares of the sheet's width, so that zooming is free. */
function laid(word, vertical, page) {
  const [left, top, right, bottom] = word.box;
  const span = h(
    "span",
    { class: vertical ? "word vertical" : "word", "data-n": word.n, tabindex: "-1", dir: "auto" },
    word.text,
  );
  if (word.confidence < UNCERTAIN) span.classList.add("uncertain");
  const [along, across] = vertical ? [bottom - top, right - left] : [right - left, bottom - top];
  const natural = (ink.measureText(word.text).width / 100) * across * FONT;
  const share = (pixels) => `${((pixels / page.width) * 100).toFixed(4)}cqw`;
  span.style.left = `${((left / page.width) * 100).toFixed(4)}%`;
  span.style.top = `${((top / page.height) * 100).toFixed(4)}%`;
  span.style.fontSize = share(across * FONT);
  span.style.lineHeight = share(across);
  // A browser makes no room for text that runs downwards in lines that do not.
  if (vertical) span.style.height = share(natural);
  const stretch = natural > 0 ? (along / natural).toFixed(5) : 1;
  span.style.transform = vertical ? `scaleY(${stretch})` : `scaleX(${stretch})`;
  return span;
}

const FONT = 0.8; // The size of the font, as a share of a line's height.

function place(element, [left, top, right, bottom], page) {
  element.style.left = `${(left / page.width) * 100}%`;
  element.style.top = `${(top / page.height) * 100}%`;
  element.style.width = `${((right - left) / page.width) * 100}%`;
  element.style.height = `${((bottom - top) / page.height) * 100}%`;
}

/** The number of the word that `key` leads to, null if the key is another. */
function target(key, from, all, lines) {
  const last = all.length - 1;
  const keys = {
    ArrowRight: () => Math.min(from + 1, last),
    ArrowLeft: () => Math.max(from - 1, 0),
    ArrowDown: () => above(1),
    ArrowUp: () => above(-1),
    Home: () => lines[all[from].line].words[0].n,
    End: () => lines[all[from].line].words.at(-1).n,
  };
  const above = (step) => {
    const line = lines[Math.min(Math.max(all[from].line + step, 0), lines.length - 1)];
    const middle = ([left, , right]) => (left + right) / 2;
    const off = (word) => Math.abs(middle(word.box) - middle(all[from].box));
    return line.words.reduce((best, word) => (off(word) < off(best) ? word : best)).n;
  };
  return keys[key]?.() ?? null;
}
