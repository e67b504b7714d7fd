"""The card of a data set: front matter that the Hub and 🤗 datasets read, and where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dermsim.core.labels import DISCLAIMER
from dermsim.core.markdown import markdown_table

if TYPE_CHECKING:
    from datasets import Features

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
"""The Hub's words for the number of rows, each below its bound."""


def data_card(
    *,
    title: str,
    licence: str,
    features: Features,
    rows: Mapping[str, int],
    sizes: Mapping[str, int],
    body: str,
) -> str:
    """Write the README.md of a data set.

    Args:
        title: Its name for people.
        licence: As the Hub spells it.
        features: Its columns.
        rows: Rows of each split.
        sizes: Bytes of the Parquet files of each split.
        body: What it is, in Markdown.

    Returns:
        Markdown with YAML front matter; the splits are the files ``data/<split>-*.parquet``.
    """
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCard, DatasetCardData

    total = sum(rows.values())
    drawn = licence == "apache-2.0"
    data = DatasetCardData(
        language="en",
        license=licence,
        pretty_name=title,
        task_categories=["image-classification"],
        size_categories=next((words for below, words in SIZES if total < below), "100K<n<1M"),
        tags=["dermatoscopy", "ham10000", "medical"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": s, "path": f"data/{s}-*.parquet"} for s in rows],
            }
        ],
    )
    splits = SplitDict({s: SplitInfo(s, num_examples=n) for s, n in rows.items()})
    info = DatasetInfo(
        features=features,
        splits=splits,
        download_size=sum(sizes.values()),
        dataset_size=sum(sizes.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    counts = [[split, f"{count:,}"] for split, count in rows.items()]
    table = "\n".join(markdown_table(["split", "rows"], counts))
    text = (
        f"\n# {title}\n\n{DISCLAIMER}\n\n{body}\n## Size\n\n"
        f"{table}\n\n"
        f"## Source and licence\n\n{_DRAWN if drawn else _HAM10000}"
    )
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n{text}"))


_DRAWN = """\
**The pictures are drawings made by a program**; there is no patient and nothing to learn of skin.
"""

_HAM10000 = """\
HAM10000: Tschandl, Rosendahl and Kittler, *The HAM10000 dataset, a large collection of multi-source
dermatoscopic images of common pigmented skin lesions*, Scientific Data 5:180161 (2018),
doi 10.1038/sdata.2018.161. Licensed
[CC BY-NC 4.0](https://creativecommons.org/licenses/by-nc/4.0/): credit the authors, say what you
changed, no commercial use.

The photographs come from clinics in Austria and Australia and show mostly light skin. Some show the
same lesion; whoever splits them must keep all of a lesion together.
"""
