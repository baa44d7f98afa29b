"""Classification by a global descriptor and by local features together."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.prepared import Split
from agem_tf.layers import LinearClassifier
from agem_tf.losses import SoftmaxLoss
from agem_tf.models import AGeM
from agem_tf.training.tasks.classification import ClassificationTask


class JointTask(ClassificationTask):
    """DELG's three losses; see `Task` and `ClassificationTask`.

    `loss = global + attention_weight * attention + reconstruction_weight *
    reconstruction`, with the recipe's loss of the global descriptor, the
    softmax cross-entropy of a linear classifier on the attended features, and
    the squared error of the autoencoder. The linear scores are multiplied by
    the scale of the global loss (interpretation): the minimum is the same, and
    the classifier learns as fast as the other one.

    Args:
        config: The recipe; `loss.name` has a classifier.
        split: The training split.
        model: A network with a local branch.

    Raises:
        UserError: As `ClassificationTask`.

    Reference:
        [Cao et al., 2020](https://arxiv.org/abs/2001.05027)
    """

    def __init__(self, config: Config, split: Split, model: AGeM):
        super().__init__(config, split, model.dimension)
        self._weights = (
            config.loss.attention_weight,
            config.loss.reconstruction_weight,
        )
        self._attention_loss = SoftmaxLoss(self._loss.scale)
        self._local_classifier = LinearClassifier(
            num_classes=self._classifier.num_classes,
            seed=self._seed,
            name="local_classifier",
            dtype="float32",
        )
        attended = model.joint_network().output["attended"]
        self._local_classifier.build(attended.shape)

    @property
    def variables(self) -> Sequence[keras.Variable]:
        return [*super().variables, *self._local_classifier.variables]

    def loss(
        self,
        outputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        attended = outputs["attended"]
        scores = self._local_classifier(
            tf.reshape(attended, (-1, attended.shape[-1]))
        )
        landmarks = tf.reshape(batch["landmark"], (-1,))
        attention, reconstruction = self._weights
        return (
            super().loss(outputs, batch)
            + attention * self._attention_loss(landmarks, scores)
            + reconstruction * tf.reduce_sum(outputs["reconstruction_error"])
        )
