"""Training tasks: what a network learns from, and the loss of a batch."""

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.training.tasks.classification import ClassificationTask
from agem_tf.training.tasks.task import Task
from agem_tf.training.tasks.tuples import TupleTask


def create_task(
    config: Config, dataset: PreparedDataset, dimension: int
) -> Task:
    """Returns the task of the recipe's loss.

    Args:
        config: The recipe.
        dataset: Prepared photos; the recipe names its splits.
        dimension: Length of a descriptor.

    Raises:
        UserError: The loss does not take the recipe's options, or a split has
            too few landmarks or pairs.
    """
    if config.loss.classifies:
        split = dataset.split(config.data.train_split)
        return ClassificationTask(config, split, dimension)
    return TupleTask(config, dataset)
