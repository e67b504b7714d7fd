"""How a bank of classes is kept, apart from the rest of `ClassBank`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from dermsim.core.refused import Phrase
from dermsim.core.storage import pack_arrays, read_arrays, save_arrays, unpack_arrays
from dermsim.tasks.enroll.files import bank_parts, restore_bank

if TYPE_CHECKING:
    from dermsim.tasks.enroll.feature_space import Space
    from dermsim.tasks.enroll.heads import EnrolledClass, OldClasses

_THE_BANK = Phrase("bank.the_bank")


class KeptBank:
    """The part of `ClassBank` that writes and reads it."""

    if TYPE_CHECKING:
        old_names: tuple[str, ...]
        old_counts: tuple[int, ...]
        old: OldClasses
        enrolled: tuple[EnrolledClass, ...]
        space: Space
        fingerprint: str

        @property
        def dim(self) -> int | None:
            """Width of the vectors, None for an empty bank."""

    def save(self, path: str | Path) -> None:
        """Write the bank into one ``.safetensors`` file, atomically.

        It holds vectors and names, no pictures.

        Raises:
            ValueError: If the bank is empty.

        Examples:
            >>> from pathlib import Path
            >>> engine.class_bank().save("bank.safetensors")
            >>> Path("bank.safetensors").exists()
            True
        """
        arrays, facts = bank_parts(self)
        save_arrays(path, arrays, facts=facts)

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None = None) -> Self:
        """Read what `save` wrote.

        Args:
            path: The file.
            fingerprint: The encoder in use, or None to skip the comparison.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, is not a bank, or was made by another encoder.

        Examples:
            >>> from dermsim import ClassBank
            >>> engine.class_bank().save("bank.safetensors")
            >>> ClassBank.load("bank.safetensors", fingerprint=engine.fingerprint).names[0]
            'akiec'
        """
        arrays, facts = read_arrays(path)
        name = Path(path).name
        return restore_bank(cls, arrays, facts, name=name, fingerprint=fingerprint)

    def to_bytes(self) -> bytes:
        """Return the bytes of a file of `save`, for where nothing is to be put on disk.

        Raises:
            ValueError: If the bank is empty.

        Examples:
            >>> type(engine.class_bank().to_bytes())
            <class 'bytes'>
        """
        arrays, facts = bank_parts(self)
        return pack_arrays(arrays, facts=facts)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | None = None) -> Self:
        """Read what `to_bytes` returned, or the bytes of a file of `save`.

        Args:
            data: The bytes.
            fingerprint: As for `load`.

        Raises:
            ValueError: As for `load`.

        Examples:
            >>> from dermsim import ClassBank
            >>> ClassBank.from_bytes(engine.class_bank().to_bytes()).names[0]
            'akiec'
        """
        arrays, facts = unpack_arrays(data, name=_THE_BANK)
        return restore_bank(cls, arrays, facts, name=_THE_BANK, fingerprint=fingerprint)
