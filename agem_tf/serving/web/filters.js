// Chips that narrow the photos to those with some metadata.

import { element } from "./elements.js";
import { isYear } from "./query.js";

const MOST_VALUES = 12;

/** Shows chips in an element; `changed` receives {key: value} of those chosen. */
export class Filters {
  #root;
  #keys;
  #changed;
  #where = {};
  // Name of a photo -> its metadata, of all photos that were shown.
  #seen = new Map();

  constructor(root, keys, changed) {
    this.#root = root;
    this.#keys = keys;
    this.#changed = changed;
  }

  /** Offers the values that some photos have. */
  gather(items) {
    const before = this.#seen.size;
    for (const item of items) if (item.metadata) this.#seen.set(item.name, item.metadata);
    if (this.#seen.size !== before) this.#draw();
  }

  show(where) {
    this.#where = where;
    this.#draw();
  }

  #draw() {
    const focused = document.activeElement?.dataset?.chip;
    const rows = this.#keys
      .map((key) => [key, this.#values(key)])
      .filter(([, values]) => values.length > 0)
      .map(([key, values]) =>
        element(
          "div",
          { class: "chips", role: "group", "aria-label": key },
          element("span", { class: "soft", "aria-hidden": "true" }, key),
          values.map((value) => this.#chip(key, value)),
        ),
      );
    this.#root.hidden = rows.length === 0;
    this.#root.replaceChildren(...rows);
    if (focused) this.#root.querySelector(`[data-chip="${CSS.escape(focused)}"]`)?.focus();
  }

  /** The commonest values of a key, and the chosen one. */
  #values(key) {
    const counts = new Map();
    for (const metadata of this.#seen.values()) {
      for (const value of offered(metadata[key])) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    // A value of one photo only narrows nothing that one would look for.
    const common = [...counts].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1]);
    const values = common.slice(0, MOST_VALUES).map(([value]) => value);
    values.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const chosen = this.#where[key];
    if (chosen !== undefined && !values.includes(chosen)) values.unshift(chosen);
    return values;
  }

  #chip(key, value) {
    const isChosen = this.#where[key] === value;
    const toggle = () => {
      const { [key]: _, ...others } = this.#where;
      this.#changed(isChosen ? others : { ...others, [key]: value });
    };
    return element(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(isChosen),
        "data-chip": `${key}=${value}`,
        click: toggle,
      },
      isYear(value) ? parseInt(value) : value,
    );
  }
}

/** The values to choose from that a photo has: one, each of a list, or a year. */
function offered(value) {
  if (Array.isArray(value)) return value.flatMap(offered);
  if (value === undefined || value === null || value === "") return [];
  // Degrees and the like are hardly ever shared.
  if (typeof value === "number" && !Number.isInteger(value)) return [];
  const text = String(value);
  return [/^\d{4}-\d\d/.test(text) ? text.slice(0, 5) : text];
}
