"""SIGTERM ends a process at once, or after a deferred block."""

import signal

import pytest

from agem_tf.distribution import preemption


@pytest.fixture(autouse=True)
def listening(monkeypatch):
    monkeypatch.setattr(preemption._State, "requested", False)
    before = signal.getsignal(signal.SIGTERM)
    preemption.listen()
    yield
    signal.signal(signal.SIGTERM, before)


def test_it_ends_the_process_at_once():
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == preemption.STATUS == 75


def test_a_deferred_block_is_finished_first():
    done = []
    with pytest.raises(SystemExit) as ended:
        with preemption.deferred():
            assert not preemption.requested()
            signal.raise_signal(signal.SIGTERM)
            assert preemption.requested()
            done.append("saved")
        done.append("went on")
    assert ended.value.code == preemption.STATUS
    assert done == ["saved"]


def test_the_error_of_a_deferred_block_takes_precedence():
    with pytest.raises(KeyError), preemption.deferred():
        signal.raise_signal(signal.SIGTERM)
        raise KeyError
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)


def test_without_a_signal_nothing_ends():
    with preemption.deferred():
        pass
    assert not preemption.requested()
