// Elements of the page, made without HTML: text that comes from names of
// photos or from the service is never parsed.

const SVG = "http://www.w3.org/2000/svg";

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Creates an element.
 *
 * `properties` are attributes; functions are listeners of the event that they
 * are named by; true is an empty attribute; false and null are left out; names
 * in -- are CSS variables. Children are elements or text; null is left out.
 */
export function element(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Creates an SVG element; see `element`. */
export function drawing(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** Returns one of the icons that index.html defines. */
export function icon(name) {
  const use = drawing("use", { href: `#icon-${name}` });
  return drawing("svg", { "aria-hidden": "true" }, use);
}

/** Creates a button of an icon and a text. */
export function button(text, name, properties) {
  return element(
    "button",
    { type: "button", class: "button", ...properties },
    name && icon(name),
    element("span", {}, text),
  );
}

/** Creates a button of an icon only, with its text for screen readers. */
export function iconButton(text, name, properties) {
  const all = { type: "button", class: "icon-button", ...properties };
  all.title = all["aria-label"] = text;
  return element("button", all, icon(name));
}

/** Whether a key is pressed with one that makes it the browser's, as in Alt and left for "back". */
export const isShortcut = ({ altKey, ctrlKey, metaKey }) => altKey || ctrlKey || metaKey;

/** Returns "1 photo", "2 photos". */
export function counted(count, noun, nouns = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : nouns}`;
}

/** Splits a name into its folder, with the slash, and its last part. */
export function nameParts(name) {
  const cut = name.lastIndexOf("/") + 1;
  return [name.slice(0, cut), name.slice(cut)];
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}
