"""Fuzz the readers of files with seeded mutations.

    python experiments/benchmarks/mutated_files.py --mutations=1000

Each reader gets a small valid file, then mutations of it: flipped bits,
overwritten, removed, inserted and repeated bytes, and extreme integers, half of
them in the first or last 512 bytes. In JSON files each value is then replaced
by values of other types. A mutation may load, or be refused with one UserError;
any other exception escapes, and its number is printed. Files with checksums may
not load with other values; "untrusted" ones get checksums that fit the
mutation, as an attacker could write them.
"""

import dataclasses
import itertools
import json
import math
import pathlib
import pickle
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import keras
import numpy as np
import PIL.Image
import tensorflow as tf
from absl import app, flags

from agem_tf.config import Config
from agem_tf.config.loading import recipe_to_dict
from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.datasets.public.retrieval_sfm import read_sfm_pickle
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureSet,
    LocalFeatureWriter,
)
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.ground_truth_files import (
    derive_ground_truth,
    load_published,
)
from agem_tf.evaluation.results import StoredScores, write_numbers
from agem_tf.extraction.imported_features import import_features
from agem_tf.files.arrays import load_array, load_arrays
from agem_tf.files.manifest import (
    file_facts,
    read_manifest,
    sealed,
    write_manifest,
)
from agem_tf.files.matlab_files import read_matlab
from agem_tf.library.metadata_files import read_metadata
from agem_tf.models import AGeM
from agem_tf.models.presets import read_preset
from agem_tf.photos.listing import list_landmarks
from agem_tf.retrieval.indexes import storage_at
from agem_tf.retrieval.indexes.storage import Origin
from agem_tf.retrieval.local_indexes import (
    Codebook,
    CodebookIndex,
    load_feature_index,
)
from agem_tf.training import workdir
from agem_tf.training.checkpoints import load_variables
from agem_tf.weights import keras_files, packaged_weights, pytorch_files

_MUTATIONS = flags.DEFINE_integer("mutations", 1000, "Mutations per reader.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the mutations.")
_EDGE = 512
_OTHER_VALUES = (None, [], {}, "x", -1, 10**30, math.inf, [[]], {"a": {}}, "\0")
_EXTREMES = (b"\xff" * 4, b"\xff" * 8, b"\x7f" * 8, b"\0" * 8, b"\x80" * 4)


class Reader(NamedTuple):
    """A reader of one format.

    Attributes:
        file: Name of the file that is mutated, or a pattern.
        write: Writes a valid file, and what belongs to it, into a directory.
        read: Reads it from the directory.
        detects: Whether altered values are detected.
        slow: Whether reading the file takes some tenths of a second.
    """

    file: str
    write: Callable[[pathlib.Path], object]
    read: Callable[[pathlib.Path], Any]
    detects: bool = False
    slow: bool = False


class Outcomes(NamedTuple):
    """Number of mutations by outcome, and the first that escaped."""

    same: int
    other: int
    refused: int
    escaped: dict[int, BaseException]
    slowest: float


@keras.saving.register_keras_serializable(package="agem_tf_fuzzing")
class TinyModel(keras.Model):
    """Dense layer with few weights.

    Args:
        units: Number of outputs.
        name: Name of the model.
    """

    def __init__(self, units: int = 3, name: str = "tiny"):
        inputs = keras.Input((2,))
        layer = keras.layers.Dense(units, name="dense")
        super().__init__(inputs, layer(inputs), name=name)
        self.units = units

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, "name": self.name}


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Returns content with one to three mutations."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        size = max(len(data), 1)
        place = int(rng.integers(size))
        if rng.random() < 0.5:
            place = int(rng.integers(min(_EDGE, size)))
            place = place if rng.random() < 0.5 else size - 1 - place
        end = place + int(rng.integers(1, 16))
        kind = rng.integers(7)
        if kind <= 1 and data:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[place:end] = rng.bytes(end - place)
        elif kind == 3:
            del data[place : end if rng.random() < 0.5 else None]
        elif kind == 4:
            data[place:place] = rng.bytes(end - place)
        elif kind == 5:
            data[place:place] = data[place : place + int(rng.integers(64))]
        else:
            extreme = _EXTREMES[rng.integers(len(_EXTREMES))]
            data[place : place + len(extreme)] = extreme
    return bytes(data)


def replaced(content: bytes) -> Iterator[bytes]:
    """Yields JSON in which one value is of another type or extreme."""
    root = json.loads(content)
    # Without it, any other value may be altered, as an author could.
    if "checksum" in root:
        root["checksum"] = None

    def places(value: Any) -> Iterator[tuple[Any, Any]]:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            yield value, key
            if isinstance(item, dict | list):
                yield from places(item)

    for container, key in places(root):
        original = container[key]
        for value in _OTHER_VALUES:
            container[key] = value
            yield json.dumps(root).encode()
        container[key] = original


def fuzz(reader: Reader, mutations: int, seed: int = 0) -> Outcomes:
    """Reads mutations of a valid file.

    Args:
        reader: What is tried.
        mutations: Number of mutations.
        seed: Seed of all of them.
    """
    same = other = refused = 0
    escaped: dict[int, BaseException] = {}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        reader.write(directory)
        (path,) = directory.glob(reader.file)
        whole = path.read_bytes()
        expected = reader.read(directory)
        rng = np.random.default_rng(seed)
        contents = itertools.chain(
            (mutated(whole, rng) for _ in range(mutations)),
            replaced(whole) if reader.file.endswith(".json") else (),
        )
        for number, content in enumerate(contents):
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                value = reader.read(directory)
            except UserError as error:
                refused += 1
                if "\n" in str(error):
                    escaped[number] = error
            # The Rust library of safetensors panics with BaseExceptions.
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                escaped[number] = error
            else:
                is_same = _equal(value, expected)
                same, other = same + is_same, other + (not is_same)
            slowest = max(slowest, time.perf_counter() - start)
    return Outcomes(same, other, refused, escaped, slowest)


def readers() -> dict[str, Reader]:
    """Returns the readers that are tried, by format.

    Those of safetensors and ONNX only where the package is installed.
    """
    return {
        "manifest.json": Reader("manifest.json", _write_manifest, _manifest),
        "manifest of descriptors": Reader(
            "manifest.json", _write_descriptors, _descriptors
        ),
        "manifest of a whitening": Reader(
            "manifest.json", _write_whitening, _whitening
        ),
        "manifest of an index": Reader("manifest.json", _write_index, _index),
        "manifest of a codebook": Reader(
            "manifest.json", _write_codebook, _codebook
        ),
        "manifest of an index of words": Reader(
            "manifest.json", _write_word_index, _word_index
        ),
        "config.json of a run": Reader(
            "config.json",
            lambda folder: workdir.claim_workdir(folder, Config("x"), "0"),
            lambda folder: recipe_to_dict(workdir.read_recipe(folder)),
        ),
        "history.json of a run": Reader(
            "history.json",
            _write_history,
            lambda folder: workdir.check_workdir(folder, Config("x")),
        ),
        "untrusted config.json of a preset": Reader(
            "config.json", _write_preset, _preset, slow=True
        ),
        "untrusted preprocessor.json of a preset": Reader(
            "preprocessor.json", _write_preset, _preset, slow=True
        ),
        "untrusted weights of a preset": Reader(
            "model.weights.h5", _write_preset, _preset, slow=True
        ),
        "manifest of a preset": Reader(
            "manifest.json", _write_preset, _preset_as_it_is, slow=True
        ),
        "untrusted index of a dataset": Reader(
            "data/index/train.npz",
            _write_dataset,
            lambda folder: _resealed(_dataset)(folder / "data"),
        ),
        "checkpoint of a run": Reader(
            "ckpt-1.data*", _write_checkpoint, _checkpoint
        ),
        "index of a checkpoint of a run": Reader(
            "ckpt-1.index", _write_checkpoint, _checkpoint
        ),
        "ground truth .json": Reader(
            "gnd.json",
            _write_ground_truth_json,
            lambda folder: GroundTruth.load(folder / "gnd.json").to_dict(),
        ),
        ".npy": Reader(
            "x.npy",
            lambda folder: np.save(folder / "x.npy", _MATRIX),
            lambda folder: load_array(folder / "x.npy", mmap=True)[:],
        ),
        ".npz": Reader(
            "x.npz",
            lambda folder: np.savez(folder / "x.npz", mean=_MATRIX, b=_MATRIX),
            lambda folder: load_arrays(folder / "x.npz", ["mean"], "again"),
        ),
        "descriptors": Reader(
            "descriptors.npy", _write_descriptors, _descriptors, detects=True
        ),
        "whitening": Reader(
            "whitening.npz", _write_whitening, _whitening, detects=True
        ),
        "untrusted descriptors": Reader(
            "descriptors.npy", _write_descriptors, _resealed(_descriptors)
        ),
        "untrusted names": Reader(
            "names.txt", _write_descriptors, _resealed(_descriptors)
        ),
        "untrusted whitening": Reader(
            "whitening.npz", _write_whitening, _resealed(_whitening)
        ),
        "untrusted index": Reader(
            "places.npy", _write_index, _resealed(_index)
        ),
        "untrusted codebook": Reader(
            "words.npy", _write_codebook, _resealed(_codebook)
        ),
        "untrusted entries of words": Reader(
            "parts/*/entries.npy",
            _write_word_index,
            _resealed(_word_index),
        ),
        "untrusted vectors of words": Reader(
            "parts/*/vectors.npy",
            _write_word_index,
            _resealed(_word_index),
        ),
        "untrusted local features": Reader(
            "photos.npy", _write_features, _resealed(_features)
        ),
        "untrusted rows of scores": Reader(
            "per_query.csv", _write_scores, _resealed(_scores)
        ),
        "untrusted metrics.json": Reader(
            "metrics.json", _write_scores, _resealed(_scores)
        ),
        "SfM .pkl": Reader(
            "sfm.pkl",
            _write_sfm_pickle,
            lambda folder: _sfm_parts(folder / "sfm.pkl"),
        ),
        "ground truth .pkl": Reader(
            "gnd.pkl",
            _write_ground_truth_pickle,
            lambda folder: load_published(folder / "gnd.pkl").to_dict(),
        ),
        "photos .csv": Reader(
            "photos.csv",
            lambda folder: (folder / "photos.csv").write_text(_PHOTO_CSV),
            lambda folder: list(list_landmarks(str(folder / "photos.csv"))[1]),
        ),
        "ground truth .csv": Reader(
            "gnd.csv",
            lambda folder: (folder / "gnd.csv").write_text(_IMAGE_CSV),
            lambda folder: derive_ground_truth(
                ["a", "b", "c"], None, folder / "gnd.csv"
            )[0].to_dict(),
        ),
        "metadata .csv": Reader(
            "fields.csv",
            lambda folder: (folder / "fields.csv").write_text(_FIELD_CSV),
            lambda folder: list(read_metadata(str(folder / "fields.csv"))),
        ),
        "metadata .jsonl": Reader(
            "fields.jsonl",
            lambda folder: (folder / "fields.jsonl").write_text(_FIELD_LINES),
            lambda folder: list(read_metadata(str(folder / "fields.jsonl"))),
        ),
        "manifest of local features": Reader(
            "manifest.json", _write_features, _features
        ),
        "local features": Reader(
            "places.npy", _write_features, _features, detects=True
        ),
        "imported features .npz": Reader(
            "a.jpg.npz",
            _write_imported,
            lambda folder: _features_of(
                import_features(folder, folder / "set", "other")
            ),
        ),
        ".mat": Reader("x.mat", _write_matlab, _matlab),
        ".weights.h5": _keras_weights("x.weights.h5"),
        ".h5": _keras_weights("x.h5"),
        ".keras": _keras_weights("x.keras"),
        ".keras of a run": Reader(
            "best.keras", _write_model, _model, detects=True
        ),
        ".pth": Reader(
            "x.pth",
            _write_pytorch,
            lambda folder: pytorch_files.read_state_dictionary(
                folder / "x.pth"
            ),
        ),
        **(_safetensors() if find_spec("safetensors") else {}),
        **(_onnx() if find_spec("onnx") else {}),
    }


def _safetensors() -> dict[str, Reader]:
    import safetensors.numpy

    tensors = {"w": _MATRIX, "b": _MATRIX[0]}
    return {
        ".safetensors": Reader(
            "x.safetensors",
            lambda folder: safetensors.numpy.save_file(
                tensors, folder / "x.safetensors"
            ),
            lambda folder: pytorch_files.read_state_dictionary(
                folder / "x.safetensors"
            ),
        )
    }


def _onnx() -> dict[str, Reader]:
    import onnx

    constants = [
        onnx.numpy_helper.from_array(array.astype(np.float32), name)
        for name, array in (
            ("kernel", np.ones((2, 3, 1, 1))),
            ("bias", np.ones(2)),
        )
    ]
    node = onnx.helper.make_node("Conv", ["x", "kernel", "bias"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [], [], constants)
    model = onnx.helper.make_model(graph)
    return {
        ".onnx": Reader(
            "x.onnx",
            lambda folder: onnx.save(model, folder / "x.onnx"),
            lambda folder: packaged_weights.read_convolutions(
                folder / "x.onnx"
            ),
        )
    }


_MATRIX = np.arange(24, dtype=np.float32).reshape(4, 6)
_PROVENANCE = {"model": "0" * 12, "image": {"size": 64}, "scales": [1.0]}
_GROUND_TRUTH = {
    "imlist": ["a", "b", "c"],
    "qimlist": ["q"],
    "gnd": [{"bbx": [0, 0, 8, 9], "easy": [0], "hard": [2, 1], "junk": []}],
}
_PHOTO_CSV = (
    'path,landmark,x1,y1,x2,y2\na.jpg,5,0,0,9,9\n"b, 1.jpg",7,,,,\n'
    "c.jpg,5,1,2,3.5,4\n"
)
_IMAGE_CSV = "id,images,Usage\nq,a b,Public\nr,c,Private\n"
_FIELD_CSV = 'photo,year,place\na.jpg,1999,"Rome, IT"\nb.jpg,,Paris\n'
_FIELD_LINES = (
    '{"photo": "a.jpg", "year": 1999, "place": "Rome"}\n'
    '{"photo": "b.jpg", "year": null, "wide": true}\n'
)


def _equal(first: Any, second: Any) -> bool:
    try:
        np.testing.assert_equal(first, second)
    except AssertionError:
        return False
    return True


def _write_manifest(folder: pathlib.Path) -> None:
    (folder / "file").write_bytes(b"content")
    write_manifest(folder, "example", provenance=_PROVENANCE)


def _manifest(folder: pathlib.Path) -> Any:
    return read_manifest(folder, "example", verify=True)


def _write_ground_truth_json(folder: pathlib.Path) -> None:
    (folder / "gnd.json").write_text(json.dumps(_GROUND_TRUTH))


def _write_ground_truth_pickle(folder: pathlib.Path) -> None:
    (folder / "gnd.pkl").write_bytes(pickle.dumps(_GROUND_TRUTH, 2))


def _write_descriptors(folder: pathlib.Path) -> None:
    names = [f"photo {i}" for i in range(len(_MATRIX))]
    rows = _MATRIX / np.linalg.norm(_MATRIX, axis=1, keepdims=True)
    DescriptorSet(names, rows, _PROVENANCE).save(folder / "set")
    for file in (folder / "set").iterdir():
        file.rename(folder / file.name)


def _descriptors(folder: pathlib.Path) -> Any:
    return DescriptorSet.load(folder, verify=True).descriptors[:]


def _write_whitening(folder: pathlib.Path) -> None:
    whitening = LinearWhitening(
        _MATRIX[0], np.eye(6, dtype=np.float32), "pca", _PROVENANCE
    )
    whitening.save(folder / "set")
    for file in (folder / "set").iterdir():
        file.rename(folder / file.name)


def _whitening(folder: pathlib.Path) -> Any:
    return LinearWhitening.load(folder, verify=True).projection


def _some_features() -> LocalFeatures:
    return LocalFeatures(
        _MATRIX[:, :2], _MATRIX[:, 2:], _MATRIX[:, 0], _MATRIX[:, 1], (40, 30)
    )


def _write_features(folder: pathlib.Path) -> None:
    with LocalFeatureWriter(folder / "set", ["a", "b"], 4) as writer:
        writer.write(_some_features())
        writer.write(_some_features())
    for file in (folder / "set").iterdir():
        file.rename(folder / file.name)


def _features(folder: pathlib.Path) -> Any:
    return _features_of(LocalFeatureSet.load(folder, verify=True))


def _features_of(features: LocalFeatureSet) -> Any:
    return [dataclasses.asdict(features[name]) for name in features.names]


def _write_imported(folder: pathlib.Path) -> None:
    features = _some_features()
    arrays = dataclasses.asdict(features)
    np.savez(folder / "a.jpg.npz", **arrays)


def _write_index(folder: pathlib.Path) -> None:
    storage = storage_at(str(folder))
    with storage.created() as draft:
        index = draft.start("exact", 6, Origin(_PROVENANCE))
        index.add(["a", "b", "c", "d"], _MATRIX)


def _index(folder: pathlib.Path) -> Any:
    return storage_at(str(folder)).open().index.descriptors[:]


def _resealed(
    read: Callable[[pathlib.Path], Any],
) -> Callable[[pathlib.Path], Any]:
    """Returns a reader that finds checksums of the altered file."""

    def read_sealed_again(folder: pathlib.Path) -> Any:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_bytes())
        del manifest["checksum"]
        manifest["files"] = {
            name: file_facts(folder / name) for name in manifest["files"]
        }
        path.write_text(json.dumps(sealed(manifest)))
        return read(folder)

    return read_sealed_again


def _write_codebook(folder: pathlib.Path) -> None:
    Codebook(_MATRIX[:, 2:], _PROVENANCE).save(folder / "set")
    for file in (folder / "set").iterdir():
        file.rename(folder / file.name)


def _codebook(folder: pathlib.Path) -> Any:
    return Codebook.load(folder).words


def _write_word_index(folder: pathlib.Path) -> None:
    _write_features(folder)
    features = LocalFeatureSet.load(folder)
    index = CodebookIndex(Codebook(_MATRIX[:, 2:]), binary=False)
    index.add(features)
    index.save(folder / "set")
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    for file in (folder / "set").iterdir():
        file.rename(folder / file.name)


def _word_index(folder: pathlib.Path) -> Any:
    index = load_feature_index(folder)
    return index.names, index.similarities(_some_features())


def _write_history(folder: pathlib.Path) -> None:
    workdir.claim_workdir(folder, Config("x"), "0")
    rows = [{"epoch": epoch, "loss": 0.5} for epoch in (1, 1.5, 2)]
    workdir.write_json(folder / "history.json", rows)


def _write_preset(folder: pathlib.Path) -> None:
    model = AGeM(
        backbone="vgg16", weights=None, feature_map="C2", attention="none"
    )
    model.save_preset(folder / "set")
    for file in (folder / "set").iterdir():
        file.rename(folder / file.name)


def _preset_as_it_is(folder: pathlib.Path) -> Any:
    model, image, extraction = read_preset(folder)
    return model.get_config(), model.get_weights(), image, extraction


def _preset(folder: pathlib.Path) -> Any:
    return _resealed(_preset_as_it_is)(folder)


def _write_dataset(folder: pathlib.Path) -> None:
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (40, 30)).save(path)
    options = {"source": str(folder / "photos"), "test": 0.0, "validation": 0.0}
    prepare("photo_folder", folder / "data", options)


def _dataset(folder: pathlib.Path) -> Any:
    split = PreparedDataset(folder).split("train")
    arrays = split.labels, split.boxes, split.sizes, split.files, split.offsets
    return split.names, *map(np.asarray, arrays)


def _write_checkpoint(folder: pathlib.Path) -> None:
    values = [variable.value for variable in TinyModel().variables]
    tf.train.Checkpoint(model=values).write(str(folder / "ckpt-1"))


def _checkpoint(folder: pathlib.Path) -> Any:
    model = TinyModel()
    load_variables(folder / "ckpt-1", model.variables)
    return model.get_weights()


def _write_scores(folder: pathlib.Path) -> None:
    rows = _MATRIX / np.linalg.norm(_MATRIX, axis=1, keepdims=True)
    truth = GroundTruth.from_dict(_GROUND_TRUTH)
    evaluation = evaluate_descriptors(
        DescriptorSet(["a", "b", "c"], rows[:3]),
        truth,
        DescriptorSet(["q"], rows[3:]),
    )
    write_numbers(folder, evaluation, _PROVENANCE)
    write_manifest(folder, "evaluation")


def _scores(folder: pathlib.Path) -> Any:
    return StoredScores.load(folder).per_query


def _write_sfm_pickle(folder: pathlib.Path) -> None:
    part = {
        "cids": ["0" * 32, "1" * 32, "2" * 32],
        "cluster": [5, 5, 7],
        "qidxs": [0, 1],
        "pidxs": [1, 0],
    }
    content = pickle.dumps({"train": part, "val": part}, 2)
    (folder / "sfm.pkl").write_bytes(content)


def _sfm_parts(path: pathlib.Path) -> Any:
    parts = read_sfm_pickle(str(path), ["train", "val"])
    return [
        (part.cids, part.labels(), part.pairs.tolist())
        for part in parts.values()
    ]


def _write_matlab(folder: pathlib.Path) -> None:
    import scipy.io

    cells = np.array(["a", _MATRIX], object)
    scipy.io.savemat(folder / "x.mat", {"names": cells, "x": _MATRIX})


def _matlab(folder: pathlib.Path) -> Any:
    return read_matlab((folder / "x.mat").read_bytes())


def _keras_weights(name: str) -> Reader:
    def write(folder: pathlib.Path) -> None:
        model = TinyModel()
        is_weights = name.endswith(".weights.h5")
        (model.save_weights if is_weights else model.save)(folder / name)

    target = TinyModel()

    def read(folder: pathlib.Path) -> Any:
        keras_files.load_keras_weights(target, folder / name)
        return target.get_weights()

    return Reader(name, write, read)


def _write_model(folder: pathlib.Path) -> None:
    TinyModel().save(folder / "best.keras")


def _model(folder: pathlib.Path) -> Any:
    path = folder / "best.keras"
    return keras_files.load_keras_model(path, TinyModel).get_weights()


def _write_pytorch(folder: pathlib.Path) -> None:
    # PyTorch is not needed: its archive holds a pickle and the numbers.
    pickled = (
        b"\x80\x02}q\0X\1\0\0\0wq\1ctorch._utils\n_rebuild_tensor_v2\nq\2"
        b"((X\7\0\0\0storageq\3ctorch\nFloatStorage\nq\4X\1\0\0\0000q\5"
        b"X\3\0\0\0cpuq\6K\x18tq\7QK\0K\4K\6\x86q\x08K\6K\1\x86q\t\x89"
        b"}q\ntq\x0bRq\x0cs."
    )
    with zipfile.ZipFile(folder / "x.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", _MATRIX.tobytes())


def main(argv: list[str]) -> None:
    """Prints a row per reader."""
    del argv
    print(f"{'reader':20} same other refused escaped slowest (s)")
    for name, reader in readers().items():
        found = fuzz(reader, _MUTATIONS.value, _SEED.value)
        print(
            f"{name:20} {found.same:4} {found.other:5} {found.refused:7} "
            f"{len(found.escaped):7} {found.slowest:.2f}",
            flush=True,
        )
        for number, error in list(found.escaped.items())[:5]:
            print(f"  mutation {number}: {error!r}")


if __name__ == "__main__":
    app.run(main)
