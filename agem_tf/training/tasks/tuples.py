"""Tuples of a query, its positive and mined hard negatives.

Every draw is a function of the seed, the epoch and the descriptors, so that an
interrupted epoch can be drawn again.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from agem_tf.config import Config, MiningConfig
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.distribution.batches import gather
from agem_tf.errors import UserError
from agem_tf.losses.tuple_losses import NEGATIVE, POSITIVE, QUERY
from agem_tf.training.tasks.hard_negatives import mine_negatives
from agem_tf.training.tasks.pairs import Pairs, find_pairs
from agem_tf.training.tasks.task import Describe, create_loss


class TupleSampler:
    """Draws pairs and a pool of photos, and mines the negatives.

    Args:
        split: Photos and their landmarks.
        pairs: Pairs of a query and a positive of that split.
        config: Numbers of queries, of photos in the pool and of negatives.
        seed: Seed of every draw.

    Raises:
        UserError: The split has too few landmarks for the negatives.
    """

    def __init__(
        self, split: Split, pairs: Pairs, config: MiningConfig, seed: int
    ):
        self._labels, self._pairs = split.labels, pairs
        self._config, self._seed = config, seed
        landmarks = len(np.unique(self._labels[pairs.candidates]))
        if landmarks <= config.num_negatives:
            raise UserError(
                f"Split {split.name} has {landmarks} usable landmarks, but a "
                f"query and mining.num_negatives={config.num_negatives} need "
                f"{config.num_negatives + 1}; give the split more (--option of "
                "agem_tf.prepare) or lower it."
            )

    @property
    def num_tuples(self) -> int:
        """Tuples per epoch."""
        return min(self._config.num_queries, len(self._pairs))

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        """Returns the (tuples, 2 + negatives) photo indices of an epoch.

        Args:
            epoch: 0-based.
            describe: Returns the current descriptors of photos; called once,
                with the queries and the pool.

        Raises:
            UserError: The pool has too few landmarks for the negatives.
        """
        rng = np.random.default_rng([self._seed, epoch])
        pairs = self._pairs.draw(rng, self.num_tuples)
        pool = rng.permutation(self._pairs.candidates)
        return self._add_negatives(
            pairs, pool[: self._config.pool_size], describe
        )

    def draw_all(self, describe: Describe) -> np.ndarray:
        """Returns the tuples of all pairs; negatives of the whole split.

        The pairs are always the same; the negatives depend on the descriptors.
        Arguments, result and errors are those of `draw`.
        """
        rng = np.random.default_rng([self._seed, 0])
        pairs = self._pairs.draw(rng, len(self._pairs))
        return self._add_negatives(pairs, self._pairs.candidates, describe)

    def _add_negatives(
        self, pairs: np.ndarray, pool: np.ndarray, describe: Describe
    ) -> np.ndarray:
        queries = pairs[:, 0]
        needed = np.unique(np.concatenate([queries, pool]))
        descriptors = describe(needed)
        negatives = mine_negatives(
            descriptors[np.searchsorted(needed, queries)],
            descriptors[np.searchsorted(needed, pool)],
            self._labels[queries],
            self._labels[pool],
            self._config.num_negatives,
        )
        return np.column_stack([pairs, pool[negatives]])


class TupleLoss:
    """The recipe's loss of a batch of tuples; see `Task.loss`.

    A loss within tuples takes the roles of their photos. A loss across the
    batch takes the landmark of every photo, and sees the photos of all
    replicas: its negatives must not become fewer with more replicas.

    Args:
        config: The recipe.

    Raises:
        UserError: The loss does not take the recipe's options.
    """

    def __init__(self, config: Config):
        self._loss = create_loss(config.loss)
        self._across_batch = getattr(self._loss, "across_batch", False)
        if self._across_batch and config.training.accumulate_steps > 1:
            raise UserError(
                f"Loss {config.loss.name} compares all photos of a step, and "
                f"training.accumulate_steps={config.training.accumulate_steps} "
                "would leave it those of a part; set it to 1."
            )
        self._roles = [QUERY, POSITIVE] + [
            NEGATIVE
        ] * config.mining.num_negatives

    def __call__(
        self,
        outputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        descriptors = outputs["descriptors"]
        if not self._across_batch:
            roles = tf.tile([self._roles], (tf.shape(descriptors)[0], 1))
            return self._loss(roles, descriptors)
        images = tf.reshape(descriptors, (-1, descriptors.shape[-1]))
        landmarks = tf.cast(batch["landmark"], tf.float32)
        loss = self._loss(gather(tf.reshape(landmarks, (-1,))), gather(images))
        # Every replica computes the loss of the whole batch.
        return loss / tf.distribute.get_strategy().num_replicas_in_sync


class TupleTask:
    """Mines new tuples in every epoch; see `Task`.

    The validation loss is that of all pairs of the validation split. They are
    the same in every epoch, as in the published training, so that no draw of a
    few pairs decides which epoch is the best; their negatives are mined from
    the whole split with the current descriptors.

    Args:
        config: The recipe.
        dataset: Prepared photos; the recipe's training and validation splits
            have pairs.

    Raises:
        UserError: A split has no pairs or too few landmarks, or the loss does
            not take the recipe's options.
    """

    variables = ()

    def __init__(self, config: Config, dataset: PreparedDataset):
        def open_split(name: str) -> tuple[Split, TupleSampler]:
            split = dataset.split(name)
            pairs = find_pairs(split, dataset)
            seed = config.training.seed
            return split, TupleSampler(split, pairs, config.mining, seed)

        self.split, self._sampler = open_split(config.data.train_split)
        self._unseen, self._unseen_sampler = open_split(
            config.data.validation_split
        )
        self._batch_tuples = config.training.batch_tuples
        self.loss = TupleLoss(config)

    @property
    def num_tuples(self) -> int:
        return self._sampler.num_tuples

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        return self._sampler.draw(epoch, describe)

    def validate(self, descriptors: np.ndarray) -> dict[str, float]:
        tuples = self._unseen_sampler.draw_all(descriptors.__getitem__)
        # In batches as in training: the loss may depend on the whole batch.
        starts = range(0, len(tuples), self._batch_tuples)
        batches = [tuples[at : at + self._batch_tuples] for at in starts]
        losses = [
            self.loss(
                {"descriptors": tf.constant(descriptors[batch])},
                {"landmark": tf.constant(self._unseen.labels[batch])},
            )
            for batch in batches
        ]
        return {"validation_loss": sum(map(float, losses)) / len(tuples)}
