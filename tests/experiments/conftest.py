"""Runs the commands of the documents on stand-ins of the data."""

import importlib
import pathlib
import pickle
import runpy

import numpy as np
import PIL.Image
import pytest

import agem_tf
from agem_tf import cli

ROOT = pathlib.Path(agem_tf.__file__).parents[1]


@pytest.fixture(scope="module")
def run_command():
    """Returns a function that runs a module with arguments."""
    tables = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))

    def run(name: str, arguments: list[str]) -> None:
        module = importlib.import_module(name)
        default, alternatives = tables["options_of"](name.split(".")[1])
        # They are of the module as `python -m` runs it.
        options = cli.options_from_arguments(
            getattr(module, default.__name__),
            {
                flag: getattr(module, cls.__name__)
                for flag, cls in alternatives.items()
            },
            [name, *arguments],
        )
        module.main(options)

    return run


def _write_roxford(root: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    database = [f"hall_{i:06}" for i in range(24)]
    queries = ["hall_000100", "hall_000101"]
    (root / "jpg").mkdir(parents=True)
    for name in database + queries:
        pixels = rng.integers(0, 255, (40, 56, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(root / "jpg" / f"{name}.jpg")
    truth = {"bbx": [4, 4, 50, 36], "easy": [0], "hard": [1], "junk": [3]}
    content = {"imlist": database, "qimlist": queries, "gnd": [truth, truth]}
    pickled = pickle.dumps(content, protocol=2)
    (root / "gnd_roxford5k.pkl").write_bytes(pickled)


@pytest.fixture(scope="session")
def roxford_download(tmp_path_factory) -> pathlib.Path:
    """Revisited Oxford in the layout of its download: two queries."""
    root = tmp_path_factory.mktemp("roxford5k")
    _write_roxford(root)
    return root
