"""The `dermsim atlas` commands: how diagnoses cluster, which cases stand out, and the export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from dermsim.cli.command import Command, ModelCommand, load_engine, open_data
from dermsim.cli.terminal import check_output, show, table
from dermsim.core.refused import Refused, RefusedFileNotFoundError

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.opened_source import OpenedSource
    from dermsim.engine import DermSim
    from dermsim.engine.atlas import Atlas

CLUSTERS = {"HDBSCAN, on the map": "cluster", "k-means": "kmeans"}
"""The measures of a map that are clusters, by what `dermsim atlas info` calls them."""

atlas_app = tyro.extras.SubcommandApp()


@dataclass(frozen=True, kw_only=True)
class AtlasCommand(ModelCommand):
    """What commands on a map have: the checkpoint's own cases, or others to map."""

    data: str | None = None
    """Cases to map in place of the checkpoint's own: a Hub id, a folder in any known layout, or
    "synthetic"."""
    split: Literal["train", "validation", "test", "all"] | None = None
    """Whose lesions of the data: those of validation unless another is named."""

    def atlas(self) -> Atlas:
        """Join the checkpoint's map to its gallery, or embed and map the data."""
        opened = None if self.data is None else open_data(self.data)
        if opened is None and self.split is not None:
            raise Refused("cli_atlas.split_without_data")
        from dermsim.data.tables import case_records
        from dermsim.engine.atlas import Atlas
        from dermsim.tasks.retrieve import Gallery

        engine = self.engine()
        if opened is None:
            return Atlas.of(engine.atlas, engine.gallery)
        rows, cases = _embed(engine, opened, self.split or "validation")
        from dermsim.engine.atlas import draw_map

        drawn = draw_map(cases, rows, calibration=engine.calibration, detector=engine.detector)
        records = case_records(rows)
        gallery = Gallery.build(cases.embeddings, records, fingerprint=engine.fingerprint)
        return Atlas.of(drawn, gallery)


def _embed(engine: DermSim, source: OpenedSource, split: str) -> tuple[Dataset, Any]:
    from tqdm import tqdm

    from dermsim.data.splits import grouped_splits
    from dermsim.models.encode import encode

    rows = source.load(more=False)
    if split != "all":
        rows = grouped_splits(rows)[split]
    pictures = tqdm(rows["image"], total=len(rows), unit="picture", disable=None)
    return rows, encode(engine.model, engine.processor, pictures)


@atlas_app.command(name="info")
@dataclass(frozen=True, kw_only=True)
class AtlasInfo(AtlasCommand):
    """Score clusters against diagnoses, and list outliers and borderline cases."""

    count: int = 10
    """How many outliers and borderline cases to list."""

    def run(self) -> int:
        """Measure and print."""
        from dermsim.tasks.atlas import score_clusters, silhouette

        if self.count < 1:
            raise Refused("cli_atlas.count", count=self.count)
        atlas = self.atlas()
        dx, embeddings = atlas.dx, atlas.map.embeddings
        places = {code: place for place, code in enumerate(sorted(set(dx)))}
        found = {name: atlas.map.measures[measure] for name, measure in CLUSTERS.items()}
        scores = {
            name: score_clusters(numbers, dx, embeddings)
            for name, numbers in found.items()
            if any(number >= 0 for number in numbers.tolist())  # HDBSCAN may find no island
        }
        answer: dict[str, Any] = {
            "cases": len(atlas.map),
            "silhouette_of_dx": _or_none(silhouette(embeddings, [places[code] for code in dx])),
            "clusters": {
                name: {**score.to_dict(), "silhouette": _or_none(score.silhouette)}
                for name, score in scores.items()
            },
            "outliers": atlas.stand_out("isolation", self.count),
            "borderline": atlas.stand_out("margin", self.count, most=False),
        }
        show(answer, _in_words(answer), as_json=self.json)
        return 0


def _or_none(figure: float) -> float | None:
    """Return a figure, or None where there is none to give: of one group there is no silhouette."""
    return None if math.isnan(figure) else figure


def _in_words(answer: dict[str, Any]) -> str:
    scores = table(
        ["clusters of", "number", "outside", "silhouette", "ARI", "NMI", "purity"],
        [
            [
                name,
                len(found["clusters"]),
                found["outside"],
                found["silhouette"],
                found["adjusted_rand"],
                found["mutual_information"],
                found["purity"],
            ]
            for name, found in answer["clusters"].items()
        ],
    )
    each = table(
        ["clusters of", "cluster", "cases", "commonest dx", "purity"],
        [
            [name, c["cluster"], c["size"], c["dx"], c["purity"]]
            for name, found in answer["clusters"].items()
            for c in found["clusters"]
        ],
    )
    columns = ("image_id", "lesion_id", "dx", "neighbor_dx")
    lists = []
    for title, measure, found in (
        ("Least like their nearest cases of other lesions", "isolation", answer["outliers"]),
        ("Nearest to a border between diagnoses", "margin", answer["borderline"]),
    ):
        rows = [[*map(case.get, columns), case[measure]] for case in found]
        lists.append(f"{title}\n\n{table([*columns, measure], rows)}")
    figure = answer["silhouette_of_dx"]
    words = "is not defined" if figure is None else f"{figure:.3f}"
    head = f"{answer['cases']} cases; silhouette of the diagnoses {words}"
    if missing := [name for name in CLUSTERS if name not in answer["clusters"]]:
        head += f"; no cluster was found by {' and '.join(missing)}"
    return "\n\n".join([head, scores, each, *lists])


@atlas_app.command(name="export")
@dataclass(frozen=True, kw_only=True)
class AtlasExport(AtlasCommand):
    """Write the cases as one Parquet file for Apple Embedding Atlas, Spotlight and FiftyOne."""

    output: Annotated[Path, arg(aliases=["-o"])]
    """Parquet file to write."""
    pictures: str | None = None
    """Data set to take the pictures from, by image_id: the same as the data, or the one the
    checkpoint was trained on. The file then holds patient photographs."""

    def run(self) -> int:
        """Write the file."""
        from dermsim.tasks.atlas import export_cases

        check_output(self.output, ending=".parquet")
        opened = None if self.pictures is None else open_data(self.pictures)
        atlas = self.atlas()
        pictures = None
        if opened is not None:
            pictures = _pictures(opened, atlas.map.image_ids)
        rows = export_cases(self.output, atlas.map, list(atlas.records), pictures=pictures)
        answer = {"output": str(self.output), "cases": rows, "pictures": pictures is not None}
        show(answer, f"{self.output} holds {rows} cases", as_json=self.json)
        return 0


def _pictures(source: OpenedSource, image_ids: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read the files of pictures as they are, by image_id."""
    from datasets import Image

    rows = source.load(more=False).cast_column("image", Image(decode=False))
    places = {image_id: row for row, image_id in enumerate(rows["image_id"])}
    if missing := [name for name in image_ids if name not in places]:
        raise Refused(
            "cli_atlas.lacks_pictures", source=source.source, count=len(missing), missing=missing[0]
        )
    found = []
    for name in image_ids:
        picture = rows[places[name]]["image"]
        path = picture["path"] if picture["path"] and Path(picture["path"]).is_file() else None
        content = picture["bytes"] or Path(picture["path"]).read_bytes()
        found.append({"bytes": content, "path": path})
    return found


@atlas_app.command(name="draw")
@dataclass(frozen=True, kw_only=True)
class AtlasDraw(Command):
    """Draw a checkpoint's map again, with what is measured of its cases now."""

    model: Positional[Path]
    """Checkpoint folder, whose atlas.parquet is replaced."""
    data: str
    """The data it was trained on."""

    def run(self) -> int:
        """Embed the gallery's cases and write the map."""
        if not self.model.is_dir():
            raise RefusedFileNotFoundError("cli_atlas.no_checkpoint", model=self.model)
        opened = open_data(self.data)
        from dermsim.engine.atlas import draw_map

        engine = load_engine(str(self.model))
        known = set(engine.gallery.records.values("image_id"))
        rows, cases = _embed_known(engine, opened, known)
        drawn = draw_map(cases, rows, calibration=engine.calibration, detector=engine.detector)
        drawn.save(self.model / "atlas.parquet")
        answer = {"output": str(self.model / "atlas.parquet"), "cases": len(drawn)}
        show(answer, f"{answer['output']} maps {len(drawn)} cases", as_json=self.json)
        return 0


def _embed_known(engine: DermSim, source: OpenedSource, known: set[str]) -> tuple[Dataset, Any]:
    from tqdm import tqdm

    from dermsim.models.encode import encode

    rows = source.load(more=False)
    kept = [row for row, image_id in enumerate(rows["image_id"]) if image_id in known]
    if len(kept) < len(known):
        raise Refused(
            "cli_atlas.few_cases",
            source=source.source,
            kept_count=len(kept),
            known_count=len(known),
        )
    rows = rows.select(kept)
    pictures = tqdm(rows["image"], total=len(rows), unit="picture", disable=None)
    return rows, encode(engine.model, engine.processor, pictures)
