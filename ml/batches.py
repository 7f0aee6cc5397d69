"""Augmented batches for Keras, made from pictures held in memory."""

from collections.abc import Sequence

import keras
import numpy as np
from PIL import Image

from ml.augmentation import Augmentation
from ml.dataset import Example, class_weights
from ml.labels import LABELS
from ml.preprocess import to_array


class Batches(keras.utils.PyDataset):
    """Batches of ((n, size, size, 1) float32 grey levels 0..255, (n, 2) one-hot labels, (n,) weights).

    With `one_per_patient` an epoch shows one picture of every patient, drawn anew each epoch: a patient with ten
    nearly equal pictures counts once. `weighted` lets both labels count the same; `mixup` is both parameters of the
    Beta distribution that pictures are blended by, 0 for none. The same seed and epoch give the same batches, whatever
    the thread.
    """

    def __init__(
        self,
        pictures: Sequence[Image.Image],
        examples: Sequence[Example],
        *,
        size: int,
        batch_size: int,
        augmentation: Augmentation,
        one_per_patient: bool,
        seed: int,
        weighted: bool = True,
        mixup: float = 0.0,
    ) -> None:
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
        self._pictures, self._examples = pictures, examples
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._augmentation, self._mixup = augmentation, mixup
        groups: dict[str, list[int]] = {}
        for index, example in enumerate(examples):
            groups.setdefault(example.patient if one_per_patient else str(index), []).append(index)
        self._groups = list(groups.values())
        # By what an epoch shows, so that both labels count the same in it.
        found = class_weights([examples[index] for index in group] for group in self._groups)
        self._class_weights = found if weighted else dict.fromkeys(found, 1.0)
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw and shuffle the pictures of `epoch`; a resumed run gets the order it would have had."""
        rng = np.random.default_rng((self._seed, epoch))
        drawn = [group[rng.integers(len(group))] for group in self._groups]
        self._epoch, self._order = epoch, rng.permutation(drawn)

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        chosen = self._order[batch * self._batch_size : (batch + 1) * self._batch_size]
        labels = np.array([self._examples[index].index for index in chosen])
        weights = np.array([self._class_weights[label] for label in labels], np.float32)
        pictures = np.stack([self._augmented(int(index)) for index in chosen])
        return self._mixed(batch, pictures, np.eye(len(LABELS))[labels], weights)

    def _mixed(self, batch: int, *parts: np.ndarray) -> tuple[np.ndarray, ...]:
        """Blend each picture, label and weight with another of the batch (mixup, Zhang et al. 2018)."""
        if not self._mixup:
            return parts
        rng = np.random.default_rng((self._seed, self._epoch, batch, 1))
        share, other = rng.beta(self._mixup, self._mixup), rng.permutation(len(parts[0]))
        return tuple((share * part + (1 - share) * part[other]).astype(part.dtype) for part in parts)

    def _augmented(self, index: int) -> np.ndarray:
        rng = np.random.default_rng((self._seed, self._epoch, index))
        return to_array(self._augmentation(self._pictures[index], rng), self._size)


class StartEpoch(keras.callbacks.Callback):
    """Tells the batches which epoch begins, also after a resume."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._batches.start_epoch(epoch)
