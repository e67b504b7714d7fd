"""What is said of pictures in words that the visitor chooses: prompts, their directions, zero-shot.

`wording` reads templates and names, `directions` makes one vector of each name, and `zero_shot`
compares pictures with them. NumPy in, NumPy out: how a text becomes a vector is for
`dermsim.models.text`.
"""

from dermsim.tasks.prompt.directions import (
    ARRAYS,
    JSON,
    Directions,
    Prompts,
    make_directions,
)
from dermsim.tasks.prompt.wording import Wording, negated, own_wording, read_wording
from dermsim.tasks.prompt.zero_shot import ZeroShot, center_rows, zero_shot

__all__ = [
    "ARRAYS",
    "JSON",
    "Directions",
    "Prompts",
    "Wording",
    "ZeroShot",
    "center_rows",
    "make_directions",
    "negated",
    "own_wording",
    "read_wording",
    "zero_shot",
]
