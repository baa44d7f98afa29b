"""The files of an epoch: the best model, and history.json after all others."""

import json

import pytest

from agem_tf.training import callbacks
from agem_tf.training.callbacks import BestModel, EpochFiles, StepProfiler


class Recorder:
    """Counts its calls, and checks that history.json is not yet written."""

    def __init__(self, workdir):
        self.path, self.lengths = workdir / "history.json", []

    def on_validation(self, history):
        written = []
        if self.path.exists():
            written = json.loads(self.path.read_text())
        assert len(written) < len(history)
        self.lengths.append(len(history))


def test_the_history_is_written_last_and_once(tmp_path):
    recorder = Recorder(tmp_path)
    files = EpochFiles(tmp_path, [recorder])
    files.on_validation([])
    assert not recorder.path.exists()
    history = [{"epoch": 1, "train_loss": 0.1 + 0.2}]
    for _ in range(2):
        files.on_validation(history)
    history.append({"epoch": 2, "train_loss": 0.2})
    files.on_validation(history)
    assert recorder.lengths == [1, 2]
    assert json.loads(recorder.path.read_text()) == history


def test_a_damaged_history_is_written_again(tmp_path):
    (tmp_path / "history.json").write_text("[{")
    EpochFiles(tmp_path, []).on_validation([{"epoch": 1}])
    assert json.loads((tmp_path / "history.json").read_text()) == [{"epoch": 1}]


@pytest.mark.parametrize(
    ("key", "values", "saved"),
    [
        ("validation_map", [0.3, 0.5, 0.4, 0.5], [0, 1, 3]),
        ("validation_loss", [0.3, 0.5, 0.2], [0, 2]),
    ],
)
def test_the_best_model_is_that_of_the_best_epoch(saving, key, values, saved):
    assert saving(key, values, keep=1) == [
        {"best.keras"} if place in saved else set()
        for place in range(len(values))
    ]


def test_the_best_models_are_kept_by_their_epochs(saving, tmp_path):
    names = ["epoch_0.5.keras", "epoch_1.keras", "epoch_1.5.keras"]
    first, second, third = names
    assert saving("validation_map", [0.3, 0.2, 0.25], keep=2) == [
        {"best.keras", first},
        {second},
        {third},
    ]
    kept = {path.name for path in (tmp_path / "best").iterdir()}
    assert kept == {first, third}


@pytest.fixture
def saving(monkeypatch, tmp_path):
    """Returns what validates twice per epoch, and names the saved files."""

    def save(key, values, keep):
        callback = BestModel(tmp_path, None, key, keep)
        rows = [
            {"epoch": 0.5 * place, key: value}
            for place, value in enumerate(values, 1)
        ]
        written = []
        for count in range(1, len(rows) + 1):
            saved = set()

            def record(model, path, saved=saved):
                path.touch()
                saved.add(path.name)

            monkeypatch.setattr(callbacks, "save_model", record)
            callback.on_validation(rows[:count])
            written.append(saved)
        return written

    return save


def test_a_call_takes_one_traced_step_or_any_number_of_others(tmp_path):
    profiler = StepProfiler(tmp_path, range(10, 12))
    counts = [profiler.limit(step, 4) for step in (0, 7, 10, 11, 12)]
    assert counts == [4, 3, 1, 1, 4]
