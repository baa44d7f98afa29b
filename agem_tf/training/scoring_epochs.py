"""The scores of the current weights on the validation split."""

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.extraction.extractor import Extractor
from agem_tf.training.tasks.task import Task


class Validator:
    """Scores weights on photos of landmarks that do not train.

    Args:
        config: the recipe.
        dataset: its validation split has a ground truth.
        extractor: of the model that is trained.
        task: adds its own scores.
    """

    def __init__(
        self,
        config: Config,
        dataset: PreparedDataset,
        extractor: Extractor,
        task: Task,
    ):
        name = config.data.validation_split
        self._split = dataset.split(name)
        self._truth = dataset.ground_truth(name)
        self._extractor, self._task = extractor, task

    def run(self) -> dict[str, float]:
        """Extracts the split once and scores it.

        Returns:
            What the task says, and "validation_map": the mean average
            precision, Medium protocol, in [0, 1].
        """
        database = self._extractor.database(self._split)
        queries = self._extractor.queries(self._split, self._truth)
        scores = evaluate_descriptors(database, self._truth, queries).scores
        return self._task.validate(database.descriptors) | {
            "validation_map": scores.medium.mean_average_precision
        }
