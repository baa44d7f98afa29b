// The grid of photos, which loads as one scrolls.

import { counted, element, icon, iconButton, isShortcut, nameParts } from "./elements.js";
import * as service from "./service.js";

const PAGE = 48;

/**
 * Photos that a function loads page by page.
 *
 * `actions` are open(place), only(item), like(item) and unlike(item); `told` receives
 * {state, isFirst, ...} where the state is "loading", "loaded" (with the page and
 * the number shown), "nothing" or "failed" (with the error).
 */
export class Results {
  items = [];
  #list;
  #actions;
  #told;
  #load = null;
  #total = 0;
  #running = null;

  constructor(list, sentinel, actions, told) {
    this.#list = list;
    this.#actions = actions;
    this.#told = told;
    list.addEventListener("keydown", (event) => this.#key(event));
    const watcher = new IntersectionObserver(
      ([seen]) => seen.isIntersecting && !this.#running && this.#hasMore() && this.#next(),
      { rootMargin: "800px" },
    );
    watcher.observe(sentinel);
    // Observing anew asks again whether the sentinel is in sight.
    this.look = () => {
      watcher.unobserve(sentinel);
      watcher.observe(sentinel);
    };
  }

  /** Shows what load(offset, top, signal) returns: {results | photos, total}. */
  show(load) {
    this.#running?.abort();
    this.#load = load;
    this.items = [];
    this.#total = 0;
    return this.#next();
  }

  /** Loads again what failed. */
  retry() {
    return this.#next();
  }

  #hasMore() {
    return this.#load && this.items.length < this.#total;
  }

  async #next() {
    const running = (this.#running = new AbortController());
    const isFirst = this.items.length === 0;
    this.#list.setAttribute("aria-busy", "true");
    const waiting = Array.from({ length: isFirst ? 12 : 4 }, () => element("li", { class: "card waiting" }));
    if (isFirst) this.#list.replaceChildren(...waiting);
    else this.#list.append(...waiting);
    this.#told({ state: "loading", isFirst });
    try {
      const page = await this.#load(this.items.length, PAGE, running.signal);
      if (running.signal.aborted) return;
      const items = page.results ?? page.photos;
      const place = this.items.length;
      this.items.push(...items);
      this.#total = items.length ? page.total : this.items.length;
      waiting.forEach((each) => each.remove());
      this.#list.append(...items.map((item, number) => this.#card(item, place + number)));
      this.#told(
        this.items.length
          ? { state: "loaded", page, isFirst, count: this.items.length }
          : { state: "nothing", page },
      );
    } catch (error) {
      waiting.forEach((each) => each.remove());
      if (error.name === "AbortError" || running.signal.aborted) return;
      this.#told({ state: "failed", error });
    } finally {
      if (this.#running === running) {
        this.#running = null;
        this.#list.removeAttribute("aria-busy");
      }
    }
    this.look();
  }

  #card(item, place) {
    const [folder, file] = nameParts(item.name);
    const copies = item.copies?.length ?? 0;
    const similarity = item.similarity?.toFixed(2);
    const image = element("img", { alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.replaceWith(element("span", { class: "lost" }, "No preview")));
    service.show(image, item.thumbnail).catch(() => image.dispatchEvent(new Event("error")));
    const label = [
      item.name,
      similarity && `similarity ${similarity}`,
      copies && counted(copies, "copy", "copies"),
    ];
    return element(
      "li",
      { class: copies ? "card stacked" : "card" },
      element(
        "button",
        {
          type: "button",
          class: "photo",
          "aria-label": label.filter(Boolean).join(", "),
          click: () => this.#actions.open(place),
        },
        image,
        copies > 0 && element("span", { class: "badge" }, icon("stack"), `${copies + 1}`),
      ),
      similarity &&
        element("span", {
          class: "score",
          "--score": Math.min(Math.max(item.similarity, 0), 1),
        }),
      element(
        "div",
        { class: "caption" },
        element(
          "span",
          { class: "name", title: item.name },
          element("span", { class: "soft" }, folder),
          file,
        ),
        similarity && element("span", { class: "figure" }, similarity),
      ),
      element(
        "div",
        { class: "actions" },
        similarity
          ? [
              iconButton(`More like ${item.name}`, "more", { click: () => this.#actions.like(item) }),
              iconButton(`Less like ${item.name}`, "less", { click: () => this.#actions.unlike(item) }),
            ]
          : iconButton(`Search for ${item.name}`, "search", { click: () => this.#actions.only(item) }),
      ),
    );
  }

  /** Arrow keys go from photo to photo. */
  #key(event) {
    if (isShortcut(event) || !event.target.matches(".photo")) return;
    const photos = [...this.#list.querySelectorAll(".photo")];
    const columns = getComputedStyle(this.#list).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = step && photos[photos.indexOf(event.target) + step];
    if (!next) return;
    next.focus();
    event.preventDefault();
  }
}
