"""Labels are voted for by the nearest labelled photos."""

import json

import numpy as np
import pytest

from agem_tf import search
from agem_tf.errors import UserError
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.library.recognition import Voting, vote
from agem_tf.retrieval.indexes import Match, Origin, storage_at

_LABELS = {0: "tower", 10: "tower", 30: "bridge", 90: "hall", 95: None}


def match(similarity, label):
    fields = {} if label is None else {"landmark": label}
    return Match(f"{similarity}", similarity, fields)


def test_the_confidence_is_the_similarity_times_the_share_of_the_votes():
    matches = [match(0.9, "a"), match(0.8, "b"), match(0.7, "b")]
    found = vote(matches, Voting(power=3, least_confidence=0.5))
    total = 0.9**3 + 0.8**3 + 0.7**3
    assert found.confidences == pytest.approx(
        {"b": 0.8 * (0.8**3 + 0.7**3) / total, "a": 0.9 * 0.9**3 / total}
    )
    assert list(found.confidences) == ["b", "a"]
    assert found.label is None and found.confidence == found.confidences["b"]
    assert vote(matches, Voting(power=3)).label == "b"
    assert vote(matches, Voting(voters=1)).confidences == {"a": 0.9}


def test_photos_without_a_label_or_alike_do_not_vote():
    matches = [match(0.9, None), match(0.8, ["a", 7]), match(-0.5, "c")]
    found = vote(matches, Voting(voters=2))
    assert found.confidences == pytest.approx({"a": 0.4, "7": 0.4, "c": 0})
    for nobody in ([], [match(0.9, None)], [match(-1, "a")]):
        found = vote(nobody, Voting())
        assert found.label is None and found.confidence == 0
        assert found.line().startswith("none of these")


@pytest.fixture
def angles(tmp_path):
    """Place of an index of unit vectors at angles, most with a landmark."""
    radians = np.radians(list(_LABELS))
    rows = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    storage = storage_at(str(tmp_path / "angles"))
    with storage.created() as draft:
        index = draft.start("exact", 2, Origin({"model": "m"}))
        index.add([str(angle) for angle in _LABELS], rows)
        for angle, label in _LABELS.items():
            if label is not None:
                draft.metadata.update(str(angle), {"landmark": label})
    return str(tmp_path / "angles")


def test_a_photo_is_recognised_from_python(angles):
    index = PhotoIndex.open(angles)
    found = index.recognize("0", voting=Voting(voters=3, power=3))
    assert found.label == "tower"
    assert found.confidence == pytest.approx(
        (1 + np.cos(np.radians(10)) ** 3)
        / (1 + np.cos(np.radians(10)) ** 3 + np.cos(np.radians(30)) ** 3),
        abs=1e-6,
    )
    found = index.recognize("0", exclude_self=True, where="landmark != tower")
    assert found.label == "bridge"
    # The nearest photo has no label.
    assert index.recognize("95", voting=Voting(voters=1)).label == "hall"
    with pytest.raises(UserError, match="no photo.*'place'|'place'"):
        index.recognize("0", voting=Voting("place"))


def test_labels_come_in_every_format(angles, capsys):
    def lines(kind, **settings):
        options = {"voters": 2, "top": 1} | settings
        search.main(
            search.SearchOptions(
                photos=("0", "30"),
                index=angles,
                labels=True,
                format=kind,
                **options,
            )
        )
        return capsys.readouterr().out.splitlines()

    first, match, second, _ = lines("text", min_confidence=0.9)
    assert first == "0  tower (1.000)"
    assert match.split()[:3] == ["1", "1.0000", "0"]
    assert second == "30  none of these (best: bridge, 0.776)"
    heading, first, second = lines("csv", min_confidence=0.9)
    assert heading == "query,label,confidence"
    assert first == "0,tower,1.000000"
    assert second.startswith("30,,0.7762")
    read = json.loads(lines("json")[1])
    assert read["label"] == "bridge" and len(read["matches"]) == 1
    assert list(read["confidences"]) == ["bridge", "tower"]
    assert "none of these" in "\n".join(lines("html", min_confidence=0.99))


def test_options_of_labels_belong_together():
    with pytest.raises(UserError, match="--voters is for --labels"):
        search.SearchOptions(photos=("a.jpg",), index="none", voters=3)
