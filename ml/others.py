"""Pictures that are no upright frontal chest X-ray, to test a refusal with; nothing is ever fitted to them.

They are made here (documents, patterns, noise, nothing), come with packages that are required anyway (photographs of
scikit-learn and Matplotlib, slices and scans of Matplotlib and pydicom), or are chest X-rays that were inverted or
turned. A folder of one's own adds kinds: each of its subfolders is one.
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ml.dataset import DatasetError, is_picture

Kinds = dict[str, list[Image.Image]]

SIDE = 300

# Of pydicom's own test files those that show a body, one of each examination.
SLICES = ("CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "693_J2KI.dcm", "MR_small.dcm", "examples_overlay.dcm")
SCANS = ("examples_rgb_color.dcm", "examples_palette.dcm", "JPEG2000.dcm")

# Exponents of the spectrum: from white noise to clouds.
SPECTRA = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)

WORDS = ("the", "of", "and", "to", "in", "is", "that", "it", "for", "as", "was", "with", "by", "this", "which")

# What makes another picture of a chest X-ray that nobody can read as one.
ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "chest X-ray, inverted": ImageOps.invert,
    "chest X-ray, turned by 90°": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "chest X-ray, turned by 180°": lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    "chest X-ray, turned by 270°": lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
}


def made() -> Kinds:
    """Give the pictures that need no chest X-ray, by kind, the same ones always."""
    rng = np.random.default_rng(0)
    colour = [part for picture in photographs() for part in (picture, *quarters(picture))]
    return {
        "photograph, colour": colour,
        "photograph, grey": [picture.convert("L") for picture in colour],
        "document": [document(rng, size) for size in (12, 16, 22, 30, 40) for _ in range(2)],
        "CT or MR slice": [grey(levels) for levels in (_matplotlib_slice(), *map(_pixels, SLICES))],
        "ultrasound, scintigram": [grey(_pixels(name)) for name in SCANS],
        "pattern": [grey(levels) for levels in patterns()],
        "noise": [grey(levels) for levels in noise(rng)],
        "blank": [Image.new("L", (SIDE, SIDE), level) for level in (0, 30, 90, 128, 200, 255)],
    }


def altered(pictures: Sequence[Image.Image]) -> Kinds:
    """Give each of the canonical chest X-rays `pictures` in every way of ALTERATIONS, by kind."""
    return {kind: [change(picture) for picture in pictures] for kind, change in ALTERATIONS.items()}


def read_kinds(folder: Path) -> dict[str, list[Path]]:
    """List the pictures in each subfolder of `folder`, by its name. Raises DatasetError where there is none."""
    found = {
        kind.name: sorted(path for path in kind.glob("*") if is_picture(path))
        for kind in sorted(folder.glob("*"))
        if kind.is_dir()
    }
    kinds = {kind: paths for kind, paths in found.items() if paths}
    if not kinds:
        raise DatasetError(f"No pictures in the folders in {folder}: expected one folder for each kind of picture.")
    return kinds


def photographs() -> list[Image.Image]:
    """Give photographs in colour: a temple, a flower, a person."""
    from sklearn.datasets import load_sample_image

    with Image.open(_matplotlib_sample("grace_hopper.jpg")) as person:
        return [*(Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")), person.copy()]


def quarters(picture: Image.Image) -> Iterator[Image.Image]:
    """Cut a picture into four."""
    across, down = picture.width // 2, picture.height // 2
    for left, top in ((0, 0), (across, 0), (0, down), (across, down)):
        yield picture.crop((left, top, left + across, top + down))


def document(rng: np.random.Generator, size: int) -> Image.Image:
    """Write a page of words, dark on light or light on dark."""
    paper, ink = (int(rng.integers(180, 256)), int(rng.integers(0, 80)))[:: int(rng.choice([1, -1]))]
    page = Image.new("L", (600, 800), paper)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    for top in range(30, 760, round(1.4 * size)):
        pen.text((30, top), " ".join(rng.choice(WORDS, 600 // (3 * size))), fill=ink, font=font)
    return page


def patterns() -> list[np.ndarray]:
    """Give plain shapes and gradients, (SIDE, SIDE) of 0..1."""
    across, down = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    radius = np.hypot(across - 0.5, down - 0.5)
    ovals = [np.hypot((across - x) / 0.13, (down - 0.5) / 0.3) < 1 for x in (0.3, 0.7)]
    return [
        *(across, down, 1 - down, (across + down) / 2, np.clip(1 - 1.4 * radius, 0, 1), np.clip(1.4 * radius, 0, 1)),
        *(np.sin(40 * across) / 2 + 0.5, (np.sin(20 * down) > 0).astype(float), np.sin(60 * radius) / 2 + 0.5),
        ((8 * across).astype(int) + (8 * down).astype(int)) % 2,
        1 - 0.8 * (ovals[0] | ovals[1]),
    ]


def noise(rng: np.random.Generator) -> list[np.ndarray]:
    """Give noise of several kinds, (SIDE, SIDE) of any levels."""
    frequency = np.fft.fftfreq(SIDE)
    distance = np.hypot(*np.meshgrid(frequency, frequency))
    distance[0, 0] = 1
    white = [np.fft.fft2(rng.normal(size=(SIDE, SIDE))) for _ in SPECTRA]
    coloured = [
        np.real(np.fft.ifft2(spectrum / distance**power)) for spectrum, power in zip(white, SPECTRA, strict=True)
    ]
    return [
        *coloured,
        rng.random((SIDE, SIDE)),
        rng.integers(0, 2, (SIDE, SIDE)),
        rng.exponential(size=(SIDE, SIDE)),
        np.kron(rng.random((12, 12)), np.ones((25, 25))),
    ]


def grey(levels: np.ndarray) -> Image.Image:
    """Make a picture of (rows, columns) of any levels, from the lowest, black, to the highest, white."""
    low, high = np.percentile(levels, (0.5, 99.5))
    return Image.fromarray(np.rint(255 * np.clip((levels - low) / (high - low), 0, 1)).astype(np.uint8))


def _matplotlib_slice() -> np.ndarray:
    """Read Matplotlib's MR slice of a head."""
    with gzip.open(_matplotlib_sample("s1045.ima.gz")) as file:
        return np.frombuffer(file.read(), np.uint16).reshape(256, 256).astype(float)


def _matplotlib_sample(name: str) -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path(), "sample_data", name)


def _pixels(name: str) -> np.ndarray:
    """Read one of pydicom's test files: (rows, columns) of any levels, colours averaged."""
    from pydicom import dcmread
    from pydicom.data import get_testdata_file
    from pydicom.pixels.processing import apply_color_lut

    dataset = dcmread(str(get_testdata_file(name, download=False)))
    pixels = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    return pixels.mean(axis=-1) if pixels.ndim == 3 else pixels.astype(float)
