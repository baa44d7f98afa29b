"""Mutated photos are read, or refused with one sentence; nothing escapes."""

import importlib
import pathlib

import pytest

_SCRIPTS = pathlib.Path(__file__).parents[2] / "experiments/benchmarks"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on tags.
def test_nothing_escapes(monkeypatch):
    monkeypatch.syspath_prepend(_SCRIPTS)
    fuzzing = importlib.import_module("mutated_photos")
    for kind, inputs in fuzzing.cases(seed=1).items():
        found = fuzzing.fuzz(inputs(), 50)
        assert not found.escaped, kind
        assert found.read, kind
        assert found.refused or kind == "EXIF"
