// A task that is not complete: how far it is, page by page; or why it failed.

import { h, icon } from "./dom.js";
import { isFinal } from "./follow.js";
import { advance, nameOf, progressBar, remedy, removed, stateOf } from "./list.js";
import { tasks } from "./tasks.js";
import { t } from "./text.js";

const MOST_CELLS = 300; // Pages that are drawn one by one.

/** Show `item` in `place`. */
export function unfinished(place, item) {
  const state = h("p", { class: "state" });
  const cells = h("div", { class: "cells", "aria-hidden": "true" });
  const title = h("h1", { tabindex: "-1", "data-first": true }, nameOf(item));
  const card = h(
    "div",
    { class: "card progress" },
    h("div", { class: "card-head" }, backLink(), title),
  );
  const remove = h(
    "button",
    { type: "button", class: "button small" },
    icon("bin"),
    t(isFinal(item.record) ? "remove" : "stop"),
  );
  remove.addEventListener("click", async () => {
    if ((await removed([item])) && card.isConnected) location.hash = "#/";
  });
  let bar = null;
  if (isFinal(item.record)) {
    const again = (...given) => {
      tasks.again(...given);
      location.hash = "#/";
    };
    card.classList.add("failed");
    state.textContent = stateOf(item).text;
    card.append(state, remedy(item, again));
  } else card.append(state, (bar = progressBar(stateOf(item), nameOf(item))), cells);
  card.append(h("div", { class: "card-foot" }, remove));
  place.replaceChildren(card);

  function changed() {
    if (!bar) return;
    const now = stateOf(item);
    state.textContent = now.text;
    const fresh = progressBar(now, nameOf(item));
    if (fresh.className === bar.className) advance(bar, now);
    else {
      bar.replaceWith(fresh);
      bar = fresh;
    }
    const [, done, all] = /(\d+) of (\d+) pages/.exec(item.record.state_detail) ?? [
      0,
      0,
      item.record.file_pages ?? 0,
    ];
    if (Number(all) > MOST_CELLS) return;
    while (cells.children.length < Number(all)) cells.append(h("i"));
    for (const [n, cell] of [...cells.children].entries())
      cell.className = n < Number(done) ? "done" : "";
  }
  changed();
  return { changed };
}

/** The way back to the list. */
export const backLink = () =>
  h(
    "a",
    { class: "quiet round", href: "#/", "aria-label": t("back"), title: t("back") },
    icon("back"),
  );
