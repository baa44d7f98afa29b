// The panel of the query: its examples, the box, and what narrows the results.

import { BoxEditor } from "./box_editor.js";
import { button, element, iconButton, nameParts } from "./elements.js";
import { exampleForm, isSearch, NOTHING, withoutExample } from "./query.js";
import * as service from "./service.js";

/**
 * Shows a query in an element and calls `changed` with what the person makes of
 * it. `failed` receives the error of a heat map or of an upload; `added` the
 * names of photos that were added to the library.
 */
export class QueryPanel {
  #root;
  #library;
  #changed;
  #failed;
  #added;
  #query = NOTHING;
  // The box as the person has drawn it here, which the stage shows already.
  #ownBox;
  #examples = element("div", { class: "examples" });
  #leastText = element("output", { for: "least" });
  #least = element("input", {
    type: "range",
    id: "least",
    min: "0",
    max: "0.95",
    step: "0.05",
    input: () => (this.#leastText.textContent = leastText(this.#least.value)),
    change: () => this.#change({ minSimilarity: Number(this.#least.value) }),
  });
  #collapse = element("input", {
    type: "checkbox",
    id: "collapse",
    role: "switch",
    change: () => this.#change({ collapse: this.#collapse.checked }),
  });
  #rerank = element("select", {
    id: "rerank",
    change: () => this.#change({ rerank: this.#rerank.value }),
  });

  constructor(root, library, { changed, failed, added }) {
    this.#root = root;
    this.#library = library;
    this.#changed = changed;
    this.#failed = failed;
    this.#added = added;
    root.append(this.#examples, this.#refinement());
  }

  /** Shows a query; a stage whose photo is the same stays as it is. */
  show(query) {
    const before = this.#query;
    this.#query = query;
    this.#least.value = query.minSimilarity;
    this.#leastText.textContent = leastText(query.minSimilarity);
    this.#collapse.checked = query.collapse;
    this.#rerank.value = query.rerank;
    this.#root.hidden = !isSearch(query);
    if (this.#root.hidden) {
      this.#examples.replaceChildren();
      return;
    }
    const isSame = (side) =>
      before[side].length === query[side].length &&
      query[side].every((example, place) => example === before[side][place]);
    const boxStays = before.box === query.box || this.#ownBox === query.box;
    if (isSame("like") && isSame("unlike") && boxStays) return;
    this.#examples.replaceChildren(...this.#exampleParts(query));
  }

  #change(changes) {
    this.#changed({ ...this.#query, ...changes });
  }

  #exampleParts(query) {
    const clear = button("Clear", "close", {
      class: "button quiet",
      click: () => this.#changed({ ...NOTHING, where: query.where }),
    });
    const head = (title, ...rest) => element("div", { class: "panel-head" }, element("h2", {}, title), ...rest);
    const parts =
      query.like.length === 1
        ? [head("Your query", clear), ...this.#single(query)]
        : [head("More like", clear), this.#tiles("like")];
    if (query.unlike.length) parts.push(head("Less like"), this.#tiles("unlike"));
    return parts;
  }

  /** The only example, on which a box can be drawn. */
  #single(query) {
    const [example] = query.like;
    const image = element("img", { alt: `Query: ${example.name}` });
    const editor = new BoxEditor(image, query.box, (box) => {
      this.#ownBox = box;
      boxButton.querySelector("span").textContent = boxText(box);
      this.#change({ box });
    });
    const boxButton = button(boxText(query.box), "box", { click: () => editor.toggle() });
    image.addEventListener("load", () => {
      example.width ??= image.naturalWidth;
      example.height ??= image.naturalHeight;
    });
    image.addEventListener("error", () => {
      editor.stage.replaceWith(element("p", { class: "lost" }, "This browser can't show this kind of photo; the search works."));
      boxButton.remove();
    });
    service.show(image, example.photo).catch(this.#failed);
    const canAdd = example.file && this.#library.writable;
    return [
      editor.stage,
      element("p", { class: "name soft", title: example.name }, nameParts(example.name)[1]),
      element(
        "div",
        { class: "buttons" },
        boxButton,
        this.#library.features.attention && this.#attentionButton(example, image),
        canAdd && button("Add to the library", "upload", { click: () => this.#add(example) }),
      ),
    ];
  }

  /** Shows the heat map in place of the photo, and the photo again. */
  #attentionButton(example, image) {
    let address = null;
    const toggle = async () => {
      const isOn = shown.getAttribute("aria-pressed") === "false";
      shown.setAttribute("aria-pressed", String(isOn));
      try {
        if (isOn) address ??= await service.attention(exampleForm(example));
        await service.show(image, isOn ? address : example.photo);
      } catch (error) {
        shown.setAttribute("aria-pressed", "false");
        this.#failed(error);
      }
    };
    const shown = button("Attention", "eye", { "aria-pressed": "false", click: toggle });
    return shown;
  }

  #tiles(side) {
    return element(
      "ul",
      { class: `tiles ${side}` },
      this.#query[side].map((example) => {
        const image = element("img", { alt: example.name });
        service.show(image, example.thumbnail).catch(this.#failed);
        const remove = () => this.#changed(withoutExample(this.#query, side, example));
        return element(
          "li",
          {},
          image,
          iconButton(`Remove ${example.name}`, "close", { click: remove }),
        );
      }),
    );
  }

  async #add(example) {
    try {
      this.#added(await service.add(exampleForm(example)));
    } catch (error) {
      this.#failed(error);
    }
  }

  #refinement() {
    const { rerank, collapse } = this.#library.features;
    this.#rerank.append(
      element("option", { value: "" }, "none"),
      ...rerank.map((name) => element("option", { value: name }, RERANKINGS[name] ?? name)),
    );
    return element(
      "details",
      { class: "refinement", open: matchMedia("(min-width: 900px)").matches },
      element("summary", {}, "Refine"),
      collapse && element("label", { for: "collapse" }, "One result per group of copies", this.#collapse),
      element("label", { for: "least" }, "Least similarity", this.#leastText),
      this.#least,
      rerank.length > 0 && element("label", { for: "rerank" }, "Re-ranking", this.#rerank),
    );
  }
}

const RERANKINGS = {
  verify: "matching keypoints",
  "qe:5": "query expansion",
  agem: "AGeM",
  "diffusion:5": "diffusion",
};
const leastText = (value) => (Number(value) > 0 ? Number(value).toFixed(2) : "any");
const boxText = (box) => (box ? "Remove the box" : "Draw a box");
