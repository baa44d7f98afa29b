"""Lower rooms never import upper ones, and no two rooms import each other."""

import ast
import pathlib
import re

import agem_tf
from agem_tf import registry

ROOT = pathlib.Path(agem_tf.__file__).parent

# From the bottom up; a room may import its own row's others if no circle
# arises, and everything below.
ROOMS = [
    {"rendered_landmarks"},
    {
        "errors",
        "_version",
        "registry",
        "native_output",
        "option_fields",
        "cli",
        "ops",
        "progress",
    },
    {"config", "files"},
    {"weights"},
    {"descriptors", "layers", "losses"},
    {"backbones", "photos"},
    {"models", "distribution"},
    {"retrieval"},
    {"evaluation"},
    {"datasets"},
    {"extraction", "pages"},
    {"saved_models"},
    {"training"},
    {"library", "conversion", "compilation"},
    {"serving"},
    {
        "train",
        "prepare",
        "index",
        "match",
        "aggregate",
        "search",
        "serve",
        "client",
        "demo",
        "browse",
        "duplicates",
        "convert",
        "extract",
        "whiten",
        "evaluate",
        "export",
        "tpu_check",
        "visualize",
    },
]
WITHOUT_TENSORFLOW = {
    "errors",
    "registry",
    "native_output",
    "option_fields",
    "cli",
    "progress",
    "config",
    "files",
    "descriptors",
    "retrieval",
    "evaluation",
    "rendered_landmarks",
}
ANY_KERAS_BACKEND = {"ops", "layers", "losses", "backbones", "models"}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def edges():
    for path in ROOT.rglob("*.py"):
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "agem_tf" and len(parts) > 1:
                yield room_of(path), parts[1], path


def level(room):
    return next(i for i, rooms in enumerate(ROOMS) if room in rooms)


def test_every_room_has_its_place():
    rooms = {room_of(path) for path in ROOT.rglob("*.py")} - {"__init__"}
    assert rooms <= set.union(*ROOMS)


def test_no_edge_goes_up():
    known = set.union(*ROOMS)
    upward = [
        f"{path.relative_to(ROOT)} imports {target}"
        for source, target, path in edges()
        if source in known and target in known and level(target) > level(source)
    ]
    assert not upward


def test_no_two_rooms_import_each_other():
    pairs = {(source, target) for source, target, _ in edges()}
    assert not {
        (a, b) for a, b in pairs if a < b and (b, a) in pairs and a != b
    }


def imports_any(room, packages):
    return [
        path.name
        for path in ROOT.rglob("*.py")
        if room_of(path) == room
        for module in imported_modules(path)
        if module.split(".")[0] in packages
    ]


def test_lower_rooms_need_no_tensorflow():
    for room in WITHOUT_TENSORFLOW:
        assert not imports_any(room, {"tensorflow", "keras"}), room


def test_models_run_on_any_keras_backend():
    for room in ANY_KERAS_BACKEND:
        assert not imports_any(room, {"tensorflow"}), room


def file_of(module):
    path = ROOT.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_lazily_imported_modules_exist():
    names = {
        name
        for path in ROOT.glob("*.py")
        for name in re.findall(r'cli\.lazy\("([\w.]+)"\)', path.read_text())
    }
    assert len(names) > 10
    assert [name for name in names if not file_of(name).exists()] == []


def test_registered_factories_exist():
    tables = (
        registry.BACKBONES,
        registry.CLASSIFIERS,
        registry.DATASETS,
        registry.LOCAL_FEATURES,
        registry.LOSSES,
        registry.POOLINGS,
    )
    for factory in {each for table in tables for each in table.values()}:
        module, attribute = factory.split(":")
        assert attribute in file_of(module).read_text(), factory
