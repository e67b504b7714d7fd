"""What an explanation is: a map, its strength, and what it is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""Left, top, right and bottom of a picture, in shares of its width and height."""

TOP = 0.5
"""Share of its peak above which a map's top region lies."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Evidence for one target in one image.

    ``values * peak`` is the raw map: compare peaks before comparing maps, because a faint map
    and a strong one both reach towards 1 in `values`.

    Attributes:
        values: (H, W) float32 in [0, 1]; all zero when nothing in the image speaks for the target.
        peak: Largest raw value of the map before scaling, 0 when there is no evidence.
        method: Key of `dermsim.core.explain_methods.METHODS` that made the map.
        target: What was explained, for example ``"mel"``.
        score: The scalar that was explained, as the model gave it for the whole image: a logit,
            log-odds or a cosine. None where it was not asked for.
        seen: What the encoder saw of the picture: left, top, right and bottom in shares of its
            width and height.

    Examples:
        >>> heatmap = engine.explain(picture, method="gradcam", target="mel")
        >>> heatmap.values.shape, heatmap.method, heatmap.peak > 0
        ((150, 200), 'gradcam', True)
    """

    values: npt.NDArray[np.float32]
    peak: float
    method: str
    target: str
    score: float | None = None
    seen: tuple[float, float, float, float] = WHOLE

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, `values` as nested lists.

        Examples:
            >>> engine.explain(picture, target="mel").to_dict()["target"]
            'mel'
        """
        return {
            "values": self.values.tolist(),
            "peak": self.peak,
            "method": self.method,
            "target": self.target,
            "score": self.score,
            "seen": list(self.seen),
        }

    def top_region(self, level: float = TOP) -> npt.NDArray[np.bool_]:
        """Return where the map reaches `level` of its peak, ``(H, W)``; nowhere without evidence.

        Args:
            level: Share of the peak, in (0, 1].

        Raises:
            ValueError: If `level` is out of range.

        Examples:
            >>> import numpy as np
            >>> from dermsim import Heatmap
            >>> values = np.array([[0, 0.2], [0.6, 1]], dtype=np.float32)
            >>> Heatmap(values, peak=2.0, method="gradcam", target="mel").top_region().tolist()
            [[False, False], [True, True]]
        """
        if not 0 < level <= 1:
            raise Refused("heatmap.level", level=level)
        return (self.values >= level) & (self.values > 0)
