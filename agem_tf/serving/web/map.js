// The map of the library: photos near each other look alike.

import { counted, element, iconButton, isShortcut } from "./elements.js";
import * as service from "./service.js";

const MARGIN = 60;
const MOST_ZOOM = 40;
const DOT = 3;

/** Draws the map in an element; `open(items, place)` shows a photo. */
export class PhotoMap {
  #points = [];
  #images = new Map();
  #zoom = 1;
  #centre = [0.5, 0.5];
  #pointers = new Map();
  #moved = 0;
  #isKeyboard = false;
  #isWaiting = false;
  #canvas;
  #label;
  #loading;
  #open;

  constructor(section, open) {
    this.#open = open;
    this.#canvas = element("canvas", {
      hidden: true,
      tabindex: "0",
      role: "img",
      pointerdown: (event) => this.#press(event),
      pointermove: (event) => this.#move(event),
      pointerup: (event) => this.#release(event),
      pointercancel: (event) => this.#pointers.delete(event.pointerId),
      pointerleave: () => (this.#label.hidden = true),
      wheel: (event) => this.#wheel(event),
      keydown: (event) => this.#key(event),
      blur: () => this.#setKeyboard(false),
    });
    this.#label = element("p", { class: "map-label", "aria-live": "polite", hidden: true });
    const tools = element(
      "div",
      { class: "map-tools" },
      iconButton("Zoom in", "more", { click: () => this.#zoomBy(1.6) }),
      iconButton("Zoom out", "less", { click: () => this.#zoomBy(1 / 1.6) }),
      iconButton("Whole map", "box", { click: () => this.#whole() }),
    );
    this.#loading = element("p", { class: "wait", hidden: true }, "Loading");
    section.append(this.#canvas, tools, this.#label, this.#loading);
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** Loads the map. */
  async load() {
    this.#loading.hidden = false;
    try {
      this.#points = (await service.photoMap()).points;
    } finally {
      this.#loading.hidden = true;
    }
    this.#canvas.setAttribute(
      "aria-label",
      `Map of ${counted(this.#points.length, "photo")}. Arrow keys move it, plus and minus zoom, Enter opens the photo in the middle.`,
    );
    this.#canvas.hidden = false;
    this.#whole();
  }

  #whole() {
    this.#zoom = 1;
    this.#centre = [0.5, 0.5];
    this.#draw();
  }

  /** Where a point is on the canvas, in CSS pixels. */
  #at({ x, y }) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return [
      width / 2 + (x - this.#centre[0]) * this.#zoom * (width - 2 * MARGIN),
      height / 2 + (y - this.#centre[1]) * this.#zoom * (height - 2 * MARGIN),
    ];
  }

  #side() {
    return Math.min(48 * Math.sqrt(this.#zoom), 150);
  }

  /** Draws once per frame, however often it is called. */
  #draw() {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    requestAnimationFrame(() => {
      this.#isWaiting = false;
      this.#paint();
    });
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width) return;
    const density = devicePixelRatio || 1;
    this.#canvas.width = width * density;
    this.#canvas.height = height * density;
    const pen = this.#canvas.getContext("2d");
    pen.scale(density, density);
    const style = getComputedStyle(this.#canvas);
    const side = this.#side();
    const pictures = [];
    pen.fillStyle = style.color;
    pen.globalAlpha = 0.55;
    for (const point of this.#points) {
      const [x, y] = this.#at(point);
      if (x < -side || y < -side || x > width + side || y > height + side) continue;
      if (this.#hasPicture(point, side)) {
        pictures.push([point, x, y]);
        continue;
      }
      pen.beginPath();
      pen.arc(x, y, DOT, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    for (const [point, x, y] of pictures) this.#picture(pen, point, x, y, side);
    if (this.#isKeyboard) this.#ring(pen, side, style);
  }

  // Photos that are drawn as pictures, because no earlier one would be covered;
  // the others are dots. It does not depend on the centre, so that panning
  // changes no picture.
  #pictured = { key: "", points: new Set() };

  #hasPicture(point, side) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const key = `${width} ${height} ${this.#zoom} ${this.#points.length}`;
    if (this.#pictured.key !== key) {
      const place = ({ x, y }) => [
        x * this.#zoom * (width - 2 * MARGIN),
        y * this.#zoom * (height - 2 * MARGIN),
      ];
      this.#pictured = { key, points: uncovered(this.#points, place, side + 4) };
    }
    return this.#pictured.points.has(point);
  }

  #picture(pen, point, x, y, side) {
    let image = this.#images.get(point.name);
    if (!image) {
      image = new Image();
      image.addEventListener("load", () => this.#draw());
      service.show(image, service.thumbnail(point.name, 160)).catch(() => {});
      this.#images.set(point.name, image);
    }
    pen.save();
    pen.beginPath();
    pen.roundRect(x - side / 2, y - side / 2, side, side, 6);
    pen.clip();
    if (image.naturalWidth) {
      // The middle square of the photo.
      const least = Math.min(image.naturalWidth, image.naturalHeight);
      const left = (image.naturalWidth - least) / 2;
      const top = (image.naturalHeight - least) / 2;
      pen.drawImage(image, left, top, least, least, x - side / 2, y - side / 2, side, side);
    } else {
      pen.globalAlpha = 0.15;
      pen.fillRect(x - side / 2, y - side / 2, side, side);
    }
    pen.restore();
  }

  /** Marks the photo in the middle, which Enter opens. */
  #ring(pen, side, style) {
    const point = this.#nearest(this.#canvas.clientWidth / 2, this.#canvas.clientHeight / 2);
    if (!point) return;
    const [x, y] = this.#at(point);
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.lineWidth = 3;
    pen.beginPath();
    pen.roundRect(x - side / 2 - 3, y - side / 2 - 3, side + 6, side + 6, 8);
    pen.stroke();
    this.#tell(point, x, y);
  }

  #nearest(x, y, most = Infinity) {
    let best = null;
    let least = most;
    for (const point of this.#points) {
      const [u, v] = this.#at(point);
      const distance = Math.max(Math.abs(u - x), Math.abs(v - y));
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  #tell(point, x, y) {
    this.#label.hidden = !point;
    if (!point) return;
    if (this.#label.textContent !== point.name) this.#label.textContent = point.name;
    const right = this.#canvas.clientWidth - this.#label.offsetWidth - 8;
    this.#label.style.setProperty("left", `${Math.max(8, Math.min(x, right))}px`);
    this.#label.style.setProperty("top", `${Math.max(8, y - this.#side() / 2 - 36)}px`);
  }

  #zoomBy(factor, x = this.#canvas.clientWidth / 2, y = this.#canvas.clientHeight / 2) {
    const before = this.#zoom;
    this.#zoom = Math.min(Math.max(before * factor, 1), MOST_ZOOM);
    // The point under (x, y) stays there.
    const share = 1 / before - 1 / this.#zoom;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#pan(
      ((x - width / 2) / (width - 2 * MARGIN)) * share,
      ((y - height / 2) / (height - 2 * MARGIN)) * share,
    );
  }

  /** Moves the centre, which stays on the map. */
  #pan(dx, dy) {
    const moved = [this.#centre[0] + dx, this.#centre[1] + dy];
    this.#centre = moved.map((value) => Math.min(Math.max(value, 0), 1));
    this.#draw();
  }

  #panPixels(dx, dy) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#pan(-dx / this.#zoom / (width - 2 * MARGIN), -dy / this.#zoom / (height - 2 * MARGIN));
  }

  #press(event) {
    this.#setKeyboard(false);
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (this.#pointers.size === 1) this.#moved = 0;
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    const now = [event.offsetX, event.offsetY];
    if (!before) {
      const point = this.#nearest(...now, this.#side() / 2);
      this.#canvas.classList.toggle("over", Boolean(point));
      this.#tell(point, ...now);
      return;
    }
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    this.#pointers.set(event.pointerId, now);
    this.#moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (others.length) {
      // Two fingers: the distance between them zooms.
      const [, other] = others[0];
      const distance = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      this.#zoomBy(distance(now) / distance(before), ...other);
    } else {
      this.#panPixels(now[0] - before[0], now[1] - before[1]);
    }
  }

  #release(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#moved > 6) return;
    this.#openAt(this.#nearest(event.offsetX, event.offsetY, Math.max(this.#side() / 2, 16)));
  }

  #wheel(event) {
    event.preventDefault();
    this.#zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }

  #key(event) {
    if (isShortcut(event)) return;
    const arrows = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (arrows[event.key]) this.#panPixels(...arrows[event.key]);
    else if (event.key === "+" || event.key === "=") this.#zoomBy(1.6);
    else if (event.key === "-") this.#zoomBy(1 / 1.6);
    else if (event.key === "0") this.#whole();
    else if (event.key === "Enter") {
      this.#openAt(this.#nearest(this.#canvas.clientWidth / 2, this.#canvas.clientHeight / 2));
    } else return;
    event.preventDefault();
    this.#setKeyboard(true);
  }

  #setKeyboard(isOn) {
    this.#isKeyboard = isOn;
    if (!isOn) this.#label.hidden = true;
    this.#draw();
  }

  /** Opens a photo; its neighbours on the map come next. */
  #openAt(point) {
    if (!point) return;
    const distance = ({ x, y }) => Math.hypot(x - point.x, y - point.y);
    const near = [...this.#points].sort((a, b) => distance(a) - distance(b));
    this.#open(near.slice(0, 100), 0);
  }
}

/** The points whose squares, of a side, cover no earlier such point's. */
function uncovered(points, place, side) {
  const cells = new Map();
  const chosen = new Set();
  for (const point of points) {
    const [x, y] = place(point);
    const [column, row] = [Math.floor(x / side), Math.floor(y / side)];
    const near = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => cells.get(`${column + dx} ${row + dy}`)));
    if (near.some((other) => other && Math.abs(other[0] - x) < side && Math.abs(other[1] - y) < side)) continue;
    cells.set(`${column} ${row}`, [x, y]);
    chosen.add(point);
  }
  return chosen;
}
