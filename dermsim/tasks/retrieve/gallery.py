"""Similar past cases: the gallery, a collection of embeddings with the facts of their cases.

A gallery never changes: adding and removing give another one, which shares what stays the same, so
that searches under way are not disturbed. On disk it is a folder of parts (see `folder`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import check_embeddings, l2_normalize
from dermsim.tasks.retrieve import folder as storing
from dermsim.tasks.retrieve.approximate import ApproximateIndex, IndexFacts, Kind, choose_kind
from dermsim.tasks.retrieve.case_table import CaseTable
from dermsim.tasks.retrieve.parts import IntArray, Part, Vectors, fetch_rows
from dermsim.tasks.retrieve.search import exact_nearest
from dermsim.tasks.retrieve.searched import Searched


@dataclass(frozen=True, eq=False)
class Gallery(Searched):
    """Embeddings of past cases with their facts.

    Make one with `build` or `load`; both check what they are given.

    Attributes:
        parts: The embeddings, in pieces that follow each other.
        records: The facts, a sequence of one dict per case with exactly the keys of `COLUMNS`.
        fingerprint: Names the encoder that made the embeddings.
        index: Approximate index over the first cases; None where every search looks at all.

    Examples:
        >>> gallery = engine.gallery
        >>> gallery.embeddings.shape == (len(gallery), gallery.dim)
        True
        >>> gallery.records[0]["dx"], gallery.index_facts
        ('nv', None)
    """

    parts: tuple[Part, ...]
    records: CaseTable
    fingerprint: str
    index: ApproximateIndex | None = None

    @classmethod
    def build(
        cls,
        embeddings: npt.ArrayLike,
        records: Sequence[Mapping[str, object]],
        *,
        fingerprint: str,
        hashes: npt.NDArray[np.uint64] | None = None,
    ) -> Gallery:
        """Make a gallery.

        Args:
            embeddings: ``(M, D)``; rows are L2-normalised.
            records: One mapping per row. ``image_id`` and ``dx`` are required; the other
                `COLUMNS` may be missing or None when not known.
            fingerprint: Names the encoder that made the embeddings.
            hashes: ``(M, 4)`` perceptual hashes of the photographs, by which one of them is
                recognised; None when not known.

        Raises:
            ValueError: If rows do not match, an embedding is zero or holds NaN, an image_id
                repeats, or a record has an unknown column or a value of the wrong type.

        Examples:
            >>> from dermsim import Gallery
            >>> cases = [{"image_id": "a", "dx": "nv", "age": 40}, {"image_id": "b", "dx": "mel"}]
            >>> gallery = Gallery.build([[1, 0], [0, 1]], cases, fingerprint="toy")
            >>> len(gallery), gallery.dim
            (2, 2)
        """
        unit = l2_normalize(embeddings)
        if len(unit) == 0:
            raise Refused("gallery.empty")
        if len(records) != len(unit):
            raise Refused("gallery.records", unit_count=len(unit), records_count=len(records))
        return cls((Part(unit),), CaseTable.build(records, hashes=hashes), fingerprint)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.records)

    @property
    def dim(self) -> int:
        """Dimensions D of the embeddings."""
        return self.parts[0].vectors.shape[1]

    @cached_property
    def embeddings(self) -> Vectors:
        """All of them, ``(M, D)`` float32, rows of length 1; several parts are read into memory."""
        wholes = [part.whole for part in self.parts]
        return wholes[0] if len(wholes) == 1 else np.concatenate(wholes)

    def fetch(self, rows: IntArray) -> Vectors:
        """Read the embeddings ``(n, D)`` of some rows ``(n,)``.

        Examples:
            >>> import numpy as np
            >>> engine.gallery.fetch(np.array([0, 5])).shape
            (2, 128)
        """
        return fetch_rows(self.parts, rows)

    # -- changing ---------------------------------------------------------------------------------

    def add(self, embeddings: npt.ArrayLike, records: Sequence[Mapping[str, object]]) -> Gallery:
        """Return a gallery with further cases at its end; nothing is embedded or indexed again.

        Args:
            embeddings: ``(m, D)`` made by the same encoder.
            records: One mapping per row, as for `build`.

        Raises:
            ValueError: As `build`; if D differs, or a case is in the gallery already.

        Examples:
            >>> case = {"image_id": "mine", "dx": "mel", "sex": "female"}
            >>> larger = engine.gallery.add(engine.embed(picture), [case])
            >>> len(larger) - len(engine.gallery)
            1
        """
        check_embeddings(embeddings, dim=self.dim)
        return self.join(Gallery.build(embeddings, records, fingerprint=self.fingerprint))

    def join(self, other: Gallery) -> Gallery:
        """Return a gallery with the cases of another one, made by the same encoder, at its end.

        Raises:
            ValueError: If the other was made by another encoder, or shares a case.

        Examples:
            >>> from dermsim import Gallery
            >>> case = {"image_id": "mine", "dx": "mel"}
            >>> own = Gallery.build(engine.embed(picture), [case], fingerprint=engine.fingerprint)
            >>> len(own.join(engine.gallery)) == 1 + len(engine.gallery)
            True
        """
        if other.fingerprint != self.fingerprint:
            raise Refused(
                "gallery.other_encoder", fingerprint=other.fingerprint, own=self.fingerprint
            )
        records = CaseTable.join([self.records, other.records])
        return replace(self, parts=(*self.parts, *other.parts), records=records)

    def remove(
        self, *, image_ids: Collection[str] = (), lesion_ids: Collection[str] = ()
    ) -> Gallery:
        """Return a gallery without some cases; an index stays in use.

        Args:
            image_ids: Photographs to remove.
            lesion_ids: Lesions all of whose photographs to remove.

        Raises:
            ValueError: If none is named, one is not in the gallery, or none would be left.

        Examples:
            >>> smaller = engine.gallery.remove(image_ids=["ISIC_0024306"])
            >>> len(engine.gallery) - len(smaller)
            1
        """
        gone = np.zeros(len(self), dtype=np.bool_)
        for column, names in (("image_id", image_ids), ("lesion_id", lesion_ids)):
            wanted = sorted(set(names))
            for name, rows in zip(
                wanted, self.records.rows_of(column, [{name} for name in wanted]), strict=True
            ):
                if len(rows) == 0:
                    raise Refused("gallery.no_case", column=column, name=name)
                gone[rows] = True
        if not gone.any():
            raise Refused("gallery.nothing_named")
        if gone.all():
            raise Refused("gallery.last_case")
        starts = np.cumsum([0, *map(len, self.parts)])
        parts = [
            part.without(gone[start : start + len(part)])
            for part, start in zip(self.parts, starts[:-1], strict=True)
        ]
        return replace(
            self,
            parts=tuple(part for part in parts if len(part)),
            records=self.records.take(np.flatnonzero(~gone)),
            index=None if self.index is None else self.index.without(gone),
        )

    def indexed(
        self, kind: Kind | None = None, *, seed: int = 0, probes: npt.ArrayLike | None = None
    ) -> Gallery:
        """Return the gallery with an index of its cases as they are now.

        Args:
            kind: ``"flat"`` for none, so that every search is exact, ``"hnsw"`` or ``"ivfpq"``;
                None chooses by size (see `choose_kind`).
            seed: Of the samples that an index is learned from and measured with.
            probes: ``(n, D)`` queries like those to come, to choose the index's effort by; None
                takes cases of the gallery.

        Raises:
            ValueError: If there are too few cases to learn an index from.

        Examples:
            >>> engine.gallery.indexed("hnsw").index_facts.kind
            'hnsw'
        """
        chosen = kind or choose_kind(len(self))
        if chosen == "flat":
            return replace(self, index=None)

        def exact(queries: Vectors, k: int) -> IntArray:
            return np.stack([rows for _, rows in exact_nearest(queries, k, self.parts)])

        index = ApproximateIndex.build(
            self.fetch,
            len(self),
            kind=chosen,
            seed=seed,
            probes=None if probes is None else l2_normalize(probes),
            exact=exact,
        )
        return replace(self, index=index)

    @property
    def index_facts(self) -> IndexFacts | None:
        """What the index is and what it finds; None where every search is exact."""
        return None if self.index is None else self.index.facts

    # -- keeping ----------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the gallery; see `dermsim.tasks.retrieve.folder`.

        Until the last file is in place, and if anything fails or is killed before, the folder
        holds the gallery it held.

        Args:
            folder: The gallery's own folder.

        Raises:
            FileExistsError: If `folder` is a file, or holds anything but a gallery.

        Examples:
            >>> from pathlib import Path
            >>> engine.gallery.save("gallery")
            >>> Path("gallery", "gallery.json").exists()
            True
        """
        storing.save(self.parts, self.records, self.fingerprint, self.index, Path(folder))

    @classmethod
    def load(
        cls, folder: str | Path, *, fingerprint: str | None = None, mapped: bool | None = None
    ) -> Gallery:
        """Read what `save` wrote.

        Args:
            folder: The gallery's folder.
            fingerprint: The encoder in use, or None to skip the comparison.
            mapped: Whether embeddings stay on disk and are read as searches need them; None leaves
                large galleries there.

        Raises:
            FileNotFoundError: If the folder or one of its files is missing.
            ValueError: If a file is damaged, the files do not belong together, or the gallery was
                made by another encoder.

        Examples:
            >>> from dermsim import Gallery
            >>> engine.gallery.save("gallery")
            >>> len(Gallery.load("gallery", fingerprint=engine.fingerprint)) == len(engine.gallery)
            True
        """
        return cls(*storing.load(Path(folder), fingerprint=fingerprint, mapped=mapped))
