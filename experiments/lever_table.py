"""Change the quickstart one setting at a time, over seeds, as a table.

    python experiments/lever_table.py runs/levers
    python experiments/lever_table.py runs/levers_real --photos=data/photos

The recipe is the quickstart with its own steps, because shorter training with
larger steps hurts on real photos; `--epochs=3` does half of them. Finished runs
are skipped and interrupted runs are resumed; `--seeds=1 --levers rate_10
squares` does fewer. `--photos` is a prepared dataset of real photos, all in its
test split, which every run also scores; give another directory than without it,
because finished runs are not scored again:

    python -m agem_tf.prepare --source=photos --data_dir=data/photos \
        --option 'test=*'

A row has the Medium mAP of the rendered test landmarks (mean and standard
deviation of the seeds) and its difference from the recipe with its 95 %
interval (paired bootstrap over queries, each the mean of its seeds), and the
same for the real photos, each a query for the others, at 362 pixels. The first
row is the network before training.
"""

import argparse
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from recipe_runs import (
    difference_cell,
    mean_cell,
    query_scores,
    train_seeds,
)

from agem_tf.datasets.preparation import prepare

RECIPE = "recipe"
LANDMARKS = {"seed": 0}
LEVERS = {
    RECIPE: {},
    "rate_10": {"optimizer.learning_rate": 3e-4},
    "constant_rate": {
        "optimizer.schedule": "constant",
        "optimizer.warmup_steps": 0,
    },
    "no_average": {"optimizer.average": 0},
    "all_layers": {
        "optimizer.rules": (
            "[{'pattern':'pooling*/p','learning_rate_scale':10.0},"
            "{'pattern':'*','weight_decay':1e-6}]"
        )
    },
    "c5_only": {
        "optimizer.rules": (
            "[{'pattern':'pooling*/p','learning_rate_scale':10.0},"
            "{'pattern':'*','learning_rate_scale':0.0,'up_to':'C4'},"
            "{'pattern':'*','weight_decay':1e-6}]"
        )
    },
    "near_start": {"loss.start_weight": 1.0},
    "near_start_weak": {"loss.start_weight": 0.1},
    "rate_10_near_start": {
        "optimizer.learning_rate": 3e-4,
        "loss.start_weight": 1.0,
    },
    "rate_10_near_start_weak": {
        "optimizer.learning_rate": 3e-4,
        "loss.start_weight": 0.1,
    },
    "squares": {"image.resize": "square"},
    "pixels_128": {"image.size": 128},
    "pixels_224": {"image.size": 224},
    "augmented": {
        "augmentation.crop": 0.6,
        "augmentation.flip": 0.5,
        "augmentation.colour": 0.5,
        "augmentation.blur": 0.2,
        "augmentation.noise": 5,
        "augmentation.jpeg_quality": 40,
        "augmentation.erase": 0.2,
    },
    "no_attention": {"model.attention": "none"},
    "other_landmarks": {
        "data.options": LANDMARKS | {"seed": 1, "test_landmarks": 0}
    },
    "twice_the_landmarks": {
        "data.options": LANDMARKS
        | {
            "seed": 1,
            "train_landmarks": 96,
            "validation_landmarks": 20,
            "test_landmarks": 0,
            "photos_per_landmark": 5,
        }
    },
}


def main() -> None:
    """Trains what is missing and prints a Markdown row per lever."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument(
        "--levers", nargs="+", choices=LEVERS, default=list(LEVERS)
    )
    parser.add_argument("--photos", type=pathlib.Path)
    given = parser.parse_args()
    rendered = given.directory / "data"
    prepare("synthetic_landmarks", rendered, LANDMARKS)
    benchmarks = [{"name": "rendered", "directory": str(rendered)}]
    if given.photos:
        photos = {"name": "real", "directory": str(given.photos), "size": 362}
        benchmarks.append(photos)
    columns = " | ".join(
        f"{each['name']} | beyond recipe" for each in benchmarks
    )
    print(f"| setting | {columns} |\n|---{'|---|---' * len(benchmarks)}|")
    plain: dict[str, np.ndarray] = {}
    for lever in dict.fromkeys([RECIPE, *given.levers]):
        runs = given.directory / lever
        own_data = "data.options" in LEVERS[lever]
        settings = {
            "data.directory": runs / "data" if own_data else rendered,
            "data.test_split": "",
            "evaluation.benchmarks": benchmarks,
            "training.epochs": given.epochs,
        }
        workdirs = train_seeds(
            runs, settings | LEVERS[lever], given.seeds, untrained=not plain
        )
        scores = benchmark_scores(workdirs, benchmarks, "trained")
        if not plain:
            plain = scores
            before = benchmark_scores(workdirs[:1], benchmarks, "untrained")
            print_row("untrained", before, plain)
        print_row(lever, scores, plain)


def benchmark_scores(
    workdirs: Sequence[pathlib.Path],
    benchmarks: Sequence[Mapping[str, object]],
    stage: str,
) -> dict[str, np.ndarray]:
    """Returns the AP of each benchmark, see `query_scores`."""
    return {
        each["name"]: query_scores(
            workdirs, each["directory"], stage, each["name"]
        )
        for each in benchmarks
    }


def print_row(
    name: str, scores: dict[str, np.ndarray], plain: dict[str, np.ndarray]
) -> None:
    """Prints a Markdown row: mAP and what it is beyond the recipe's."""
    cells = [
        f"{mean_cell(values)} | {difference_cell(values, plain[title])}"
        for title, values in scores.items()
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
