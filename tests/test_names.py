"""A word names one thing: files, folders, public classes and functions."""

import ast
import collections
import pathlib

import agem_tf

ROOT = pathlib.Path(agem_tf.__file__).parent
# Every command has it; `agem_tf.cli` runs it.
OF_EVERY_COMMAND = {"main"}


def modules():
    return [path for path in ROOT.rglob("*.py") if path.stem != "__init__"]


def commands():
    return {
        path.stem
        for path in ROOT.glob("*.py")
        if "cli.run(" in path.read_text()
    }


def repeated(places_by_name):
    return {
        name: sorted(places)
        for name, places in places_by_name.items()
        if len(places) > 1
    }


def public_definitions(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        kinds = ast.ClassDef, ast.FunctionDef
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node.name


def test_no_two_modules_have_one_file_name():
    found = collections.defaultdict(set)
    for path in modules():
        found[path.stem].add(str(path.relative_to(ROOT)))
    assert not repeated(found)


def test_no_two_rooms_define_one_public_name():
    found = collections.defaultdict(set)
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for name in public_definitions(path):
            if room not in commands() or name not in OF_EVERY_COMMAND:
                found[name].add(room)
    assert not repeated(found)


def test_no_folder_has_the_name_of_a_command():
    assert {"train", "search", "tpu_check"} <= commands()
    folders = {path.name for path in ROOT.rglob("*") if path.is_dir()}
    assert not folders & commands()
