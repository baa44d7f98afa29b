"""Compiles a recipe's steps with Google's TPU compiler, without a TPU.

    python -m agem_tf.compilation --config=experiments/quickstart.py \
        --topology=v5e:2x2

The compiler lives in an environment of its own, which `make tpu-check` makes.
Ends with status 1 if a program does not compile or does not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import app

from agem_tf import cli, config
from agem_tf.compilation import chips, compiler

checking = cli.lazy("agem_tf.compilation.verdicts")
lowering = cli.lazy("agem_tf.compilation.lowering")
table = cli.lazy("agem_tf.compilation.verdict_table")

_FLAGS = cli.Flags()
_RECIPE = _FLAGS.recipe()
_TOPOLOGY = _FLAGS.multi_string(
    "topology", ["v5e:2x2"], "Such as v4:2x2x1 or v6e:2x2; may be repeated."
)
_REPLICAS = _FLAGS.integer(
    "replicas", None, "That share a batch; default: the topology's.", 1
)
_LARGEST_BATCH = _FLAGS.bool(
    "largest_batch",
    False,
    "Compile it too, instead of extrapolating; up to 3 times the work.",
)
_COMPILER_PYTHON = _FLAGS.string(
    "compiler_python",
    compiler.DEFAULT_PYTHON,
    "Of an environment with JAX and libtpu.",
)


def main(
    recipe: config.Config,
    topologies: Sequence[str],
    compiler_python: str = compiler.DEFAULT_PYTHON,
    replicas: int | None = None,
    largest_batch: bool = False,
) -> bool:
    """Prints a table a topology; see the flags of the same names.

    Returns:
        Whether every program compiles and fits.
    """
    google = compiler.Compiler(compiler_python)
    targets = [
        google.target(chips.parse_topology(name), replicas)
        for name in topologies
    ]
    programs = lowering.RecipePrograms(recipe)
    # Lowered once for all topologies of as many chips.
    shares = {
        number: programs.of_a_replica(number)
        for number in {target.replicas for target in targets}
    }
    passed = True
    for target in targets:
        share = shares[target.replicas]
        verdicts = list(
            checking.check(share, target.topology, google, largest_batch)
        )
        print(table.describe(target, verdicts), end="\n\n")
        passed &= all(verdict.passed for verdict in verdicts)
    print(table.WHAT_IT_PROVES)
    return passed


def _run() -> None:
    passed = main(
        _RECIPE(),
        _TOPOLOGY.value,
        _COMPILER_PYTHON.value,
        _REPLICAS.value,
        _LARGEST_BATCH.value,
    )
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
