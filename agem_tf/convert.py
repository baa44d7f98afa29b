r"""Convert a PyTorch network into a run, without PyTorch.

    python -m agem_tf.convert --checkpoint=retrievalSfM120k-resnet101-gem.pth \
        --workdir=runs/gem_resnet101

Checkpoints of cnnimageretrieval-pytorch (ResNet or VGG16) keep their pooling,
whitening layer, mean, standard deviation and learned whitenings. ResNet-18 to
152 and VGG16 of torchvision or timm (.pth or .safetensors) get GeM pooling with
p = 3. Every other command accepts the --workdir.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.config import RESIZES_BY

conversion = cli.lazy("agem_tf.conversion")


@cli.options
class ConvertOptions:
    """Options of a conversion."""

    checkpoint: str = cli.required("A .pth or .safetensors file.")
    workdir: str = cli.required("Directory to write the run to.")
    resize_by: str = cli.option(
        "sizes",
        "What maps pixels to those of another scale: the rounded sizes, as in "
        "PyTorch before 1.6 and so as published, or the factor as given, as in "
        "PyTorch since.",
        choices=RESIZES_BY,
    )


def main(options: ConvertOptions) -> conversion.Converted:
    """Writes a run and prints the network and its whitenings."""
    converted = conversion.write_run(
        conversion.read_network(options.checkpoint),
        options.workdir,
        options.resize_by,
    )
    model = converted.config.model
    cli.print_line(
        f"{model.backbone}, {model.pooling}, {converted.dimension} "
        f"dimensions: {options.workdir}"
    )
    for directory, scales in converted.whitenings.items():
        listed = ",".join(f"{scale:g}" for scale in scales)
        cli.print_line(f"Whitening for --scales={listed}: {directory}")
    return converted


if __name__ == "__main__":
    cli.run(main, ConvertOptions)
