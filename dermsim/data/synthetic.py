"""A small HAM10000 of drawn pictures: tests, smoke training and the app's clickable examples.

The pictures look like dermatoscopy and the facts are plausible, but nothing learned from them says
anything about real skin. No photograph is involved.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dermsim.core.labels import CODES, LABEL2ID, diagnosis
from dermsim.core.refused import Refused
from dermsim.data.drawing import PAINTERS, Canvas, hairs
from dermsim.data.tables import COLUMNS, schema

if TYPE_CHECKING:
    from datasets import Dataset

PREFIX = "SYN_"
"""How the image_ids of drawings begin."""

_MEAN_AGE = {"akiec": 66, "bcc": 67, "bkl": 64, "df": 49, "mel": 61, "nv": 47, "vasc": 51}
_SITES = {
    "akiec": ("face", "scalp", "upper extremity"),
    "bcc": ("face", "back", "neck", "chest"),
    "bkl": ("back", "face", "trunk", "abdomen"),
    "df": ("lower extremity", "upper extremity"),
    "mel": ("back", "lower extremity", "trunk", "upper extremity"),
    "nv": ("trunk", "back", "lower extremity", "abdomen", "foot"),
    "vasc": ("trunk", "abdomen", "back", "chest"),
}
_BENIGN_DX_TYPES = ("histo", "follow_up", "consensus")


def is_drawn(image_id: object) -> bool:
    """Say whether an image_id is that of a drawing."""
    return str(image_id).startswith(PREFIX)


def draw_lesion(
    dx: str, *, seed: int, view: int = 0, size: tuple[int, int] = (200, 150)
) -> Image.Image:
    """Draw one photograph of one lesion.

    Args:
        dx: One of `dermsim.core.labels.CODES`.
        seed: Which lesion: another non-negative seed is another lesion on other skin.
        view: Which photograph of it: another angle, distance and light.
        size: Width and height, in pixels.

    Returns:
        An RGB picture, the same for the same arguments.

    Raises:
        ValueError: If `dx` is not one of the seven codes.
    """
    return _photograph(_paint(dx, seed, size).to_image(), (seed, LABEL2ID[dx], view), size)


def draw_outline(
    dx: str, *, seed: int, view: int = 0, size: tuple[int, int] = (200, 150)
) -> Image.Image:
    """Draw where the lesion of `draw_lesion` lies, as a dermatologist would outline it.

    Args:
        dx: As for `draw_lesion`, as are the others.
        seed: Which lesion.
        view: Which photograph of it.
        size: Width and height, in pixels.

    Returns:
        A picture of mode ``"1"``, white where the lesion is.

    Raises:
        ValueError: If `dx` is not one of the seven codes.
    """
    return _outline(_paint(dx, seed, size).outline(), (seed, LABEL2ID[dx], view), size)


def synthetic_outlines(
    n_lesions: int = 240,
    *,
    seed: int = 0,
    size: tuple[int, int] = (200, 150),
    images_per_lesion: int = 2,
) -> dict[str, Image.Image]:
    """Draw the outlines of the data set that `synthetic_ham10000` draws of the same arguments.

    Returns:
        By image_id a picture of mode ``"1"``, white where the lesion is.
    """
    outlines = {}
    for lesion in range(n_lesions):
        dx, lesion_seed = CODES[lesion % len(CODES)], seed * 1_000_003 + lesion
        painted = _paint(dx, lesion_seed, size).outline()
        for view in range(images_per_lesion):
            image_id = f"{PREFIX}{lesion * images_per_lesion + view:07d}"
            outlines[image_id] = _outline(painted, (lesion_seed, LABEL2ID[dx], view), size)
    return outlines


def synthetic_ham10000(
    n_lesions: int = 240,
    *,
    seed: int = 0,
    size: tuple[int, int] = (200, 150),
    images_per_lesion: int = 2,
) -> Dataset:
    """Draw a data set in the schema of `dermsim.data.ham10000.load_ham10000`.

    Args:
        n_lesions: Number of lesions, dealt evenly over the seven diagnoses.
        seed: Another seed draws other lesions.
        size: Width and height of the pictures, in pixels.
        images_per_lesion: Photographs of each lesion.

    Returns:
        ``n_lesions * images_per_lesion`` rows sorted by image_id; the pictures are JPEGs in memory.

    Raises:
        ValueError: If a count is not positive.
    """
    if n_lesions < 1 or images_per_lesion < 1:
        raise Refused("synthetic.counts", n_lesions=n_lesions, images_per_lesion=images_per_lesion)
    from datasets import Dataset

    rows: list[dict[str, Any]] = []
    for lesion in range(n_lesions):
        dx = CODES[lesion % len(CODES)]
        lesion_seed = seed * 1_000_003 + lesion
        painting = _paint(dx, lesion_seed, size).to_image()
        facts = {"lesion_id": f"SYNL_{lesion:07d}", "dx": dx, **_facts(dx, lesion_seed)}
        for view in range(images_per_lesion):
            image_id = f"{PREFIX}{lesion * images_per_lesion + view:07d}"
            picture = _photograph(painting, (lesion_seed, LABEL2ID[dx], view), size)
            image = {"bytes": _to_jpeg(picture), "path": f"{image_id}.jpg"}
            rows.append({"image": image, "image_id": image_id, **facts})
    columns = {column: [row[column] for row in rows] for column in COLUMNS}
    return Dataset.from_dict(columns, features=schema())


def _paint(dx: str, seed: int, size: tuple[int, int]) -> Canvas:
    """Paint skin, lesion and hairs, larger than any view of them."""
    label = LABEL2ID[diagnosis(dx).code]
    canvas = Canvas(np.random.default_rng((seed, label)), pixels_per_unit=min(size) / 2)
    PAINTERS[dx](canvas)
    if canvas.rng.random() < 0.5:
        hairs(canvas, int(canvas.rng.integers(2, 16)))
    return canvas


def _photograph(
    painting: Image.Image, key: tuple[int, int, int], size: tuple[int, int]
) -> Image.Image:
    """Take a picture of a painting: turn, zoom, light, dark rim, sensor noise."""
    rng = np.random.default_rng(key)
    width, height = size
    view = _viewed(painting, rng, size)

    x = np.linspace(-width / height, width / height, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    radius = np.hypot(x - rng.normal(0, 0.05), y - rng.normal(0, 0.05))
    light = rng.uniform(0.92, 1.06) * (1 - rng.uniform(0.04, 0.12) * radius**2)
    if rng.random() < 0.15:  # the round rim of the dermatoscope
        light *= 0.5 - 0.5 * np.tanh((radius - rng.uniform(1.3, 1.5)) / 0.03)
    rgb = np.asarray(view, dtype=np.float32) / 255
    rgb = rgb * light[..., None] * rng.normal(1, 0.025, 3).astype(np.float32)
    rgb += rng.normal(0, 0.009, (height, width, 1)).astype(np.float32)
    return Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))


def _outline(painted: Image.Image, key: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    """Look at where a lesion was painted as `_photograph` looks at the painting."""
    seen = _viewed(painted, np.random.default_rng(key), size)
    return seen.point(lambda value: 255 * (value > 127), mode="1")


def _viewed(painting: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Look at a painting from an angle and a distance, which are the first that `rng` draws."""
    angle, zoom = rng.uniform(-0.6, 0.6), rng.uniform(0.98, 1.25)
    step = 1 / zoom
    cos, sin = step * np.cos(angle), step * np.sin(angle)
    middle = np.array(painting.size) / 2 + rng.normal(0, 0.05, 2) * min(size)
    corner = middle - np.array([[cos, -sin], [sin, cos]]) @ (np.array(size) / 2)
    matrix = (cos, -sin, corner[0], sin, cos, corner[1])
    return painting.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def _facts(dx: str, seed: int) -> dict[str, Any]:
    """Invent plausible facts; ages come in steps of five years, as in HAM10000."""
    rng = np.random.default_rng((seed, LABEL2ID[dx], 1_000_000))
    age = float(np.clip(5 * round(rng.normal(_MEAN_AGE[dx], 13) / 5), 5, 85))
    dx_types = ("histo",) if diagnosis(dx).malignant else _BENIGN_DX_TYPES
    return {
        "dx_type": str(rng.choice(dx_types)),
        "age": age if rng.random() > 0.01 else None,
        "sex": str(rng.choice(("female", "male"))),
        "localization": str(rng.choice(_SITES[dx])),
    }


def _to_jpeg(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, format="JPEG", quality=92)
    return stream.getvalue()
