"""The two answers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ml.labels import NORMAL, PNEUMONIA


class Label(models.TextChoices):
    """The two answers, as ml.labels names them."""

    NORMAL = NORMAL, _("Normal")
    PNEUMONIA = PNEUMONIA, _("Pneumonia")
