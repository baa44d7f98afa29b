"""Parsing of TF_CONFIG, and the messages for its mistakes."""

import json
import socket

import pytest

from agem_tf.distribution.preflight import read_cluster
from agem_tf.errors import UserError

WORKERS = ["first:2222", "second:2222"]


@pytest.fixture
def configure(monkeypatch):
    """Function that sets TF_CONFIG to a text or to a value as JSON."""

    def set_variable(value):
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv("TF_CONFIG", text)

    return set_variable


def as_task(index, kind="worker", **cluster):
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


def test_workers_keep_their_order(configure):
    configure(as_task(1, worker=WORKERS))
    cluster = read_cluster()
    assert cluster.workers == ("first:2222", "second:2222")
    assert (cluster.index, cluster.others) == (1, ["first:2222"])


def test_a_chief_is_the_first_worker(configure):
    configure(as_task(1, worker=WORKERS, chief=["host:1"]))
    cluster = read_cluster()
    assert cluster.workers == ("host:1", "first:2222", "second:2222")
    assert cluster.index == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "is not set"),
        ("{", "is not JSON"),
        ("[]", "has no 'cluster'"),
        ({"cluster": {"worker": WORKERS}}, "has no 'task'"),
        (as_task(0), "names the jobs none"),
        (as_task(0, worker=WORKERS, ps=["a:1"]), "the jobs worker, ps"),
        (as_task(0, worker=[]), "lists no addresses for 'worker'"),
        (as_task(0, worker=["first"]), "address 'first', not host:port"),
        (as_task(0, worker=["first:99999"]), "'first:99999'"),
        (as_task(0, worker=["a:1", "a:1"]), "names a:1 twice"),
        (as_task(0, worker=WORKERS, chief=["a:1", "b:1"]), "several chiefs"),
        (as_task(0, "chief", worker=WORKERS), "the task type 'chief'"),
        (as_task(0, [], worker=WORKERS), r"the task type \[\]"),
        (as_task(2, worker=WORKERS), "the task index 2, but .* has 2"),
        (as_task("0", worker=WORKERS), "the task index '0'"),
        (as_task(None, worker=WORKERS), "the task index None"),
    ],
)
def test_a_fault_is_named_with_an_example(configure, value, message):
    configure(value)
    with pytest.raises(UserError, match=message) as caught:
        read_cluster()
    assert 'TF_CONFIG=\'{"cluster"' in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_taken_port_is_named(configure):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        configure(as_task(0, worker=[f"localhost:{port}"]))
        with pytest.raises(UserError, match=f"can't listen on port {port}"):
            read_cluster().check_port()
    read_cluster().check_port()
