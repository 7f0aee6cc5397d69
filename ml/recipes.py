"""The named ways to train: what one run does, with the reason for each choice."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What one training run does; sizes in pixels, learning rates per step."""

    image_size: int
    batch_size: int
    head: str  # of ml.model.HEADS
    normalisation: str  # of ml.model.NORMALISATIONS
    augmentation: str
    mixup: float  # both parameters of the Beta distribution of Zhang et al. 2018; 0 mixes nothing
    label_smoothing: float  # this share of a label is spread over both (Szegedy et al. 2016)
    class_weights: bool  # both labels count the same in the loss, whatever their numbers
    one_per_patient: bool
    head_epochs: int
    head_learning_rate: float
    fine_tune_from: str
    fine_tune_epochs: int
    fine_tune_learning_rate: float
    warmup_steps: int
    cosine: bool
    weight_decay: float
    ema_momentum: float | None
    patience: int | None  # epochs without a better validation loss before a phase stops; None: run all epochs


RECIPES = {
    # The two-phase transfer learning of the textbooks: small pushes, early stopping, the best epoch wins.
    "classic": Recipe(
        image_size=224,
        batch_size=32,
        head="dense",
        normalisation="none",
        augmentation="gentle",
        mixup=0.0,
        label_smoothing=0.0,
        class_weights=True,
        one_per_patient=False,
        head_epochs=10,
        head_learning_rate=1e-4,
        fine_tune_from="block4_conv1",
        fine_tune_epochs=10,
        fine_tune_learning_rate=1e-5,
        warmup_steps=0,
        cosine=False,
        weight_decay=0.0,
        ema_momentum=None,
        patience=3,
    ),
    # Made to survive pictures from elsewhere: strong augmentation, more open layers, averaged weights. The validation
    # loss inside the training hospital is no guide here, so the run ends on schedule instead of at its best epoch.
    "robust": Recipe(
        image_size=128,
        batch_size=16,
        head="dense",
        normalisation="none",
        augmentation="robust",
        mixup=0.0,
        label_smoothing=0.0,
        class_weights=True,
        one_per_patient=True,
        head_epochs=2,
        head_learning_rate=1e-4,
        fine_tune_from="block3_conv1",
        fine_tune_epochs=5,
        fine_tune_learning_rate=5e-5,
        warmup_steps=100,
        cosine=True,
        weight_decay=1e-4,
        ema_momentum=0.99,
        patience=None,
    ),
}

# The second half of a robust run: from its network on (--weights RUN/vgg19_pneumonia.h5) with the shortcuts closed
# tighter. A head that is trained already needs no phase of its own.
RECIPES["matched"] = dataclasses.replace(
    RECIPES["robust"], augmentation="matched", head_epochs=0, fine_tune_epochs=5, fine_tune_learning_rate=4e-5
)

# From the network of "matched" on, with text burned into half of the pictures: letters moved its answers.
RECIPES["lettered"] = dataclasses.replace(
    RECIPES["matched"], augmentation="lettered", fine_tune_epochs=5, fine_tune_learning_rate=3e-5
)

# A longer way: from the network of "matched" on at the resolution of the data. What was learned at 128 pixels starts it
# (progressive resizing), so that the costly steps are few.
RECIPES["sharp"] = dataclasses.replace(
    RECIPES["matched"], image_size=224, fine_tune_epochs=8, fine_tune_learning_rate=4e-5
)
