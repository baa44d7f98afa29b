"""Extractors of one model for mining, validation and tests."""

import tensorflow as tf

from agem_tf.config import Config, ExtractionConfig, ImageConfig
from agem_tf.extraction.extractor import Extractor
from agem_tf.models import AGeM
from agem_tf.photos.canvases import settings_of


class UseExtractors:
    """Creates extractors; equal settings share one, and its compiled step.

    Args:
        config: The recipe.
        model: The model, created under `strategy`.
        strategy: Strategy to extract under.
    """

    def __init__(
        self, config: Config, model: AGeM, strategy: tf.distribute.Strategy
    ):
        self._config, self._model, self._strategy = config, model, strategy
        self._created: dict[str, Extractor] = {}

    def of_use(self, use: str) -> Extractor:
        """Returns the extractor of one of `config.USES`."""
        return self.of_settings(*settings_of(self._config, use))

    def of_settings(
        self, image: ImageConfig, extraction: ExtractionConfig
    ) -> Extractor:
        """Returns the extractor of photos with any settings.

        Args:
            image: How photos are resized and padded.
            extraction: Scales; the batch size is that of the recipe.
        """
        # A text, because a recipe may have lists in place of tuples.
        key = f"{image} {tuple(extraction.scales)}"
        if key not in self._created:
            self._created[key] = Extractor(
                self._model, image, extraction, self._strategy
            )
        return self._created[key]
