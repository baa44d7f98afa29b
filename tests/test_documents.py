"""The documents are up to date, and what they say can be called."""

import pathlib
import re
import runpy

import pytest

import agem_tf
from agem_tf import cli, evaluate
from agem_tf.config import loading
from agem_tf.evaluation.protocols import PROTOCOLS
from agem_tf.option_fields import info_of

ROOT = pathlib.Path(agem_tf.__file__).parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("experiments/*.md"),
    ]
)
TABLES = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", ["commands", "recipes"])
def test_generated_documents_are_up_to_date(name):
    """Otherwise: python docs/make_tables.py."""
    written = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert written == TABLES[f"{name}_text"]()


def test_the_readme_has_at_most_160_lines():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 160


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_to_files(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_commands_have_the_flags_that_documents_show(
    document, documented_commands
):
    for module, *arguments in documented_commands(document):
        default, alternatives = TABLES["options_of"](module.split(".")[1])
        options = cli.options_from_arguments(
            default, alternatives, [module, *arguments]
        )
        recipe_path = getattr(options, "config", None)
        if recipe_path in (None, "RECIPE.py"):
            continue
        recipe = loading.load_recipe(ROOT / recipe_path)
        loading.override_recipe(recipe, options.set)


def test_every_command_is_documented():
    commands = {
        path.stem
        for path in (ROOT / "agem_tf").glob("*.py")
        if "cli.run(" in path.read_text(encoding="utf-8")
    } - {"cli"}
    assert commands == set(TABLES["COMMANDS"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_paths_in_documents_exist(document):
    text = document.read_text(encoding="utf-8")
    for path in re.findall(r"`(agem_tf/[\w/.]+)`", text):
        assert path == "agem_tf/COMMAND.py" or (ROOT / path).exists(), path


def test_the_map_names_every_room():
    workspace = (ROOT / "WORKSPACE.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in ROOT.glob("agem_tf/*/__init__.py")}
    assert not {name for name in folders if f" {name}/" not in workspace}


def test_every_protocol_is_listed():
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    field = evaluate.EvaluateOptions.__dataclass_fields__["protocol"]
    for name in PROTOCOLS:
        assert f"`{name}`" in text
        assert name in info_of(field).help
