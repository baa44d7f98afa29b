"""An unfinished descriptor set is resumed without losing or repeating rows."""

import os
import random
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet, DescriptorWriter
from agem_tf.errors import UserError, sentence_of

PHOTOS, DIMENSION, BATCH = 4500, 5, 7
NAMES = [f"photo {number}" for number in range(PHOTOS)]

# Writes until the row at which it kills itself, as kill -9 would.
KILLED = f"""
import os, signal, sys
import numpy as np
from agem_tf.descriptors.descriptor_set import DescriptorWriter
last, directory = int(sys.argv[1]), sys.argv[2]
names = [f"photo {{number}}" for number in range({PHOTOS})]
with DescriptorWriter(directory, names, {DIMENSION}, resume=True) as writer:
    print(writer.rows_written, flush=True)
    while writer.rows_written < min(last, {PHOTOS}):
        rows = np.arange(writer.rows_written, {PHOTOS})[:{BATCH}]
        writer.write(np.repeat(rows[:, None], {DIMENSION}, axis=1))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def rows(start, count):
    numbers = np.arange(start, min(start + count, PHOTOS))
    return np.repeat(numbers[:, None], DIMENSION, axis=1)


def resume(directory, names=NAMES, provenance=None):
    return DescriptorWriter(
        directory, names, DIMENSION, provenance, resume=True
    )


def write_rest(writer):
    while writer.rows_written < PHOTOS:
        writer.write(rows(writer.rows_written, BATCH))


def test_after_kills_at_random_rows_nothing_is_lost_or_doubled(tmp_path):
    draw = random.Random(4)
    last = 0
    for _ in range(4):
        last += draw.randrange(600, 1300)
        command = [sys.executable, "-c", KILLED, str(last), str(tmp_path / "s")]
        killed = subprocess.run(command, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert int(killed.stdout) >= 1000
    assert not (tmp_path / "s").exists()
    with resume(tmp_path / "s") as writer:
        assert writer.rows_written >= int(killed.stdout)
        write_rest(writer)
    loaded = DescriptorSet.load(tmp_path / "s", verify=True)
    assert loaded.names == NAMES
    np.testing.assert_array_equal(loaded.descriptors, rows(0, PHOTOS))
    assert os.listdir(tmp_path) == ["s"]


def test_an_error_keeps_every_row(tmp_path):
    with pytest.raises(KeyError), resume(tmp_path / "s") as writer:
        writer.write(rows(0, 3))
        raise KeyError
    with resume(tmp_path / "s") as writer:
        assert writer.rows_written == 3
        write_rest(writer)
    loaded = DescriptorSet.load(tmp_path / "s", verify=True)
    np.testing.assert_array_equal(loaded.descriptors, rows(0, PHOTOS))


@pytest.mark.parametrize(
    "other",
    [
        {"names": [*NAMES[1:], NAMES[0]]},
        {"provenance": {"model": "another"}},
    ],
)
def test_other_photos_or_another_model_start_from_zero(tmp_path, other):
    with pytest.raises(KeyError), resume(tmp_path / "s") as writer:
        writer.write(rows(0, 3))
        raise KeyError
    with resume(tmp_path / "s", **other) as writer:
        assert writer.rows_written == 0
        write_rest(writer)
    loaded = DescriptorSet.load(tmp_path / "s", verify=True)
    np.testing.assert_array_equal(loaded.descriptors, rows(0, PHOTOS))


def test_two_processes_do_not_write_the_same(tmp_path):
    with (
        pytest.raises(UserError, match="Another process is writing"),
        resume(tmp_path / "s"),
        resume(tmp_path / "s"),
    ):
        pass


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(OSError) as caught, resume(tmp_path / "s") as writer:
            write_rest(writer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sentence = sentence_of(caught.value, str(tmp_path / "s"))
    assert "s can't be written: File too" in sentence
    with resume(tmp_path / "s") as writer:
        assert writer.rows_written >= 1000
        write_rest(writer)
    loaded = DescriptorSet.load(tmp_path / "s", verify=True)
    np.testing.assert_array_equal(loaded.descriptors, rows(0, PHOTOS))
