"""Check that memory and disk use do not grow over many epochs.

    python experiments/benchmarks/long_run.py

Trains a tiny recipe in a temporary folder and prints the anonymous memory of
the process (minimum and maximum since the previous row) and the size of the
folder.
"""

import json
import pathlib
import tempfile
import threading
from collections.abc import Iterator

from absl import app, flags
from measuring import anonymous_bytes, print_table

from agem_tf import config
from agem_tf.training import job

_EPOCHS = flags.DEFINE_integer("epochs", 200, "Epochs to train.")
_ROWS = flags.DEFINE_integer("rows", 8, "Rows of the table.")


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        workdir = pathlib.Path(folder)
        training = threading.Thread(
            target=job.run_recipe, args=(_recipe(), workdir), daemon=True
        )
        training.start()
        print_table(_rows(training, workdir))


def _rows(
    training: threading.Thread, workdir: pathlib.Path
) -> Iterator[dict[str, object]]:
    step = max(1, _EPOCHS.value // _ROWS.value)
    wanted = iter(range(step, _EPOCHS.value + 1, step))
    epoch, mebibytes = next(wanted), []
    while training.is_alive():
        training.join(timeout=0.05)
        mebibytes.append(anonymous_bytes() / 2**20)
        if _finished_epochs(workdir) < epoch:
            continue
        yield {
            "epoch": epoch,
            "least MiB": f"{min(mebibytes):.0f}",
            "most MiB": f"{max(mebibytes):.0f}",
            "KiB of checkpoints": _kibibytes(workdir / "checkpoints"),
            "KiB of TensorBoard": _kibibytes(workdir / "tensorboard"),
            "files": sum(path.is_file() for path in workdir.rglob("*")),
        }
        epoch, mebibytes = next(wanted, _EPOCHS.value + 1), []


def _finished_epochs(workdir: pathlib.Path) -> int:
    history = workdir / "history.json"
    return len(json.loads(history.read_text())) if history.exists() else 0


def _kibibytes(folder: pathlib.Path) -> int:
    sizes = (path.stat().st_size for path in folder.rglob("*.*"))
    return sum(sizes) // 2**10


def _recipe() -> config.Config:
    recipe = config.Config(name="long_run")
    recipe.data.options = {
        "train_landmarks": 6,
        "validation_landmarks": 4,
        "test_landmarks": 0,
        "photos_per_landmark": 3,
        "image_size": 64,
    }
    recipe.data.test_split = ""
    recipe.image = config.ImageConfig(32)
    recipe.model.backbone, recipe.model.weights = "vgg16", None
    recipe.model.feature_map, recipe.model.attention = "C2", "none"
    recipe.optimizer = config.OptimizerConfig(rules=[config.OptimizerRule("*")])
    recipe.training = config.TrainingConfig(epochs=_EPOCHS.value)
    return recipe


if __name__ == "__main__":
    app.run(main)
