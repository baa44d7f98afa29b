"""Google's TPU compiler, asked from another process.

A process for each program: a compiler that aborts takes nobody with it, and its
libraries need not fit TensorFlow's.
"""

import dataclasses
import json
import pathlib
import re
import subprocess
import tempfile
from typing import Any

from agem_tf.compilation.chips import Topology
from agem_tf.compilation.traffic import memory_traffic
from agem_tf.errors import UserError

# Made by `make tpu-check`.
DEFAULT_PYTHON = ".venv-tpu-compiler/bin/python"
_SCRIPT = pathlib.Path(__file__).with_name("compiling.py")
_HAS_COMPILER = (
    "from importlib.util import find_spec; "
    "raise SystemExit(not all(map(find_spec, ('jax', 'libtpu'))))"
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# "Used 52.16G of 31.25G hbm", or "Requires 223.53G, has 14.96G available".
_NEEDED = re.compile(
    r"(?:Used (?=\S+ of \S+ hbm)|Requires (?=\S+ has))([\d.]+)([KMGT]?)"
)


@dataclasses.dataclass(frozen=True)
class Costs:
    """What a call of a compiled program costs.

    Attributes:
        flops: floating-point operations.
        bytes: read from the chip's memory and written there.
        memory: bytes of the chip's memory that are needed at once: arguments,
            results, temporaries and code.
        fixed: those of them that hardly grow with the batch: all but the
            temporaries. They are weights and what the optimizer keeps.
    """

    flops: float
    bytes: float
    memory: float
    fixed: float


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a program does not compile.

    Attributes:
        reason: the compiler's, in a line.
        memory: bytes that the program would need, if it only is too large.
    """

    reason: str
    memory: float | None


@dataclasses.dataclass(frozen=True)
class Target:
    """What is compiled for.

    Attributes:
        topology: its chips.
        compiler: name and version of what compiles.
        replicas: that share the recipe's batches.
    """

    topology: Topology
    compiler: str
    replicas: int


class Compiler:
    """Compiles for chips that need not be there.

    Args:
        python: interpreter of an environment with JAX and libtpu.

    Raises:
        UserError: it has none.
    """

    def __init__(self, python: str):
        self._python = python
        if not self._is_there():
            raise UserError(
                f"--compiler_python={python} has no TPU compiler; make "
                "tpu-check installs one there, or pip install -r "
                "requirements-tpu-compiler.txt into an environment of its own."
            )

    def target(self, topology: Topology, replicas: int | None = None) -> Target:
        """Returns what to compile for.

        Args:
            topology: the chips.
            replicas: that share a batch; by default as many as it has.

        Raises:
            UserError: there is no such topology.
        """
        result = self._ask(topology)
        if "refusal" in result:
            raise UserError(
                f"--topology={topology.name}: {_line(result['refusal'])}"
            )
        return Target(
            topology, result["compiler"], replicas or result["replicas"]
        )

    def compile(self, module: str, topology: Topology) -> Costs | Refusal:
        """Compiles a program's StableHLO for one chip of a topology."""
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "program.mlir"
            path.write_text(module)
            result = self._ask(topology, "--module", str(path))
        if "refusal" in result:
            return read_refusal(result["refusal"])
        costs = result["costs"]
        fixed = costs["held"] + costs["code"]
        return Costs(
            costs["flops"],
            memory_traffic(costs["program"]),
            fixed + costs["temporary"],
            fixed,
        )

    def _is_there(self) -> bool:
        try:
            found = subprocess.run(
                [self._python, "-I", "-c", _HAS_COMPILER], capture_output=True
            )
        except OSError:
            return False
        return found.returncode == 0

    def _ask(self, topology: Topology, *arguments: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "result.json"
            process = subprocess.run(
                [
                    *(self._python, "-I", str(_SCRIPT)),
                    f"--topology={topology.name}",
                    f"--configuration={topology.chip.configuration}",
                    f"--result={path}",
                    *arguments,
                ],
                capture_output=True,
                text=True,
                errors="replace",
            )
            if path.exists():
                return json.loads(path.read_text())
        return {"refusal": _last_words(process)}


def read_refusal(message: str) -> Refusal:
    """Reads the compiler's error message."""
    match = _NEEDED.search(message)
    needed = float(match[1]) * _UNITS[match[2]] if match else None
    return Refusal(_line(message), needed)


def _line(message: str) -> str:
    """The first line, without the file in which the compiler found it."""
    return next(filter(None, map(str.strip, message.splitlines())), "no reason")


def _last_words(process: subprocess.CompletedProcess) -> str:
    lines = process.stderr.strip().splitlines()
    words = lines[-1] if lines else "it says nothing"
    return f"the compiler ended with status {process.returncode}: {words}"
