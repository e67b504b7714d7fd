"""The `dermsim gallery` commands: what the gallery holds, and how to build another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from dermsim.command import ModelCommand
from dermsim.labels import CODES, diagnosis
from dermsim.terminal import show, table

gallery_app = tyro.extras.SubcommandApp()


@gallery_app.command(name="info")
@dataclass(frozen=True, kw_only=True)
class GalleryInfo(ModelCommand):
    """Say what the checkpoint's gallery holds."""

    def run(self) -> int:
        """Count the cases."""
        engine = self.engine()
        records = engine.gallery.records
        counts = Counter(record["dx"] for record in records)
        answer = {
            "cases": len(records),
            "lesions": len({record["lesion_id"] for record in records}),
            "fingerprint": engine.fingerprint,
            "dx": {code: counts[code] for code in CODES},
        }
        summary = "{cases} cases of {lesions} lesions, encoder {fingerprint}".format(**answer)
        rows = [[code, diagnosis(code).name, counts[code]] for code in CODES]
        readable = f"{summary}\n\n{table(['dx', 'diagnosis', 'cases'], rows)}"
        show(answer, readable, as_json=self.json)
        return 0


@gallery_app.command(name="build")
@dataclass(frozen=True, kw_only=True)
class GalleryBuild(ModelCommand):
    """Embed a data set's cases, to search them in place of the checkpoint's own."""

    data: str
    """HAM10000: a Hub id, a folder in any of its layouts, or "synthetic"."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Folder of its own to write the gallery to."""
    split: Literal["train", "all"] = "train"
    """Only the training lesions, or every photograph."""

    def run(self) -> int:
        """Write the gallery."""
        from tqdm import tqdm

        from dermsim.data.ham10000 import load_ham10000
        from dermsim.data.splits import grouped_splits
        from dermsim.engine import case_records
        from dermsim.models.encode import encode
        from dermsim.tasks.retrieve import Gallery

        engine = self.engine()
        rows = load_ham10000(self.data)
        if self.split == "train":
            rows = grouped_splits(rows)["train"]
        images = tqdm(rows["image"], total=len(rows), unit="picture", disable=None)
        embeddings = encode(engine.model, engine.processor, images).embeddings
        gallery = Gallery.build(embeddings, case_records(rows), fingerprint=engine.fingerprint)
        gallery.save(self.output)
        answer = {"output": str(self.output), "cases": len(gallery)}
        show(answer, f"{self.output} holds {len(gallery)} cases", as_json=self.json)
        return 0
