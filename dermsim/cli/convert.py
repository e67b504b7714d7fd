"""The `dermsim convert` command: a text-image encoder of others, made one of this house."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from dermsim.cli.command import Command, open_data
from dermsim.cli.terminal import show, table
from dermsim.core.refused import RefusedFileExistsError

if TYPE_CHECKING:
    from dermsim.data.opened_source import OpenedSource
    from dermsim.models.conversion import Converted


@dataclass(frozen=True, kw_only=True)
class Convert(Command):
    """Convert a text-image encoder, such as a CLIP or SigLIP; nothing of it is run."""

    source: Positional[str]
    """Folder or Hub id, in the layout of open_clip or of transformers."""
    out: Positional[Path]
    """New folder. Without --data it holds the encoder alone; with it, a whole checkpoint."""
    revision: str | None = None
    """Branch, tag or commit on the Hub."""
    tokenizer: str | None = None
    """Folder or Hub id of the tokenizer, and of a BERT's config.json, where the source has none."""
    licence: str | None = None
    """Licence of the weights, such as mit, where their card states none."""
    prompts: Path | None = None
    """TOML file with templates and the names of the seven diagnoses, in place of the own ones."""
    data: str | None = None
    """Data to fit a checkpoint with, its past cases and calibration: a Hub id, a folder in any
    known layout, or "synthetic"."""
    split: Literal["test", "validation"] = "test"
    """What to measure that checkpoint on."""

    def run(self) -> int:
        """Convert, and fit what surrounds an encoder where there are data."""
        if self.out.exists():
            raise RefusedFileExistsError("conversion.exists", out=self.out)
        opened = None if self.data is None else open_data(self.data)
        import tempfile

        from dermsim.models.conversion import convert
        from dermsim.tasks.prompt import read_wording

        wording = None if self.prompts is None else read_wording(self.prompts)
        with tempfile.TemporaryDirectory(prefix="dermsim-convert-") as scratch:
            encoder = self.out if opened is None else Path(scratch) / "encoder"
            found = convert(
                self.source,
                encoder,
                revision=self.revision,
                tokenizer=self.tokenizer,
                licence=self.licence,
                wording=wording,
            )
            answer, lines = describe(found)
            if opened is not None:
                report = self._fit(encoder, opened)
                answer |= report.to_dict()
                lines.append(report.markdown())
        show({"output": str(self.out), **answer}, "\n\n".join(lines), as_json=self.json)
        return 0

    def _fit(self, encoder: Path, opened: OpenedSource) -> Any:
        from dermsim.data.splits import grouped_splits
        from dermsim.evaluation.card import measured_files
        from dermsim.evaluation.checkpoint import evaluate_checkpoint
        from dermsim.training.converted import fit_converted

        dataset = opened.load(more=False)
        engine = fit_converted(encoder, grouped_splits(dataset))
        name = "synthetic" if self.data == "synthetic" else "HAM10000"
        report = evaluate_checkpoint(engine, dataset, split=self.split, name=name)
        record = {"command": f"dermsim convert {self.source} --data", "weights": self.source}
        files = measured_files(report, training=record, calibration=engine.calibration)
        engine.save_pretrained(self.out, training=record, extra=files)
        return report


def describe(found: Converted) -> tuple[dict[str, Any], list[str]]:
    """Say what was converted, as plain values and as lines."""
    counts = {
        half: sum(weights.numel() for weights in module.parameters())
        for half, module in (("pictures", found.model), ("text", found.text))
    }
    origin = found.origin
    answer = {
        "source": origin.name,
        "revision": origin.revision,
        "licence": origin.licence,
        "layout": found.layout,
        "tower": found.model.config.backbone,
        "text": found.text.settings.kind,
        "parameters": counts,
        "dimensions": found.model.config.embed_dim,
        "sha256": dict(origin.sha256),
        "dropped": list(found.dropped),
    }
    rows = [[name, value] for name, value in origin.sha256.items()]
    lines = [
        f"{origin.name}, licence {origin.licence or 'not stated'}: tower "
        f"{found.model.config.backbone} ({counts['pictures']:,} parameters), text encoder "
        f"{found.text.settings.kind} ({counts['text']:,}), {found.model.config.embed_dim} "
        "dimensions.",
        table(["file", "sha256"], rows),
    ]
    return answer, lines
