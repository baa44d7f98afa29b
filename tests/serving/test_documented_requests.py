"""The lines of docs/serving.md that send requests, with a running server."""

import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import PIL.Image
import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Photos and metadata of the index that is served here.
STAND_INS = {
    "name=beach/1.jpg": "'name=place 0/0 ä.jpg'",
    "unlike=beach/7.jpg": "'unlike=place 2/1 ä.jpg'",
    "year >= 2020": "year >= 2001",
}
LINES = re.findall(
    r"^    ((?:curl|printf) .*(?:\n {8}.*)*)",
    (ROOT / "docs" / "serving.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where photo.jpg lies, which is too large for an argument of a command."""
    folder = tmp_path_factory.mktemp("documented")
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "photo.jpg", quality=90)
    assert 100_000 < (folder / "photo.jpg").stat().st_size < 140_000
    return folder


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("line", LINES)
def test_lines_of_the_shell_are_answered(line, address, folder):
    line = line.replace("http://127.0.0.1:8080", address)
    for documented, here in STAND_INS.items():
        line = line.replace(documented, here)
    ran = subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, check=True
    )
    answer = json.loads(ran.stdout)
    assert answer.get("results") or answer["predictions"], answer
