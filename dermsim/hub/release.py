"""Puts together what a push sends: the model, its gallery as a data set, and the Space."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.evaluation.card import licence as licence_of
from dermsim.evaluation.card import model_card
from dermsim.evaluation.report import Report
from dermsim.hub.gallery_data import write_gallery
from dermsim.hub.licences import check_licence, licence_with, read_source
from dermsim.hub.parcel import Parcel, check_repo_id, check_room, size_of
from dermsim.hub.photographs import picture_bytes, picture_licence
from dermsim.hub.space_repository import Hardware, build_space
from dermsim.hub.tidy import check_tidy
from dermsim.tasks.classify import Calibration
from dermsim.tasks.concepts import Concepts
from dermsim.tasks.retrieve import Gallery

if TYPE_CHECKING:
    from datasets import Dataset

COPIES = 4
"""How often a checkpoint's bytes are written at most: model, gallery, the Space's, and a spare."""


@dataclass(frozen=True)
class Names:
    """Where a release goes.

    Attributes:
        model: Of the model, ``owner/name``.
        gallery: Of the gallery data set, or None for none.
        space: Of the Space, or None for none.
    """

    model: str
    gallery: str | None = None
    space: str | None = None

    def __post_init__(self) -> None:
        """Refuse what are no names on the Hub."""
        for name in (self.model, self.gallery, self.space):
            if name is not None:
                check_repo_id(name)


def assemble(
    checkpoint: Path,
    into: Path,
    *,
    names: Names,
    pictures: Dataset | None = None,
    private: bool = False,
    hardware: Hardware = "cpu-basic",
) -> list[Parcel]:
    """Write every folder of a release; the checkpoint stays as it is.

    Args:
        checkpoint: A finished checkpoint folder.
        into: An empty folder.
        names: Where everything goes.
        pictures: Rows of the `load_ham10000` schema whose pictures go into the gallery data set;
            None to keep all photographs here.
        private: Whether the repositories will be private.
        hardware: What the Space is to run on.

    Returns:
        What to send, in order: what others refer to comes first, and the Space last.

    Raises:
        FileNotFoundError: If the checkpoint is not there or not finished.
        ValueError: If it holds other things, or the pictures or its weights may not be passed on.
        OSError: If the disk has no room.
    """
    check_tidy(checkpoint)
    check_licence(checkpoint)
    sent = pictures if names.gallery is not None else None
    # their licence is asked for before a byte of them is written
    licence = None if sent is None else picture_licence(sent)
    check_room(into, COPIES * size_of(checkpoint) + (0 if sent is None else picture_bytes(sent)))
    report = Report.load(checkpoint / "evaluation.json")
    model = _write_model(checkpoint, into / "model", report, names)
    parcels = []
    if names.gallery is not None:
        terms = licence or model.licence
        write_gallery(
            into / "gallery",
            Gallery.load(checkpoint / "gallery", fingerprint=report.fingerprint),
            licence=terms,
            repo_id=names.gallery,
            model_id=names.model,
            pictures=sent,
        )
        parcels.append(Parcel("dataset", names.gallery, into / "gallery", terms))
    parcels.append(model)
    if names.space is not None:
        build_space(
            into / "space",
            checkpoint=model.folder,
            model_id=names.model,
            gallery_id=names.gallery,
            private=private,
            hardware=hardware,
        )
        parcels.append(Parcel("space", names.space, into / "space", model.licence))
    return parcels


def _write_model(checkpoint: Path, model: Path, report: Report, names: Names) -> Parcel:
    """Copy a checkpoint, with the card that names where it goes."""
    shutil.copytree(checkpoint, model)
    (model / "README.md").write_text(card_of(checkpoint, report, names), encoding="utf-8")
    licence = licence_with(read_source(checkpoint), licence_of(report.dataset))
    return Parcel("model", names.model, model, licence)


def card_of(checkpoint: Path, report: Report, names: Names) -> str:
    """Return the card that a checkpoint has on the Hub."""
    training = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    source = read_source(checkpoint)
    if source is not None:
        training |= {
            "weights of": source["name"],
            "revision": source.get("revision") or "not known",
            "licence of the weights": source["licence"],
        }
    return model_card(
        report,
        training=training,
        calibration=Calibration.load(checkpoint / "calibration.json"),
        model_id=names.model,
        gallery_id=names.gallery,
        concepts=Concepts.load(checkpoint),
        terms=licence_with(source, licence_of(report.dataset)),
    )
