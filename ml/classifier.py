"""The small door before the heavy thing: load a checkpoint, ask it about pictures."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from ml.calibration import Calibration
from ml.checkpoint import Checkpoint, CheckpointCorrupt
from ml.drift import statistics
from ml.engine import Engine, Outputs, load_engine
from ml.labels import LABELS, NORMAL, PNEUMONIA
from ml.preprocess import canonical, to_array
from ml.quality import is_colour
from ml.refusal import Refusal


@dataclass(frozen=True)
class Classification:
    """What the model says of one picture.

    A picture with colours is no X-ray either. Where `is_chest_xray` is False the answer means nothing: the caller says
    NOT_A_CHEST_XRAY and shows no probability. The heatmap covers the whole picture, coarsely; it tells where the model
    looked, and localises no disease. The statistics tell of the picture, whatever the answer.
    """

    label: str  # NORMAL or PNEUMONIA
    probability: float  # calibrated probability of PNEUMONIA, 0..1
    is_chest_xray: bool
    heatmap: np.ndarray  # (rows, columns) float32, 0..1: Grad-CAM of the last convolution for `label`
    statistics: list[float]  # of the picture in canonical form, in the order of ml.drift.STATISTICS


class Classifier:
    """A loaded checkpoint. Not to be carried over a fork: the engine's threads are lost in the child."""

    def __init__(self, checkpoint: Checkpoint, engine: Engine, refusal: Refusal) -> None:
        self.checkpoint = checkpoint
        metadata = checkpoint.metadata
        self._calibration = Calibration(metadata.temperature, metadata.bias)
        self._graph = engine
        self._refusal = refusal

    @classmethod
    def load(cls, folder: Path, *, engine: str = "", threads: int = 0) -> Self:
        """Load the checkpoint in `folder` and run it once, so that the first real picture is not the slow one.

        `engine` is one of ml.engine.ENGINES; empty, the environment or the checkpoint decides, see load_engine there.
        It computes with so many `threads`, 0 for one on every core.
        Raises CheckpointMissing, CheckpointCorrupt, CheckpointIncompatible or EngineUnavailable.
        """
        checkpoint = Checkpoint.read(folder)
        loaded = load_engine(checkpoint, engine, threads=threads)
        classifier = cls(checkpoint, loaded, Refusal.load(checkpoint.refusal_path))
        try:
            classifier.classify([Image.new("L", (classifier.image_size, classifier.image_size))])
        except ValueError as error:
            raise CheckpointCorrupt(f"{checkpoint.refusal_path} does not fit the network: {error}") from error
        return classifier

    @property
    def image_size(self) -> int:
        """Give the side of the network's input in pixels."""
        return self.checkpoint.metadata.image_size

    @property
    def engine(self) -> str:
        """Name what computes the answers, one of ml.engine.ENGINES."""
        return self._graph.name

    def logits(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Give the (n, 2) float32 logits of at least one picture, of any mode and size."""
        return self._graph.logits(pictures)

    def features(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Give the (n, f) float32 features by which other pictures are refused, of at least one picture."""
        return self._graph.features(pictures)

    def classify(self, pictures: Sequence[Image.Image]) -> list[Classification]:
        """Answer for each picture, of any mode and size; an empty sequence gives an empty list."""
        return self.classify_canonical([canonical(picture) for picture in pictures], list(map(is_colour, pictures)))

    def classify_canonical(
        self, pictures: Sequence[Image.Image], coloured: Sequence[bool] | None = None
    ) -> list[Classification]:
        """Answer for pictures in canonical form (ml.preprocess), which were `coloured` before, or grey all of them."""
        if not pictures:
            return []
        return self._judged(self._graph.read_canonical(pictures), pictures, coloured or [False] * len(pictures))

    def classify_each(self, pictures: Iterable[Image.Image]) -> Iterator[Classification]:
        """Answer for grey pictures in canonical form, one after the other in their order.

        A few are taken ahead of the answer that is given, so that the network works while the caller does.
        """
        taken: deque[Image.Image] = deque()

        def inputs() -> Iterator[np.ndarray]:
            for picture in pictures:
                taken.append(picture)
                yield to_array(picture, self.image_size)

        for outputs in self._graph.read_each(inputs()):
            yield self._judged(outputs, [taken.popleft()], [False])[0]

    def _judged(self, outputs: Outputs, seen: Sequence[Image.Image], coloured: Sequence[bool]) -> list[Classification]:
        probabilities = self._calibration.probability(outputs.logits.astype(np.float64))
        refused = self._refusal.refuses(outputs.features) | coloured
        threshold = self.checkpoint.metadata.threshold
        labels = [PNEUMONIA if probability >= threshold else NORMAL for probability in probabilities]
        return [
            Classification(
                label, float(probability), not is_refused, heatmaps[LABELS.index(label)], statistics(picture)
            )
            for label, probability, is_refused, heatmaps, picture in zip(
                labels, probabilities, refused, outputs.heatmaps, seen, strict=True
            )
        ]
