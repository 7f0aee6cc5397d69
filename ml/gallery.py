"""A contact sheet of wrong answers: each picture, the same under its heatmap, what it is and what was answered.

It shows pictures of people: where their licence or privacy forbids that, the sheet must not be published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ml.heatmap import heatmap_image

COLUMNS = 4
SIDE = 160  # of one picture, in pixels
CAPTION = 34  # two lines of Pillow's own small font
MARGIN = 8


@dataclass(frozen=True)
class WrongAnswer:
    """An 8-bit grayscale picture, its file's name, what it is, what was answered, and (rows, columns) of heat 0..1."""

    picture: Image.Image
    name: str
    label: str
    probability: float
    heatmap: np.ndarray


def contact_sheet(answers: Sequence[WrongAnswer], path: Path) -> Path:
    """Draw one cell for each of one or more wrong answers, in the order given, and write the sheet as PNG."""
    width, height = 2 * SIDE + MARGIN, SIDE + CAPTION + MARGIN
    rows, columns = -(-len(answers) // COLUMNS), min(COLUMNS, len(answers))
    sheet = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), "white")
    for i, answer in enumerate(answers):
        sheet.paste(cell(answer), (MARGIN + i % COLUMNS * width, MARGIN + i // COLUMNS * height))
    sheet.save(path)
    return path


def cell(answer: WrongAnswer) -> Image.Image:
    """Draw the picture, beside it the same under its heatmap, and below two lines of text."""
    plain = answer.picture.convert("RGB").resize((SIDE, SIDE))
    heat = heatmap_image(answer.heatmap, (SIDE, SIDE)).convert("RGBA")
    drawn = Image.new("RGB", (2 * SIDE, SIDE + CAPTION), "white")
    drawn.paste(plain, (0, 0))
    drawn.paste(Image.alpha_composite(plain.convert("RGBA"), heat).convert("RGB"), (SIDE, 0))
    text = f"{answer.name}\nis {answer.label}, P(PNEUMONIA) = {answer.probability:.3f}"
    ImageDraw.Draw(drawn).multiline_text((0, SIDE + 2), text, fill="black", spacing=2)
    return drawn
