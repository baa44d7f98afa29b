"""Ground truths as benchmarks publish them, and as an attacker would."""

import json
import os
import pickle

import numpy as np
import pytest
import scipy.io

from agem_tf.errors import UserError
from agem_tf.evaluation import ground_truth_files
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.ground_truth_files import (
    derive_ground_truth,
    load_ground_truth,
    load_published,
)


def _content(array=list):
    return {
        "imlist": ["a", "bb", "c", "d"],
        "qimlist": ["q", "r"],
        "gnd": [
            {
                "bbx": [1.5, 2.0, 30.0, 40.0],
                "easy": array([0]),
                "hard": array([3]),
                "junk": array([]),
            },
            {
                "bbx": [0, 0, 8, 9],
                "easy": array([]),
                "hard": array([2, 1]),
                "junk": array([0]),
            },
        ],
    }


def _integers(values):
    return np.array(values, np.int64)


def _write(path, content):
    path.write_bytes(content)
    return path


def _pickled(path, value, protocol=2):
    return _write(path, pickle.dumps(value, protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", [list, _integers])
def test_every_pickle_protocol_is_read(tmp_path, protocol, array):
    path = _pickled(tmp_path / "gnd.pkl", _content(array), protocol)
    assert load_published(path).to_dict() == _content()


def test_arrays_of_numpy_1_are_read(tmp_path):
    content = pickle.dumps(_content(_integers), 2)
    content = content.replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy.core.multiarray" in content
    path = _write(tmp_path / "gnd.pkl", content)
    assert load_published(path).to_dict() == _content()


def test_ok_photos_are_easy_and_junk_may_be_missing(tmp_path):
    content = _content()
    content["gnd"] = [
        {"bbx": [1, 2, 3, 4], "ok": [2, 0], "junk": [1]},
        {"ok": _integers([3])},
    ]
    truth = load_published(_pickled(tmp_path / "gnd_oxford5k.pkl", content))
    assert [q.easy.tolist() for q in truth.queries] == [[2, 0], [3]]
    assert [q.junk.tolist() for q in truth.queries] == [[1], []]
    assert [q.box for q in truth.queries] == [(1, 2, 3, 4), None]
    assert not any(q.hard.size for q in truth.queries)


class _Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_hostile_pickle_does_not_run(tmp_path):
    trace = tmp_path / "trace"
    attack = _Attack(os.mkdir, str(trace))
    path = _pickled(tmp_path / "gnd.pkl", {"imlist": [attack]})
    with pytest.raises(UserError, match=r"gnd\.pkl.*asks for posix\.mkdir"):
        load_published(path)
    assert not trace.exists()


def _nested(levels):
    value = [0]
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize("key", ["easy", "bbx", "imlist"])
def test_lists_that_share_items_are_not_flattened(tmp_path, key):
    """Sixty levels of ten references each are 10**60 items."""
    content = _content()
    part = content if key == "imlist" else content["gnd"][0]
    part[key] = _nested(60)
    path = _pickled(tmp_path / "gnd.pkl", content)
    with pytest.raises(UserError, match=r"gnd\.pkl: .* shares too much"):
        load_published(path)


@pytest.mark.parametrize("key", ["easy", "bbx", "imlist"])
def test_lists_of_lists_are_refused(tmp_path, key):
    content = _content()
    part = content if key == "imlist" else content["gnd"][0]
    part[key] = [[0], [0]]
    path = _pickled(tmp_path / "gnd.pkl", content)
    with pytest.raises(UserError, match=f"'{key}' holds a value of another"):
        load_published(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a pickle"),
        (pickle.dumps(_content())[:-20], "not a pickle"),
        (b"]r\xff\xff\xff\x7f.", "memo index of 2147483647"),
        (pickle.dumps([1]), "not hold a dictionary"),
        (pickle.dumps({"imlist": ["a"]}), "has no 'qimlist'"),
        (pickle.dumps(_content() | {"gnd": [{"ok": [4]}] * 2}), "from 4 to 4"),
        (pickle.dumps(_content() | {"gnd": [{"easy": []}] * 2}), "no 'hard'"),
        (pickle.dumps(_content() | {"gnd": [1, 2]}), "'gnd' holds"),
        (
            pickle.dumps(_content() | {"qimlist": "qr"}),
            "'qimlist' is not a list",
        ),
    ],
)
def test_faulty_pickles_are_refused(tmp_path, content, message):
    path = _write(tmp_path / "gnd.pkl", content)
    with pytest.raises(UserError, match=rf"gnd\.pkl: .*{message}"):
        load_published(path)


def test_large_missing_and_other_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="nowhere.pkl cannot be read"):
        load_published(tmp_path / "nowhere.pkl")
    with pytest.raises(UserError, match=r"must end in \.pkl or \.mat"):
        load_published(tmp_path / "gnd.json")
    path = _pickled(tmp_path / "gnd.pkl", _content())
    monkeypatch.setattr(ground_truth_files, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="at most 100"):
        load_published(path)


def test_a_file_that_is_not_the_published_one_is_warned_about(tmp_path):
    path = _pickled(tmp_path / "gnd_roxford5k.pkl", _content())
    with pytest.warns(UserWarning, match="not the published file"):
        load_published(path)


def _cells(*values):
    cells = np.empty((1, len(values)), object)
    cells[0, :] = values
    return cells


def _save_matlab(path, names, queries, **lists):
    """Writes what MATLAB does: doubles in rows, and structures of cells."""
    structures = np.empty((1, len(queries)), [(k, object) for k in queries[0]])
    for place, query in enumerate(queries):
        for key, values in query.items():
            structures[0, place][key] = np.array([values], np.float64)
    content = {"imlist": _cells(*names), "gnd": structures, **lists}
    scipy.io.savemat(path, content)
    return path


def test_the_matlab_twin_counts_from_1(tmp_path):
    queries = [
        {"bbx": [1.5, 2, 30, 40], "easy": [1], "hard": [4], "junk": []},
        {"bbx": [0, 0, 8, 9], "easy": [], "hard": [3, 2], "junk": [1]},
    ]
    path = _save_matlab(
        tmp_path / "gnd.mat",
        _content()["imlist"],
        queries,
        qimlist=_cells("q", "r"),
    )
    assert load_published(path).to_dict() == _content()


def test_old_matlab_files_list_queries_by_index(tmp_path):
    path = _save_matlab(
        tmp_path / "gnd_oxford5k.mat",
        ["a", "bb", "c"],
        [{"bbx": [1, 2, 3, 4], "ok": [3, 1], "junk": [2]}],
        qidx=np.array([[3.0]]),
    )
    truth = load_published(path)
    assert truth.query_names == ["c"]
    assert truth.queries[0].easy.tolist() == [2, 0]
    assert truth.queries[0].junk.tolist() == [1]


def test_faulty_matlab_files_are_refused(tmp_path):
    path = _write(tmp_path / "gnd.mat", b"MATLAB 7.3 MAT-file" * 20)
    with pytest.raises(UserError, match=r"gnd\.mat: not a readable"):
        load_published(path)
    query = {"bbx": [1, 2, 3, 4], "ok": [1.5], "junk": []}
    _save_matlab(path, ["a", "b"], [query], qidx=np.array([[1.0]]))
    with pytest.raises(UserError, match="not a whole number"):
        load_published(path)
    query = {"bbx": [1, 2, 3, 4], "ok": [1], "junk": []}
    _save_matlab(path, ["a", "b"], [query], qidx=np.array([[3.0]]))
    with pytest.raises(UserError, match="'qidx' is outside"):
        load_published(path)


def test_a_ground_truth_is_read_by_its_suffix(tmp_path):
    queries = [QueryTruth([1], [], [0]), QueryTruth([], [0], [1])]
    truth = GroundTruth(list("abc"), list("ab"), queries)
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
def test_file_names_imply_a_ground_truth(protocol, easy, junk):
    names = ["x/100.jpg", "x/101.jpg", "y/250.jpg"]
    truth, made_for = derive_ground_truth(names, protocol)
    assert made_for == protocol
    assert [query.easy.tolist() for query in truth.queries] == easy
    assert [query.junk.tolist() for query in truth.queries] == junk


@pytest.mark.parametrize("protocol", [None, "revisited"])
def test_file_names_do_not_imply_every_ground_truth(protocol):
    with pytest.raises(UserError, match="--data_dir or --ground_truth, or .*"):
        derive_ground_truth(["1.jpg"], protocol)


def test_the_columns_of_a_csv_choose_its_protocol(tmp_path):
    path, labels = tmp_path / "truth.csv", tmp_path / "labels.csv"
    path.write_text("id,images,Usage\nq,b,Public\n")
    truth, protocol = derive_ground_truth(["a", "b"], None, path)
    assert (truth.query_names, protocol) == (["q"], "gldv2")
    path.write_text("a,church\nb,church\n")
    truth, protocol = derive_ground_truth(["a", "b"], None, path)
    assert (truth.query_names, protocol) == (["a", "b"], "leave_one_out")
    path.write_text("id,landmarks,Usage\nq,5,Public\n")
    labels.write_text("id,landmark_id\na,5\nb,6\n")
    truth, protocol = derive_ground_truth(["a", "b"], None, path, labels)
    assert (truth.queries[0].easy.tolist(), protocol) == ([0], "gap")
    with pytest.raises(UserError, match=r"--labels=FILE\.csv"):
        derive_ground_truth(["a", "b"], None, path)
    path.write_text("\n")
    with pytest.raises(UserError, match=r"truth\.csv is empty"):
        derive_ground_truth(["a", "b"], None, path)
