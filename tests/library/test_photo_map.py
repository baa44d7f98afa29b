"""A map of a library: places, and a page that a browser shows."""

import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest

from agem_tf import browse
from agem_tf.errors import UserError
from agem_tf.library.annotating import annotate
from agem_tf.library.photo_map import map_positions
from agem_tf.retrieval.indexes import storage_at

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def clusters(photos=60):
    """Photos around two directions, in turn."""
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:2]
    rows = centres[np.arange(photos) % 2] + 0.1 * rng.normal(size=(photos, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def skip_without_umap():
    # Its own import takes in the part with networks.
    if importlib.util.find_spec("umap") is None:
        pytest.skip("umap-learn is not installed")


@pytest.mark.parametrize("layout", ["pca", "umap"])
def test_photos_that_look_alike_are_near_each_other(layout):
    if layout == "umap":
        skip_without_umap()
    rows = clusters()
    places = map_positions(rows, layout)
    assert places.shape == (60, 2)
    assert places.min() == pytest.approx(0) and places.max() == pytest.approx(1)
    first, second = places[::2], places[1::2]
    between = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert between > 2 * max(first.std(axis=0).max(), second.std(axis=0).max())
    np.testing.assert_array_equal(places, map_positions(rows, layout))


def test_umap_needs_no_network():
    """Its part with networks crashed beside TensorFlow and PyTorch."""
    skip_without_umap()
    code = """
import sys
import numpy as np
from agem_tf.library.photo_map import map_positions
map_positions(np.eye(9, dtype=np.float32), "umap")
print(sorted({"tensorflow", "torch"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_the_map_does_not_depend_on_the_signs_of_eigenvectors():
    """Mirrored descriptors have eigenvectors of another sign."""
    rows = clusters()
    rows[:9] = rows[0]  # One side is longer.
    mirrored = map_positions(rows * [1, 1, 1, 1, -1, -1, -1, -1])
    np.testing.assert_allclose(map_positions(rows), mirrored, atol=1e-6)


def test_few_or_equal_photos_are_refused():
    with pytest.raises(UserError, match="at least 3 photos"):
        map_positions(clusters(2))
    with pytest.raises(UserError, match="different photos"):
        map_positions(np.ones((4, 8), np.float32))


@pytest.fixture
def page(own_index, tmp_path, photos):
    """A map with metadata; the folder of the photos has moved."""
    table = tmp_path / "table.csv"
    table.write_text('photo,note\nplace0 0.png,"</script><b>"\n')
    annotate(storage_at(own_index), str(table))
    moved = shutil.copytree(photos, tmp_path / "moved & <new>")
    (moved / "place0 1.jpg").write_bytes(b"no photo any more")
    output = tmp_path / "map.html"
    browse.main(
        browse.BrowseOptions(
            index=own_index, output=str(output), folder=str(moved)
        )
    )
    return output


def test_the_page_is_a_file_of_its_own(page):
    text = page.read_text()
    assert text.count('class="sheet"') == 1
    assert "12 photos; photos near each other" in text
    assert "</script><b>" not in text
    assert "http" not in text


def test_of_many_photos_some_are_shown(own_index, tmp_path, capsys):
    options = browse.BrowseOptions(
        index=own_index, output=str(tmp_path / "map.html"), most=5
    )
    assert browse.main(options) == 5
    assert "5 photos of 12" in (tmp_path / "map.html").read_text()
    assert capsys.readouterr().out.startswith("Map of 5 photos: ")


def test_a_browser_shows_the_photo_under_the_pointer(page):
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    complaints = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 900, "height": 700})
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(page.as_uri())
        tab.wait_for_selector("canvas[data-drawn]")
        x, y = tab.evaluate(
            """() => {
              const [left, top] = toScreen(photos[0].x, photos[0].y);
              const box = canvas.getBoundingClientRect();
              return [left + box.left, top + box.top];
            }"""
        )
        for _ in range(3):
            tab.mouse.move(x, y)
            tab.mouse.wheel(0, -400)
        tab.wait_for_function("() => zoom > 15 && !isWaiting")
        tab.mouse.move(x + 1, y + 1)
        tab.wait_for_function("() => !large.hidden && large.naturalWidth == 90")
        shown = tab.inner_text("#caption")
        with tab.context.expect_page() as opened:
            tab.mouse.click(x + 1, y + 1)
        address = opened.value.url
        browser.close()
    assert shown == "place0 0.png — note: </script><b>"
    assert address.endswith("moved%20%26%20%3Cnew%3E/place0%200.png")
    assert not complaints
