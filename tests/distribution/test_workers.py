"""Two workers agree, wait for each other, and notice when one stops."""

import json
import os
import socket
import subprocess
import sys

import pytest

SCRIPT = """
import pathlib
import sys

import numpy as np
import tensorflow as tf

from agem_tf.distribution import batches, strategies, workers
from agem_tf.errors import sentence_of

index, directory = int(sys.argv[1]), pathlib.Path(sys.argv[2])
strategy = strategies.create_strategy("multiworker")
own = np.array([1.5, 2.5, 3.5]) * (index + 1)
print("values", workers.from_chief(own, strategy).tolist())
with workers.chief_first(strategy):
    if workers.is_chief(strategy):
        (directory / "written").touch()
    print("written", (directory / "written").exists())


@tf.function
def gathered():
    context = tf.distribute.get_replica_context()
    place = tf.cast(context.replica_id_in_sync_group, tf.float32)
    return batches.gather(tf.reshape(place * 10 + [1, 2, 3, 4], (2, 2)))


values = strategy.experimental_local_results(strategy.run(gathered))
print("gathered", values[0].numpy().tolist(), flush=True)
try:
    workers.check_agreement("lunch", str(index), strategy)
    workers.barrier(strategy)
except Exception as error:
    sys.exit(sentence_of(error))
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(stdout, stderr, status) of each of two workers."""
    directory = tmp_path_factory.mktemp("workers")
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        cluster = {"cluster": {"worker": addresses}, "task": task}
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(index), str(directory)],
                env=os.environ | {"TF_CONFIG": json.dumps(cluster)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        return [
            (*each.communicate(timeout=300), each.wait()) for each in workers
        ]
    finally:
        for each in workers:
            each.kill()


def test_all_have_what_the_chief_has(results):
    for stdout, stderr, _ in results:
        assert "values [1.5, 2.5, 3.5]\n" in stdout, stderr
        assert "written True\n" in stdout
        blocks = [[1.0, 2.0], [3.0, 4.0], [11.0, 12.0], [13.0, 14.0]]
        assert f"gathered {blocks}\n" in stdout


def test_the_worker_that_differs_reports_it(results):
    _, stderr, status = results[1]
    assert status
    assert "This worker's lunch is not the chief's" in stderr


def test_the_other_worker_reports_that_one_has_stopped(results):
    _, stderr, status = results[0]
    assert status
    assert "Another worker has stopped" in stderr
