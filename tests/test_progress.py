"""Progress in a log: plain lines with counts and rates."""

import re

import pytest

from agem_tf import progress
from agem_tf.progress import Progress


def test_the_last_line_has_the_count_and_the_rate(caplog):
    with caplog.at_level("INFO", logger="agem_tf"):
        with Progress("Reading", 10, "photos") as reading:
            reading.update(4)
            reading.update(6)
    (line,) = caplog.messages
    found = re.fullmatch(
        r"Reading: 10 of 10 photos, (\d+\.\d) per second", line
    )
    assert float(found[1]) > 0


def test_lines_have_the_note_and_do_without_a_total(caplog, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1)
    with caplog.at_level("INFO", logger="agem_tf"):
        with Progress("Training", None, "steps") as training:
            training.update(2, "loss 0.5")
    first, _ = caplog.messages
    assert re.fullmatch(
        r"Training: 2 steps, \d+\.\d per second, loss 0.5", first
    )


def test_work_that_fails_does_not_claim_an_end(caplog):
    with caplog.at_level("INFO", logger="agem_tf"):
        with pytest.raises(KeyError), Progress("Reading", 10) as reading:
            reading.update(4)
            raise KeyError
    assert not caplog.messages
