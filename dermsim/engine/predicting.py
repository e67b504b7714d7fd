"""What a loaded checkpoint says of photographs, whatever runs its encoder: NumPy from here on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.data.images import ImageSource, as_list
from dermsim.engine.classifying import Classifying
from dermsim.engine.searching import Searching
from dermsim.tasks.enroll import SPACES, ClassBank

BATCH = 32
"""Images in one forward pass, of one thread or of several together."""


class Predicting(Classifying, Searching):
    """The part of a loaded checkpoint that classifies, searches and embeds.

    Attributes:
        fingerprint: Names this encoder.
        pixels_needed: Width and height that it needs of a picture.
    """

    fingerprint: str
    pixels_needed: tuple[int, int]

    def embed(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        batch_size: int = BATCH,
        space: str = "embeddings",
    ) -> npt.NDArray[np.float32]:
        """Embed images.

        Args:
            images: One image or several: whatever `read_image` takes.
            batch_size: Images per forward pass.
            space: ``"embeddings"``, or ``"pooled_features"`` for what a `ClassBank` compares: its
                ``space.name`` says which.

        Returns:
            ``(N, D)`` float32; embeddings have rows of unit length.

        Raises:
            ValueError: If an image cannot be read, or the space is unknown.

        Examples:
            >>> from dermsim.data.synthetic import draw_lesion
            >>> same_lesion = draw_lesion("mel", seed=1, view=1)
            >>> first, second = engine.embed([picture, same_lesion])
            >>> first.shape, bool(first @ second > 0.8)
            ((128,), True)
        """
        if space not in SPACES:
            raise Refused("dermsim.space", space=space, spaces=SPACES)
        return getattr(self._encode(as_list(images), batch_size=batch_size), space)

    def class_bank(self) -> ClassBank:
        """The seven known diagnoses as a `ClassBank` to enrol new classes in.

        Examples:
            >>> bank = engine.class_bank()
            >>> bank.taken_as("Melanoma"), bank.taken_as("Scar")
            ('mel', None)
        """
        return self.classes
