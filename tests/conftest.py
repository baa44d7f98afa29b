"""Fixtures that several rooms share."""

import collections
import dataclasses
import functools
import gc
import hashlib
import io
import json
import os
import pathlib
import pickle
import re
import shlex
import sys
import types
import zipfile

import numpy as np
import PIL.Image
import pytest


def pytest_configure(config):
    """Lets pytest-xdist start files in the order of `items` below.

    It would start those with the fewest tests last, which take the longest:
    at the end, one process would work and the others would have nothing to do.
    """
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def write_photo(path: pathlib.Path, seed: int, size=(48, 36)) -> None:
    """Writes a small photo-like file; the suffix decides the format."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(coarse).resize(size, PIL.Image.BICUBIC).save(path)


@pytest.fixture(autouse=True)
def usual_garbage_collection():
    """Undoes what a command sets for its process, which keeps old graphs."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


@pytest.fixture(scope="session")
def place_photos():
    """Returns a function that yields photos of 90 x 70.

    They come as (place, number, photo); a place has its own colours.
    """

    def photos(places: int, photos_per_place: int):
        rng = np.random.default_rng(0)
        for place in range(places):
            coarse = rng.integers(0, 255, (4, 5, 3))
            for number in range(photos_per_place):
                noise = rng.normal(0, 20, coarse.shape)
                noisy = np.clip(coarse + noise, 0, 255).astype(np.uint8)
                photo = PIL.Image.fromarray(noisy)
                yield place, number, photo.resize((90, 70), PIL.Image.BICUBIC)

    return photos


@pytest.fixture(scope="session")
def drawn_pixels():
    """Returns a function of a seed: rectangles with corners to be matched.

    The pixels have the shape (height, width, 3).
    """

    def draw(seed: int, height=200, width=260, rectangles=80) -> np.ndarray:
        rng = np.random.default_rng(seed)
        pixels = np.full((height, width, 3), 90, np.uint8)
        for _ in range(rectangles):
            top, left = (
                rng.integers(0, height - 10),
                rng.integers(0, width - 10),
            )
            rows, columns = rng.integers(6, 50, 2)
            colour = rng.integers(0, 256, 3)
            pixels[top : top + rows, left : left + columns] = colour
        return pixels

    return draw


@pytest.fixture(scope="session")
def written_run(tmp_path_factory):
    """Returns a function that writes a run of photos of 64 pixels.

    It takes fields of the recipe's model, which has random weights by default,
    and returns the workdir.
    """
    # Most tests of the rooms below need no TensorFlow.
    import keras

    from agem_tf import config
    from agem_tf.models import AGeM
    from agem_tf.training import runs, workdir

    def write(**fields) -> pathlib.Path:
        directory = tmp_path_factory.mktemp("run")
        recipe = config.Config()
        recipe.image = config.ImageConfig(size=64, resize="aspect")
        defaults = {"weights": None, "feature_map": "C3"}
        recipe.model = dataclasses.replace(recipe.model, **defaults | fields)
        keras.utils.set_random_seed(0)
        model = AGeM(**dataclasses.asdict(recipe.model))
        # New attention is the same everywhere; training changes that.
        for variable in model.trainable_variables:
            if "attention" in variable.path:
                variable.assign(variable + 0.1)
        workdir.claim_workdir(directory, recipe, "no dataset")
        runs.save_model(model, directory / workdir.BEST_MODEL)
        return directory

    return write


@pytest.fixture(scope="session")
def run_directory(written_run) -> pathlib.Path:
    """Workdir of a run that ended with random weights, without attention."""
    return written_run(attention="none")


@pytest.fixture
def reseal():
    """Returns a function that makes a manifest fit altered files."""

    def fit(directory: pathlib.Path) -> None:
        path = directory / "manifest.json"
        manifest = json.loads(path.read_bytes()) | {"checksum": None}
        for name, facts in manifest["files"].items():
            content = (directory / name).read_bytes()
            facts["bytes"] = len(content)
            facts["sha256"] = hashlib.sha256(content).hexdigest()
        path.write_text(json.dumps(manifest))

    return fit


@pytest.fixture
def photo_folder(tmp_path) -> pathlib.Path:
    """Six landmarks of three photos each, in three file formats."""
    root = tmp_path / "photos"
    for landmark in range(6):
        for photo, suffix in enumerate(("jpg", "png", "pgm")):
            path = root / f"place{landmark}" / f"{photo}.{suffix}"
            if suffix == "pgm":
                path.parent.mkdir(parents=True, exist_ok=True)
                grey = np.full((20, 30), 40 * landmark, np.uint8)
                PIL.Image.fromarray(grey).save(path)
            else:
                write_photo(path, 10 * landmark + photo)
    return root


@pytest.fixture
def object_store(monkeypatch):
    """Keeps files of gs:// in TensorFlow's file system in memory.

    Files are read and written as those of a bucket, by tf.io.gfile.
    """
    import tensorflow as tf
    from etils.epath import backend

    bucket = f"ram://{hashlib.sha256(os.urandom(8)).hexdigest()}/"
    gfile = tf.io.gfile

    def there(path):
        return os.fspath(path).replace("gs://", bucket, 1)

    def translated(function, *paths, **options):
        return function(*map(there, paths), **options)

    def emptied(path):
        # That file system would append to a file that exists.
        if gfile.exists(path) and not gfile.isdir(path):
            gfile.remove(path)
        return path

    def open_file(path, mode):
        path = there(path)
        return gfile.GFile(emptied(path) if "w" in mode else path, mode)

    def copy(source, target, overwrite=False):
        source, target = there(source), there(target)
        gfile.copy(source, emptied(target) if overwrite else target, overwrite)

    def walk(top, **options):
        for folder, folders, files in gfile.walk(there(top), **options):
            yield folder.replace(bucket, "gs://", 1), folders, files

    names = "exists isdir listdir makedirs mkdir remove rename rmtree stat"
    store = types.SimpleNamespace(
        GFile=open_file,
        copy=copy,
        walk=walk,
        **{
            name: functools.partial(translated, getattr(gfile, name))
            for name in names.split()
        },
    )
    monkeypatch.setattr(backend._TfBackend, "gfile", store)


class TorchStorage:
    """Numbers that several tensors of a PyTorch file may share."""

    def __init__(self, items, kind="FloatStorage"):
        self.items, self.kind = np.asarray(items), kind
        self.size = self.items.size


class TorchTensor:
    """A view of a storage; offset and strides count items."""

    def __init__(self, storage, offset, shape, strides, rebuild="_tensor_v2"):
        self.arguments = (storage, offset, shape, strides)
        self.rebuild = rebuild


class TorchParameter:
    """A tensor that is saved as a parameter."""

    def __init__(self, tensor):
        self.tensor = tensor


class _TorchPickler(pickle.Pickler):
    """Writes what torch.save writes, and collects the storages."""

    def __init__(self, stream, view=()):
        super().__init__(stream, protocol=2)
        self.view, self.storages = view, []

    def persistent_id(self, item):
        if not isinstance(item, TorchStorage):
            return None
        if item not in self.storages:
            self.storages.append(item)
        kind = getattr(sys.modules["torch"], item.kind)
        key = str(self.storages.index(item))
        return ("storage", kind, key, "cpu", item.size, *self.view)

    def reducer_override(self, item):
        rebuild = sys.modules["torch._utils"]
        hooks = collections.OrderedDict()
        if isinstance(item, TorchParameter):
            return rebuild._rebuild_parameter, (item.tensor, True, hooks)
        if not isinstance(item, TorchTensor):
            return NotImplemented
        if item.rebuild == "_tensor":  # PyTorch before 0.4.
            return rebuild._rebuild_tensor, item.arguments
        return rebuild._rebuild_tensor_v2, (*item.arguments, False, hooks)


class TorchFiles:
    """Writes files as PyTorch does, in either layout."""

    Storage, Tensor, Parameter = TorchStorage, TorchTensor, TorchParameter

    @staticmethod
    def tensor(array) -> TorchTensor:
        array = np.ascontiguousarray(array, "float32")
        strides = tuple(step // 4 for step in array.strides)
        return TorchTensor(TorchStorage(array.ravel()), 0, array.shape, strides)

    def state(self, arrays) -> collections.OrderedDict:
        state = {name: self.tensor(array) for name, array in arrays.items()}
        return collections.OrderedDict(state)

    @staticmethod
    def write_archive(path, content) -> None:
        stream = io.BytesIO()
        pickler = _TorchPickler(stream)
        pickler.dump(content)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", stream.getvalue())
            archive.writestr("archive/byteorder", "little")
            for key, storage in enumerate(pickler.storages):
                name = f"archive/data/{key}"
                archive.writestr(name, storage.items.tobytes())

    @staticmethod
    def write_stream(path, content) -> None:
        magic, system = 0x1950A86A20F9469CFC6C, {"little_endian": True}
        with open(path, "wb") as stream:
            for start in (magic, 1001, system):
                pickle.dump(start, stream, 2)
            pickler = _TorchPickler(stream, view=(None,))
            pickler.dump(content)
            keys = [str(key) for key in range(len(pickler.storages))]
            pickle.dump(keys, stream, 2)
            for storage in pickler.storages:
                stream.write(np.int64(len(storage.items)).tobytes())
                stream.write(storage.items.tobytes())


def _function_called(name, module):
    """A function of which only the name is written."""

    def function():
        raise AssertionError("nothing calls it")

    function.__module__, function.__qualname__ = module, name
    return function


@pytest.fixture
def torch_files(monkeypatch) -> TorchFiles:
    """What writes PyTorch's files where PyTorch is not installed."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage", "BFloat16Storage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))
    for kind in ("_tensor", "_tensor_v2", "_parameter"):
        name = f"_rebuild{kind}"
        setattr(utils, name, _function_called(name, "torch._utils"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return TorchFiles()


class _State(dict):
    """Tensors by torchvision's names, always the same numbers."""

    def __init__(self):
        super().__init__()
        self._rng = np.random.default_rng(0)

    def add(self, name, low, high, *shape):
        numbers = self._rng.random(shape, "float32")
        self[name] = np.float32(low) + np.float32(high - low) * numbers

    def add_convolution(self, name, inputs, outputs, size):
        bound = (6 / (inputs * size**2)) ** 0.5
        shape = (outputs, inputs, size, size)
        self.add(f"{name}.weight", -bound, bound, *shape)

    def add_normalization(self, name, channels):
        self.add(f"{name}.weight", 0.5, 1, channels)
        self.add(f"{name}.bias", -0.3, 0.3, channels)
        self.add(f"{name}.running_mean", -0.2, 0.2, channels)
        self.add(f"{name}.running_var", 0.5, 1.5, channels)

    def add_block(self, name, sizes, channels, shortcut):
        for i, size in enumerate(sizes, start=1):
            self.add_convolution(
                f"{name}.conv{i}", channels[i - 1], channels[i], size
            )
            self.add_normalization(f"{name}.bn{i}", channels[i])
        if shortcut:
            shortcut = f"{name}.downsample"
            self.add_convolution(f"{shortcut}.0", channels[0], channels[-1], 1)
            self.add_normalization(f"{shortcut}.1", channels[-1])


def _resnet_state(blocks, bottleneck):
    state, inputs = _State(), 64
    state.add_convolution("conv1", 3, inputs, 7)
    state.add_normalization("bn1", inputs)
    for stage, num_blocks in enumerate(blocks):
        width = 64 * 2**stage
        sizes, channels = (3, 3), (width, width)
        if bottleneck:
            sizes, channels = (1, 3, 1), (width, width, 4 * width)
        for block in range(num_blocks):
            shortcut = block == 0 and (bottleneck or stage > 0)
            name = f"layer{stage + 1}.{block}"
            state.add_block(name, sizes, (inputs, *channels), shortcut)
            inputs = channels[-1]
    return state


def _vgg16_state():
    state, inputs, index = _State(), 3, 0
    for count, outputs in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            state.add_convolution(f"features.{index}", inputs, outputs, 3)
            state.add(f"features.{index}.bias", -0.1, 0.1, outputs)
            inputs, index = outputs, index + 2
        index += 1
    return state


@pytest.fixture(scope="session")
def torch_state():
    """Returns what makes the tensors of a network by torchvision's names."""
    makers = {
        "resnet18": lambda: _resnet_state((2, 2, 2, 2), False),
        "resnet34": lambda: _resnet_state((3, 4, 6, 3), False),
        "resnet50": lambda: _resnet_state((3, 4, 6, 3), True),
        "vgg16": _vgg16_state,
    }
    return functools.cache(lambda architecture: makers[architecture]())


def _sfm_part(models, first):
    """Four photos of each model, and three pairs of them."""
    cids, clusters, pairs = [], [], []
    for model in models:
        start = len(cids)
        cids += [f"{first + 10 * model + photo:012x}" for photo in range(4)]
        clusters += 4 * [model]
        pairs += [(start, start + 1), (start, start + 3)]
        pairs += [(start + 2, start + 3)]
    queries, positives = map(list, zip(*pairs, strict=True))
    return {
        "cids": cids,
        "cluster": clusters,
        "qidxs": queries,
        "pidxs": positives,
    }


def _write_sfm_photos(root, part):
    """Photos of one model share their coarse colours, with own noise."""
    for cid, model in zip(part["cids"], part["cluster"], strict=True):
        number = int(cid, 16)
        coarse = np.random.default_rng(model).integers(0, 255, (4, 5, 3))
        noise = np.random.default_rng(number).normal(0, 30, (4, 5, 3))
        pixels = np.clip(coarse + noise, 0, 255).astype(np.uint8)
        size = (48, 40) if number % 2 else (40, 48)
        path = root / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4] / cid
        path.parent.mkdir(parents=True, exist_ok=True)
        photo = PIL.Image.fromarray(pixels).resize(size, PIL.Image.BICUBIC)
        photo.save(path, "JPEG")


@pytest.fixture(scope="session")
def sfm_download(tmp_path_factory) -> pathlib.Path:
    """A small retrieval-SfM-120k: 8 models train, 6 validate, 8 whiten."""
    root = tmp_path_factory.mktemp("retrieval-SfM-120k")
    training = {
        "train": _sfm_part(range(8), 0x100000),
        "val": _sfm_part(range(8, 14), 0x200000),
    }
    whiten = _sfm_part(range(8), 0x300000)
    for part in (*training.values(), whiten):
        _write_sfm_photos(root, part)
    del whiten["cluster"]
    for suffix, content in (("", training), ("-whiten", whiten)):
        path = root / f"retrieval-SfM-120k{suffix}.pkl"
        path.write_bytes(pickle.dumps(content, protocol=2))
    return root


def _documented_commands(
    document: pathlib.Path, section: str = ""
) -> list[list[str]]:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    if section:
        _, _, text = text.partition(f"## {section}\n")
        text, _, _ = text.partition("\n## ")
    lines = re.findall(
        r"^    (?:\S*/)?python3? -m (agem_tf\.\w+.*)$", text, re.MULTILINE
    )
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture(scope="session")
def documented_commands():
    """Returns the function (document, section) -> [module, *arguments]s."""
    return _documented_commands
