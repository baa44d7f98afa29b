"""What a run shows of its finished epochs: best.keras, history.json, curves.

All of it follows from the checkpoint that ends an epoch and is written after
it; history.json last, so that it tells whether the rest is there.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

from agem_tf.config import Config
from agem_tf.data.prepared import PreparedDataset
from agem_tf.models import AGeM
from agem_tf.pictures import evenly_spaced, load_squares
from agem_tf.training.runs import save_model
from agem_tf.training.summaries import Summaries
from agem_tf.training.workdir import BEST_MODEL, HISTORY, write_json

_PICTURED_PHOTOS = 4


class Publisher:
    """Writes the files of each epoch that has ended.

    Args:
        config: the recipe.
        workdir: where the files go.
        dataset: some of its validation photos are pictured.
        model: what is trained.
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        dataset: PreparedDataset,
        model: AGeM,
    ):
        self._workdir, self._model = workdir, model
        self._select_best = config.training.select_best
        pictured = dataset.split(config.data.validation_split)
        self._summaries = Summaries(
            workdir / "tensorboard",
            load_squares(
                pictured,
                config.image,
                evenly_spaced(len(pictured), _PICTURED_PHOTOS),
            ),
        )

    def publish(self, history: Sequence[Mapping[str, float]]) -> None:
        """Writes the files of the last epoch, unless they are there.

        Args:
            history: a dict an epoch; the model has the weights of the last.
        """
        if not history or self._published() == history:
            return
        if _is_best(history, self._select_best):
            save_model(self._model, self._workdir / BEST_MODEL)
        self._summaries.write(len(history) - 1, history[-1], self._model)
        write_json(self._workdir / HISTORY, history)

    def _published(self) -> list[dict[str, float]] | None:
        try:
            return json.loads((self._workdir / HISTORY).read_bytes())
        except (OSError, ValueError):
            return None


def _is_best(history: Sequence[Mapping[str, float]], key: str) -> bool:
    scores = [row[key] for row in history]
    best = min(scores) if key.endswith("loss") else max(scores)
    return scores[-1] == best
