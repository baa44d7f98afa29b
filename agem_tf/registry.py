"""Names in recipes and commands, and the factories they stand for.

A factory is stored as "module:attribute", so that checking a recipe and
printing `--help` need no import of TensorFlow, which takes seconds.
"""

import importlib
from collections.abc import Callable
from typing import Any

POOLINGS = {
    "attentive": "agem_tf.layers:AttentivePooling",
    "gem": "agem_tf.layers:GeM",
    "mac": "agem_tf.layers:MAC",
    "spoc": "agem_tf.layers:SPoC",
    "crow": "agem_tf.layers:CroW",
    "scda": "agem_tf.layers:SCDA",
    "rmac": "agem_tf.layers:RMAC",
    "pyramid_attention": "agem_tf.layers:PyramidAttention",
    "regional_attention": "agem_tf.layers:RegionalAttention",
    "weighted_gem": "agem_tf.layers:WeightedGeM",
}

LOSSES = {
    "arcface": "agem_tf.losses:ArcFaceLoss",
    "batch_hard_triplet": "agem_tf.losses:BatchHardTripletLoss",
    "contrastive": "agem_tf.losses:ContrastiveLoss",
    "smooth_ap": "agem_tf.losses:SmoothAPLoss",
    "softmax": "agem_tf.losses:SoftmaxLoss",
    "triplet": "agem_tf.losses:TripletLoss",
}

# By the name of the loss that they are trained with.
CLASSIFIERS = {
    "arcface": "agem_tf.layers:CosineClassifier",
    "softmax": "agem_tf.layers:LinearClassifier",
}

LOCAL_FEATURES = {
    "rootsift": "agem_tf.extraction.rootsift:RootSift",
    "xfeat": "agem_tf.extraction.xfeat_features:XFeatFeatures",
}

_PUBLIC = "agem_tf.datasets.public"

DATASETS = {
    "google_landmarks_records": (
        f"{_PUBLIC}.google_landmarks:GoogleLandmarksRecords"
    ),
    "google_landmarks_v1": f"{_PUBLIC}.google_landmarks:GoogleLandmarksV1",
    "google_landmarks_v2": f"{_PUBLIC}.google_landmarks:GoogleLandmarksV2",
    "google_landmarks_v2_clean": (
        f"{_PUBLIC}.google_landmarks:GoogleLandmarksV2Clean"
    ),
    "inria_holidays": f"{_PUBLIC}.retrieval_benchmarks:InriaHolidays",
    "instre": f"{_PUBLIC}.retrieval_benchmarks:Instre",
    "oxford100k": f"{_PUBLIC}.retrieval_benchmarks:Oxford100k",
    "oxford5k": f"{_PUBLIC}.retrieval_benchmarks:Oxford5k",
    "paris6k": f"{_PUBLIC}.retrieval_benchmarks:Paris6k",
    "photo_folder": "agem_tf.datasets.photo_folder:PhotoFolder",
    "retrieval_sfm_120k": f"{_PUBLIC}.retrieval_sfm:RetrievalSfm120k",
    "retrieval_sfm_30k": f"{_PUBLIC}.retrieval_sfm:RetrievalSfm30k",
    "revisitop1m": f"{_PUBLIC}.retrieval_benchmarks:Revisitop1m",
    "roxford5k": f"{_PUBLIC}.retrieval_benchmarks:Roxford5k",
    "rparis6k": f"{_PUBLIC}.retrieval_benchmarks:Rparis6k",
    "synthetic_landmarks": (
        "agem_tf.datasets.synthetic_landmarks:SyntheticLandmarks"
    ),
    "ukbench": f"{_PUBLIC}.retrieval_benchmarks:Ukbench",
}

_EFFICIENTNETS = ("efficientnet_lite0", "efficientnet_lite2")
_RESNETS = """
    resnet50 resnet101 resnet152 resnet50_half
    resnet18_torch resnet34_torch resnet50_torch resnet101_torch
    resnet152_torch
""".split()

# Lower-case function names of keras.applications. ResNet v1 is a graph of this
# package, where attention can be placed in each block. NASNet is unsupported,
# because Keras builds its graph for one fixed image size.
_APPLICATIONS = """
    convnexttiny convnextsmall convnextbase convnextlarge convnextxlarge
    densenet121 densenet169 densenet201
    efficientnetb0 efficientnetb1 efficientnetb2 efficientnetb3
    efficientnetb4 efficientnetb5 efficientnetb6 efficientnetb7
    efficientnetv2b0 efficientnetv2b1 efficientnetv2b2 efficientnetv2b3
    efficientnetv2s efficientnetv2m efficientnetv2l
    inceptionresnetv2 inceptionv3 mobilenet mobilenetv2 mobilenetv3large
    mobilenetv3small resnet50v2 resnet101v2 resnet152v2 vgg16 vgg16_torch vgg19
    xception
""".split()

BACKBONES = (
    dict.fromkeys(
        _EFFICIENTNETS,
        "agem_tf.backbones.efficientnet_lite:build_efficientnet_lite",
    )
    | dict.fromkeys(_RESNETS, "agem_tf.backbones.resnet:build_resnet")
    | dict.fromkeys(
        _APPLICATIONS, "agem_tf.backbones.applications:build_application"
    )
)

_TABLES = {
    "backbone": BACKBONES,
    "classifier": CLASSIFIERS,
    "dataset": DATASETS,
    "local_features": LOCAL_FEATURES,
    "loss": LOSSES,
    "pooling": POOLINGS,
}


def names(kind: str) -> list[str]:
    """Returns the sorted names of a kind, for example "pooling"."""
    return sorted(_TABLES[kind])


def factory(kind: str, name: str) -> Callable[..., Any]:
    """Imports and returns the factory registered under a name.

    Raises:
        ValueError: `name` is unknown; the message lists the known names.
    """
    if name not in _TABLES[kind]:
        raise ValueError(
            f"Unknown {kind}. Known: {', '.join(names(kind))}. "
            f"Received: {kind}={name!r}"
        )
    module, attribute = _TABLES[kind][name].split(":")
    return getattr(importlib.import_module(module), attribute)
