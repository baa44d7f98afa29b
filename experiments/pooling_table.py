"""Compare poolings on rendered photos, frozen and trained, as a table.

    python experiments/pooling_table.py runs/poolings

Every pooling is trained with the quickstart, shortened (`recipe_runs.SHORT`).
Finished runs are skipped and interrupted runs are resumed; `--seeds=1` and
`--poolings gem mac` do fewer.

A row has the Medium mAP of the test landmarks before training and after it
(mean and standard deviation of the seeds), and the difference of the latter
from GeM with its 95 % interval (paired bootstrap over queries, each the mean of
its seeds).
"""

import argparse
import pathlib

from recipe_runs import (
    SHORT,
    difference_cell,
    mean_cell,
    query_scores,
    train_seeds,
)

POOLINGS = (
    *("gem", "weighted_gem", "regional_attention", "pyramid_attention"),
    *("crow", "scda", "mac", "spoc", "rmac"),
)


def main() -> None:
    """Trains what is missing and prints a Markdown row per pooling."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--poolings", nargs="+", choices=POOLINGS, default=POOLINGS
    )
    given = parser.parse_args()
    data = given.directory / "data"
    gem = None
    print("| pooling | frozen | trained | beyond GeM |\n|---|---|---|---|")
    for pooling in dict.fromkeys(["gem", *given.poolings]):
        settings = SHORT | {
            "data.directory": data,
            "data.options": {"seed": 0, "image_size": 160},
            "model.pooling": pooling,
        }
        workdirs = train_seeds(
            given.directory / pooling, settings, given.seeds, untrained=True
        )
        frozen = query_scores(workdirs[:1], data, "untrained")
        trained = query_scores(workdirs, data)
        gem = trained if gem is None else gem
        print(
            f"| {pooling} | {mean_cell(frozen)} | {mean_cell(trained)} "
            f"| {difference_cell(trained, gem)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
