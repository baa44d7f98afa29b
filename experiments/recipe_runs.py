"""Runs of the recipes here with other settings and seeds, and their scores.

The scripts that print tables share it. A table's runs are in one directory, one
workdir each; finished runs are skipped and interrupted runs are resumed.
"""

import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.intervals import mean_interval

# The quickstart in a seventh of its steps, three times as large: one to two
# minutes of one core. Rendered landmarks gain by it, but in one run of 128 px
# real photos fell from 58.0 to 48.9, so that it compares networks, not recipes.
SHORT = {
    "mining.num_queries": 120,
    "optimizer.average": 0.95,
    "optimizer.learning_rate": 1e-4,
    "optimizer.warmup_steps": 10,
    "training.epochs": 2,
}


def train(
    workdir: pathlib.Path,
    recipe: str,
    settings: Mapping[str, object],
    *arguments: str,
) -> None:
    """Trains a recipe unless the run is finished.

    Args:
        workdir: Directory of the run.
        recipe: File name of the recipe.
        settings: Field of the recipe -> its value.
        *arguments: Further arguments of `agem_tf.train`.
    """
    if (workdir / "report.html").exists():
        return
    command = [
        *(sys.executable, "-m", "agem_tf.train", f"--workdir={workdir}"),
        f"--config={pathlib.Path(__file__).with_name(recipe)}",
        *(f"--set={name}={value}" for name, value in settings.items()),
        *arguments,
    ]
    subprocess.run(command, check=True)


def train_seeds(
    directory: pathlib.Path,
    settings: Mapping[str, object],
    seeds: int,
    untrained: bool = False,
) -> list[pathlib.Path]:
    """Trains the quickstart with each seed below `seeds`.

    Args:
        directory: Directory of the runs, named by their seeds.
        settings: Field of the recipe -> its value, where it differs.
        seeds: Number of seeds.
        untrained: Whether the first run is also scored before training.

    Returns:
        The workdirs.
    """
    workdirs = [directory / f"seed{seed}" for seed in range(seeds)]
    for seed, workdir in enumerate(workdirs):
        own = {
            "training.seed": seed,
            "evaluation.untrained": untrained and not seed,
        }
        train(workdir, "quickstart.py", {**settings, **own})
    return workdirs


def query_scores(
    workdirs: Sequence[pathlib.Path],
    data: pathlib.Path,
    stage: str = "trained",
    benchmark: str = "",
) -> np.ndarray:
    """Returns Medium AP in percent, of shape (runs, queries).

    Args:
        workdirs: The runs.
        data: Directory of the prepared dataset that was scored.
        stage: "trained" or "untrained".
        benchmark: Title of the scored benchmark; empty: the recipe's test.
    """
    truth = PreparedDataset(data).ground_truth("test")
    scores = []
    for workdir in workdirs:
        place = workdir / "descriptors" / stage
        if benchmark:
            place = place / "benchmarks" / benchmark
        sets = [DescriptorSet.load(place / "test")]
        if truth.has_boxes:
            sets.append(DescriptorSet.load(place / "test_queries"))
        evaluation = evaluate_descriptors(sets[0], truth, *sets[1:])
        scores.append(evaluation.scores.medium.average_precisions)
    return 100 * np.stack(scores)


def mean_cell(scores: np.ndarray) -> str:
    """Returns "51.7 ± 1.2": mean and standard deviation of the runs' mAP."""
    means = np.nanmean(scores, axis=1)
    spread = f" ± {means.std(ddof=1):.1f}" if len(means) > 1 else ""
    return f"{means.mean():.1f}{spread}"


def difference_cell(scores: np.ndarray, others: np.ndarray) -> str:
    """Returns "+1.4 (+0.5, +2.3)": mAP beyond that of other runs.

    The interval is that of 95 %, by a paired bootstrap over the queries, each
    the mean of its runs.
    """
    differences = scores.mean(axis=0) - others.mean(axis=0)
    low, high = mean_interval(differences)
    return f"{np.nanmean(differences):+.1f} ({low:+.1f}, {high:+.1f})"
