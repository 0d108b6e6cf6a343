// The result as it was asked for, and in all other formats.

import { announce, disclosure, h, icon } from "./dom.js";
import { resultLink, save } from "./list.js";
import { tasks } from "./tasks.js";
import { detail, reason, t } from "./text.js";

const FORMATS = ["txt", "pdf", "docx", "xlsx", "pptx"];
const FOR_PROGRAMS = ["json", "hocr", "alto"];

/** A button for the result of `item`, and one for the others. */
export function downloads(item) {
  const own = (item.record.format ??=
    item.record.file?.split(/[?#]/)[0].split(".").at(-1) ?? "txt");
  const main = item.record.file
    ? resultLink(
        item,
        { class: "button primary", "aria-label": `${t("download")}: ${t(`format.${own}`)}` },
        icon("down"),
        h("span", {}, t(`format.${own}`)),
      )
    : null;
  const button = h(
    "button",
    {
      type: "button",
      class: "button primary",
      "aria-label": t("downloadAs"),
      title: t("downloadAs"),
    },
    main ? null : t("download"),
    icon("more"),
  );
  const choice = (format) =>
    h(
      "button",
      { type: "button", onclick: () => make(format) },
      h("b", {}, t(`format.${format}`)),
      h("span", { class: "muted small" }, t(`long.${format}`)),
    );
  const panel = h(
    "div",
    { class: "panel right formats-panel" },
    FORMATS.map(choice),
    h("p", { class: "panel-title muted small" }, t("downloadMore")),
    FOR_PROGRAMS.map(choice),
  );

  async function make(format) {
    button.setAttribute("aria-busy", "true");
    button.focus();
    const name = t(`format.${format}`);
    const slow = setTimeout(() => announce(t("making", name)), 400);
    try {
      const record = await tasks.result(item, format);
      clearTimeout(slow);
      if (!record.file) return announce(detail(record.state_detail));
      save(record.file);
      announce(t("made", name));
    } catch (error) {
      announce(error.code === "source_expired" ? t("sourceExpired") : reason(error));
    } finally {
      clearTimeout(slow);
      button.removeAttribute("aria-busy");
    }
  }
  return h("div", { class: "split" }, main, disclosure(button, panel));
}
