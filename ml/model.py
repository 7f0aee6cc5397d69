"""The VGG19 classifier: build it, freeze its convolutions, open the deeper ones again, write its weights."""

import os
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

from ml.checkpoint import METADATA_FILE, Checkpoint, CheckpointCorrupt, CheckpointError
from ml.labels import LABELS

# keras.applications' VGG19 was trained on BGR pictures with these means (of 0..255) subtracted and no scaling.
IMAGENET_BGR_MEANS = (103.939, 116.779, 123.68)

# From the picture to the head.
CONVOLUTIONS = [
    f"block{block}_conv{i}" for block, count in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 4)) for i in range(1, count + 1)
]

HEADS = ("dense", "pooling")
NORMALISATIONS = ("none", "picture")

# Mean and standard deviation in grey levels that the normalisation "picture" gives; those of a usual X-ray.
LEVELS = (122.0, 55.0)

# The convolution whose activations Grad-CAM reads.
LAST_CONVOLUTION = CONVOLUTIONS[-1]


class StartingWeightsError(Exception):
    """The starting weights could not be had; the text says what to do."""


def build_classifier(
    *,
    image_size: int,
    head: str = "dense",
    normalisation: str = "none",
    starting_weights: str | os.PathLike[str] | None = None,
) -> keras.Model:
    """Build the network: (n, image_size, image_size, 1) grey levels 0..255 → (n, 2) probabilities in LABELS order.

    The head "dense" is Flatten → Dense 512 ReLU → Dropout 0.5 → Dense 128 ReLU → Dense 2 softmax; "pooling" averages
    each feature over the picture (Lin et al. 2014) and has but the last Dense. The layer named "logits" holds the
    values before the softmax. `normalisation` "picture" gives every picture the same mean and deviation of its grey
    levels first. `starting_weights` are None (random), "imagenet" (Keras downloads those of the
    convolutions), the path of a no-top VGG19 .h5, that of the whole network's .h5 that a run has written, or the
    folder of a checkpoint. Of a whole network the image size may differ, and of one with another head the
    convolutions are taken. Raises StartingWeightsError.
    """
    start = None if starting_weights is None else Path(starting_weights)
    whole = start if start and holds_whole_network(start) else None
    picture = keras.Input((image_size, image_size, 1), name="picture")
    x = picture if normalisation == "none" else _same_levels(picture)
    x = layers.Concatenate(name="three_channels")([x] * 3)
    x = layers.Rescaling(1.0, offset=[-mean for mean in IMAGENET_BGR_MEANS], name="imagenet_centred")(x)
    x = _vgg19(x, None if whole else starting_weights).output
    if head == "pooling":
        x = layers.GlobalAveragePooling2D(name="average")(x)
        x = layers.Dropout(0.5, name="dropout")(x)
    else:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(512, activation="relu", name="dense_512")(x)
        x = layers.Dropout(0.5, name="dropout")(x)
        x = layers.Dense(128, activation="relu", name="dense_128")(x)
    # float32 also under mixed precision: a probability near 1 needs the digits.
    logits = layers.Dense(len(LABELS), dtype="float32", name="logits")(x)
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(logits)
    model = keras.Model(picture, probabilities, name="vgg19_pneumonia")
    if whole:
        try:
            _go_on_from(model, _whole_network(whole))
        except (OSError, ValueError, KeyError, CheckpointError) as error:
            raise StartingWeightsError(f"{whole} is no network to go on from: {error}") from error
    return model


def load_network(checkpoint: Checkpoint) -> keras.Model:
    """Build the network of `checkpoint`, whose files were verified, with its weights. Raises CheckpointCorrupt."""
    metadata, weights = checkpoint.metadata, checkpoint.weights_path
    try:
        model = build_classifier(
            image_size=metadata.image_size, head=metadata.head, normalisation=metadata.normalisation
        )
        # Where a layer has no weights in the file, Keras only warns and leaves it as it was made: at random.
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model.load_weights(weights)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise CheckpointCorrupt(f"{weights} does not fit the network: {error}") from error
    return model


def _whole_network(path: Path) -> keras.Model:
    if path.is_dir():
        checkpoint = Checkpoint.read(path)
        checkpoint.verify()
        return load_network(checkpoint)
    return keras.saving.load_model(path, compile=False)


def _go_on_from(model: keras.Model, earlier: keras.Model) -> None:
    """Copy the weights of `earlier` into `model`; of one with another head those of the convolutions."""
    weighted = [layer.name for layer in model.layers if layer.weights]
    same_head = set(weighted) == {layer.name for layer in earlier.layers if layer.weights}
    for name in weighted if same_head else CONVOLUTIONS:
        found = earlier.get_layer(name).get_weights()
        if name == "dense_512":
            found[0] = resampled_kernel(found[0], model.get_layer(name).kernel.shape[0])
        model.get_layer(name).set_weights(found)


def resampled_kernel(kernel: np.ndarray, rows: int) -> np.ndarray:
    """Fit the first dense layer's kernel, (side² · channels, units), to another image size: `rows` = side'² · channels.

    The side is that of the last activations, and channels are those of the last convolution. The weights of each
    feature are interpolated over the places, and scaled so that a feature that is the same everywhere counts as before.
    """
    channels, units = 512, kernel.shape[1]
    side, wanted = (round((count / channels) ** 0.5) for count in (len(kernel), rows))
    places = kernel.reshape(side, side, channels * units)
    resized = keras.ops.convert_to_numpy(keras.ops.image.resize(places, (wanted, wanted), data_format="channels_last"))
    return (resized * (side / wanted) ** 2).reshape(rows, units)


def _same_levels(picture):
    """Scale and shift each picture to LEVELS; the layers carry no weights, so it travels with the network."""
    mean, deviation = LEVELS
    x = layers.GroupNormalization(groups=1, center=False, scale=False, epsilon=1.0, name="same_levels")(picture)
    return layers.Rescaling(deviation, offset=mean, name="usual_levels")(x)


def holds_whole_network(path: Path) -> bool:
    """Tell a checkpoint, or the .h5 of a saved network, which holds its configuration, from weights alone."""
    if (path / METADATA_FILE).is_file():
        return True
    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "model_config" in file.attrs


def _vgg19(tensor, starting_weights) -> keras.Model:
    if starting_weights is None or starting_weights == "imagenet":
        try:
            return keras.applications.VGG19(include_top=False, weights=starting_weights, input_tensor=tensor)
        except Exception as error:
            # keras.utils.get_file raises a bare Exception for any failed download.
            if starting_weights is None:
                raise
            raise StartingWeightsError(
                "The ImageNet weights of VGG19 could not be downloaded. With a network connection Keras fetches them "
                "itself; without one give a file instead: --weights path/to/vgg19_notop.weights.h5"
            ) from error
    path = Path(starting_weights)
    if not path.is_file():
        raise StartingWeightsError(f"There is no file of starting weights at {path}.")
    try:
        return keras.applications.VGG19(include_top=False, weights=str(path), input_tensor=tensor)
    except (OSError, ValueError, KeyError) as error:
        raise StartingWeightsError(f"{path} does not hold the weights of a VGG19 without its top: {error}") from error


def freeze_convolutions(model: keras.Model) -> None:
    """Leave only the head to be trained (phase 1). Compile afterwards."""
    for name in CONVOLUTIONS:
        model.get_layer(name).trainable = False


def unfreeze_from(model: keras.Model, first: str) -> None:
    """Open the convolutions from the one named `first` on, up to the head (phase 2). Compile afterwards.

    Raises ValueError when no convolution has that name.
    """
    if first not in CONVOLUTIONS:
        raise ValueError(f"{first!r} is no convolution of VGG19; expected one of {', '.join(CONVOLUTIONS)}")
    for place, name in enumerate(CONVOLUTIONS):
        model.get_layer(name).trainable = place >= CONVOLUTIONS.index(first)


def save_half_precision(model: keras.Model, path: Path) -> None:
    """Write the weights in Keras's own layout as float16, under a temporary name first; Keras widens them on load."""
    # Keras wants the ending .weights.h5 also of the temporary file.
    part = path.with_name(f"part.{path.name}")
    # Compiled without an optimizer: its moments are not part of what is shipped.
    keras.Model(model.input, model.output).save_weights(part)
    narrow = path.with_name(f"narrow.{path.name}")
    with h5py.File(part) as wide, h5py.File(narrow, "w") as half:

        def copy(name: str, found: h5py.Group | h5py.Dataset) -> None:
            if isinstance(found, h5py.Dataset):
                kept = found[()].astype(np.float16) if found.dtype == np.float32 else found[()]
                copied = half.create_dataset(name, data=kept)
            else:
                copied = half.require_group(name)
            copied.attrs.update(found.attrs)

        wide.visititems(copy)
        half.attrs.update(wide.attrs)
    part.unlink()
    os.replace(narrow, path)
