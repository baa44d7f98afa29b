"""Compare attentions on photos with much clutter, over seeds, as a table.

    python experiments/attention_table.py runs/attention

Every attention that a backbone can have is trained with one recipe and budget,
half the quickstart's epochs, on the quickstart's buildings behind two to four
times as many trees, people, cars and posts. Finished runs are skipped and
interrupted runs are resumed; `--seeds=3 --backbones=resnet50_half` does fewer.

A row has the Medium mAP of the test landmarks before training (one value, as
new attention starts almost neutral) and after it (mean and standard deviation
of the seeds), the difference from no attention with its 95 % interval (paired
bootstrap over queries, each the mean of its seeds), and the share of the
attention that lies on the landmark beside the landmark's share of the area.
Without attention, the share is that of the norms of the pooled map.
"""

import argparse
import pathlib
import subprocess
import sys

import cv2
import keras
import numpy as np

from agem_tf import rendered_landmarks
from agem_tf.config import ImageConfig
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.datasets.synthetic_landmarks import read_view
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.distribution.strategies import create_strategy
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.intervals import mean_interval
from agem_tf.pages.attention import load_squares
from agem_tf.pages.photo_sources import load_photo
from agem_tf.training import runs

ATTENTIONS = {
    "efficientnet_lite0": ("none", "cbam"),
    "resnet50_half": ("none", "cbam", "agem"),
}
# New attention starts from nothing, so that it learns ten times faster.
NEW = (
    "{'pattern':'pooling*/p','learning_rate_scale':10.0},"
    "{'pattern':'attention*','learning_rate_scale':10.0,'optional':True}"
)
RULES = {
    "efficientnet_lite0": f"[{NEW},"
    "{'pattern':'*','learning_rate_scale':0.0,'up_to':'C3'},"
    "{'pattern':'*','weight_decay':1e-6}]",
    "resnet50_half": f"[{NEW},{{'pattern':'conv5_*','weight_decay':1e-6}},"
    "{'pattern':'*','learning_rate_scale':0.0}]",
}
CLUTTER = (
    "{'seed':0,'scene':{'mean_trees':3.0,'mean_people':10.0,"
    "'mean_vehicles':4.0,'mean_posts':4.0,'foreground_share':0.6}}"
)


def main() -> None:
    """Trains what is missing and prints a Markdown row per attention."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=list(ATTENTIONS))
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    for backbone in given.backbones:
        plain = None
        for attention in ATTENTIONS[backbone]:
            workdirs = [
                given.directory / f"{backbone}_{attention}_{seed}"
                for seed in range(given.seeds)
            ]
            for seed, workdir in enumerate(workdirs):
                train(workdir, backbone, attention, seed, given.epochs)
            dataset = PreparedDataset(given.directory / "data")
            before = query_scores(workdirs[0], "untrained", dataset)
            after = np.stack(
                [query_scores(w, "trained", dataset) for w in workdirs]
            )
            plain = after if plain is None else plain
            seeds = np.nanmean(after, axis=1)
            low, high = mean_interval((after - plain).mean(axis=0))
            on_landmark, area = np.mean(
                [attention_shares(w, dataset.split("test")) for w in workdirs],
                axis=0,
            )
            print(
                f"| {backbone} | {attention} | {np.nanmean(before):.1f} "
                f"| {seeds.mean():.1f} ± {seeds.std(ddof=1):.1f} "
                f"| {np.nanmean(after - plain):+.1f} ({low:+.1f}, {high:+.1f}) "
                f"| {on_landmark:.1f} of {area:.1f} |",
                flush=True,
            )


def train(
    workdir: pathlib.Path, backbone: str, attention: str, seed: int, epochs: int
) -> None:
    """Trains one network unless it is finished."""
    if (workdir / "metrics.json").exists():
        return
    settings = {
        "data.directory": workdir.parent / "data",
        "data.options": CLUTTER,
        "model.backbone": backbone,
        "model.attention": attention,
        "optimizer.rules": RULES[backbone],
        "training.epochs": epochs,
        "training.seed": seed,
    }
    command = [
        *(sys.executable, "-m", "agem_tf.train", f"--workdir={workdir}"),
        f"--config={pathlib.Path(__file__).with_name('quickstart.py')}",
        *(f"--set={name}={value}" for name, value in settings.items()),
    ]
    subprocess.run(command, check=True)


def query_scores(
    workdir: pathlib.Path, stage: str, dataset: PreparedDataset
) -> np.ndarray:
    """Returns the Medium AP of every query in percent, NaN if not scored."""
    directory = workdir / "descriptors" / stage
    evaluation = evaluate_descriptors(
        DescriptorSet.load(directory / "test"),
        dataset.ground_truth("test"),
        DescriptorSet.load(directory / "test_queries"),
    )
    return 100 * evaluation.scores.medium.average_precisions


def attention_shares(
    workdir: pathlib.Path, split: Split
) -> tuple[float, float]:
    """Returns the landmark's share of the attention and of the area.

    Both in percent, means over the photos of the split.
    """
    run = runs.open_run(workdir, create_strategy("one"))
    shares = []
    for start in range(0, len(split), 20):
        indices = range(start, min(start + 20, len(split)))
        photos = load_squares(split, ImageConfig(160), indices)
        maps = keras.ops.convert_to_numpy(
            run.model.attention_maps(photos.astype(np.float32))
        )
        for photo, attention in zip(indices, maps, strict=True):
            mask = _mask(split, photo, attention.shape)
            shares.append(
                ((attention * mask).sum() / attention.sum(), mask.mean())
            )
    return tuple(100 * np.mean(shares, axis=0))


def _mask(split: Split, photo: int, shape: tuple[int, int]) -> np.ndarray:
    """Returns the share of each cell of a map that shows the landmark."""
    view = read_view(split, photo)
    landmark = rendered_landmarks.make_landmark(0, view.landmark)
    size = load_photo(split, photo).size
    mask = rendered_landmarks.landmark_mask(view, landmark, *size)
    return cv2.resize(
        mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA
    )


if __name__ == "__main__":
    main()
