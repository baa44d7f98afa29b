// A photo on which a box is drawn, with the pointer or the keyboard.

import { element, isShortcut } from "./elements.js";

const LEAST = 0.04;
const STEP = 0.02;
const CORNERS = ["nw", "ne", "sw", "se"];
const HELP = "Arrow keys move the box, with Shift its right and lower side. Delete removes it.";

/**
 * Calls `changed` with [left, top, right, bottom], as fractions of the photo,
 * or with null, when the person has drawn, moved or removed the box.
 */
export class BoxEditor {
  #box = null;
  #frame;
  #changed;

  constructor(image, box, changed) {
    this.#changed = changed;
    this.#frame = element(
      "div",
      { class: "box", role: "group", tabindex: "0", title: HELP, keydown: (event) => this.#key(event) },
      CORNERS.map((corner) => element("span", { class: `corner ${corner}`, "data-corner": corner })),
    );
    this.stage = element(
      "div",
      { class: "stage", pointerdown: (event) => this.#press(event) },
      image,
      this.#frame,
    );
    image.draggable = false;
    this.#draw(box);
  }

  /** Draws a box in the middle, for the keyboard, or removes the box. */
  toggle() {
    this.#draw(this.#box ? null : [0.25, 0.25, 0.75, 0.75]);
    if (this.#box) this.#frame.focus();
    this.#changed(this.#box);
  }

  #draw(box) {
    this.#box = box;
    this.#frame.hidden = !box;
    if (!box) return;
    const percent = box.map((value) => `${Math.round(100 * value)} %`);
    const [left, top, right, bottom] = percent;
    this.#frame.setAttribute(
      "aria-label",
      `Box from ${left} to ${right} of the width and ${top} to ${bottom} of the height. ${HELP}`,
    );
    ["left", "top", "right", "bottom"].forEach((side, place) =>
      this.#frame.style.setProperty(`--${side}`, box[place]),
    );
  }

  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const start = this.#place(event);
    const before = this.#box;
    const corner = event.target.dataset?.corner;
    const isMove = !corner && this.#frame.contains(event.target);
    this.stage.setPointerCapture(event.pointerId);

    const move = (moved) => {
      const now = this.#place(moved);
      if (isMove) this.#draw(shifted(before, now[0] - start[0], now[1] - start[1]));
      else this.#draw(spanned(corner ? opposite(before, corner) : start, now));
    };
    const end = () => {
      this.stage.removeEventListener("pointermove", move);
      this.stage.removeEventListener("pointerup", end);
      this.stage.removeEventListener("pointercancel", end);
      // A click beside the box, or a tiny one, removes it.
      if (this.#box && isTiny(this.#box)) this.#draw(null);
      else if (this.#box === before && !isMove && !corner) this.#draw(null);
      if (String(this.#box) !== String(before)) this.#changed(this.#box);
    };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", end);
    this.stage.addEventListener("pointercancel", end);
  }

  #key(event) {
    if (isShortcut(event)) return;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ] ?? [0, 0];
    if (event.key === "Delete" || event.key === "Backspace") this.toggle();
    else if (!dx && !dy) return;
    else {
      const [left, top, right, bottom] = this.#box;
      this.#draw(
        event.shiftKey
          ? [
              left,
              top,
              clamped(right + dx * STEP, left + LEAST, 1),
              clamped(bottom + dy * STEP, top + LEAST, 1),
            ]
          : shifted(this.#box, dx * STEP, dy * STEP),
      );
      this.#changed(this.#box);
    }
    event.preventDefault();
  }

  /** Where the pointer is, as fractions of the photo. */
  #place(event) {
    const frame = this.stage.getBoundingClientRect();
    return [
      clamped((event.clientX - frame.left) / frame.width, 0, 1),
      clamped((event.clientY - frame.top) / frame.height, 0, 1),
    ];
  }
}

const clamped = (value, least, most) => Math.min(Math.max(value, least), most);
const isTiny = ([left, top, right, bottom]) => right - left < LEAST || bottom - top < LEAST;

function spanned([x, y], [u, v]) {
  return [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
}

function shifted([left, top, right, bottom], dx, dy) {
  const x = clamped(dx, -left, 1 - right);
  const y = clamped(dy, -top, 1 - bottom);
  return [left + x, top + y, right + x, bottom + y];
}

function opposite([left, top, right, bottom], corner) {
  return [corner.includes("w") ? right : left, corner.includes("n") ? bottom : top];
}
