"""The Space on Hugging Face starts, and its versions are fixed."""

import pathlib
import re
import runpy

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SPACE = ROOT / "deploy" / "space"


def pins():
    lines = (SPACE / "requirements.txt").read_text().splitlines()
    found = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?==(\S+)", x) for x in lines]
    return dict(pin.groups() for pin in found if pin)


def test_every_requirement_has_a_version():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.match(r"[\w-]+", line) for line in lines]
    needed = {match.group() for match in names if match}
    assert needed | {"gradio"} == set(pins())
    card = (SPACE / "README.md").read_text()
    assert f"sdk_version: {pins()['gradio']}\n" in card


def test_the_app_starts_and_searches(
    photo_folder, run_directory, tmp_path, monkeypatch
):
    pytest.importorskip("gradio")
    client = pytest.importorskip("gradio_client")
    # As the cards of presets say, the network of a run is one, too.
    from agem_tf import export

    preset = str(tmp_path / "preset")
    export.main(
        export.ExportOptions(
            workdir=str(run_directory), output=preset, preset=True
        )
    )
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PHOTOS", str(photo_folder))
    monkeypatch.setenv("PRESET", preset)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    app = runpy.run_path(str(SPACE / "app.py"))
    page = app["create_app"](app["open_index"]())
    _, address, _ = page.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1"
    )
    try:
        found = client.Client(address, verbose=False).predict(
            client.handle_file(str(photo_folder / "place2" / "0.jpg")),
            api_name="/search",
        )
    finally:
        page.close()
    assert len(found) == 12
    assert found[0]["caption"] == "1.00  place2/0.jpg"
