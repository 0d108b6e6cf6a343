// Choosing languages: chips, and a field that finds others by any of their names.

import { at } from "./api.js";
import { announce, h, icon, keep, kept } from "./dom.js";
import { isChinese, t } from "./text.js";

const MOST = 10;
const KEY = "ocr.languages";
const PRESET = ["ChinesePRC", "English"];
let known = null; // [name, English, Chinese, …others] of each language.

/** A field for languages; `chosen()` gives their names. */
export function languageField() {
  let chosen = kept(KEY, PRESET);
  let found = [];
  let active = -1;

  const chips = h("ul", { class: "chips" });
  const input = h("input", {
    id: "languages",
    type: "text",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: t("languagesAdd"),
    "aria-label": `${t("languages")}: ${t("languagesAdd")}`,
    "aria-expanded": "false",
    "aria-controls": "languages-found",
    "aria-autocomplete": "list",
  });
  const list = h("ul", {
    id: "languages-found",
    class: "options",
    role: "listbox",
    "aria-label": t("languages"),
    "aria-multiselectable": "true",
    hidden: true,
  });
  const preset = h("button", { type: "button", class: "link small" }, t("languagesPreset"));
  const field = h(
    "div",
    { class: "field languages", role: "group", "aria-labelledby": "languages-label" },
    h(
      "div",
      { class: "label-row" },
      h("span", { id: "languages-label", class: "label" }, t("languages")),
      preset,
    ),
    h("div", { class: "combo" }, chips, input, list),
  );

  const label = (name) => {
    const language = known?.find(([each]) => each === name);
    return language ? language[isChinese() ? 2 : 1] : name;
  };
  const change = (names) => {
    chosen = names;
    keep(KEY, chosen);
    drawChips();
    if (!list.hidden) search();
  };
  const remove = (name) => {
    if (chosen.length > 1) change(chosen.filter((each) => each !== name));
  };
  const toggle = (name) => {
    if (chosen.includes(name)) remove(name);
    else if (chosen.length === MOST) announce(t("languagesMost", MOST));
    else change([...chosen, name]);
  };

  function drawChips() {
    preset.hidden = chosen.join() === PRESET.join();
    chips.replaceChildren(
      ...chosen.map((name) =>
        h(
          "li",
          { class: "chip" },
          label(name),
          chosen.length > 1 &&
            h(
              "button",
              {
                type: "button",
                "aria-label": t("languageRemove", label(name)),
                onclick: () => {
                  remove(name);
                  input.focus();
                },
              },
              icon("close"),
            ),
        ),
      ),
    );
  }

  function search() {
    const wanted = fold(input.value.trim());
    const rank = (language) => {
      const names = language.map(fold);
      if (names.some((name) => name.startsWith(wanted))) return 0;
      return names.some((name) => name.includes(wanted)) ? 1 : 2;
    };
    found = (known ?? [])
      .map((language) => [rank(language), language])
      .filter(([each]) => each < 2)
      .sort(([a], [b]) => a - b)
      .map(([, language]) => language);
    active = wanted && found.length ? 0 : -1;
    list.replaceChildren(
      ...found.map(([name, english, chinese], n) =>
        h(
          "li",
          {
            id: `language-${n}`,
            role: "option",
            "aria-selected": String(chosen.includes(name)),
            onpointerdown: (event) => event.preventDefault(), // The field keeps the focus.
            onclick: () => toggle(name),
          },
          icon("check"),
          h("span", {}, isChinese() ? chinese : english),
          h("span", { class: "muted" }, isChinese() ? english : chinese),
        ),
      ),
    );
    if (!found.length)
      list.append(
        h(
          "li",
          { class: "muted", role: "option", "aria-disabled": "true", "aria-selected": "false" },
          t("languagesNone"),
        ),
      );
    point();
  }

  function point() {
    for (const [n, option] of [...list.children].entries())
      option.classList.toggle("active", n === active);
    if (active < 0) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", `language-${active}`);
      list.children[active].scrollIntoView({ block: "nearest" });
    }
  }

  function open(shown) {
    if (shown === !list.hidden) return;
    list.hidden = !shown;
    input.setAttribute("aria-expanded", String(shown));
    if (shown) search();
    else input.removeAttribute("aria-activedescendant");
  }

  input.addEventListener("input", () => (list.hidden ? open(true) : search()));
  input.addEventListener("click", () => open(true));
  input.addEventListener("blur", () => {
    open(false);
    input.value = "";
  });
  input.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      if (list.hidden) return open(true);
      active = found.length
        ? (active + moves[event.key] + found.length + (active < 0 && moves[event.key] < 0)) %
          found.length
        : -1;
      point();
    } else if (event.key === "Enter" && active >= 0 && !list.hidden) {
      event.preventDefault();
      toggle(found[active][0]);
      input.value = "";
      search();
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      open(false);
    } else if (event.key === "Backspace" && !input.value) remove(chosen.at(-1));
  });
  field.querySelector(".combo").addEventListener("click", (event) => {
    if (event.target === chips || event.target === event.currentTarget) input.focus();
  });
  preset.addEventListener("click", () => {
    change(PRESET);
    input.focus();
    open(false);
  });

  drawChips();
  names().then(() => {
    const there = chosen.filter((name) => known.some(([each]) => each === name)).slice(0, MOST);
    change(there.length ? there : PRESET);
  });
  return { field, chosen: () => chosen };
}

/** What people call the languages `names`, in the page's language. */
export function languageLabels(names) {
  const label = (name) =>
    known?.find((language) => language.includes(name))?.[isChinese() ? 2 : 1] ?? name;
  return names.map(label).join(isChinese() ? "、" : ", ");
}

/** Loads the names, once. */
export async function names() {
  known ??= await (await fetch(at("web/languages.json"))).json();
}

/** Without case, accents and marks. */
const fold = (text) =>
  text
    .normalize("NFD")
    .replace(/[\u0300-\u036f\s()（）-]/g, "")
    .toLowerCase();
