// Photos that the person chooses, takes, drops or pastes.

import { byId } from "./elements.js";

/** Calls `received` with the photo files of each such action. */
export function receivePhotos(received) {
  for (const id of ["choose", "capture"]) {
    const field = byId(id);
    field.addEventListener("change", () => {
      take(field.files);
      // The same photo can be chosen again.
      field.value = "";
    });
  }
  addEventListener("paste", (event) => take(event.clipboardData?.files));
  receiveDrops(take);

  function take(files) {
    const photos = [...(files ?? [])].filter(isPhoto);
    if (photos.length) received(photos);
  }
}

// Some systems give HEIC photos no type.
const isPhoto = ({ type, name }) => type.startsWith("image/") || (!type && /\.(heic|heif|avif)$/i.test(name));

function receiveDrops(take) {
  // Every element that the pointer enters and leaves sends an event.
  let depth = 0;
  const count = (change) => {
    depth = Math.max(0, change === 0 ? 0 : depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => hasFiles(event) && count(1));
  addEventListener("dragleave", (event) => hasFiles(event) && count(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    count(0);
    take(event.dataTransfer.files);
  });
}
