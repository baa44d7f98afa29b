// The service's HTTP interface.

import { byId } from "./elements.js";

/** A sentence that the service answered, or that says it did not answer. */
export class ServiceError extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }

  /** Whether there was no answer at all. */
  get isSilence() {
    return this.status === 0;
  }
}

/** Whether an error is no fault of the request: no answer, no token yet, too many at once, or the service's own. */
export const isPassing = ({ status }) => !status || status === 401 || status === 408 || status >= 429;

let token = sessionStorage.getItem("token");

export const library = () => json("/library");
export const photoMap = () => json("/map");

/** Returns a page of the library's photos, in the order of their names. */
export function photos(where, offset, limit, signal) {
  const fields = new URLSearchParams({ offset, limit });
  if (where) fields.set("where", where);
  return json(`/photos?${fields}`, { signal });
}

export const search = (form, signal) => post("/search", form, signal);
export const matches = (form, signal) => post("/matches", form, signal);

/** Returns the address of a photo with its heat map, for `show`. */
export async function attention(form, signal) {
  const answer = await request("/attention", { method: "POST", body: form, signal });
  return URL.createObjectURL(await answer.blob());
}

/** Adds photo files to the library; returns their names. */
export const add = (form) => post("/photos", form);

/** Shows a photo in an image. */
export async function show(image, address) {
  image.src = await source(address);
}

/** Returns the address by which an image can load a photo of the service. */
export async function source(address) {
  if (!token || address.startsWith("blob:")) return address;
  // An image alone cannot send the token.
  return URL.createObjectURL(await (await request(address)).blob());
}

/** The address of an indexed photo's thumbnail. */
export function thumbnail(name, side = 320) {
  return `/thumbnails/${encodeURIComponent(name)}?side=${side}`;
}

/** The address of an indexed photo. */
export function photo(name) {
  return `/photos/${encodeURIComponent(name)}`;
}

const post = (path, form, signal) => json(path, { method: "POST", body: form, signal });

async function json(path, options) {
  return (await request(path, options)).json();
}

async function request(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer.", 0);
  }
  if (answer.status === 401) {
    if (!(await askForToken())) {
      throw new ServiceError("This service asks for a token.", 401);
    }
    return request(path, options);
  }
  if (!answer.ok) {
    const content = await answer.json().catch(() => ({}));
    const sentence = content.error ?? `The service answered ${answer.status}.`;
    throw new ServiceError(sentence, answer.status);
  }
  return answer;
}

let asking = null;

/** Asks for the token, and returns whether one was given; requests at the same time share the question. */
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token");
    dialog.addEventListener(
      "close",
      () => {
        // Escape gives none, whatever was typed before.
        token = dialog.returnValue === "given" ? byId("token-text").value.trim() : "";
        sessionStorage.setItem("token", token);
        asking = null;
        resolve(token !== "");
      },
      { once: true },
    );
    dialog.returnValue = "";
    dialog.showModal();
  });
  return asking;
}
