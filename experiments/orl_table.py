"""Runs the ablation of experiments/README.md on the ORL faces, as a table.

Command: python experiments/orl_table.py runs/orl
Takes every attention with every pooling, each run in a workdir of its own;
finished runs are skipped, an interrupted one is resumed. Flags after the
directory go to every run, such as --set=model.backbone=resnet50_half.
"""

import itertools
import json
import pathlib
import subprocess
import sys

ATTENTIONS = ("none", "cbam")
POOLINGS = ("mac", "spoc", "gem", "rmac")
RECIPE = pathlib.Path(__file__).with_name("orl_faces.py")


def run(workdir: pathlib.Path, attention: str, pooling: str, flags) -> dict:
    """Trains one variant and returns its metrics.json."""
    metrics = workdir / "metrics.json"
    if not metrics.exists():
        command = [
            *(sys.executable, "-m", "agem_tf.train"),
            f"--config={RECIPE}",
            f"--workdir={workdir}",
            f"--set=model.attention={attention}",
            f"--set=model.pooling={pooling}",
            *flags,
        ]
        subprocess.run(command, check=True)
    return json.loads(metrics.read_text())


def main(directory: str, *flags: str) -> None:
    """Prints a Markdown row a variant: mAP of each stage in percent."""
    for attention, pooling in itertools.product(ATTENTIONS, POOLINGS):
        workdir = pathlib.Path(directory, f"{attention}_{pooling}")
        scores = run(workdir, attention, pooling, flags).values()
        cells = [f"{100 * each['medium']['map']:.1f}" for each in scores]
        print("|", " | ".join([attention, pooling, *cells]), "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
