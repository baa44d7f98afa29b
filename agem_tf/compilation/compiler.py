"""Google's TPU compiler, in another process.

Every program is compiled in its own process: an abort of the compiler ends
nothing else, and its libraries need not be compatible with TensorFlow.
"""

import dataclasses
import json
import pathlib
import re
import subprocess
import tempfile
from typing import Any

from agem_tf.compilation.roofline import Topology, memory_traffic
from agem_tf.errors import UserError

# Made by `make tpu-check`.
DEFAULT_PYTHON = ".venv-tpu-compiler/bin/python"
_SCRIPT = pathlib.Path(__file__).with_name("compile_script.py")
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
    """Costs of a call of a compiled program.

    Attributes:
        flops: Floating-point operations.
        bytes: Bytes read from the chip's memory and written to it.
        memory: Bytes of the chip's memory needed at once: arguments, results,
            temporaries and code.
        fixed: The part of them that hardly grows with the batch: all but the
            temporaries. It is the weights and the optimizer's state.
    """

    flops: float
    bytes: float
    memory: float
    fixed: float


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a program does not compile.

    Attributes:
        reason: The compiler's reason in one line.
        memory: Bytes that the program would need, if it is only too large.
    """

    reason: str
    memory: float | None


@dataclasses.dataclass(frozen=True)
class Target:
    """Target of the compilation.

    Attributes:
        topology: The chips.
        compiler: Name and version of the compiler.
        replicas: Number of replicas that share the recipe's batches.
    """

    topology: Topology
    compiler: str
    replicas: int


class Compiler:
    """Compiles for chips that this machine need not have.

    Args:
        python: Python interpreter of an environment with JAX and libtpu.

    Raises:
        UserError: The environment lacks them.
    """

    def __init__(self, python: str):
        self._python = python
        try:
            found = subprocess.run(
                [python, "-I", "-c", _HAS_COMPILER], capture_output=True
            )
            has_compiler = found.returncode == 0
        except OSError:
            has_compiler = False
        if not has_compiler:
            raise UserError(
                f"--compiler_python={python} has no TPU compiler; make "
                "tpu-check installs one there, or pip install -r "
                "requirements-tpu-compiler.txt into another environment."
            )

    def target(self, topology: Topology, replicas: int | None = None) -> Target:
        """Returns the target of the compilation.

        Args:
            topology: The chips.
            replicas: Number of replicas that share a batch; that of the
                topology by default.

        Raises:
            UserError: There is no such topology.
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
        lines = process.stderr.strip().splitlines() or ["no message"]
        status = f"the compiler ended with status {process.returncode}"
        return {"refusal": f"{status}: {lines[-1]}"}


def read_refusal(message: str) -> Refusal:
    """Parses the compiler's error message."""
    match = _NEEDED.search(message)
    needed = float(match[1]) * _UNITS[match[2]] if match else None
    return Refusal(_line(message), needed)


def _line(message: str) -> str:
    """The first line, without the file in which the compiler found it."""
    return next(filter(None, map(str.strip, message.splitlines())), "no reason")
