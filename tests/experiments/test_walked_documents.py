"""The documents' commands, run one after the other as a reader would.

All run in one directory, with a few small photos where the reader has many, and
with trainings of one epoch. The published recipes have a test of their own.
"""

import json
import pathlib
import shutil

import numpy as np
import PIL.Image
import pytest

import agem_tf

pytestmark = pytest.mark.long
ROOT = pathlib.Path(agem_tf.__file__).parents[1]
# Trainings of the same parts, in seconds and on the photos below.
SHRUNK = {
    "data.directory": "data/mine",
    "data.options": "{}",
    "image.size": "64",
    "training.epochs": "1",
    "training.batch_tuples": "2",
}
SHRUNK_MINING = {
    "mining.num_queries": "6",
    "mining.pool_size": "20",
    "mining.num_negatives": "2",
}
# Of other options: fewer words than there are features.
SMALLER = {"--num_words=1024": "--num_words=64"}
# What the test can't run, by a part of the command, and why.
NOT_RUN = {
    "agem_tf.serve": "serves until it is stopped; see tests/serving",
    "--watch": "watches until it is stopped; see tests/library",
    "--strategy=tpu": "needs a TPU",
    "agem_tf.tpu_check": "needs the TPU compiler's environment",
    "http://localhost:19530": "needs a Milvus server",
    "gs://": "needs a bucket; see tests/training/test_remote_run.py",
    "descriptors/revisitop1m": "needs a million photos",
}


def _photos(place_photos, folder, places):
    for place, number, photo in place_photos(places, 4):
        path = folder / f"place {place}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.save(path)


@pytest.fixture(scope="module")
def directory(tmp_path_factory, place_photos, roxford_download):
    """What a reader has before the first command."""
    root = tmp_path_factory.mktemp("reader")
    (root / "experiments").symlink_to(ROOT / "experiments")
    (root / "downloads").mkdir()
    (root / "downloads/roxford5k").symlink_to(roxford_download)
    _photos(place_photos, root / "photos", 32)
    for folder in "more", "folder", "new":
        shutil.copytree(root / "photos/place 2", root / folder)
    shutil.copytree(root / "photos/place 3", root / "photos/beach")
    for name in "photo.jpg", "a.jpg", "b.jpg", "c.jpg", "more/old.jpg":
        shutil.copy(root / "photos/place 1/1.jpg", root / name)
    rows = ["photo,year,landmark", "place 0/0.jpg,2021,town hall"]
    (root / "photos.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def walk(directory, documented_commands, run_command):
    """Returns a function that runs the commands of a document or section."""

    def run(document: str, section: str = "") -> int:
        ran = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(directory)
            for module, *arguments in documented_commands(
                ROOT / document, section
            ):
                command = " ".join([module, *arguments])
                if any(part in command for part in NOT_RUN):
                    continue
                if ">" in arguments:
                    arguments = arguments[: arguments.index(">")]
                arguments = [SMALLER.get(a, a) for a in arguments]
                if module == "agem_tf.train":
                    classifies = "experiments/del" in command
                    changes = SHRUNK | ({} if classifies else SHRUNK_MINING)
                    arguments += [
                        f"--set={name}={value}"
                        for name, value in changes.items()
                        if name not in command
                    ]
                run_command(module, arguments)
                ran += 1
        return ran

    return run


@pytest.fixture(scope="module")
def readme(walk):
    """The directory after the README's commands on own photos."""
    sections = "Search your own photos", "Train on them", "Evaluate"
    return [walk("README.md", section) for section in sections]


def test_the_readme(readme, directory):
    assert readme == [4, 3, 4]
    metrics = json.loads((directory / "scores/metrics.json").read_text())
    assert metrics["queries"] == 2


@pytest.mark.parametrize(
    "document", ["docs/data.md", "docs/training.md", "docs/export.md"]
)
def test_a_document(readme, walk, document):
    assert walk(document)


def test_evaluation(readme, walk, directory):
    """Arrays and two evaluations of the reader's own come first."""
    for name in "roxford5k", "queries":
        made = directory / "descriptors" / name
        shutil.copy(made / "descriptors.npy", directory / f"{name}.npy")
    shutil.copy(directory / "downloads/roxford5k/gnd_roxford5k.pkl", directory)
    names = [
        f"place {place}/{number}.jpg" for place in (0, 1) for number in (0, 1)
    ]
    relevant = {"bbx": None, "easy": [1], "hard": [], "junk": [0]}
    truth = {"imlist": names, "qimlist": names[:1], "gnd": [relevant]}
    (directory / "truth.json").write_text(json.dumps(truth))
    for name in "scores_a", "scores_b":
        shutil.copytree(directory / "scores", directory / name)
    assert walk("docs/evaluation.md")


def test_local_features(readme, walk, directory):
    shutil.rmtree(directory / "photos.index", ignore_errors=True)
    (directory / "lift/test").mkdir(parents=True)
    np.savez(
        directory / "lift/test/a.jpg.npz",
        keypoints=np.ones((2, 2)),
        descriptors=np.eye(2),
        scores=np.ones(2),
        scales=np.ones(2),
        size=np.array([70, 90]),
    )
    assert walk("docs/local_features.md")


def test_search(readme, walk, directory):
    shutil.rmtree(directory / "photos.index", ignore_errors=True)
    photos = list((directory / "photos/beach").iterdir())
    PIL.Image.open(photos[0]).save(directory / "photos/beach/new.png")
    for name in "train.index", "test.index":
        shutil.copytree(directory / "mine.index", directory / name)
    assert walk("docs/search.md")


def test_conversion(readme, walk, directory, torch_files, torch_state):
    learned = {"m": np.zeros((512, 1)), "P": np.eye(512)}
    meta = {"architecture": "resnet18", "pooling": "gem"}
    meta |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    meta["Lw"] = {"retrieval-SfM-120k": {"ss": learned, "ms": learned}}
    state = torch_state("resnet18") | {"pool.p": np.array([2.9])}
    torch_files.write_stream(
        directory / "retrievalSfM120k-resnet101-gem.pth",
        {"meta": meta, "state_dict": torch_files.state(state)},
    )
    assert walk("docs/conversion.md")
