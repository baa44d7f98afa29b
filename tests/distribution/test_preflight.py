"""A strategy without its devices is refused at once, with what is missing."""

import importlib.util
import socket
import subprocess
import sys

import pytest

from agem_tf import native_output
from agem_tf.distribution import preflight
from agem_tf.distribution.preflight import check_devices
from agem_tf.errors import UserError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(preflight, "SECONDS", 1)


@pytest.fixture
def free_port():
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        return unused.getsockname()[1]


@pytest.mark.skipif(native_output.is_tpu_attached(), reason="there is a TPU")
def test_a_machine_without_tpu():
    with pytest.raises(UserError, match="no TPU .* TPU virtual machine"):
        check_devices("tpu")


@pytest.mark.parametrize("strategy", ["tpu", "auto"])
def test_an_address_where_nothing_answers(strategy, free_port):
    with pytest.raises(UserError, match=f"no TPU answers at .*:{free_port}"):
        check_devices(strategy, f"grpc://localhost:{free_port}")


def test_a_server_that_speaks_something_else():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(UserError, match="no TPU answers"):
            check_devices("tpu", f"grpc://localhost:{port}")


def test_a_name_away_from_google_cloud(monkeypatch, tmp_path, free_port):
    monkeypatch.setattr(preflight, "METADATA", f"http://localhost:{free_port}/")
    (tmp_path / "googleapiclient").mkdir()
    (tmp_path / "googleapiclient" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="--tpu=mine .*Google Cloud only"):
        check_devices("auto", "mine")


@pytest.mark.skipif(
    importlib.util.find_spec("googleapiclient") is not None,
    reason="Google's package is installed",
)
def test_a_name_without_googles_package():
    with pytest.raises(UserError, match="pip install cloud-tpu-client"):
        check_devices("tpu", "mine")


@pytest.mark.parametrize("strategy", ["one", "mirrored", "multiworker"])
def test_an_address_needs_the_strategy(strategy):
    with pytest.raises(UserError, match="goes with --strategy=tpu or auto"):
        check_devices(strategy, "local")


def test_workers_need_the_variable(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="TF_CONFIG is not set"):
        check_devices("multiworker")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UserError, match="'tpus'; known are auto, one, mirr"):
        check_devices("tpus")


def test_the_checks_need_no_tensorflow():
    script = (
        "import sys\n"
        "from agem_tf.distribution.preflight import check_devices\n"
        "check_devices('mirrored')\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
