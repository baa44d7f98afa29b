"""Training tasks: what a network learns from, and the loss of a batch."""

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.models import AGeM
from agem_tf.training.tasks.classification import ClassificationTask
from agem_tf.training.tasks.joint import JointTask
from agem_tf.training.tasks.task import Task, check_loss
from agem_tf.training.tasks.tuples import TupleTask

__all__ = ["Task", "check_loss", "create_task"]


def create_task(config: Config, dataset: PreparedDataset, model: AGeM) -> Task:
    """Returns the task of the recipe's loss.

    Args:
        config: The recipe.
        dataset: Prepared photos; the recipe names its splits.
        model: The network that is trained.

    Raises:
        UserError: The loss does not take the recipe's options, or a split has
            too few landmarks or pairs.
    """
    if config.loss.classifies:
        split = dataset.split(config.data.train_split)
        if model.local_dimension:
            return JointTask(config, split, model)
        return ClassificationTask(config, split, model.dimension)
    return TupleTask(config, dataset)
