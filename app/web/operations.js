// The operators' view: what the server does now, looked at every two seconds while it is seen.

import { json } from "./api.js";
import { h } from "./dom.js";
import { bytes, detail, duration, moment, reason, t } from "./text.js";

const LOOK_MS = 2000;
const KEPT = 90; // Looks that the curve goes back.
const rates = [];

/** Show the view in `place`. */
export function operations(place) {
  const note = h("p", { class: "muted small", role: "status" });
  const body = h("div", { class: "operations" });
  place.append(
    h(
      "div",
      { class: "list-head" },
      h("h1", { tabindex: "-1", "data-first": true }, t("operations")),
      note,
    ),
    body,
  );
  const aborted = new AbortController();
  let timer = 0;

  async function look() {
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        const { data } = await json("operations", { signal: aborted.signal });
        rates.push(data.pages.per_s);
        rates.splice(0, rates.length - KEPT);
        draw(data);
        note.textContent = t("version", data.version);
      } catch (error) {
        if (aborted.signal.aborted || error.status === 401) return;
        note.textContent = reason(error);
        if (error.status === 403) return body.replaceChildren();
      }
    }
    timer = setTimeout(look, LOOK_MS);
  }

  const figures = h("dl", { class: "figures-grid" });
  const rate = h("figure", { class: "curve-frame" });
  const table = {
    workers: section("workers", ["worker", "process", "busyWith", "since", "memory"]),
    failures: section("failures", ["when", "busyWith", "why"]),
  };

  function draw({ queue, workers, pages, tasks, failures, disk }) {
    const told = [
      ["waiting", queue.queued],
      ["working", queue.processing],
      ["downloading", queue.downloading],
      ["oldest", queue.oldest_s ? duration(queue.oldest_s) : "–"],
      ["perSecond", pages.per_s.toFixed(2)],
      ["perMinute", pages.last_minute],
      ["perHour", pages.last_hour],
      ["doneHour", tasks.complete_hour],
      ["failedHour", tasks.failed_hour, tasks.failed_hour ? "bad" : ""],
      ["disk", bytes(disk.free_bytes)],
    ];
    if (!body.children.length)
      body.append(figures, rate, table.workers.element, table.failures.element);
    figures.replaceChildren(
      ...told.map(([name, value, kind]) =>
        h(
          "div",
          { class: `figure ${kind ?? ""}` },
          h("dt", {}, t(name)),
          h("dd", {}, String(value)),
        ),
      ),
    );
    rate.replaceChildren(curve(), h("figcaption", { class: "muted small" }, t("history")));
    table.workers.fill(
      workers.map((worker) => [
        worker.name,
        String(worker.pid ?? "–"), // Of another server's workers only their tasks are known.
        worker.task_id
          ? h("code", {}, worker.task_id.slice(0, 8))
          : h("span", { class: "muted" }, t(worker.warm ? "idle" : "warming")),
        worker.since_s === undefined ? "" : duration(worker.since_s),
        worker.memory_bytes === undefined ? "–" : bytes(worker.memory_bytes),
      ]),
      "",
    );
    table.failures.fill(
      failures.map((failure) => [
        moment(failure.completed_at),
        h("code", { title: failure.task_id }, failure.task_id.slice(0, 8)),
        h(
          "span",
          {},
          detail(failure.state_detail),
          h("span", { class: "muted small" }, ` ${failure.code ?? ""}`),
        ),
      ]),
      t("noFailures"),
    );
  }

  const seen = () => !document.hidden && look();
  document.addEventListener("visibilitychange", seen);
  look();
  return {
    leave() {
      aborted.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
  };
}

/** A table below a heading; `fill` changes rows that are others, and leaves focus and scrolling alone. */
function section(name, heads) {
  const id = `section-${name}`;
  const rows = h("tbody");
  let shown = "";
  const frame = h(
    "div",
    { class: "table-frame", tabindex: "0", role: "group", "aria-labelledby": id },
    h(
      "table",
      { class: "plain-table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((head) => h("th", { scope: "col" }, t(head))),
        ),
      ),
      rows,
    ),
  );
  const empty = h("p", { class: "muted" });
  const fill = (lines, none) => {
    frame.hidden = !lines.length;
    empty.hidden = lines.length > 0;
    empty.textContent = none;
    const fresh = lines.map((cells) =>
      h(
        "tr",
        {},
        cells.map((cell) => h("td", {}, cell)),
      ),
    );
    const now = fresh.map((row) => row.outerHTML).join();
    if (now !== shown) rows.replaceChildren(...fresh);
    shown = now;
  };
  return {
    element: h("section", { "aria-labelledby": id }, h("h2", { id }, t(name)), frame, empty),
    fill,
  };
}

const SVG = "http://www.w3.org/2000/svg";

/** Pages a second since the view was opened first. */
function curve() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "curve");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", t("history"));
  const most = Math.max(...rates, 0.1);
  const step = 100 / Math.max(rates.length - 1, 1);
  const points = rates.map(
    (rate, n) => `${(n * step).toFixed(2)},${(19 - (rate / most) * 17).toFixed(2)}`,
  );
  for (const [tag, all] of [
    ["polygon", ["0,20", ...points, "100,20"]],
    ["polyline", points],
  ]) {
    const shape = document.createElementNS(SVG, tag);
    shape.setAttribute("points", all.join(" "));
    svg.append(shape);
  }
  return svg;
}
