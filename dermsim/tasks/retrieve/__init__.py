"""Similar past cases: nearest neighbours of an embedding in the gallery of training cases.

`cases` holds their facts, `parts` their embeddings; `exact` compares, `approximate` proposes what
to compare where there are too many cases, `gallery` joins these and `folder` keeps it on disk.
"""

from dermsim.tasks.retrieve.approximate import KINDS, IndexFacts, Kind, choose_kind
from dermsim.tasks.retrieve.case_table import COLUMNS, CaseTable
from dermsim.tasks.retrieve.exact import exact_search
from dermsim.tasks.retrieve.folder import HEADER, OWN
from dermsim.tasks.retrieve.gallery import Gallery
from dermsim.tasks.retrieve.neighbor import Neighbor
from dermsim.tasks.retrieve.pairs import PairScale, Standing
from dermsim.tasks.retrieve.recognition import recognise
from dermsim.tasks.retrieve.searched import VOTERS

__all__ = [
    "COLUMNS",
    "HEADER",
    "KINDS",
    "OWN",
    "VOTERS",
    "CaseTable",
    "Gallery",
    "IndexFacts",
    "Kind",
    "Neighbor",
    "PairScale",
    "Standing",
    "choose_kind",
    "exact_search",
    "recognise",
]
