"""Flags of the index command that do not go together."""

import pytest

from agem_tf.errors import UserError
from agem_tf.library.request import IndexRequest


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "one of --photos=DIR, --descriptors=DIR and --remove=NAME"),
        ({"photos": "p", "descriptors": "d"}, "Give one of"),
        ({"photos": "p", "remove": ["n"]}, "Give one of"),
        ({"remove": ["n"], "add": True}, "--add does not go with --remove"),
        ({"remove": ["n"], "factory": "Flat"}, "--factory is for a new index"),
        ({"remove": ["n"], "skip_bad": True}, "--skip_bad is for --photos"),
        (
            {"photos": "p", "add": True, "dimension": 8},
            "--dimension is for a new index",
        ),
        (
            {"photos": "p", "add": True, "workdir": "run"},
            "--workdir is for a new index",
        ),
        ({"descriptors": "d", "scales": (1.0,)}, "--scales is for --photos"),
        ({"descriptors": "d", "image_size": 64}, "--image_size is for"),
    ],
)
def test_flags_without_effect_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        IndexRequest("index", **settings)


def test_an_index_that_is_there_is_not_replaced_unasked(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    for allowed in ({"add": True}, {"overwrite": True}):
        IndexRequest(str(tmp_path), photos="p", **allowed).storage()
    IndexRequest(str(tmp_path / "new"), photos="p").storage()
    with pytest.raises(UserError, match="--add adds to it, --overwrite"):
        IndexRequest(str(tmp_path), photos="p").storage()
