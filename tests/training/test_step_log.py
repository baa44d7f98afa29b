"""steps.csv continues where a checkpoint stands."""

import csv

import pytest
import tensorflow as tf

from agem_tf.training.step_log import COLUMNS, StepLog


def row(epoch, step):
    values = dict.fromkeys(COLUMNS, 0.5)
    return values | {"epoch": epoch, "step": step}


def positions(workdir):
    with (workdir / "steps.csv").open() as file:
        return [
            (int(each["epoch"]), int(each["step"]))
            for each in csv.DictReader(file)
        ]


def write(workdir, position, rows):
    with StepLog(workdir, *position) as log:
        for each in rows:
            log.write(row(*each), step_of_run=each[1])


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path):
    write(tmp_path, (0, 0), [(1, 2), (1, 4), (1, 5), (2, 2)])
    # Of the second epoch one step is saved, of the first the last.
    write(tmp_path, (1, 1), [(2, 2), (2, 4)])
    assert positions(tmp_path) == [(1, 2), (1, 4), (1, 5), (2, 2), (2, 4)]
    write(tmp_path, (0, 4), [])
    assert positions(tmp_path) == [(1, 2), (1, 4)]


def test_half_a_row_of_a_killed_run_is_dropped(tmp_path):
    write(tmp_path, (0, 0), [(1, 2), (1, 4)])
    path = tmp_path / "steps.csv"
    path.write_text(path.read_text() + "1,6,0.4")
    write(tmp_path, (1, 0), [(2, 2)])
    assert positions(tmp_path) == [(1, 2), (1, 4), (2, 2)]


def test_rows_are_on_the_disk_when_they_are_forced_there(tmp_path):
    with StepLog(tmp_path, 0, 0) as log:
        log.write(row(1, 2), step_of_run=2)
        log.flush()
        assert positions(tmp_path) == [(1, 2)]
        (events,) = (tmp_path / "tensorboard" / "steps").iterdir()
        values = {
            value.tag: float(tf.make_ndarray(value.tensor))
            for event in tf.compat.v1.train.summary_iterator(str(events))
            for value in event.summary.value
        }
    assert values["steps/gradient_norm"] == pytest.approx(0.5)
