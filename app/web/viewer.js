// A task's view: its result; until then, how far it is.

import { $, announce, h } from "./dom.js";
import { nameOf } from "./list.js";
import { unfinished } from "./progress.js";
import { result } from "./result.js";
import { tasks } from "./tasks.js";
import { reason, t } from "./text.js";

/** Show task `id` in `place`, at page `first`. */
export function viewer(place, id, first) {
  let inner = {};
  let left = false;
  let item = null;
  const swap = (view) => {
    inner.leave?.();
    inner = view;
  };
  const draw = (at = first) => {
    const complete = item.record?.state === 1;
    swap(complete ? result(place, item, at) : unfinished(place, item));
  };
  place.append(h("p", { class: "muted plain" }, t("loading")));
  tasks.find(id).then(
    (found) => {
      if (left) return;
      item = found;
      document.title = `${nameOf(item)} – ${t("title")}`;
      draw();
      $("[data-first]", place)?.focus({ preventScroll: true });
    },
    (error) => {
      if (!left && error.status !== 401)
        missing(place, error.status === 404 ? t("gone") : reason(error));
    },
  );
  const stop = tasks.on((changed, ended) => {
    if (!item) return;
    if (!changed) {
      if (item.gone) missing(place, t("gone"));
      return;
    }
    if (ended)
      announce(t(changed.record?.state === 1 ? "finished" : "wentWrong", nameOf(changed)), {
        silent: changed === item,
      });
    if (changed !== item) return;
    if (!ended) return inner.changed?.();
    draw(1);
    $("[data-first]", place)?.focus({ preventScroll: true });
  });
  return {
    leave() {
      left = true;
      stop();
      inner.leave?.();
    },
    keys: (event) => inner.keys?.(event),
    moved(name, to, page) {
      if (name !== "task" || to !== id || !inner.go) return false;
      inner.go(page);
      return true;
    },
  };
}

function missing(place, text) {
  place.replaceChildren(
    h(
      "div",
      { class: "card" },
      h("h1", { tabindex: "-1", "data-first": true }, t("untitled")),
      h("p", {}, text),
      h("a", { class: "button", href: "#/" }, t("back")),
    ),
  );
}
