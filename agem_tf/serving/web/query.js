// What is searched for, and its form for the service and for the address.

import { nameParts, counted } from "./elements.js";
import { photo, thumbnail } from "./service.js";

/**
 * A query: examples of what is searched for (`like`), of what is not (`unlike`),
 * and what narrows the results.
 *
 * An example is an indexed photo {name}, or an uploaded one {name, file}, with
 * the addresses of its photo and thumbnail. `box` is [left, top, right, bottom]
 * as fractions of the only positive example. `where` maps keys of metadata to
 * values.
 */
export const NOTHING = Object.freeze({
  like: [],
  unlike: [],
  box: null,
  where: {},
  minSimilarity: 0,
  collapse: false,
  rerank: "",
});

/** An example that is an indexed photo. */
export function indexed(name) {
  return { name, photo: photo(name), thumbnail: thumbnail(name) };
}

/** An example that is a file of the person's. */
export function uploaded(file) {
  const address = URL.createObjectURL(file);
  return { name: file.name || "photo", file, photo: address, thumbnail: address };
}

/** Whether the query has an example; otherwise the library is browsed. */
export const isSearch = (query) => query.like.length > 0;

/** Adds an example to "like" or "unlike"; the other side loses it. */
export function withExample(query, side, example) {
  const other = side === "like" ? "unlike" : "like";
  const differs = (each) => each.name !== example.name;
  return {
    ...query,
    [side]: [...query[side].filter(differs), example],
    [other]: query[other].filter(differs),
    // A box is of the only positive example.
    box: side === "like" ? null : query.box,
  };
}

/** Removes an example; without a positive one nothing is searched for. */
export function withoutExample(query, side, example) {
  const left = { ...query, [side]: query[side].filter((each) => each !== example) };
  if (side === "like") left.box = null;
  return isSearch(left) ? left : { ...left, unlike: [] };
}

/** The filter of the chosen metadata, in the service's language. */
export function filterText(where) {
  return Object.entries(where)
    .map(([key, value]) => {
      const field = quoted(key);
      // A year of dates: 2021-05-03 is behind "2021-" and before "2022-".
      return isYear(value)
        ? `${field} >= "${value}" and ${field} < "${parseInt(value) + 1}-"`
        : `${field} = ${NUMBER.test(value) ? value : quoted(value)}`;
    })
    .join(" and ");
}

/** Whether a value of a filter is a year of dates, as "2021-". */
export const isYear = (value) => /^\d{4}-$/.test(value);

/** The form of a search from one place in the ranking. */
export function searchForm(query, offset, top) {
  const form = new FormData();
  for (const example of query.like) addExample(form, example);
  for (const example of query.unlike) form.append("unlike", example.name);
  if (query.box) form.set("box", pixels(query.box, query.like[0]).join(","));
  const where = filterText(query.where);
  if (where) form.set("where", where);
  if (query.minSimilarity > 0) form.set("min_similarity", query.minSimilarity);
  if (query.rerank) form.set("rerank", query.rerank);
  if (query.collapse) form.set("collapse", "true");
  form.set("offset", offset);
  form.set("top", top);
  return form;
}

/** The form that names one example, and a box of it. */
export function exampleForm(example, box = null) {
  const form = new FormData();
  addExample(form, example);
  if (box) form.set("box", pixels(box, example).join(","));
  return form;
}

/** The part of the address behind "#" for a query of indexed photos. */
export function toHash(query) {
  const fields = new URLSearchParams();
  for (const side of ["like", "unlike"]) {
    for (const example of query[side]) {
      if (!example.file) fields.append(side, example.name);
    }
  }
  for (const [key, value] of Object.entries(query.where)) {
    fields.append("where", `${key}=${value}`);
  }
  return fields.toString();
}

/** The query of an address. */
export function fromHash(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const pairs = fields.getAll("where").map((pair) => {
    const cut = pair.indexOf("=");
    return [pair.slice(0, cut), pair.slice(cut + 1)];
  });
  const query = {
    ...NOTHING,
    like: fields.getAll("like").map(indexed),
    unlike: fields.getAll("unlike").map(indexed),
    where: Object.fromEntries(pairs),
  };
  return isSearch(query) ? query : { ...query, unlike: [] };
}

/** The query in words, for the title of the results. */
export function inWords(query) {
  if (!isSearch(query)) return "All photos";
  const [first] = query.like;
  const what =
    query.like.length > 1
      ? `like ${counted(query.like.length, "example")}`
      : `like ${query.box ? "the box in " : ""}${first.file ? "your photo" : nameParts(first.name)[1]}`;
  const not = query.unlike.length
    ? `, unlike ${counted(query.unlike.length, "photo")}`
    : "";
  return `Photos ${what}${not}`;
}

function addExample(form, example) {
  if (example.file) form.append("photo", example.file, example.name);
  else form.append("name", example.name);
}

/** A box in whole pixels of the upright photo, whose size is known by now. */
function pixels(box, { width, height }) {
  const sides = [width, height, width, height];
  return box.map((fraction, side) => Math.round(fraction * sides[side]));
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;

// The language has no escapes, but two kinds of quotes.
function quoted(text) {
  return text.includes('"') ? `'${text.replaceAll("'", "")}'` : `"${text}"`;
}
