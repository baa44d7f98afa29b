r"""Compile a recipe's programs with Google's TPU compiler, without a TPU.

    python -m agem_tf.tpu_check --config=experiments/quickstart.py \
        --topology=v5e:2x2

The compiler needs a Python environment of its own, which `make tpu-check`
creates. The status is 1 if a program does not compile or does not fit.
"""

from __future__ import annotations

import sys

from agem_tf import cli
from agem_tf.compilation import compiler, roofline
from agem_tf.config.shared_options import RecipeOptions

lowering = cli.lazy("agem_tf.compilation.lowering")
verdicts = cli.lazy("agem_tf.compilation.verdicts")


@cli.options
class TpuCheckOptions(RecipeOptions):
    """Options of a compile check."""

    topology: tuple[str, ...] = cli.option(
        ("v5e:2x2",), "Slice of a TPU, for example v4:2x2x1 or v6e:2x2."
    )
    replicas: int | None = cli.option(
        None,
        "Replicas that share a batch; default: the topology's chips.",
        minimum=1,
    )
    largest_batch: bool = cli.option(
        False,
        "Compile the largest batch instead of extrapolating it; up to three "
        "times the work.",
    )
    compiler_python: str = cli.option(
        compiler.DEFAULT_PYTHON,
        "Python of the environment with JAX and libtpu.",
    )


def main(options: TpuCheckOptions) -> bool:
    """Prints a table per topology.

    Returns:
        Whether every program compiles and fits.
    """
    recipe = options.recipe()
    google = compiler.Compiler(options.compiler_python)
    targets = [
        google.target(roofline.parse_topology(name), options.replicas)
        for name in options.topology
    ]
    recipe_programs = lowering.RecipePrograms(recipe)
    # Topologies with equally many chips share the lowered programs.
    programs = {
        number: recipe_programs.for_replicas(number)
        for number in {target.replicas for target in targets}
    }
    passed = True
    for target in targets:
        results = list(
            verdicts.compile_programs(
                programs[target.replicas],
                target.topology,
                google,
                options.largest_batch,
            )
        )
        cli.print_line(verdicts.format_verdicts(target, results) + "\n")
        passed &= all(result.passed for result in results)
    cli.print_line(verdicts.WHAT_IT_PROVES)
    return passed


def _exit_with_verdict(options: TpuCheckOptions) -> None:
    sys.exit(0 if main(options) else 1)


if __name__ == "__main__":
    cli.run(_exit_with_verdict, TpuCheckOptions)
