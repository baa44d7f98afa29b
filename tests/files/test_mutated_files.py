"""Each reader loads a mutated file, or refuses it with one sentence."""

import importlib.util
import pathlib
import sys

import pytest

_SCRIPT = "experiments/benchmarks/mutated_files.py"


def _load_script():
    path = pathlib.Path(__file__).parents[2] / _SCRIPT
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


fuzzing = _load_script()


@pytest.mark.parametrize(
    "name",
    [name for name, reader in fuzzing.readers().items() if not reader.slow],
)
def test_mutations_load_or_are_refused(name):
    reader = fuzzing.readers()[name]
    found = fuzzing.fuzz(reader, mutations=40, seed=1)
    assert not found.escaped
    assert found.refused
    if reader.detects:
        assert not found.other
