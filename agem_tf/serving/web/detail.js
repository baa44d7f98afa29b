// One photo, large, with its heat map and its matches with the query.

import { button, counted, element, iconButton, isShortcut } from "./elements.js";
import { drawMatches } from "./matches.js";
import { exampleForm, indexed } from "./query.js";
import * as service from "./service.js";

const NARROW = 700;

/**
 * A dialog over the results.
 *
 * `actions` are only(item), like(item) and unlike(item); `query()` returns the
 * query of the results.
 */
export class Detail {
  #dialog;
  #library;
  #actions;
  #query;
  #items = [];
  #place = 0;
  #tab = "photo";
  #running = null;

  constructor(dialog, library, query, actions) {
    this.#dialog = dialog;
    this.#library = library;
    this.#query = query;
    this.#actions = actions;
    dialog.addEventListener("keydown", (event) => this.#key(event));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => this.#running?.abort());
  }

  /** Opens one of some photos. */
  open(items, place) {
    this.#items = items;
    this.#place = place;
    this.#tab = "photo";
    this.#draw();
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #draw() {
    const item = this.#items[this.#place];
    const stage = element("div", { id: "detail-stage", class: "detail-stage", role: "tabpanel", "aria-live": "polite", tabindex: "0" });
    const go = (step, text, name) =>
      iconButton(text, name, {
        class: `icon-button go ${name}`,
        disabled: !this.#items[this.#place + step],
        click: () => this.#go(step),
      });
    this.#dialog.replaceChildren(
      element(
        "header",
        {},
        element("h2", { id: "detail-title" }, item.name),
        iconButton("Close", "close", { click: () => this.#dialog.close() }),
      ),
      element("div", { class: "detail-body" }, go(-1, "Previous photo", "left"), stage, go(1, "Next photo", "right")),
      element("footer", {}, this.#tabs(item, stage), this.#facts(item), this.#buttons(item)),
    );
    this.#fill(item, stage);
  }

  #go(step) {
    if (!this.#items[this.#place + step]) return;
    const focused = document.activeElement?.className;
    this.#place += step;
    this.#draw();
    const again = focused && this.#dialog.querySelector(`[class="${focused}"]:not(:disabled)`);
    (again ?? this.#dialog.querySelector(".detail-stage")).focus();
  }

  #tabs(item, stage) {
    const { attention, matches } = this.#library.features;
    const names = { photo: "Photo" };
    if (attention) names.attention = "Attention";
    if (matches && this.#matchable()) names.matches = "Matches";
    if (!names[this.#tab]) this.#tab = "photo";
    if (Object.keys(names).length === 1) return null;
    const tabs = Object.entries(names).map(([tab, text]) =>
      element(
        "button",
        {
          type: "button",
          role: "tab",
          "data-tab": tab,
          "aria-controls": "detail-stage",
          "aria-selected": String(tab === this.#tab),
          tabindex: tab === this.#tab ? "0" : "-1",
          click: () => choose(tab),
        },
        text,
      ),
    );
    const choose = (tab) => {
      this.#tab = tab;
      for (const each of tabs) {
        const isChosen = each.dataset.tab === tab;
        each.setAttribute("aria-selected", String(isChosen));
        each.tabIndex = isChosen ? 0 : -1;
        if (isChosen) each.focus();
      }
      this.#fill(item, stage);
    };
    const list = element("div", { role: "tablist", "aria-label": "What is shown" }, tabs);
    list.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || isShortcut(event)) return;
      const now = tabs.findIndex((each) => each.dataset.tab === this.#tab);
      choose(tabs[(now + step + tabs.length) % tabs.length].dataset.tab);
      event.stopPropagation();
    });
    return list;
  }

  /** The only positive example can be matched; several have no keypoints in common. */
  #matchable() {
    const { like } = this.#query();
    return like.length === 1 ? like[0] : null;
  }

  async #fill(item, stage) {
    this.#running?.abort();
    const { signal } = (this.#running = new AbortController());
    const whole = element("img", { alt: item.name });
    stage.replaceChildren(element("p", { class: "wait" }, "Loading"));
    try {
      if (this.#tab === "photo") {
        await service.show(whole, service.photo(item.name));
        if (!signal.aborted) stage.replaceChildren(whole);
        whole.addEventListener("error", () => stage.replaceChildren(problem("The photo can't be shown.")));
      } else if (this.#tab === "attention") {
        const address = await service.attention(exampleForm(indexed(item.name)), signal);
        await service.show(whole, service.photo(item.name));
        if (!signal.aborted) stage.replaceChildren(this.#faded(whole, address));
      } else {
        stage.replaceChildren(...(await this.#matches(item, stage, signal)));
      }
    } catch (error) {
      if (signal.aborted) return;
      const again = button("Try again", null, { click: () => this.#fill(item, stage) });
      stage.replaceChildren(problem(error.message, service.isPassing(error) ? again : null));
    }
  }

  /** The photo under its heat map, whose opacity can be set. */
  #faded(photo, address) {
    const map = element("img", { class: "heat", src: address, alt: "Heat map: warm where the network looks" });
    const fade = element("input", {
      type: "range",
      min: "0",
      max: "1",
      step: "0.05",
      value: "1",
      input: () => map.style.setProperty("opacity", fade.value),
    });
    return element("figure", { class: "faded" }, element("div", {}, photo, map), element("label", {}, "Heat map", fade));
  }

  async #matches(item, stage, signal) {
    const example = this.#matchable();
    const form = exampleForm(example, this.#query().box);
    form.set("result", item.name);
    const answer = await service.matches(form, signal);
    const photos = [example.photo, service.photo(item.name)];
    const addresses = await Promise.all(photos.map(service.source));
    const isStacked = stage.clientWidth < NARROW;
    const text = answer.inliers
      ? `${counted(answer.inliers, "pair")} of keypoints agree on one transform.`
      : "No pairs of keypoints agree on one transform.";
    return [
      drawMatches(answer, addresses, isStacked),
      element("p", { class: "soft" }, text),
    ];
  }

  #facts(item) {
    const rows = Object.entries(item.metadata ?? {});
    if (item.similarity !== undefined) rows.unshift(["similarity", item.similarity.toFixed(3)]);
    if (item.inliers != null) rows.unshift(["matching keypoints", item.inliers]);
    const facts = element(
      "dl",
      { class: "facts" },
      rows.map(([key, value]) => element("div", {}, element("dt", {}, key), element("dd", {}, [value].flat().join(", ")))),
    );
    if (!item.copies?.length) return facts;
    const copies = item.copies.map((name, number) => {
      const image = element("img", { alt: "" });
      service.show(image, service.thumbnail(name, 128)).catch(() => image.remove());
      const items = item.copies.map((copy) => ({ name: copy }));
      return element("li", {}, element("button", { type: "button", title: name, "aria-label": name, click: () => this.open(items, number) }, image));
    });
    return [
      facts,
      element("p", { class: "soft" }, counted(copies.length, "copy", "copies"), " of this photo"),
      element("ul", { class: "tiles copies" }, copies),
    ];
  }

  #buttons(item) {
    const act = (action) => () => {
      this.#dialog.close();
      action(item);
    };
    const isSearching = this.#query().like.length > 0;
    return element(
      "div",
      { class: "buttons" },
      button("Search for this photo", "search", { class: "button primary", click: act(this.#actions.only) }),
      isSearching && button("More like this", "more", { click: act(this.#actions.like) }),
      isSearching && button("Less like this", "less", { click: act(this.#actions.unlike) }),
    );
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || isShortcut(event) || event.target.matches("input")) return;
    this.#go(step);
    event.preventDefault();
  }
}

const problem = (sentence, again = null) =>
  element("p", { class: "problem", role: "alert" }, element("span", {}, sentence), again);
