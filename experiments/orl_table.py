"""Run the ablation on the ORL faces and print it as a table.

    python experiments/orl_table.py runs/orl data/orl

Combines every attention with every pooling, each in its own workdir. Finished
runs are skipped and interrupted runs are resumed. Further arguments, for
example --set=model.backbone=resnet50_half, are passed to every run. A row has
mAP in percent, first frozen and then trained: plain, with learned whitening as
published, and with the recipe's shrinkage.
"""

import itertools
import pathlib
import sys

from recipe_runs import train

from agem_tf.config.loading import load_recipe
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.evaluation.evaluating import evaluate_descriptors

ATTENTIONS = ("none", "cbam")
POOLINGS = ("mac", "spoc", "gem", "rmac")
RECIPE = pathlib.Path(__file__).with_name("orl_faces.py")


def scores(descriptors: pathlib.Path, dataset: PreparedDataset) -> list[float]:
    """Returns mAP in percent, plain and with both whitenings."""
    config = load_recipe(RECIPE)
    train = DescriptorSet.load(descriptors / "train")
    test = DescriptorSet.load(descriptors / "test")
    labels = dataset.split(config.data.train_split).labels
    shrinkages = (0.0, config.extraction.whitening_shrinkage)
    whitened = [
        learn_by_method("learned", train, labels, shrinkage).apply_to(test)
        for shrinkage in shrinkages
    ]
    truth = dataset.ground_truth(config.data.test_split)
    evaluations = [evaluate_descriptors(s, truth) for s in (test, *whitened)]
    return [
        100 * evaluation.scores.medium.mean_average_precision
        for evaluation in evaluations
    ]


def main(directory: str, data: str, *overrides: str) -> None:
    """Prints a Markdown row per variant."""
    for attention, pooling in itertools.product(ATTENTIONS, POOLINGS):
        workdir = pathlib.Path(directory, f"{attention}_{pooling}")
        settings = {
            "data.directory": data,
            "model.attention": attention,
            "model.pooling": pooling,
        }
        train(workdir, RECIPE.name, settings, *overrides)
        dataset = PreparedDataset(data)
        cells = [
            f"{score:.1f}"
            for stage in ("untrained", "trained")
            for score in scores(workdir / "descriptors" / stage, dataset)
        ]
        print("|", " | ".join([attention, pooling, *cells]), "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
