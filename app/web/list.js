// The home view: the form, and below it the tasks with their states.

import { $, announce, confirmed, h, icon } from "./dom.js";
import { languageLabels } from "./languages.js";
import { noForm, sendForm } from "./send.js";
import { canRepeat, fileName, tasks } from "./tasks.js";
import { bytes, detail, moment, pages, percent, reason, t } from "./text.js";

/** Show the home view in `place`. */
export function home(place) {
  const rows = new Map(); // The row of each item.
  const selected = new Set();
  const list = h("ul", { class: "tasks", "aria-label": t("documents") });
  const empty = h("p", { class: "empty muted" });
  const more = h("button", { type: "button", class: "button" }, t("more"));
  const bar = selectionBar();
  place.append(
    sendForm(),
    h(
      "section",
      { class: "documents", "aria-labelledby": "documents" },
      h("div", { class: "list-head" }, h("h2", { id: "documents" }, t("documents")), bar.element),
      list,
      empty,
      more,
    ),
  );

  more.addEventListener("click", async () => {
    more.disabled = true;
    const before = tasks.items.length;
    await tasks.loadMore().catch((error) => announce(reason(error)));
    more.disabled = false;
    $("a, button", list.children[before] ?? list)?.focus();
  });

  function selectionBar() {
    const all = h("input", { type: "checkbox", id: "all" });
    const count = h("span", { class: "muted", "aria-live": "polite" });
    const remove = h(
      "button",
      { type: "button", class: "button danger small" },
      icon("bin"),
      t("remove"),
    );
    const element = h(
      "div",
      { class: "selection" },
      count,
      remove,
      h("label", { class: "check" }, all, h("span", { class: "off-screen" }, t("selectAll"))),
    );
    all.addEventListener("change", () => {
      selected.clear();
      if (all.checked) tasks.items.forEach((item) => selected.add(item));
      mark();
    });
    remove.addEventListener("click", async () => {
      const items = [...selected];
      if (await removed(items)) {
        selected.clear();
        draw();
        ($(".task a", list) ?? $("[data-first]", place)).focus();
      } else remove.focus();
    });
    const update = () => {
      all.checked = selected.size > 0 && selected.size === tasks.items.length;
      all.indeterminate = selected.size > 0 && !all.checked;
      element.hidden = !tasks.items.length;
      remove.hidden = !selected.size;
      count.textContent = selected.size ? t("selected", selected.size) : "";
    };
    return { element, update };
  }

  function mark() {
    for (const [item, row] of rows) {
      $(".check input", row).checked = selected.has(item);
      row.classList.toggle("selected", selected.has(item));
    }
    bar.update();
  }

  const row = (item) => {
    const element = h("li", { class: "task" });
    const check = h("input", {
      type: "checkbox",
      "aria-label": t("select", nameOf(item)),
      onchange: (event) => {
        if (event.target.checked) selected.add(item);
        else selected.delete(item);
        mark();
      },
    });
    element.append(
      h("label", { class: "check" }, check),
      h("div", { class: "what" }),
      h("div", { class: "how" }),
    );
    fill(element, item);
    return element;
  };

  function draw() {
    for (const item of [...rows.keys()]) {
      if (tasks.items.includes(item)) continue;
      rows.delete(item);
      selected.delete(item);
    }
    const wanted = tasks.items.map((item) => {
      if (!rows.has(item)) rows.set(item, row(item));
      return rows.get(item);
    });
    // Rows that stay are not touched: one of them may have the focus.
    for (const old of [...list.children]) if (!wanted.includes(old)) old.remove();
    wanted.forEach((each, n) => {
      if (list.children[n] !== each) list.insertBefore(each, list.children[n] ?? null);
    });
    empty.hidden = wanted.length > 0;
    empty.textContent = tasks.error ? reason(tasks.error) : t(tasks.loaded ? "empty" : "loading");
    more.hidden = !tasks.more;
    mark();
  }

  draw();
  const stop = tasks.on((item, ended) => {
    if (!item) return draw();
    const element = rows.get(item);
    if (element) fill(element, item);
    if (ended)
      announce(t(item.record?.state === 1 ? "finished" : "wentWrong", nameOf(item)), {
        silent: true,
      });
  });
  // Others may have sent some with the same token meanwhile.
  const look = () => {
    if (!document.hidden && (tasks.loaded || tasks.error)) tasks.load().catch(() => {}); // The next look may.
  };
  look();
  document.addEventListener("visibilitychange", look);
  const leave = () => {
    document.removeEventListener("visibilitychange", look);
    stop();
    noForm();
  };
  return { leave };
}

/** A link to the result of an item, as it was asked for. */
export function resultLink(item, attributes, ...children) {
  const follow = async (event) => {
    // An address that holds for a time only may be over.
    if (!/[?&](X-Amz-E|e)xpires=/.test(item.record.file)) return;
    event.preventDefault();
    try {
      save((await tasks.result(item, item.record.format)).file);
    } catch (error) {
      announce(reason(error));
    }
  };
  return h("a", { ...attributes, href: item.record.file, download: "", onclick: follow }, children);
}

/** Download what is at `address`. */
export const save = (address) => h("a", { href: address, download: "" }).click();

export const nameOf = (item) => fileName(item) ?? t("untitled");

/** Ask, and delete; true if it was done. */
export async function removed(items) {
  const what =
    items.length === 1 ? ` “${nameOf(items[0])}”`.trimStart() : t("removeMany", items.length);
  if (!(await confirmed(t("removeAsk", what), t("remove")))) return false;
  try {
    await tasks.remove(items);
    announce(t("removed"));
  } catch (error) {
    announce(reason(error));
  }
  return true;
}

/** What an item's state is: {kind, text, share?}. */
export function stateOf({ record, sending, error, lost }) {
  if (lost) return { kind: "queued", text: t("lost") };
  if (error) return { kind: "failed", text: t("failed") };
  if (sending?.busy) return { kind: "waiting", text: t("busy", sending.busy) };
  if (sending) {
    const share = sending.total ? sending.sent / sending.total : 0;
    return { kind: "sending", share, text: share < 1 ? t("uploading", percent(share)) : t("sent") };
  }
  const { state, position } = record;
  if (state === 1)
    return record.file
      ? { kind: "ready", text: t("complete") }
      : { kind: "ready", text: t("expired") };
  if (state === -13) return { kind: "failed", text: t("cancelled") };
  if (state < 0) return { kind: "failed", text: t("failed") };
  if (state === 2)
    return {
      kind: "waiting",
      text: t(record.source_url && !record.input_size ? "fetching" : "preparing"),
    };
  if (state === 4) {
    const read = /(\d+) of (\d+) pages/.exec(record.state_detail);
    const now = read && Math.min(Number(read[1]) + 1, Number(read[2]));
    const text = read ? t("readingPages", now, read[2]) : t("reading");
    return { kind: "reading", text, share: record.progress / 100 };
  }
  if (position === undefined) return { kind: "queued", text: t("queued") };
  return { kind: "queued", text: position ? t("position", position) : t("position0") };
}

/** A bar that shows how far an item is. */
export function progressBar(state, label) {
  const bar = h("div", {
    class: `bar bar-${state.kind}`,
    role: "progressbar",
    "aria-label": label,
    "aria-valuetext": state.text,
    ...(state.share === undefined
      ? {}
      : { "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent(state.share) }),
  });
  const done = h("i");
  if (state.share !== undefined) done.style.width = `${Math.max(2, percent(state.share))}%`;
  bar.append(done);
  return bar;
}

const PASSING = new Set([-1, -2, -3, -8, -9, -13, -15]); // States of which another try may not come.

/** Why an item failed, and what can be done: a password, or another try. */
export function remedy(item, again = (...given) => tasks.again(...given)) {
  const text = item.error ? reason(item.error) : detail(item.record.state_detail);
  const parts = [h("p", { class: "why" }, text)];
  const locked = /^The (document is protected: send|password is wrong)/.test(
    item.record?.state_detail ?? "",
  );
  if (locked && canRepeat(item)) {
    const field = h("input", {
      type: "password",
      maxlength: 32,
      required: true,
      autocomplete: "off",
      placeholder: t("againPassword"),
      "aria-label": `${t("againPassword")}: ${nameOf(item)}`,
    });
    const form = h(
      "form",
      { class: "unlock" },
      field,
      h("button", { class: "button small", type: "submit" }, icon("lock"), t("again")),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value) again(item, field.value);
    });
    parts.push(form);
  } else if (locked) parts.push(h("p", { class: "muted small" }, t("againFile")));
  else if (canRepeat(item) && (item.error || PASSING.has(item.record.state))) {
    parts.push(
      h(
        "button",
        { type: "button", class: "button small", onclick: () => again(item) },
        icon("again"),
        t("again"),
      ),
    );
  }
  return h("div", { class: "remedy" }, parts);
}

/** Write into a row what its item is now; a field that is typed into stays. */
function fill(row, item) {
  const state = stateOf(item);
  const { record } = item;
  const moving = !["ready", "failed"].includes(state.kind);
  const shape = [state.kind, item.id, record?.file_pages, record?.file, item.error?.message].join();
  if (row.dataset.shape === shape) {
    $(".state", row).textContent = state.text;
    if (moving) advance($(".bar", row), state);
    return;
  }
  const focused = row.contains(document.activeElement) && document.activeElement.matches("a");
  row.dataset.shape = shape;
  row.dataset.kind = state.kind;
  const name = nameOf(item);
  const title = item.id
    ? h("a", { href: `#/task/${item.id}`, class: "name" }, name)
    : h("span", { class: "name" }, name);
  const facts = [
    record && moment(record.created_at),
    record?.file_pages && pages(record.file_pages),
    (record?.input_size ?? item.file?.size) && bytes(record?.input_size ?? item.file.size),
    languageLabels(
      [record?.languages ?? item.wish?.languages ?? []].flat().flatMap((names) => names.split(",")),
    ),
  ];
  $(".what", row).replaceChildren(
    title,
    h("p", { class: "facts muted small" }, facts.filter(Boolean).join(" · ")),
  );
  const format = record?.format ?? item.wish?.format;
  const badge = h("span", { class: "badge" }, t(`format.${format ?? "txt"}`));
  const text = h("span", { class: "state" }, state.text);
  const how = $(".how", row);
  if (state.kind === "ready") {
    how.replaceChildren(
      text,
      record.file
        ? resultLink(
            item,
            {
              class: "button small",
              "aria-label": `${t("download")}: ${name} (${t(`format.${format}`)})`,
            },
            icon("down"),
            t(`format.${format}`),
          )
        : badge,
    );
  } else how.replaceChildren(text, badge);
  $(".bar", row)?.remove();
  $(".remedy", row)?.remove();
  if (moving) row.append(progressBar(state, name));
  if (state.kind === "failed") row.append(remedy(item));
  if (focused) $("a", row)?.focus();
}

/** Move a bar on. */
export function advance(bar, state) {
  bar.setAttribute("aria-valuetext", state.text);
  if (state.share === undefined) return;
  bar.setAttribute("aria-valuenow", percent(state.share));
  $("i", bar).style.width = `${Math.max(2, percent(state.share))}%`;
}
