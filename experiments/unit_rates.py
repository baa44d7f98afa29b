"""How far the scores of AGeM's units move, by learning rate and initial bias.

    python experiments/unit_rates.py runs/unit_rates
    python experiments/unit_rates.py runs/unit_rates --factors 20 --biases 2 0

Trains agem_resnet101_sfm120k.py with its learning rates on rendered landmarks
and on a half-width ResNet-50 with real weights, once per initial bias and
factor on the rate of the units, and prints the scores of photos of validation,
which start at `sigmoid(bias)` everywhere, and the mAP of validation, both after
the last epoch.
"""

import argparse
import itertools
import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
from recipe_runs import train

from agem_tf.config import ImageConfig
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.layers.attention_units import AttentionUnit
from agem_tf.models import AGeM
from agem_tf.pages.attention import load_squares
from agem_tf.training.networks import create_model
from agem_tf.training.workdir import read_recipe

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
    parser.add_argument("--biases", type=float, nargs="+", default=[4])
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    print(
        "| bias | units' rate | unit | mean | 1% | 99% | mAP |\n"
        "|---|---|---|---|---|---|---|"
    )
    for bias, factor in itertools.product(given.biases, given.factors):
        workdir = given.directory / f"bias_{bias:g}_factor_{factor:g}"
        settings = SETTINGS | {
            "data.directory": given.directory / "data",
            "model.attention_bias": bias,
            "optimizer.rules": RULES.replace("FACTOR", f"{factor:g}"),
            "training.epochs": given.epochs,
        }
        train(workdir, "agem_resnet101_sfm120k.py", settings)
        history = json.loads((workdir / "history.json").read_text())
        score = 100 * history[-1]["validation_map"]
        recipe = read_recipe(workdir)
        # Of the last epoch; the run's model is that of the best.
        recipe.model.weights = tf.train.latest_checkpoint(
            str(workdir / "checkpoints")
        )
        model = create_model(recipe)
        split = PreparedDataset(given.directory / "data").split("validation")
        for unit, values in unit_scores(model, split).items():
            low, high = np.quantile(values, (0.01, 0.99))
            print(
                f"| {bias:g} | x {factor:g} | {unit} | {values.mean():.4f} "
                f"| {low:.4f} | {high:.4f} | {score:.1f} |",
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
