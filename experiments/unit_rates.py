"""How far the scores of AGeM's units move, by their learning rate.

    python experiments/unit_rates.py runs/unit_rates

Trains agem_resnet101_sfm120k.py with its learning rates on rendered landmarks
and on a half-width ResNet-50 with real weights, once per factor on the rate of
the units, and prints the scores of its photos. They start at 0.982 everywhere.
"""

import argparse
import pathlib

import keras
import numpy as np
from recipe_runs import train

from agem_tf.config import ImageConfig
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.distribution.strategies import create_strategy
from agem_tf.layers.attention_units import AttentionUnit
from agem_tf.models import AGeM
from agem_tf.pages.attention import load_squares
from agem_tf.training import runs

PHOTOS = 40
SETTINGS = {
    "data.dataset": "synthetic_landmarks",
    "data.options": (
        "{'train_landmarks':24,'validation_landmarks':8,'test_landmarks':0}"
    ),
    "model.backbone": "resnet50_half",
    "model.weights": "imagenet",
    "image.size": 160,
    "image.buckets": "()",
    "mining.num_queries": 100,
    "mining.pool_size": 60,
    "mining.num_negatives": 2,
    "training.checkpoint_steps": 0,
}
RULES = (
    "[{'pattern':'pooling*/p','learning_rate_scale':10.0},"
    "{'pattern':'attention_*','learning_rate_scale':FACTOR,"
    "'weight_decay':1e-6},{'pattern':'*','weight_decay':1e-6}]"
)


def main() -> None:
    """Trains what is missing and prints a Markdown row per factor."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 20])
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    print("| units' rate | unit | mean | 1% | 99% |\n|---|---|---|---|---|")
    for factor in given.factors:
        workdir = given.directory / f"factor_{factor:g}"
        settings = SETTINGS | {
            "data.directory": given.directory / "data",
            "optimizer.rules": RULES.replace("FACTOR", f"{factor:g}"),
            "training.epochs": given.epochs,
        }
        train(workdir, "agem_resnet101_sfm120k.py", settings)
        model = runs.open_run(workdir, create_strategy("one")).model
        split = PreparedDataset(given.directory / "data").split("validation")
        for unit, values in unit_scores(model, split).items():
            low, high = np.quantile(values, (0.01, 0.99))
            print(
                f"| x {factor:g} | {unit} | {values.mean():.4f} "
                f"| {low:.4f} | {high:.4f} |",
                flush=True,
            )


def unit_scores(model: AGeM, split: Split) -> dict[str, np.ndarray]:
    """Returns the scores of each unit, on the first photos of a split."""
    units = [each for each in model.layers if isinstance(each, AttentionUnit)]
    network = keras.Model(model.inputs[0], [each.output for each in units])
    photos = load_squares(split, ImageConfig(160), range(PHOTOS))
    scores = network(photos.astype(np.float32), training=False)
    return {
        unit.name: keras.ops.convert_to_numpy(values)
        for unit, values in zip(units, scores, strict=True)
    }


if __name__ == "__main__":
    main()
