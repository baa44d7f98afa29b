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


def _fails_when_it_is_interrupted():
    """Replaces what interrupts it, as TensorFlow's tracing may."""
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        raise AssertionError("a stack is not as it was")


def test_an_error_that_the_end_causes_ends_with_its_status():
    with pytest.raises(SystemExit) as ended, preemption.listening():
        _fails_when_it_is_interrupted()
    assert ended.value.code == preemption.STATUS


def test_an_error_after_a_signal_that_is_deferred_is_not_hidden():
    with (
        pytest.raises(KeyError),
        preemption.listening(),
        preemption.deferred(),
    ):
        signal.raise_signal(signal.SIGTERM)
        raise KeyError


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


def test_an_immediate_block_ends_inside_a_deferred_one():
    with pytest.raises(SystemExit) as ended, preemption.deferred():
        with preemption.immediate():
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("the block should have ended")
    assert ended.value.code == preemption.STATUS


def test_an_immediate_block_does_not_begin_after_the_signal():
    with pytest.raises(SystemExit), preemption.deferred():
        signal.raise_signal(signal.SIGTERM)
        with preemption.immediate():
            pytest.fail("the block should not begin")


def test_the_inner_of_two_deferred_blocks_does_not_end_the_process():
    with pytest.raises(SystemExit), preemption.deferred():
        with preemption.deferred():
            signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached


def test_workers_end_only_when_they_agree(monkeypatch):
    monkeypatch.setattr(preemption._State, "deferring", 0)
    # As TensorFlow does when it connects the workers.
    preemption.defer_for_workers()
    signal.raise_signal(signal.SIGTERM)
    assert preemption.requested()
