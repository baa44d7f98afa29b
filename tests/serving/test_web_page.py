"""The page in a headless Chromium, on a service over small photos."""

import contextlib
import re
import shutil
import threading

import numpy as np
import PIL.Image
import pytest
import uvicorn

from agem_tf.library.indexing import index_photos
from agem_tf.retrieval.indexes import storage_at
from agem_tf.serving.application import create_application
from agem_tf.serving.photo_details import PhotoMatcher
from agem_tf.serving.service import Service
from agem_tf.serving.service_options import ServeOptions

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed."
)
WIDE, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 844}
# A wide screen at 400 %.
NARROW = {"width": 320, "height": 256}
MARKUP = "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of twenty places and a scene, a copy, and a name that is HTML."""
    root = tmp_path_factory.mktemp("album") / "photos"
    rng = np.random.default_rng(0)
    for place in range(20):
        coarse = rng.integers(0, 255, (4, 5, 3))
        folder = root / f"place{place:02}"
        folder.mkdir(parents=True)
        for number in range(3):
            noisy = np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255)
            photo = PIL.Image.fromarray(noisy.astype(np.uint8))
            photo = photo.resize((100, 80), PIL.Image.BICUBIC)
            photo.save(folder / f"{number}.jpg", quality=95)
    # Corners to match: a scene and a part of it.
    blocks = rng.integers(0, 255, (12, 15, 3)).astype(np.uint8)
    scene = PIL.Image.fromarray(blocks).resize((300, 240), PIL.Image.NEAREST)
    (root / "scene").mkdir()
    scene.save(root / "scene" / "whole.jpg", quality=95)
    scene.crop((40, 20, 260, 220)).save(root / "scene" / "part.jpg", quality=95)
    shutil.copy(root / "place07" / "1.jpg", root / "copy.jpg")
    shutil.copy(root / "place08" / "1.jpg", root / MARKUP)
    return root


@pytest.fixture(scope="module")
def address(photos, attentive_run, tmp_path_factory):
    """Address of a service of the photos, which runs in a thread."""
    place = str(tmp_path_factory.mktemp("index") / "index")
    run = str(attentive_run)
    index_photos(storage_at(place), str(photos), workdir=run)
    with storage_at(place).changed() as stored:
        for number in range(20):
            for year in range(3):
                fields = {"number": number % 4, "taken": f"{2020 + year}-05-01"}
                name = f"place{number:02}/{year}.jpg"
                stored.metadata.update(name, fields)
    # The first request of each kind compiles; on a busy core, for long.
    service = Service(ServeOptions(index=place, timeout=600))
    application = create_application(service)
    config = uvicorn.Config(application, port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    with config.bind_socket() as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, as in containers.
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """Opens the page; fails if it reported an error, broke its policy or sent
    a request elsewhere.
    """
    complaints = []
    with contextlib.ExitStack() as contexts:

        def open_(
            viewport=WIDE,
            hash_="",
            routes=None,
            awaited=".card .photo",
            **settings,
        ):
            context = contexts.enter_context(
                browser.new_context(viewport=viewport, **settings)
            )
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("console", note)
            context.on("request", check_place)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            # In an open page, Chromium may send the next request past it.
            for pattern, route in (routes or {}).items():
                page.route(pattern, route)
            page.goto(address + hash_)
            page.wait_for_selector(awaited)
            return page

        def note(message):
            # Requests that are refused on purpose are reported as errors too.
            if message.type in ("error", "warning") and not re.match(
                "Failed to load resource", message.text
            ):
                complaints.append(message.text)

        def check_place(request):
            if not request.url.startswith((address, f"blob:{address}")):
                complaints.append(f"a request to {request.url[:200]}")

        yield open_
    assert complaints == []


def names(page):
    return page.eval_on_selector_all(
        "#results .caption .name", "all => all.map(each => each.title)"
    )


def search(page, files, result=".card .score"):
    page.set_input_files("#choose", files)
    page.wait_for_selector(result)


def test_browsing_loads_more_as_one_scrolls(open_page, photos):
    page = open_page()
    count = len(list(photos.rglob("*.jpg")))
    assert page.inner_text("#library-size") == f"{count} photos"
    first = len(names(page))
    assert 0 < first < count
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(
        "count => document.querySelectorAll('.caption').length === count",
        arg=count,
    )
    assert len(set(names(page))) == count
    # A name that is HTML stays text.
    assert MARKUP in names(page)
    assert page.locator("#results img[src=x]").count() == 0


def test_an_uploaded_photo_finds_itself_and_its_part(open_page, photos):
    page = open_page()
    search(page, photos / "place03" / "1.jpg")
    assert names(page)[0] == "place03/1.jpg"
    assert page.inner_text("#found-title") == "Photos like your photo"
    assert page.locator(".figure").first.inner_text() == "1.00"

    # A box by the mouse, over the middle of the stage.
    stage = page.locator(".stage").bounding_box()
    with page.expect_response("**/search") as answered:
        for x, y, act in ((0.25, 0.25, "down"), (0.75, 0.5, "up")):
            page.mouse.move(
                stage["x"] + x * stage["width"],
                stage["y"] + y * stage["height"],
            )
            getattr(page.mouse, act)()
    query = answered.value.json()["query"]
    sides = [query["width"], query["height"]] * 2
    box = np.divide(query["box"], sides)
    np.testing.assert_allclose(box, [0.25, 0.25, 0.75, 0.5], atol=0.02)

    # The same by the keyboard: one step to the right, one higher.
    page.locator(".box").focus()
    with page.expect_response("**/search") as answered:
        page.keyboard.press("ArrowRight")
    moved = np.divide(answered.value.json()["query"]["box"], sides)
    np.testing.assert_allclose(moved - box, [0.02, 0, 0.02, 0], atol=0.02)
    assert "27 % to 77 % of the width" in page.get_attribute(
        ".box", "aria-label"
    )
    with page.expect_response("**/search") as answered:
        page.keyboard.press("Delete")
    assert answered.value.json()["query"]["box"] is None


def test_more_and_less_like_a_result(open_page):
    page = open_page()
    card = page.locator(".card", has_text="place05/0.jpg")
    card.hover()
    card.get_by_role("button", name="Search for place05/0.jpg").click()
    page.wait_for_selector(".score")
    before = names(page)
    second = page.locator(".card").nth(1)
    second.hover()
    with page.expect_response("**/search"):
        second.get_by_role("button", name="Less like").click()
    page.wait_for_selector(".tiles.unlike")
    page.wait_for_selector(".score")
    assert before[1] not in names(page)[:3]
    first = page.locator(".card").first
    first.hover()
    with page.expect_response("**/search"):
        first.get_by_role("button", name="More like").click()
    page.wait_for_selector(".tiles.like li >> nth=1")
    title = page.inner_text("#found-title")
    assert title == "Photos like 2 examples, unlike 1 photo"

    # The address holds the query; "back" returns to the one before.
    address = page.url
    page.go_back()
    page.wait_for_selector(".tiles.like", state="detached")
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(".score")
    assert page.inner_text("#found-title") == title
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector("#intake:visible")
    assert page.inner_text("#found-title") == "All photos"


def test_one_photo_large_and_the_next(open_page):
    page = open_page(hash_="#like=place02%2F0.jpg")
    page.wait_for_selector(".score")
    page.locator(".card .photo").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail .detail-stage img")
    assert page.inner_text("#detail-title") == names(page)[1]
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#detail-title") == names(page)[2]
    page.keyboard.press("Escape")
    assert not page.is_visible("#detail")
    # The focus is where it was.
    focused = "document.activeElement.ariaLabel"
    assert page.evaluate(focused).startswith(names(page)[1])


def tab_to(page, selector):
    """Presses Tab until an element has the focus, at most once around."""
    focused = "selector => document.activeElement.matches(selector)"
    for _ in range(
        page.locator("button, a, input, select, [tabindex]").count()
    ):
        page.keyboard.press("Tab")
        if page.evaluate(focused, selector):
            return
    raise AssertionError(f"The keyboard does not reach {selector}.")


def test_the_keyboard_alone_searches_opens_and_goes_back(open_page, photos):
    page = open_page()
    photo = photos / "place03" / "1.jpg"
    page.on("filechooser", lambda chooser: chooser.set_files(photo))
    tab_to(page, "#choose")
    page.keyboard.press("Enter")
    page.wait_for_selector(".score")
    found = names(page)
    tab_to(page, ".card .photo")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail .detail-stage img")
    assert page.inner_text("#detail-title") == found[1]
    tab_to(page, "#detail .button:not(.primary)")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tiles.like li >> nth=1")
    assert not page.is_visible("#detail")
    assert page.inner_text("#found-title") == "Photos like 2 examples"
    page.go_back()
    page.wait_for_selector(".tiles.like", state="detached")
    page.wait_for_function(
        "name => document.querySelector('.caption .name')?.title === name",
        arg=found[0],
    )
    tab_to(page, ".card .photo")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert not page.is_visible("#detail")
    # The browser's "back" is not the arrow key.
    page.keyboard.press("ArrowRight")
    focused = "document.activeElement.ariaLabel"
    assert page.evaluate(focused).startswith(found[1])
    before = page.url
    page.keyboard.press("Control+ArrowLeft")
    assert page.evaluate(focused).startswith(found[1])
    assert page.url == before


def test_escape_leaves_the_question_for_a_token(open_page):
    def guard(route):
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": "A token is needed."})

    page = open_page(routes={"**/library": guard}, awaited="#token:visible")
    page.keyboard.type("wrong")
    with page.expect_response("**/library"):
        page.keyboard.press("Enter")
    page.wait_for_selector("#token:visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("#problem:visible")
    assert not page.is_visible("#token")
    assert "asks for a token" in page.inner_text("#problem")
    page.get_by_role("button", name="Try again").press("Enter")
    page.wait_for_selector("#token:visible")
    page.fill("#token-text", "right")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card .photo")


def test_chips_of_metadata_narrow_the_photos(open_page, photos):
    page = open_page()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector("[data-chip='number=3']")
    for chip, count in (("number=3", 15), ("taken=2021-", 5)):
        page.locator(f"[data-chip='{chip}']").click()
        page.wait_for_function(
            "count => document.querySelectorAll('.caption').length === count",
            arg=count,
        )
    expected = {f"place{number:02}/1.jpg" for number in range(3, 20, 4)}
    assert set(names(page)) == expected
    chosen = page.locator(".chip[aria-pressed=true]").all_inner_texts()
    assert chosen == ["3", "2021"]
    # The filter holds for a search, too.
    search(page, photos / "place03" / "1.jpg")
    assert names(page)[0] == "place03/1.jpg"
    assert set(names(page)) == expected


def test_results_are_re_ranked(open_page):
    page = open_page(hash_="#like=place02%2F0.jpg")
    page.wait_for_selector(".score")
    with page.expect_response("**/search") as answered:
        page.select_option("#rerank", "qe:5")
    found = answered.value.json()["results"]
    assert "qe:5" in answered.value.request.post_data
    page.wait_for_function(
        "name => document.querySelector('.caption .name').title === name",
        arg=found[0]["name"],
    )
    note = "photos, best first after re-ranking."
    assert page.inner_text("#found-note").endswith(note)


def test_attention_and_matches_of_a_result(open_page):
    page = open_page(hash_="#like=scene%2Fpart.jpg")
    page.wait_for_selector(".score")
    card = page.locator(".card", has_text="scene/whole.jpg")
    card.locator(".photo").click()
    page.locator("[data-tab=attention]").click()
    page.wait_for_selector(".faded img.heat")
    page.wait_for_function(
        "() => document.querySelector('img.heat').naturalWidth"
    )
    check_view(page)
    matches = page.locator("[data-tab=matches]")
    if not PhotoMatcher().is_installed:
        assert matches.count() == 0
        return
    matches.click()
    page.wait_for_selector(".detail-stage svg line, .detail-stage svg path")
    told = page.locator(".detail-stage .soft").inner_text()
    assert int(told.split()[0]) >= 10
    check_view(page)


@pytest.mark.skipif(
    not PhotoMatcher().is_installed, reason="XFeat is not installed."
)
def test_the_border_of_the_query_stays_on_the_result(open_page):
    page = open_page(hash_="#like=scene%2Fwhole.jpg")
    page.wait_for_selector(".score")
    card = page.locator(".card", has_text="scene/part.jpg")
    card.locator(".photo").click()
    page.locator("[data-tab=matches]").click()
    page.wait_for_selector(".detail-stage polygon.outline", state="attached")
    left_of_result = """() => {
      const border = document.querySelector("polygon.outline");
      const result = document.querySelectorAll(".matches image")[1];
      const { left, y } = result.getBoundingClientRect();
      const shown = border.getBoundingClientRect();
      const hit = (x) => document.elementsFromPoint(x, y + 50).includes(border);
      const columns = [...Array(Math.ceil(left - shown.left) + 9).keys()];
      return [left - shown.left, columns.some((x) => hit(left - 1 - x))];
    }"""
    reach, is_visible = page.evaluate(left_of_result)
    assert reach > 10
    assert not is_visible


class BusyService:
    """Refuses requests by status 503 as long as it is busy."""

    is_busy = True

    def answer(self, request):
        if self.is_busy:
            request.fulfill(status=503, json={"error": "Busy; ask later."})
        else:
            request.continue_()


def test_a_heat_map_that_fails_is_tried_again(open_page):
    busy = BusyService()
    page = open_page(routes={"**/attention": busy.answer})
    page.locator(".card .photo").first.click()
    page.locator("[data-tab=attention]").click()
    page.wait_for_selector("#detail .problem")
    assert "Busy; ask later." in page.inner_text("#detail .problem")
    busy.is_busy = False
    page.locator("#detail").get_by_role("button", name="Try again").click()
    page.wait_for_selector("#detail .heat")


def test_the_map_opens_photos(open_page, photos):
    page = open_page()
    page.locator("#show-map").click()
    page.wait_for_selector("#map canvas[aria-label]")
    count = len(list(photos.rglob("*.jpg")))
    label = page.get_attribute("#map canvas", "aria-label")
    assert label.startswith(f"Map of {count} photos.")
    check_view(page)
    page.locator("#map canvas").focus()
    for key in ("+", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#detail .detail-stage img")
    assert (photos / page.inner_text("#detail-title")).exists()


def test_a_map_that_fails_says_so_and_is_tried_again(open_page):
    busy = BusyService()
    page = open_page(routes={"**/map": busy.answer})
    page.locator("#show-map").click()
    page.wait_for_selector("#map-problem:visible")
    assert "Busy; ask later." in page.inner_text("#map-problem")
    check_view(page)
    # Further photos hide what their own view says, not this.
    page.locator("#show-photos").click()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("#show-map").click()
    page.wait_for_selector("#map-problem:visible")
    busy.is_busy = False
    page.locator("#map-problem").get_by_role("button", name="Try again").click()
    page.wait_for_selector("#map canvas[aria-label]")
    assert not page.is_visible("#map-problem")


def test_what_is_refused_or_silent_is_said(open_page, tmp_path):
    page = open_page()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no photo")
    search(page, broken, "#problem:visible")
    assert "not a readable photo" in page.inner_text("#problem")
    page.context.set_offline(True)
    page.wait_for_function("fetch('/health').then(() => false, () => true)")
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector("#offline:visible")
    page.context.set_offline(False)
    page.wait_for_selector("#offline", state="hidden")
    page.wait_for_selector(".card .photo")


def test_the_least_similarity_narrows_the_results(open_page):
    replacements = []

    def route(request):
        if replacements:
            request.fulfill(json=replacements.pop())
        else:
            request.continue_()

    page = open_page(hash_="#like=place02%2F0.jpg", routes={"**/search": route})
    page.wait_for_selector(".score")
    page.locator("#least").focus()
    with page.expect_response("**/search") as answered:
        page.locator("#least").fill("0.8")
    found = answered.value.json()["results"]
    assert found
    assert all(result["similarity"] >= 0.8 for result in found)
    page.wait_for_function(
        "() => document.querySelector('#found-note').innerText"
    )
    note = page.inner_text("#found-note")
    assert note == (
        f"At least {len(found)} photos, most similar first. "
        "Photos less similar than 0.8 are left out."
    )
    assert names(page) == [result["name"] for result in found]

    # As if none were so similar.
    replacements.append({**answered.value.json(), "results": [], "total": 0})
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#nothing:visible")
    page.get_by_role("button", name="Remove filters and limits").click()
    page.wait_for_selector(".score")
    assert page.input_value("#least") == "0"


@pytest.mark.parametrize(
    "viewport,scheme",
    [
        (WIDE, "light"),
        (WIDE, "dark"),
        (PHONE, "light"),
        (PHONE, "dark"),
        (NARROW, "light"),
    ],
    ids=["wide", "wide dark", "phone", "phone dark", "narrow"],
)
def test_every_view_is_accessible_and_fits(open_page, photos, viewport, scheme):
    page = open_page(viewport, color_scheme=scheme)
    check_view(page)
    search(page, photos / "place03" / "1.jpg")
    page.locator(".examples button", has_text="Draw a box").click()
    page.wait_for_selector(".box:visible")
    check_view(page)
    page.locator(".card .photo").nth(1).click()
    page.wait_for_selector(".detail-stage > *")
    check_view(page)


def check_view(page):
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]
