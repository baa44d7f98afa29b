"""Compare attentions on photos with much clutter, over seeds, as a table.

    python experiments/attention_table.py runs/attention

Every attention that a backbone can have is trained with the quickstart,
shortened (`recipe_runs.SHORT`), on its buildings behind two to four times as
many trees, people, cars and posts. Finished runs are skipped and interrupted
runs are resumed; `--seeds=3 --backbones=resnet50_half` does fewer.

A row has the Medium mAP of the test landmarks before training (one value, as
new attention starts almost neutral) and after it (mean and standard deviation
of the seeds), the difference from no attention with its 95 % interval (paired
bootstrap over queries, each the mean of its seeds), and the share of the
attention that lies on the landmark beside the landmark's share of the area.
Without attention, the share is that of the norms of the pooled map.
"""

import argparse
import pathlib

import cv2
import keras
import numpy as np
from delf_quickstart import CLUTTERED_SCENE
from recipe_runs import (
    SHORT,
    difference_cell,
    mean_cell,
    query_scores,
    train_seeds,
)

from agem_tf import rendered_landmarks
from agem_tf.config import ImageConfig
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.datasets.synthetic_landmarks import read_view
from agem_tf.distribution.strategies import create_strategy
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
CLUTTER = {"seed": 0, "image_size": 160, "scene": CLUTTERED_SCENE}


def main() -> None:
    """Trains what is missing and prints a Markdown row per attention."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--backbones", nargs="+", choices=ATTENTIONS, default=list(ATTENTIONS)
    )
    given = parser.parse_args()
    data = given.directory / "data"
    print(
        "| backbone | attention | untrained | trained | beyond none "
        "| on the landmark |\n|---|---|---|---|---|---|"
    )
    for backbone in given.backbones:
        plain = None
        for attention in ATTENTIONS[backbone]:
            settings = SHORT | {
                "data.directory": data,
                "data.options": CLUTTER,
                "model.backbone": backbone,
                "model.attention": attention,
                "optimizer.rules": RULES[backbone],
            }
            workdirs = train_seeds(
                given.directory / f"{backbone}_{attention}",
                settings,
                given.seeds,
                untrained=True,
            )
            before = query_scores(workdirs[:1], data, "untrained")
            after = query_scores(workdirs, data)
            plain = after if plain is None else plain
            split = PreparedDataset(data).split("test")
            shares = [attention_shares(each, split) for each in workdirs]
            on_landmark, area = np.mean(shares, axis=0)
            print(
                f"| {backbone} | {attention} | {mean_cell(before)} "
                f"| {mean_cell(after)} | {difference_cell(after, plain)} "
                f"| {on_landmark:.1f} of {area:.1f} |",
                flush=True,
            )


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
