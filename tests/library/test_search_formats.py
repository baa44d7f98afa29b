"""Every kind of query and narrowing, in every format of the command."""

import csv
import io
import json
import shutil
import sys

import pytest

from agem_tf import cli, search
from agem_tf.library.annotating import annotate
from agem_tf.retrieval.indexes import storage_at

FORMATS = "text", "json", "csv", "html"
# An indexed photo needs no network.
NAME = "place0 0.png"


@pytest.fixture(scope="module")
def directory(indexed, photos, tmp_path_factory):
    """The index with labels, the photos, and lists of some of them."""
    root = tmp_path_factory.mktemp("reader")
    shutil.copytree(indexed, root / "photos.index")
    shutil.copytree(photos, root / "photos")
    shutil.copytree(photos / "deep0", root / "folder")
    (root / "labels.csv").write_text(
        "photo,landmark\nplace0 0.png,town hall\nplace0 1.jpg,town hall\n"
    )
    annotate(storage_at(str(root / "photos.index")), str(root / "labels.csv"))
    names = ["photos/place0 0.png", "photos/place0 1.jpg"]
    (root / "list.txt").write_text("\n".join(names))
    return root


@pytest.fixture
def found(directory, capsys, monkeypatch):
    """Returns a function that searches: the answers, and what is printed."""
    monkeypatch.chdir(directory)
    listed = io.BytesIO(b"photos/place0 0.png\nplace0 1.jpg\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(listed))

    def run(*arguments):
        options = cli.options_from_arguments(
            search.SearchOptions,
            {"local_index": search.FeatureSearchOptions},
            ["search", "--index=photos.index", "--top=3", *arguments],
        )
        capsys.readouterr()
        answers = search.main(options)
        return answers, capsys.readouterr().out

    return run


def check_text(answers, printed, has_labels):
    lines = printed.splitlines()
    assert len(lines) == sum(1 + len(each.matches) for each in answers)
    for answer in answers:
        assert any(line.startswith(answer.query) for line in lines)


def check_json(answers, printed, has_labels):
    objects = [json.loads(line) for line in printed.splitlines()]
    assert [each["query"] for each in objects] == [a.query for a in answers]
    for answer, each in zip(answers, objects, strict=True):
        names = [match["name"] for match in each["matches"]]
        assert names == [match.name for match in answer.matches]
        assert ("label" in each) == has_labels


def check_csv(answers, printed, has_labels):
    heading, *rows = csv.reader(io.StringIO(printed))
    assert heading[:2] == ["query", "label" if has_labels else "rank"]
    assert all(len(row) == len(heading) for row in rows)
    per_query = [1 if has_labels else len(each.matches) for each in answers]
    assert len(rows) == sum(per_query)


def check_html(answers, printed, has_labels):
    assert printed.lower().startswith("<!doctype html>")
    assert printed.rstrip().endswith("</html>")
    # Several examples are one query, without a photo of its own.
    queries = [a for a in answers if not a.query.startswith("like ")]
    found = sum(len(answer.matches) for answer in answers)
    assert printed.count("<img ") == len(queries) + found


CHECKS = dict(
    zip(FORMATS, (check_text, check_json, check_csv, check_html), strict=True)
)
QUERIES = {
    "photo": ["photos/place0 0.png"],
    "several": ["photos/place0 0.png", "photos/deep0/place1 1.jpg"],
    "folder": ["folder"],
    "list": ["--list=list.txt"],
    "standard input": ["--list=-"],
    "name": [NAME],
    "box": ["photos/place0 0.png", "--box=5,5,60,50"],
    "box of a name": [NAME, "--box=5,5,60,50"],
    "examples": ["--like=place0 0.png", "--unlike=deep0/place1 1.jpg"],
}
NARROWINGS = {
    "where": ["--where=landmark"],
    "where none": ["--where=landmark=nothing"],
    "labels": ["--labels"],
    "collapse": ["--collapse"],
    "qe": ["--rerank=qe:2"],
    "least": ["--min_similarity=0.5"],
    "none": ["--min_similarity=1.5"],
    "others": ["--exclude_self"],
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
def test_every_query_has_every_format(found, query, kind):
    answers, printed = found(*query, f"--format={kind}")
    assert all(answer.matches for answer in answers)
    CHECKS[kind](answers, printed, False)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("narrowing", NARROWINGS.values(), ids=list(NARROWINGS))
def test_every_narrowing_has_every_format(found, narrowing, kind):
    answers, printed = found(NAME, *narrowing, f"--format={kind}")
    CHECKS[kind](answers, printed, narrowing == ["--labels"])
