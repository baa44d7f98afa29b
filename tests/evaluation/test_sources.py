"""Descriptors and ground truths from the files that people have."""

import json
import pickle

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.sources import (
    ground_truth_of,
    load_descriptors,
    load_distractors,
    load_ground_truth,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 7)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_a_descriptor_set_is_loaded(tmp_path, rows):
    DescriptorSet(list("abcd"), rows, {"model": "m"}).save(tmp_path / "set")
    loaded = load_descriptors(tmp_path / "set", list("wxyz"))
    assert loaded.names == list("abcd")
    assert loaded.provenance == {"model": "m"}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_array_has_the_names_beside_it(tmp_path, rows, dtype):
    np.save(tmp_path / "rows.npy", rows.astype(dtype))
    (tmp_path / "rows.txt").write_text("b\na\r\nd\nc")
    loaded = load_descriptors(tmp_path / "rows.npy", list("wxyz"))
    assert loaded.names == ["b", "a", "d", "c"]
    assert isinstance(loaded.descriptors, np.memmap)
    np.testing.assert_array_equal(loaded.descriptors, rows.astype(dtype))


def test_an_array_without_names_is_in_the_given_order(tmp_path, rows):
    np.save(tmp_path / "rows.npy", rows)
    path = tmp_path / "rows.npy"
    assert load_descriptors(path, list("wxyz")).names == list("wxyz")
    with pytest.raises(UserError, match=r"no names; .* into rows\.txt beside"):
        load_descriptors(path)
    with pytest.raises(UserError, match="4 rows for 3 names"):
        load_descriptors(path, list("abc"))


@pytest.mark.parametrize("load", [load_descriptors, load_distractors])
def test_a_missing_array_is_named(tmp_path, load):
    with pytest.raises(UserError, match=r"no file .*gone\.npy; give a dir"):
        load(tmp_path / "gone.npy")


def test_distractors_need_no_names(tmp_path, rows):
    np.save(tmp_path / "rows.npy", rows)
    names = load_distractors(tmp_path / "rows.npy").names
    assert len(set(names)) == 4
    DescriptorSet(list("abcd"), rows).save(tmp_path / "set")
    assert load_distractors(tmp_path / "set").names == list("abcd")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.T, "rows of length"),
        (lambda rows: 2 * rows, "rows of length 2; .* normalize"),
        (lambda rows: rows[0], r"Received: shape \(7,\)"),
        (lambda rows: rows.astype(int), "of int64"),
    ],
)
def test_arrays_of_something_else_are_refused(tmp_path, rows, change, message):
    np.save(tmp_path / "rows.npy", change(rows))
    with pytest.raises(UserError, match=rf"rows\.npy .*{message}"):
        load_descriptors(tmp_path / "rows.npy", list("wxyz"))


def test_a_damaged_array_is_named(tmp_path):
    (tmp_path / "rows.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"rows\.npy is not a readable array"):
        load_descriptors(tmp_path / "rows.npy", ["a"])


def test_a_ground_truth_is_read_by_its_suffix(tmp_path):
    truth = GroundTruth.from_labels(list("abc"), [1, 1, 2])
    truth.save(tmp_path / "truth.json")
    content = truth.to_dict()
    for entry in content["gnd"]:
        del entry["bbx"]
    (tmp_path / "truth.pkl").write_bytes(pickle.dumps(content))
    for name in ("truth.json", "truth.pkl"):
        loaded = load_ground_truth(tmp_path / name)
        assert json.dumps(loaded.to_dict()) == json.dumps(truth.to_dict())
    assert load_ground_truth(tmp_path / "truth.csv") is None


@pytest.mark.parametrize(
    ("protocol", "easy", "junk"),
    [
        ("holidays", [[1]], [[0]]),
        ("leave_one_out", [[1], [0], []], [[0], [1], [2]]),
        ("ukbench", [[1, 0], [0, 1], [2]], [[], [], []]),
    ],
)
def test_names_alone_make_a_ground_truth(protocol, easy, junk):
    names = ["x/100.jpg", "x/101.jpg", "y/250.jpg"]
    truth, made_for = ground_truth_of(names, protocol)
    assert made_for == protocol
    assert [query.easy.tolist() for query in truth.queries] == easy
    assert [query.junk.tolist() for query in truth.queries] == junk


@pytest.mark.parametrize("protocol", [None, "revisited"])
def test_names_do_not_tell_every_ground_truth(protocol):
    with pytest.raises(UserError, match="--data_dir or --ground_truth, or .*"):
        ground_truth_of(["1.jpg"], protocol)


def test_a_csv_is_told_by_its_columns(tmp_path):
    path, labels = tmp_path / "truth.csv", tmp_path / "labels.csv"
    path.write_text("id,images,Usage\nq,b,Public\n")
    truth, protocol = ground_truth_of(["a", "b"], None, path)
    assert (truth.query_names, protocol) == (["q"], "gldv2")
    path.write_text("a,church\nb,church\n")
    truth, protocol = ground_truth_of(["a", "b"], None, path)
    assert (truth.query_names, protocol) == (["a", "b"], "leave_one_out")
    path.write_text("id,landmarks,Usage\nq,5,Public\n")
    labels.write_text("id,landmark_id\na,5\nb,6\n")
    truth, protocol = ground_truth_of(["a", "b"], None, path, labels)
    assert (truth.queries[0].easy.tolist(), protocol) == ([0], "gap")
    with pytest.raises(UserError, match=r"--labels=FILE\.csv"):
        ground_truth_of(["a", "b"], None, path)
    path.write_text("\n")
    with pytest.raises(UserError, match=r"truth\.csv is empty"):
        ground_truth_of(["a", "b"], None, path)
