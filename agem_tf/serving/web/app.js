// The page: joins the query, the results, the map and the address.

import { Detail } from "./detail.js";
import { button, byId, counted, element } from "./elements.js";
import { Filters } from "./filters.js";
import { receivePhotos } from "./intake.js";
import { PhotoMap } from "./map.js";
import * as queries from "./query.js";
import { QueryPanel } from "./query_panel.js";
import { Results } from "./results.js";
import * as service from "./service.js";

let query = queries.NOTHING;
// Queries of this visit, for "back": uploads have no place in the address.
const visited = new Map();
let library = null;
let parts = null;

/** Shows another query, and makes it the newest entry of the history. */
function change(next) {
  query = next;
  const id = visited.size;
  visited.set(id, query);
  history.pushState({ id }, "", `#${queries.toHash(query)}`);
  showView("photos");
  update();
  // What was focused may be gone with the photos of the query before.
  if (document.activeElement === document.body) {
    byId("found-title").focus({ preventScroll: true });
  }
}

function update() {
  document.body.classList.toggle("searching", queries.isSearch(query));
  byId("intake").hidden = queries.isSearch(query);
  parts.panel.show(query);
  parts.filters.show(query.where);
  byId("found-title").textContent = queries.inWords(query);
  document.title = queries.isSearch(query) ? `${queries.inWords(query)} - Photo search` : "Photo search";
  load();
}

function load() {
  const asked = query;
  parts.results.show((offset, top, signal) =>
    queries.isSearch(asked)
      ? searched(asked, offset, top, signal)
      : service.photos(queries.filterText(asked.where), offset, top, signal),
  );
}

async function searched(asked, offset, top, signal) {
  const form = queries.searchForm(asked, offset, top);
  // An index that cannot group copies refuses to be asked to.
  if (!library.features.collapse) form.delete("collapse");
  const answer = await service.search(form, signal);
  const { width, height } = answer.query;
  // The preview of a large indexed photo is smaller than the photo.
  if (asked.like.length === 1 && width) Object.assign(asked.like[0], { width, height });
  return answer;
}

const like = (item) => addExample("like", item);
const unlike = (item) => addExample("unlike", item);

function addExample(side, item) {
  change(queries.withExample(query, side, queries.indexed(item.name)));
  if (byId("found-title").getBoundingClientRect().top < 0) byId("found-title").scrollIntoView();
}

const only = (item) => {
  scrollTo({ top: 0 });
  change({ ...query, like: [queries.indexed(item.name)], unlike: [], box: null });
};
const upload = (files) => {
  scrollTo({ top: 0 });
  change({ ...query, like: files.map(queries.uploaded), unlike: [], box: null });
};

/** Shows what became of loading photos. */
function told({ state, page, isFirst, count, error }) {
  byId("problem").hidden = true;
  byId("nothing").hidden = state !== "nothing";
  if (state === "loading") {
    if (isFirst) byId("found-note").textContent = "";
    return;
  }
  if (state === "failed") return fail(error, () => parts.results.retry());
  reconnected();
  if (state === "nothing") return nothing();
  parts.filters.gather(parts.results.items);
  if (!isFirst) return say(`${counted(count, "photo")} shown.`);
  // Of those behind the last one, the service does not know which are left out.
  const isCounted = count === page.total || !(query.minSimilarity || query.collapse);
  const photos = isCounted ? counted(page.total, "photo") : `At least ${counted(count, "photo")}`;
  const order = query.rerank ? ", best first after re-ranking" : ", most similar first";
  const sentences = [`${photos}${queries.isSearch(query) ? order : ""}.`];
  if (query.minSimilarity) sentences.push(`Photos less similar than ${query.minSimilarity} are left out.`);
  byId("found-note").textContent = sentences.join(" ");
  say(sentences.join(" "));
}

function nothing() {
  const isEmpty = library.photos === 0;
  const isNarrowed = Object.keys(query.where).length > 0 || query.minSimilarity > 0;
  const sentence = isEmpty ? "The library holds no photos yet." : "No photo fits.";
  byId("nothing").replaceChildren(
    element("p", {}, sentence),
    isNarrowed && !isEmpty
      ? button("Remove filters and limits", "close", { click: widen })
      : "",
  );
  byId("found-note").textContent = "";
  say(sentence);
}

function widen() {
  change({ ...query, where: {}, minSimilarity: 0 });
}

/** Shows an error; without an answer, asks until the service is there again. */
function fail(error, again, place = byId("problem")) {
  if (error.isSilence) return disconnected(again);
  place.replaceChildren(
    element("span", {}, error.message),
    again && service.isPassing(error) ? button("Try again", null, { click: again }) : "",
  );
  place.hidden = false;
}

let waiting = null;

function disconnected(again) {
  byId("offline").textContent = "The service does not answer. The page goes on when it is back.";
  byId("offline").hidden = false;
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    try {
      await service.library();
    } catch (error) {
      return disconnected(again);
    }
    reconnected();
    again?.();
  }, 2000);
}

function reconnected() {
  clearTimeout(waiting);
  byId("offline").hidden = true;
}

function say(sentence) {
  byId("status").textContent = sentence;
}

let mapLoaded = null;

function showView(view) {
  const isMap = view === "map";
  if (byId("page").dataset.view === view) return;
  byId("page").dataset.view = view;
  byId("map").hidden = !isMap;
  byId("search").hidden = byId("found").hidden = isMap;
  byId("show-photos").setAttribute("aria-pressed", String(!isMap));
  byId("show-map").setAttribute("aria-pressed", String(isMap));
  if (!isMap) return;
  parts.map ??= new PhotoMap(byId("map"), (items, place) => parts.detail.open(items, place));
  loadMap();
}

// Its errors are shown in its own view: in that of the photos, the next ones
// that load as one scrolls would hide them.
function loadMap() {
  byId("map-problem").hidden = true;
  mapLoaded ??= parts.map.load().catch((error) => {
    mapLoaded = null;
    fail(error, loadMap, byId("map-problem"));
  });
}

function showLibrary() {
  byId("library-size").textContent = counted(library.photos, "photo");
  byId("library-size").title = library.model ?? "";
  byId("show-map").hidden = !library.features.map;
}

async function added(change) {
  library = await service.library();
  showLibrary();
  mapLoaded = null;
  byId("found-note").textContent = "";
  load();
  say(`${counted(change.names.length, "photo")} added to the library.`);
}

async function start() {
  try {
    library = await service.library();
  } catch (error) {
    return fail(error, start);
  }
  reconnected();
  byId("problem").hidden = true;
  showLibrary();
  const failed = (error) => fail(error);
  parts = {
    panel: new QueryPanel(byId("query"), library, { changed: change, failed, added }),
    filters: new Filters(byId("filters"), library.features.metadata, (where) => change({ ...query, where })),
    detail: new Detail(byId("detail"), library, () => query, { only, like, unlike }),
  };
  const open = (place) => parts.detail.open(parts.results.items, place);
  parts.results = new Results(byId("results"), byId("more"), { open, only, like, unlike }, told);
  receivePhotos(upload);
  byId("show-photos").addEventListener("click", () => showView("photos"));
  byId("show-map").addEventListener("click", () => showView("map"));
  byId("home").addEventListener("click", (event) => {
    event.preventDefault();
    change(queries.NOTHING);
  });
  addEventListener("popstate", ({ state }) => {
    query = visited.get(state?.id) ?? queries.fromHash(location.hash);
    showView("photos");
    update();
  });
  query = queries.fromHash(location.hash);
  visited.set(0, query);
  history.replaceState({ id: 0 }, "");
  update();
}

byId("theme").addEventListener("click", () => {
  const root = document.documentElement.style;
  const isDark =
    root.colorScheme === "dark" ||
    (root.colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.colorScheme = isDark ? "light" : "dark";
  localStorage.setItem("colours", root.colorScheme);
});

start();
