"""The validation loss and mAP of the current weights, from one extraction."""

import dataclasses

import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.data.prepared import PreparedDataset
from agem_tf.evaluation.descriptors import evaluate_descriptors
from agem_tf.extraction import Extractor
from agem_tf.training.objective import Objective
from agem_tf.training.tuples import TupleSampler


@dataclasses.dataclass(frozen=True)
class Validation:
    """Scores of one moment.

    Attributes:
        loss: mean over the validation tuples.
        mean_average_precision: Medium protocol, in [0, 1].
    """

    loss: float
    mean_average_precision: float


class Validator:
    """Scores weights on the validation split.

    Queries and positives stay the same in every epoch; negatives are mined
    again with the current descriptors, as in the published training.
    """

    def __init__(
        self, config: Config, dataset: PreparedDataset, extractor: Extractor
    ):
        name = config.data.validation_split
        self._split = dataset.split(name)
        self._truth = dataset.ground_truth(name)
        self._extractor = extractor
        self._sampler = TupleSampler(
            self._split, self._truth, config.mining, config.training.seed
        )
        self._batch_tuples = config.training.batch_tuples
        self._objective = Objective(config)

    def run(self) -> Validation:
        """Extracts the split and scores it."""
        database = self._extractor.database(self._split)
        queries = self._extractor.queries(self._split, self._truth)
        descriptors = database.descriptors
        tuples = self._sampler.draw(0, descriptors.__getitem__)
        scores = evaluate_descriptors(database, self._truth, queries).scores
        return Validation(
            loss=self._loss(tuples, descriptors) / len(tuples),
            mean_average_precision=scores.medium.mean_average_precision,
        )

    def _loss(self, tuples: np.ndarray, descriptors: np.ndarray) -> float:
        """Adds up batches as in training, for a loss may be one of batches."""
        starts = range(0, len(tuples), self._batch_tuples)
        batches = [tuples[at : at + self._batch_tuples] for at in starts]
        return sum(
            float(
                self._objective(
                    tf.constant(self._split.labels[batch]),
                    tf.constant(descriptors[batch]),
                )
            )
            for batch in batches
        )
