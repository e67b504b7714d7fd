"""An encoder that threads share: what they ask at the same time is one forward pass."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from dermsim.data.facts import Facts
from dermsim.data.images import ImageSource
from dermsim.engine.predicting import BATCH
from dermsim.engine.shared_runs import SharedRun
from dermsim.models.encode import forward, prepare, weigh_facts
from dermsim.models.encoder import Encoder, Processor
from dermsim.models.encoding import Encoding, join
from dermsim.models.looks import look_at

WAITING = 256
"""Images that may wait for the encoder, over all threads."""


class SharedEncoder:
    """Encodes images as `encode` does, several threads' in one forward pass.

    Pictures are read and prepared in the thread that asks, so that an error in one reaches only who
    brought it, and while another thread's pass is running.

    Attributes:
        passes: The forward pass, and who waits for it.
    """

    def __init__(self, model: Encoder, processor: Processor, *, depths: bool = False) -> None:
        """Share an encoder.

        Args:
            model: The encoder, in eval mode.
            processor: Makes its input.
            depths: Whether to sum up what is seen at several depths, as concept heads need.
        """
        self._model = model
        self._processor = processor
        self.passes: SharedRun[torch.Tensor, Encoding] = SharedRun(
            functools.partial(forward, model, depths=depths), most=BATCH, waiting=WAITING
        )

    def __call__(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int = BATCH,
        facts: Sequence[Facts | None] | None = None,
        looks: bool = False,
        statistics: bool = True,
    ) -> Encoding:
        """Encode images.

        Args:
            images: PIL images, paths or bytes, of any number.
            batch_size: Images asked for at a time.
            facts: As for `encode`.
            looks: As for `encode`.
            statistics: Whether what they look like holds the statistics that a judgement of the
                pictures needs; a search does without.

        Raises:
            ValueError: As for `encode`.
            Overloaded: If too many images wait already.
            TimeoutError: If there is no answer within the thread's
                `dermsim.engine.shared_runs.patience`.
        """
        known = None if facts is None else weigh_facts(self._model, facts)
        batches = prepare(self._processor, images, batch_size=batch_size, facts=facts)
        # Only the first may be refused: the rest of a question that was let in should not be.
        parts = []
        for number, batch in enumerate(batches):
            found = self.passes(batch, size=len(batch), refusable=number == 0)
            if looks:
                found = replace(found, looks=look_at(batch, self._processor, statistics=statistics))
            parts.append(found)
        return join(parts, known)
