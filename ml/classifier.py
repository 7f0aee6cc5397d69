"""The small door before the heavy thing: load a checkpoint, ask it about pictures."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from ml.calibration import Calibration
from ml.checkpoint import Checkpoint, CheckpointCorrupt
from ml.labels import NORMAL, PNEUMONIA
from ml.model import build_classifier
from ml.preprocess import model_input


@dataclass(frozen=True)
class Classification:
    """What the model says of one picture; `probability` is the calibrated probability of PNEUMONIA, 0..1."""

    label: str
    probability: float


class Classifier:
    """A loaded checkpoint. Not to be carried over a fork: TensorFlow hangs in the child."""

    def __init__(self, checkpoint: Checkpoint, model: keras.Model) -> None:
        self.checkpoint = checkpoint
        metadata = checkpoint.metadata
        self._calibration = Calibration(metadata.temperature, metadata.bias)
        logits = keras.Model(model.input, model.get_layer("logits").output)
        size = metadata.image_size
        # One compiled function for every batch size; model.predict costs more per call, and leaks.
        self._logits = tf.function(
            lambda pictures: logits(pictures, training=False),
            input_signature=[tf.TensorSpec((None, size, size, 1), tf.float32)],
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the checkpoint in `folder` and run it once, so that the first real picture is not the slow one.

        Raises CheckpointMissing, CheckpointCorrupt or CheckpointIncompatible.
        """
        checkpoint = Checkpoint.read(folder)
        checkpoint.verify()
        model = build_classifier(image_size=checkpoint.metadata.image_size)
        try:
            # Where a layer has no weights in the file, Keras only warns and leaves it as it was made: at random.
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                model.load_weights(checkpoint.weights_path)
        except (OSError, ValueError, KeyError, UserWarning) as error:
            raise CheckpointCorrupt(f"{checkpoint.weights_path} does not fit the network: {error}") from error
        classifier = cls(checkpoint, model)
        classifier.classify([Image.new("L", (classifier.image_size, classifier.image_size))])
        return classifier

    @property
    def image_size(self) -> int:
        """Give the side of the network's input in pixels."""
        return self.checkpoint.metadata.image_size

    def logits(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Give the (n, 2) float32 logits of pictures of any mode and size."""
        inputs = np.stack([model_input(picture, self.image_size) for picture in pictures])
        return self._logits(tf.constant(inputs)).numpy()

    def classify(self, pictures: Sequence[Image.Image]) -> list[Classification]:
        """Answer for each picture, of any mode and size; an empty sequence gives an empty list."""
        if not pictures:
            return []
        probabilities = self._calibration.probability(self.logits(pictures).astype(np.float64))
        threshold = self.checkpoint.metadata.threshold
        return [
            Classification(PNEUMONIA if probability >= threshold else NORMAL, float(probability))
            for probability in probabilities
        ]
