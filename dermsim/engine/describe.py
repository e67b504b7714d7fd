"""What a loaded checkpoint says of concepts: which are there, where, and in words.

Here photographs meet `dermsim.tasks.concepts` and `dermsim.tasks.caption`, which know arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from dermsim.core.refused import Refused
from dermsim.data.concepts import load_schema
from dermsim.data.images import ImageSource, as_list, read_image
from dermsim.engine.descriptions import Description, Look, Sentence
from dermsim.engine.framing import Frame, place_region
from dermsim.models.encode import Encoding
from dermsim.models.looks import look_at
from dermsim.models.stages import encode_depths, sum_up
from dermsim.tasks.caption import (
    ASYMMETRY,
    BORDER,
    COLOURS,
    Evidence,
    Fact,
    Grammar,
    with_disagreement,
)
from dermsim.tasks.concepts.colours import LEAST, colour_shares, smooth
from dermsim.tasks.concepts.dense import on_grid
from dermsim.tasks.concepts.evidence import blot_out
from dermsim.tasks.concepts.heads import ConceptHead
from dermsim.tasks.concepts.lesion import equal_regions, lesion_of, place_of, region_of
from dermsim.tasks.concepts.reading import ConceptReading, read_concepts
from dermsim.tasks.concepts.shape import abrupt_segments, asymmetric_axes, is_whole

if TYPE_CHECKING:
    from dermsim.engine.results import Prediction
    from dermsim.engine.shared_encoder import SharedEncoder
    from dermsim.models.encoder import Encoder, Processor
    from dermsim.tasks.concepts import Concepts

FINE = 80
"""Cells along each side at which colours and shape are measured."""

ELSEWHERE = 8
"""Regions of the same size that a sentence's own is compared with."""


class Describing:
    """The part of `DermSim` that speaks of concepts.

    Attributes:
        model: The encoder, in eval mode.
        processor: Makes its input.
        concept_part: What was fitted about concepts; None where nothing was.
    """

    model: Encoder
    processor: Processor
    concept_part: Concepts | None

    if TYPE_CHECKING:
        _encode: SharedEncoder

        def _predictions(
            self, encoding: Encoding, facts: Any, operating_point: str | float
        ) -> list[Prediction]: ...

    def concepts(self, images: ImageSource | Sequence[ImageSource]) -> list[ConceptReading]:
        """Say which concepts each picture shows.

        Args:
            images: One image or a sequence of them: whatever `read_image` takes.

        Returns:
            One reading per image: a finding for each usable head, and what follows from them.

        Raises:
            ValueError: If an image cannot be read, or the checkpoint has no concept heads.

        Examples:
            >>> (reading,) = engine.concepts(picture)
            >>> list(reading.findings)
            ['pigment_network', 'negative_network', 'streaks', 'globules', 'milia_like_cyst']
        """
        part = self.concepts_part()
        return self._readings(part, self._encode(as_list(images)))

    def predict_with_concepts(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        operating_point: str | float = "balanced",
    ) -> list[tuple[Prediction, ConceptReading]]:
        """Classify images and read their concepts, in one forward pass.

        Args:
            images: As for `concepts`.
            operating_point: As for `DermSim.predict`.

        Raises:
            ValueError: As for `concepts`, and if the operating point is unknown.

        Examples:
            >>> [(prediction, reading)] = engine.predict_with_concepts(picture)
            >>> prediction.label_name, 0 < reading.melanoma < 1
            ('mel', True)
        """
        part = self.concepts_part()
        encoding = self._encode(as_list(images), looks=True)
        predictions = self._predictions(encoding, None, operating_point)
        return list(zip(predictions, self._readings(part, encoding), strict=True))

    def outline(self, image: ImageSource) -> npt.NDArray[np.bool_] | None:
        """Return where the lesion is.

        Args:
            image: Whatever `read_image` takes.

        Returns:
            ``(H, W)`` bool over the whole photograph, nothing beyond what the encoder sees of it;
            None where no lesion is found.

        Raises:
            ValueError: If the image cannot be read, or the checkpoint cannot outline lesions.

        Examples:
            >>> lesion = engine.outline(picture)
            >>> lesion.shape, bool(lesion[75, 100]), bool(lesion[0, 0])
            ((150, 200), True, False)
        """
        part = self.concepts_part()
        if part.outline is None:
            raise Refused("describe.no_outline")
        photograph = read_image(image)
        look = self.look(photograph)
        if not look.lesion.any():
            return None
        return self._placed(look.lesion_log_odds, look.lesion, photograph.size)

    def describe(
        self, image: ImageSource, *, language: str = "en", regions: bool = True
    ) -> Description:
        """Describe a picture in words, each sentence with its evidence.

        Args:
            image: Whatever `read_image` takes.
            language: One of `dermsim.core.language.LANGUAGES`.
            regions: Whether to say where a structure is, and to measure colours and shape.

        Raises:
            ValueError: If the image cannot be read, the language is unknown, or the checkpoint has
                no concept heads.

        Examples:
            >>> engine.describe(picture).sentences[-1].text
            'The lesion has 2 of the six dermoscopic colours: light brown and dark brown.'
        """
        part, schema = self.concepts_part(), load_schema()
        grammar = Grammar.of(schema, language)
        photograph = read_image(image)
        look = self.look(photograph, regions=regions)
        (prediction,) = self._predictions(look.encoding, None, "balanced")
        if prediction.withheld:
            return Description(prediction.notice, (), language, prediction=prediction)
        (reading,) = self._readings(part, look.encoding)
        drafts, withheld = self._drafts(part, look, reading)
        facts = with_disagreement([draft[0] for draft in drafts], prediction.label_name, schema)
        proofs = [draft[1:] for draft in drafts]
        proofs += [(Evidence("classifier"), None)] * (len(facts) - len(proofs))
        sentences = tuple(
            Sentence(
                grammar.write(fact),
                fact,
                evidence,
                None if own is None else self._placed(own[0], own[1], photograph.size),
            )
            for fact, (evidence, own) in zip(facts, proofs, strict=True)
        )
        outline = None
        if look.lesion.any():
            outline = self._placed(look.lesion_log_odds, look.lesion, photograph.size)
        return Description(None, sentences, language, reading, outline, tuple(withheld), prediction)

    def concepts_part(self) -> Concepts:
        """Return what was fitted about concepts.

        Raises:
            ValueError: If nothing was.

        Examples:
            >>> engine.concepts_part().bottleneck.source
            'HAM10000'
        """
        if self.concept_part is None:
            raise Refused("describe.no_concepts")
        return self.concept_part

    def _readings(self, part: Concepts, encoding: Encoding) -> list[ConceptReading]:
        assert encoding.depths is not None  # an engine with this part sums them up
        return read_concepts(part, encoding.depths, load_schema())

    def look(self, photograph: Image.Image, *, regions: bool = True) -> Look:
        """Run the encoder over one picture, keeping what descriptions are made of.

        Args:
            photograph: As `read_image` returns it.
            regions: Whether to draw the lesion and the structures.

        Raises:
            ValueError: If the checkpoint has no concept heads.

        Examples:
            >>> look = engine.look(picture)
            >>> len(look.maps), bool(look.lesion.any())
            (4, True)
        """
        part = self.concepts_part()
        values = self.processor([photograph], return_tensors="pt").pixel_values
        with torch.inference_mode():
            output, stages = encode_depths(self.model, values.to(self.model.device))
            fields = (output.embeddings, output.logits, output.pooled_features)
            embeddings, logits, pooled = [own.float().cpu().numpy() for own in fields]
            depths = sum_up(output.pooled_features, stages).cpu().numpy()
            maps = [stage.float().cpu().numpy() for stage in stages]
            single = not isinstance(output.features, tuple)
            last = output.features[0].float().cpu().numpy() if single else np.zeros((0, 1, 1))
        looks = look_at(values, self.processor)
        encoding = Encoding(embeddings, logits, pooled, depths=depths, looks=looks)
        nothing = np.zeros((1, 1))
        log_odds = part.outline.head(maps)[0, 0] if regions and part.outline else nothing - 1
        return Look(
            encoding,
            tuple(own[0] for own in maps),
            last.astype(np.float32),
            lesion_of(log_odds),
            log_odds.astype(np.float32),
            {name: own.head(maps)[0] for name, own in part.structures.items()} if regions else {},
            self._seen_pixels(values[0].numpy()),
        )

    def _seen_pixels(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Undo the processor's scaling, and average down to `FINE` cells: ``(FINE, FINE, 3)``."""
        mean, std = (np.array(own, dtype=np.float32) for own in self._scaling())
        pixels = np.clip(values * std[:, None, None] + mean[:, None, None], 0, 1)
        side = pixels.shape[-1]
        if side % FINE == 0:
            step = side // FINE
            pixels = pixels.reshape(3, FINE, step, FINE, step).mean(axis=(2, 4))
        else:
            pixels = on_grid(pixels, FINE)
        return np.moveaxis(pixels, 0, -1)

    def _scaling(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.processor.image_mean, self.processor.image_std

    def _placed(
        self, log_odds: npt.NDArray[np.floating], kept: npt.NDArray[np.bool_], size: tuple[int, int]
    ) -> npt.NDArray[np.bool_]:
        """Lay a region of the square over the photograph, its rim as smooth as its log-odds."""
        smooth = np.where(kept, np.maximum(log_odds, 1e-3), np.minimum(log_odds, -1e-3))
        return place_region(smooth, size, Frame.of(self.processor))

    def _drafts(
        self, part: Concepts, look: Look, reading: ConceptReading
    ) -> tuple[list[tuple[Fact, Evidence, Any]], list[str]]:
        """Return what may be said: facts with their evidence and region, and places withheld."""
        drafts: list[tuple[Fact, Evidence, Any]] = []
        withheld: list[str] = []
        heads = {part.name_of(head): head for head in part.usable.heads}
        for name, finding in reading.findings.items():
            if finding.state is None or finding.threshold is None:
                continue
            head = heads[name]
            limit = head.present if finding.state == "present" else head.absent
            assert limit is not None
            region, place, fall, elsewhere = None, None, None, None
            if finding.state == "present" and finding.may_point and look.lesion.any():
                region, place, fall, elsewhere = self._region(part, look, head)
                if not fall > elsewhere:
                    region, place = None, None
                    withheld.append(name)
            fact = Fact(
                finding.concept,
                finding.state,
                round(100 * finding.probability),
                round(100 * finding.threshold),
                place,
            )
            evidence = Evidence(
                finding.source, finding.auc, finding.n, limit.precision, fall, elsewhere
            )
            drafts.append((fact, evidence, region))
        return [*drafts, *_measured(look)], withheld

    def _region(
        self, part: Concepts, look: Look, head: ConceptHead
    ) -> tuple[Any, str, float, float]:
        """Find where a concept is, and by how much more its score falls without it."""
        own = part.structures[head.source]
        log_odds = look.structures[head.source][own.concepts.index(head.concept)]
        lesion = _resized(look.lesion, len(log_odds))
        found = region_of(log_odds, lesion, threshold=own.figures[head.concept].threshold)
        rows = [other.key for other in part.heads.heads].index(head.key)
        alone = part.heads.take([rows])
        assert look.encoding.depths is not None
        features = look.encoding.depths[0]

        others = equal_regions(
            found, lesion, count=ELSEWHERE, rng=np.random.default_rng(int(found.sum()))
        )
        blotted = blot_out(features, look.maps, look.last, [found, *others], lesion)
        scores = alone.calibrated(alone.scores(np.concatenate([features[None], blotted])))[:, 0]
        fall, *elsewhere = (scores[0] - scores[1:]).tolist()
        return (log_odds, found), place_of(found, lesion), fall, float(np.mean(elsewhere))


def _measured(look: Look) -> list[tuple[Fact, Evidence, Any]]:
    """Return what is measured within the outline; of a lesion that is cut off, its colours only."""
    if look.pixels is None or not look.lesion.any():
        return []
    lesion = on_grid(look.lesion_log_odds, FINE) > 0
    lesion &= _resized(look.lesion, FINE)
    if not lesion.any():
        return []
    pixels = smooth(look.pixels)
    shares = colour_shares(pixels, lesion)
    colours = tuple(name for name, share in shares.items() if share >= LEAST)
    ordered = tuple(name for name in load_schema() if name in colours)
    facts = [Fact(COLOURS, str(len(ordered)), names=ordered)]
    if is_whole(lesion):
        facts.append(Fact(ASYMMETRY, str(asymmetric_axes(lesion))))
        facts.append(Fact(BORDER, str(abrupt_segments(pixels, lesion))))
    return [(fact, Evidence("outline"), None) for fact in facts]


def _resized(region: npt.NDArray[np.bool_], grid: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = on_grid(region.astype(np.float32), grid) >= 0.5
    return found
