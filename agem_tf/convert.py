"""Converts a network of PyTorch into a run, without PyTorch.

    python -m agem_tf.convert --checkpoint=retrievalSfM120k-resnet101-gem.pth \
        --workdir=runs/gem_resnet101

The checkpoint is one of cnnimageretrieval-pytorch (ResNet or VGG16), with its
pooling, whitening layer, mean and deviation, and with the whitenings that were
learned for it; or a ResNet-18 to 152 or VGG16 of torchvision or timm (.pth or
.safetensors), which gets GeM with p = 3. Every other command then takes
--workdir.
"""

from __future__ import annotations

from absl import app

from agem_tf import cli

conversion = cli.lazy("agem_tf.conversion")

_FLAGS = cli.Flags()
_CHECKPOINT = _FLAGS.string(
    "checkpoint", None, "A .pth or .safetensors file.", required=True
)
_WORKDIR = _FLAGS.string(
    "workdir", None, "Directory of the run to be written.", required=True
)


def main(checkpoint: str, workdir: str) -> conversion.Converted:
    """Writes a run; see the flags of the same names."""
    return conversion.write_run(conversion.read_network(checkpoint), workdir)


def _run() -> None:
    converted = main(**_FLAGS.flag_values_dict())
    model = converted.config.model
    print(
        f"{model.backbone}, {model.pooling}, {converted.dimension} "
        f"dimensions: {_WORKDIR.value}"
    )
    for directory, scales in converted.whitenings.items():
        listed = ",".join(f"{scale:g}" for scale in scales)
        print(f"Whitening for --scales={listed}: {directory}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
