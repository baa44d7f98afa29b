"""The command that converts networks of PyTorch."""

import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from agem_tf import convert
from agem_tf.errors import UserError


def run(checkpoint, workdir):
    """Runs the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "agem_tf.convert"]
        + [f"--checkpoint={checkpoint}", f"--workdir={workdir}"],
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_writes_a_run_and_says_what_it_holds(
    tmp_path, torch_files, torch_state
):
    learned = {"m": np.zeros((512, 1)), "P": np.eye(512)}
    meta = {"architecture": "vgg16", "pooling": "gem"}
    meta |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    meta["Lw"] = {"retrieval-SfM-120k": {"ss": learned, "ms": learned}}
    state = torch_state("vgg16") | {"pool.p": np.array([2.9])}
    content = {"meta": meta, "state_dict": torch_files.state(state)}
    torch_files.write_stream(tmp_path / "net.pth", content)
    result = run(tmp_path / "net.pth", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    whitening = tmp_path / "run/whitening/retrieval-SfM-120k"
    assert result.stdout.splitlines() == [
        f"vgg16_torch, gem, 512 dimensions: {tmp_path / 'run'}",
        f"Whitening for --scales=1: {whitening / 'single_scale'}",
        f"Whitening for --scales=1,0.7071,0.5: {whitening / 'multi_scale'}",
    ]
    assert {"config.json", "best.keras"} <= set(os.listdir(tmp_path / "run"))


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("made",)


def write_pickle(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, 2))


@pytest.mark.parametrize(
    "content",
    [Hostile(), {"conv1.weight": Hostile()}, {"meta": Hostile()}],
)
def test_a_hostile_file_is_refused_and_does_nothing(
    tmp_path, monkeypatch, content
):
    monkeypatch.chdir(tmp_path)
    write_pickle("hostile.pth", content)
    with pytest.raises(UserError, match="hostile.pth holds something other"):
        convert.main(
            convert.ConvertOptions(checkpoint="hostile.pth", workdir="run")
        )
    assert os.listdir() == ["hostile.pth"]


@pytest.mark.parametrize("layout", ["archive", "stream"])
def test_a_truncated_file_is_refused(
    tmp_path, torch_files, torch_state, layout
):
    path = tmp_path / "net.pth"
    write = getattr(torch_files, f"write_{layout}")
    write(path, torch_files.state(torch_state("resnet18")))
    data = path.read_bytes()
    for share in (0.01, 0.5, 0.99):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError, match="net.pth as a PyTorch"):
            convert.main(
                convert.ConvertOptions(
                    checkpoint=path, workdir=tmp_path / "run"
                )
            )
    assert not (tmp_path / "run").exists()


def test_a_mistake_is_one_line_and_exit_status_2(tmp_path, torch_files):
    path = tmp_path / "vit.pth"
    state = torch_files.state({"blocks.0.attn.qkv.weight": np.ones((6, 2))})
    torch_files.write_archive(path, state)
    result = run(path, tmp_path / "run")
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith(f"error: {path} holds none of the networks")
