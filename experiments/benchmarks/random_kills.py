"""Kill every command at random moments, and start two at once on one target.

    python experiments/benchmarks/random_kills.py --kills=10

A kill is a SIGKILL at a random moment of a command on tiny inputs. Right after
it, a target that existed before must be whole: the old one or the new one. The
command is then repeated and must end as an undisturbed one: same bytes, nothing
left beside the target. Two commands at once must end as one after the other, or
as one alone whose rival was refused. Prints a row per command, and each loss.
"""

import contextlib
import csv
import dataclasses
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import re
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import tensorflow as tf
from absl import app, flags
from measuring import print_table

_KILLS = flags.DEFINE_integer("kills", 10, "Kills per command.")
_PAIRS = flags.DEFINE_integer("pairs", 3, "Pairs at once per command.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the moments.")
_ONLY = flags.DEFINE_list("only", [], "Names of the commands to try.")
_FOLDER = flags.DEFINE_string("folder", None, "Folder to work in and to keep.")

# Imported before the commands are forked, so that kills hit their work rather
# than TensorFlow's import.
_PRELOADED = ["agem_tf.training.job", "agem_tf.library.indexing"]
_RECIPE = '''
from agem_tf import config


def get_config():
    """A shallow network on the photos of the folder above."""
    recipe = config.Config(name="tiny")
    recipe.data.directory = {data!r}
    recipe.image.size = 32
    recipe.model.backbone, recipe.model.weights = "vgg16", None
    recipe.model.feature_map, recipe.model.attention = "C2", "none"
    recipe.optimizer.rules = [config.OptimizerRule("*")]
    recipe.training.epochs, recipe.training.batch_tuples = 2, 4
    recipe.training.checkpoint_steps = 1
    recipe.extraction.batch_size = 4
    return recipe
'''
# Depend on the time, or on random names that nothing reads.
_VARYING = ("tensorboard", "saved_model.pb", "fingerprint.pb", "report.html")
# Archives whose members have dates; their weights are compared.
_DATED = (".keras",)
_TIMES = ("images_per_second", "data_wait", "seconds", "waited")


@dataclasses.dataclass(frozen=True)
class Case:
    """A command that writes a target.

    Attributes:
        name: Name in the table.
        arguments: Module and flags; {inputs} and {target} stand for folders.
        start: Name of the input that the target is a copy of, or "" for none.
        rival: Flags of the second command at once; by default the same.
        resumes: Whether the target is visible before it is finished.
    """

    name: str
    arguments: str
    start: str = ""
    rival: str = ""
    resumes: bool = False


_CASES = [
    Case(
        "train",
        "train --config={inputs}/recipe.py --workdir={target}",
        resumes=True,
    ),
    Case("prepare", "prepare --source={inputs}/photos --data_dir={target}"),
    Case(
        "prepare --overwrite",
        "prepare --source={inputs}/photos --data_dir={target} --overwrite",
        start="other_data",
    ),
    Case(
        "extract",
        "extract --workdir={inputs}/run --split=train --output={target}",
    ),
    Case(
        "extract --overwrite",
        "extract --workdir={inputs}/run --split=train --output={target} "
        "--overwrite",
        start="test_descriptors",
    ),
    Case(
        "extract --shard",
        "extract --photos={inputs}/photos --local=rootsift "
        "--output={target}/features --shard=1/2",
        rival="extract --photos={inputs}/photos --local=rootsift "
        "--output={target}/features --shard=2/2",
        resumes=True,
    ),
    Case(
        "index",
        "index --photos={inputs}/photos --workdir={inputs}/run "
        "--index={target}",
        rival="index --photos={inputs}/more --workdir={inputs}/run "
        "--index={target}",
    ),
    Case(
        "index --shard",
        "index --photos={inputs}/photos --workdir={inputs}/run "
        "--index={target}/index --shard=1/2",
        rival="index --photos={inputs}/photos --workdir={inputs}/run "
        "--index={target}/index --shard=2/2",
        resumes=True,
    ),
    Case(
        "index --add",
        "index --photos={inputs}/more --index={target} --add",
        start="index",
        rival="index --photos={inputs}/others --index={target} --add",
    ),
    Case(
        "index --remove",
        "index --remove=place0/0.png --index={target}",
        start="index",
        rival="index --remove=place1/0.png --index={target}",
    ),
    Case(
        "index --sync",
        "index --photos={inputs}/changed --index={target} --sync",
        start="index",
    ),
    Case(
        "aggregate",
        "aggregate --features={inputs}/features --words={inputs}/words "
        "--output={target}",
    ),
    Case(
        "aggregate --add",
        "aggregate --features={inputs}/more_features --add={target}",
        start="features.asmk",
    ),
    Case(
        "aggregate --remove",
        "aggregate --remove=1.jpg --index={target}",
        start="features.asmk",
        rival="aggregate --remove=2.jpg --index={target}",
    ),
    Case(
        "whiten",
        "whiten --descriptors={inputs}/train_descriptors --split=train "
        "--data_dir={inputs}/data --output={target}",
    ),
    Case(
        "evaluate",
        "evaluate --descriptors={inputs}/test_descriptors --split=test "
        "--data_dir={inputs}/data --output={target}",
    ),
    Case(
        "match",
        "match {inputs}/photos/place0/0.png {inputs}/photos/place0/1.png "
        "--features=rootsift --output={target}/matches.html",
        resumes=True,
    ),
    Case(
        "visualize",
        "visualize --workdir={inputs}/run --split=test --count=2 "
        "--descriptors={inputs}/test_descriptors --output={target}/page.html",
        resumes=True,
    ),
    Case("export", "export --workdir={inputs}/run --output={target}"),
    Case(
        "convert",
        "convert --checkpoint={inputs}/vgg16.safetensors --workdir={target}",
        resumes=True,
    ),
]


def main(argv: list[str]) -> None:
    """Prints the table and the losses."""
    del argv
    root = pathlib.Path(_FOLDER.value or tempfile.mkdtemp()).resolve()
    root.mkdir(parents=True, exist_ok=True)
    _make_inputs(root / "inputs", root)
    names = _ONLY.value or [case.name for case in _CASES]
    print_table(_row(case, root) for case in _CASES if case.name in names)
    if not _FOLDER.value:
        shutil.rmtree(root)


def _row(case: Case, root: pathlib.Path) -> dict[str, object]:
    trial = _Trial(case, root)
    draw = random.Random(f"{_SEED.value} {case.name}")
    _wait(_start("visualize", ["--help"], root / "inputs.log"))
    started = time.monotonic()
    wanted = trial.alone(case.arguments)
    seconds = time.monotonic() - started
    killed, lost, pairs_lost = 0, 0, 0
    for _ in range(_KILLS.value):
        moment = draw.uniform(0, seconds)
        was_killed, faults = trial.killed(moment, wanted)
        killed += was_killed
        lost += bool(faults)
        for fault in faults:
            _report(f"{case.name}, killed after {moment:.2f} s: {fault}")
    if _PAIRS.value:
        allowed = trial.serial_outcomes(wanted)
    for _ in range(_PAIRS.value):
        if fault := trial.at_once(allowed):
            pairs_lost += 1
            _report(f"{case.name}, two at once: {fault}")
    return {
        "command": case.name,
        "seconds": f"{seconds:.1f}",
        "killed at work": f"{killed} of {_KILLS.value}",
        "lost": lost,
        "pairs at once": _PAIRS.value,
        "pairs lost": pairs_lost,
    }


def _report(loss: str) -> None:
    print(loss, file=sys.stderr, flush=True)


class _Trial:
    """Runs one case on targets of its own."""

    def __init__(self, case: Case, root: pathlib.Path):
        self._case, self._inputs = case, root / "inputs"
        self._folder = root / case.name.replace(" ", "_")
        self._target = self._folder / "target"
        self._logs = root / f"{self._folder.name}.log"
        self._rival = case.rival or case.arguments

    def alone(self, *commands: str) -> dict[str, str]:
        """Returns what commands leave, one after the other."""
        self._renew()
        self.statuses = tuple(_wait(self._start(each)) for each in commands)
        if self.statuses[0]:
            raise RuntimeError(self._logs.read_text())
        return self._contents()

    def killed(
        self, moment: float, wanted: dict[str, str]
    ) -> tuple[bool, list[str]]:
        """Kills the command after `moment` seconds and repeats it.

        Returns:
            Whether it was still at work, and what is wrong.
        """
        self._renew()
        before = self._contents()
        process = self._start(self._case.arguments)
        process.join(moment)
        killed = process.is_alive()
        if killed:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.join()
        found, faults = self._contents(), []
        if found != wanted:
            if not self._case.resumes and found != before:
                faults.append(f"half written: {_differences(before, found)}")
            status = _wait(self._start(self._case.arguments))
            if status:
                faults.append(f"repeated: status {status}, {self._last_line()}")
            if litter := _unlisted(self._target) - {".lock"}:
                faults.append(f"left in it: {min(litter)}")
            found = self._contents()
        if found != wanted:
            faults.append(f"differs: {_differences(wanted, found)}")
        beside = sorted({x.name for x in self._folder.iterdir()} - {"target"})
        if beside:
            faults.append(f"left beside it: {beside}")
        return killed, faults

    def serial_outcomes(self, wanted: dict[str, str]) -> list[tuple]:
        """Returns the (statuses, contents) that two at once may have."""
        first, second = self._case.arguments, self._rival
        outcomes = []
        for pair, order in (((first, second), 1), ((second, first), -1)):
            contents = self.alone(*pair)
            outcomes.append((self.statuses[::order], contents))
        refused = [((0, 2), wanted), ((2, 0), self.alone(second))]
        return outcomes + refused

    def at_once(self, allowed: list[tuple]) -> str:
        """Starts both commands; returns what is wrong, or nothing."""
        self._renew()
        processes = [
            self._start(each) for each in (self._case.arguments, self._rival)
        ]
        statuses = tuple(map(_wait, processes))
        contents = self._contents()
        if (statuses, contents) in allowed:
            return ""
        nearest = [each for each in allowed if each[0] == statuses] or allowed
        differences = _differences(nearest[0][1], contents)
        return f"statuses {statuses}, {differences}; {self._last_line()}"

    def _renew(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        if self._case.start:
            shutil.copytree(self._inputs / self._case.start, self._target)

    def _start(self, command: str) -> multiprocessing.Process:
        module, *arguments = command.format(
            inputs=self._inputs, target=self._target
        ).split()
        return _start(module, arguments, self._logs)

    def _contents(self) -> dict[str, str]:
        return dict(_digests(self._target))

    def _last_line(self) -> str:
        lines = self._logs.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "no output"


def _start(
    module: str, arguments: list[str], log: pathlib.Path
) -> multiprocessing.Process:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_command, args=(module, arguments, log))
    process.start()
    return process


def _command(module: str, arguments: list[str], log: pathlib.Path) -> None:
    """Runs `python -m agem_tf.module` in this forked process."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(f"agem_tf.{module}", {}, "__main__", alter_sys=True)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _wait(process: multiprocessing.Process) -> int:
    process.join()
    return process.exitcode


def _digests(target: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields each file and a checksum of what in it does not vary.

    Of an index, only what its manifest lists is read by anyone.
    """
    checkpoints = []
    unlisted = _unlisted(target)
    numbers = _segment_numbers(target)
    for path in sorted(target.rglob("*")):
        name = str(path.relative_to(target))
        if name in unlisted:
            continue
        if (
            path.is_dir()
            or name.startswith(_VARYING[:1])
            or (_varies(name) and path.name != "manifest.json")
        ):
            continue
        if name.startswith("checkpoints/"):
            checkpoints.append(path)
            continue
        content = _constant_part(path)
        for segment, number in numbers.items():
            name = name.replace(segment, number)
            content = content.replace(segment.encode(), number.encode())
        yield name, hashlib.sha256(content).hexdigest()
    # Not tf.train.latest_checkpoint: a run that only reads has no list of them.
    indexes = [path for path in checkpoints if path.suffix == ".index"]
    if indexes:
        newest = max(indexes, key=lambda p: int(p.stem.rpartition("-")[2]))
        reader = tf.train.load_checkpoint(str(newest.with_suffix("")))
        for name, dtype in reader.get_variable_to_dtype_map().items():
            if dtype != tf.string and not name.startswith("save_counter"):
                numbers = reader.get_tensor(name).tobytes()
                yield name, hashlib.sha256(numbers).hexdigest()


def _index_manifest(target: pathlib.Path) -> dict[str, Any]:
    """Returns the manifest of an index, or nothing of another directory.

    Indexes are of photos, or of local features.
    """
    path = target / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    return manifest if "index" in manifest.get("kind", "").split() else {}


def _unlisted(target: pathlib.Path) -> set[str]:
    """The files of an index that no manifest lists, but for its lock."""
    manifest = _index_manifest(target)
    if not manifest:
        return set()
    found = {
        str(path.relative_to(target))
        for path in target.rglob("*")
        if path.is_file()
    }
    return found - manifest["files"].keys() - {"manifest.json"}


def _segment_numbers(target: pathlib.Path) -> dict[str, str]:
    """Random names of segments -> their places in the manifest."""
    manifest = _index_manifest(target)
    parts = ("segments", "states", "metadata", "removed", "parts")
    text = json.dumps([manifest.get(part) for part in parts])
    names = dict.fromkeys(re.findall("[0-9a-f]{32}", text))
    return {name: f"segment{place}" for place, name in enumerate(names)}


def _constant_part(path: pathlib.Path) -> bytes:
    if path.suffix == ".keras" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read("model.weights.h5")
    if path.name == "history.json":
        rows = json.loads(path.read_text())
        return json.dumps(
            [{k: row[k] for k in row if k not in _TIMES} for row in rows]
        ).encode()
    if path.name == "steps.csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return json.dumps(
            [{k: row[k] for k in row if k not in _TIMES} for row in rows]
        ).encode()
    if path.name == "manifest.json":
        manifest = json.loads(path.read_text())
        manifest.pop("checksum", None)
        # Segments have random names, which order the files.
        manifest["files"] = sorted(
            (
                [name, entry["sha256"] * (not _varies(name, _DATED))]
                for name, entry in manifest["files"].items()
            ),
            key=lambda file: (re.sub("[0-9a-f]{32}", "", file[0]), file[1]),
        )
        return json.dumps(manifest).encode()
    return path.read_bytes()


def _varies(name: str, more: tuple[str, ...] = ()) -> bool:
    """Whether two undisturbed runs write different bytes."""
    parts = ("manifest.json", *_VARYING, *more)
    return any(part in name for part in parts)


def _differences(wanted: dict[str, str], found: dict[str, str]) -> str:
    missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    changed = [
        name
        for name in wanted.keys() & found.keys()
        if wanted[name] != found[name]
    ]
    return "; ".join(
        f"{len(names)} {kind}, as {min(names)}"
        for kind, names in (
            ("missing", missing),
            ("extra", extra),
            ("changed", changed),
        )
        if names
    )


def _make_inputs(inputs: pathlib.Path, root: pathlib.Path) -> None:
    if inputs.exists():
        return
    making = root / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    for folder, places, photos in (
        ("photos", 12, 3),
        ("more", 3, 4),
        ("others", 2, 5),
    ):
        for place in range(places):
            _write_photos(making / folder / f"place{place}", photos, folder)
    # The photos as they were, without the first place and with another one.
    shutil.copytree(making / "photos", making / "changed")
    shutil.rmtree(making / "changed" / "place0")
    shutil.copytree(making / "more" / "place0", making / "changed" / "place12")
    _write_local_features(making / "npz", range(40))
    _write_local_features(making / "more_npz", range(40, 60))
    _write_safetensors(making / "vgg16.safetensors")
    making.rename(inputs)
    recipe = _RECIPE.format(data=str(inputs / "data"))
    (inputs / "recipe.py").write_text(recipe)
    for command in (
        "prepare --source={0}/photos --data_dir={0}/data "
        "--option=validation=0.25 --option=test=0.25",
        "prepare --source={0}/photos --data_dir={0}/other_data "
        "--option=test=0.4",
        "train --config={0}/recipe.py --workdir={0}/run",
        "extract --workdir={0}/run --split=train "
        "--output={0}/train_descriptors",
        "extract --workdir={0}/run --split=test --output={0}/test_descriptors",
        "index --photos={0}/photos --workdir={0}/run --index={0}/index",
        "extract --npz={0}/npz --output={0}/features",
        "extract --npz={0}/more_npz --output={0}/more_features",
        "aggregate --features={0}/features --codebook={0}/words --num_words=16",
        "aggregate --features={0}/features --words={0}/words "
        "--output={0}/features.asmk",
    ):
        module, *arguments = command.format(inputs).split()
        log = root / "inputs.log"
        if _wait(_start(module, arguments, log)):
            raise RuntimeError(f"{command}:\n{log.read_text()}")


def _write_photos(folder: pathlib.Path, count: int, kind: str) -> None:
    rng = np.random.default_rng(list(f"{kind}{folder.name}".encode()))
    coarse = rng.integers(0, 255, (4, 5, 3))
    folder.mkdir(parents=True)
    for photo in range(count):
        noisy = np.clip(coarse + rng.normal(0, 30, coarse.shape), 0, 255)
        image = PIL.Image.fromarray(noisy.astype(np.uint8))
        name = f"{photo}.png" if kind == "photos" else f"{kind}{photo}.png"
        image.resize((52, 40)).save(folder / name)


def _write_local_features(folder: pathlib.Path, numbers: range) -> None:
    folder.mkdir()
    for number in numbers:
        rng = np.random.default_rng(number)
        np.savez(
            folder / f"{number}.jpg.npz",
            keypoints=rng.uniform(0, 40, (50, 2)),
            descriptors=rng.normal(size=(50, 32)),
            scores=rng.uniform(size=50),
            scales=np.ones(50),
            size=np.array([40, 52]),
        )


def _write_safetensors(path: pathlib.Path) -> None:
    """Writes a VGG16 by torchvision's names, with random weights."""
    rng, inputs, index = np.random.default_rng(0), 3, 0
    header, data = {}, []
    for count, outputs in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            kernel = rng.normal(0, 0.05, (outputs, inputs, 3, 3))
            for name, array in (
                ("weight", kernel),
                ("bias", np.zeros(outputs)),
            ):
                start = sum(map(len, data))
                data.append(array.astype("<f4").tobytes())
                header[f"features.{index}.{name}"] = {
                    "dtype": "F32",
                    "shape": array.shape,
                    "data_offsets": [start, start + len(data[-1])],
                }
            inputs, index = outputs, index + 2
        index += 1
    content = json.dumps(header).encode()
    path.write_bytes(
        len(content).to_bytes(8, "little") + content + b"".join(data)
    )


if __name__ == "__main__":
    app.run(main)
