"""Refuses to measure a checkpoint on what it has learned from: its gallery tells what that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermsim.core.refused import Phrase, Refused

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.tasks.retrieve import Gallery


def refuse_learned(gallery: Gallery, rows: Dataset, *, name: str = "") -> None:
    """Refuse rows of which a checkpoint's gallery holds one, or another picture of its lesion.

    Args:
        gallery: The checkpoint's past cases, which its encoder was trained on.
        rows: With ``image_id`` and ``lesion_id``.
        name: What the refusal calls them, if they are not all that is measured.

    Raises:
        ValueError: If an image or its lesion is there.
    """
    records = gallery.records
    images = set(records.values("image_id")).intersection(rows["image_id"])
    lesions = set(records.values("lesion_id")).intersection(rows["lesion_id"]) - {None}
    if images or lesions:
        example = min(map(str, images or lesions))
        of = Phrase("held_out.of", name=name) if name else ""
        raise Refused(
            "held_out.learned_from",
            images_count=len(images),
            lesions_count=len(lesions),
            of=of,
            example=example,
        )
