"""Mutated photos are read, or refused with one sentence; nothing escapes."""

import importlib
import pathlib

import pytest

_SCRIPTS = pathlib.Path(__file__).parents[2] / "experiments/benchmarks"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on tags.
def test_nothing_escapes(monkeypatch):
    monkeypatch.syspath_prepend(_SCRIPTS)
    fuzzing = importlib.import_module("mutated_photos")
    read = refused = 0
    for kind, inputs in fuzzing.cases(seed=1).items():
        found = fuzzing.fuzz(inputs(), 30)
        assert not found.escaped, kind
        read, refused = read + found.read, refused + found.refused
    assert read > 50
    assert refused > 50
