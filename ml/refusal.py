"""Refuse what is no frontal chest radiograph, by features of the training pictures; no other picture is needed to fit.

Two measures, of which together the score is made:

- *Unlike*: the squared Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888) of the features, means over the whole
  picture, from those of training pictures that were varied widely, after a projection on their principal components.
- *Turned*: the side of a plane that parts upright positives from the same pictures turned or inverted, by features of
  the four quarters. A photographic negative or a picture on its side is made of the same parts, so that the first
  measure alone lets some of them pass.

A chest X-ray from elsewhere is strange in one of them, most other pictures are a little strange in both; so it is the
root of the sum of their squares that is judged.

Neither needs TensorFlow: the features come from ml.serving.
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from ml.checkpoint import CheckpointCorrupt, CheckpointMissing

if TYPE_CHECKING:
    from ml.intervals import Interval

# Features are means over GRID × GRID parts of the picture: above and below, left and right differ in a chest.
GRID = 2
QUARTERS = GRID**2

# Varied training pictures that are read for a fit; a quarter of them sets the limits.
PICTURES = 1200
LIMIT_SHARE = 0.25

# Directions that are kept: beyond them the variance of a thousand pictures is mostly noise.
COMPONENTS = 50

# Of varied pictures that the fit has not seen this share passes. Pictures as they are lie nearer.
PASSING = 0.99


@dataclass(frozen=True)
class Refusal:
    """A fitted detector. Features are (n, QUARTERS · channels) float32, as ml.serving gives them."""

    centre: np.ndarray  # (channels,): mean of the square roots of the features
    whitening: np.ndarray  # (channels, k): the squared length of (root - centre) @ whitening tells how unlike
    normal: np.ndarray  # (QUARTERS · channels,): root @ normal + offset tells how turned, below 0 not at all
    offset: np.ndarray  # ()

    def score(self, features: np.ndarray) -> np.ndarray:
        """Give (n,) scores, at least 0; over 1 the picture is refused. Raises ValueError."""
        if features.ndim != 2 or features.shape[1] != self.normal.size:
            raise ValueError(f"Expected (n, {self.normal.size}) features, got {features.shape}.")
        roots = _roots(features)
        unlike = np.square((_whole(roots) - self.centre) @ self.whitening).sum(axis=1)
        return _together(unlike, roots @ self.normal + self.offset)

    def refuses(self, features: np.ndarray) -> np.ndarray:
        """Tell for each of n pictures whether it is refused. Raises ValueError."""
        # Written so that a score that is no number refuses.
        return ~(self.score(features) <= 1)

    def save(self, path: Path) -> None:
        """Write the detector to `path`, which ends in .npz, whole or not at all."""
        part = path.with_name(f"part.{path.name}")
        np.savez_compressed(part, **asdict(self))
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises CheckpointMissing or CheckpointCorrupt."""
        try:
            # np.load would leave a damaged file open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                refusal = cls(**{name: found[name] for name in cls.__dataclass_fields__})
        except FileNotFoundError as error:
            raise CheckpointMissing(f"{path} is absent.") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CheckpointCorrupt(f"{path} can't be read: {error}") from error
        refusal._check(path)
        return refusal

    def _check(self, path: Path) -> None:
        channels = self.centre.size
        shapes = (channels,), (channels, self.whitening.shape[-1]), (QUARTERS * channels,), ()
        for array, shape in zip(asdict(self).values(), shapes, strict=True):
            if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
                raise CheckpointCorrupt(f"{path} holds something other than a detector.")


def fit_for(
    features_of: Callable[[Sequence[Image.Image]], np.ndarray], pictures: Sequence[Image.Image], *, seed: int
) -> Refusal:
    """Fit a detector to the network whose `features_of` pictures are given, by canonical training `pictures`.

    At most PICTURES of them are read, drawn from all; of few pictures each is read four times. Each is varied anew.
    The fit is the same for the same seed.
    """
    # Here, as scikit-learn below: a worker only applies a detector.
    from ml.variations import ALTERATIONS, varied

    rng = np.random.default_rng(seed)
    count = min(PICTURES, 4 * len(pictures))
    drawn = [pictures[index % len(pictures)] for index in rng.permutation(max(count, len(pictures)))[:count]]
    upright = [varied(picture, rng) for picture in drawn]
    turned = [ALTERATIONS[place % len(ALTERATIONS)](picture) for place, picture in enumerate(upright[::2])]
    features = features_of(upright)
    first_unseen = round((1 - LIMIT_SHARE) * count)
    return fit_refusal(features[:first_unseen], unseen=features[first_unseen:], turned=features_of(turned))


def fit_refusal(features: np.ndarray, *, unseen: np.ndarray, turned: np.ndarray) -> Refusal:
    """Fit a detector on `features` of varied chest X-rays and of `turned` ones; the `unseen` ones set the limits.

    All are (n, QUARTERS · channels), n at least 4.
    """
    roots, unseen_roots = _roots(features), _roots(unseen)
    centre, whitening = _whitening(_whole(roots))
    unlike = np.square((_whole(unseen_roots) - centre) @ whitening).sum(axis=1)
    far = _limit(unlike)

    normal, middle = _plane(roots, _roots(turned))
    # Scaled so that the usual upright picture has 0 and the limit is 1.
    usual = float(np.median(roots @ normal))
    reach = max(_limit(unseen_roots @ normal), middle) - usual

    # Both together pass what they are to pass, so each alone may go beyond its own limit.
    limit = _limit(_together(unlike / far, (unseen_roots @ normal - usual) / reach))
    reach *= limit
    fitted = centre, whitening / np.sqrt(far * limit), normal / reach, -usual / reach
    return Refusal(*(np.asarray(array, np.float32) for array in fitted))


def false_refusals(refusal: Refusal, features: np.ndarray, *, groups: Sequence[Hashable] | None = None) -> "Interval":
    """Give the share of chest X-rays that are refused, as {"value", "low", "high", "n"}; intervals by `groups`."""
    from ml.metrics import share_of

    return share_of(refusal.refuses(features), groups=groups)


# --- mathematics ---


def _roots(features: np.ndarray) -> np.ndarray:
    """Square roots: mean activations are skewed, their roots nearly normal."""
    return np.sqrt(np.maximum(features, 0, dtype=np.float64))


def _whole(roots: np.ndarray) -> np.ndarray:
    """Average the quarters: (n, QUARTERS · channels) → (n, channels)."""
    return roots.reshape(len(roots), QUARTERS, roots.shape[1] // QUARTERS).mean(axis=1)


def _together(unlike: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Make one score of both measures."""
    return np.hypot(unlike, np.maximum(turned, 0))


def _whitening(roots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean and a (channels, k) map after which the pictures have unit covariance."""
    from sklearn.covariance import LedoitWolf
    from sklearn.decomposition import PCA

    # A channel that is nearly always off would count for everything where it is on.
    deviation = roots.std(axis=0)
    deviation = np.maximum(deviation, 0.05 * deviation.mean() + np.finfo(np.float32).tiny)
    centre = roots.mean(axis=0)
    components = PCA(min(COMPONENTS, len(roots) // 4, roots.shape[1]), random_state=0)
    projected = components.fit_transform((roots - centre) / deviation)
    half = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(projected).precision_)
    return centre, (components.components_ / deviation).T @ half


def _plane(upright: np.ndarray, turned: np.ndarray) -> tuple[np.ndarray, float]:
    """Give Fisher's linear discriminant of two sets of rows: a normal, and the value half-way along it.

    The covariance within the sets is shrunken as by Ledoit and Wolf 2004: there are as many features as pictures.
    """
    from sklearn.covariance import LedoitWolf

    means = upright.mean(axis=0), turned.mean(axis=0)
    within = np.concatenate([upright - means[0], turned - means[1]])
    deviation = within.std(axis=0) + np.finfo(np.float32).tiny
    covariance = LedoitWolf(assume_centered=True).fit(within / deviation).covariance_
    normal = np.linalg.solve(covariance, (means[1] - means[0]) / deviation) / deviation
    return normal, float(normal @ (means[0] + means[1]) / 2)


def _limit(scores: np.ndarray) -> float:
    return float(np.quantile(scores, PASSING))
