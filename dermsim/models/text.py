"""The text half of a text-image encoder: words in; unit vectors beside the pictures' out.

It is a class of transformers with the projection that CLIP's like put behind it, and lies in
``text/`` of a checkpoint. Nothing but a prompt of the visitor's own needs it.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import existing, load_json, save_json
from dermsim.models.undrawn import UndrawnWeights

FOLDER = "text"
"""Where in a checkpoint folder it lies."""

FILES = ("config.json", "model.safetensors", "tokenizer.json")
"""What is there."""

KINDS = ("clip", "siglip", "bert")
"""Whose text encoders there are; the class of transformers follows."""

POOLINGS = ("own", "cls", "mean")
"""How a text's tokens become one vector: as the class itself does it (the end of the text for CLIP,
the last token for SigLIP), or BERT's first token or the mean of its tokens."""

PROJECTIONS = ("own", "none", "linear", "mlp")
"""How that becomes an embedding: by the class itself, not at all, by one matrix, or by two."""

CLEANINGS = ("none", "canonical")
"""What is done to a text before its tokens are made: nothing, or as SigLIP was trained, small
letters without punctuation. Another spelling gives SigLIP another vector."""

FIELDS: Mapping[str, int] = {
    **dict.fromkeys(("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"), 2**21),
    **dict.fromkeys(("hidden_size", "intermediate_size", "projection_dim"), 65_536),
    **{"projection_size": 65_536, "num_hidden_layers": 512, "num_attention_heads": 1024},
    **{"max_position_embeddings": 65_536, "type_vocab_size": 1024, "layer_norm_eps": 1},
    "hidden_act": 0,
}
"""What a class of transformers is told, and how much each may be at most."""

SAMPLED, BLOCK = 16 * 2**20, 2**16
"""Bytes of a file that its fingerprint reads at most, and at a time."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)

LONGEST = 4096
"""Tokens of a text at most: settings may be a stranger's."""


@dataclass(frozen=True)
class TextSettings:
    """What a text encoder is made of.

    Attributes:
        kind: One of `KINDS`.
        pooling: One of `POOLINGS`.
        projection: One of `PROJECTIONS`.
        dim: D of the embeddings.
        hidden: Width between the two matrices of ``"mlp"``; 0 for others.
        context: How many tokens it reads.
        fill: Whether short texts are filled up to that, as SigLIP must see them.
        clean: One of `CLEANINGS`.
        start: Token before a text; None for none.
        end: Token behind it.
        pad: Token that fills up.
        transformer: The configuration of the class of transformers.
    """

    kind: str
    pooling: str
    projection: str
    dim: int
    hidden: int
    context: int
    fill: bool
    clean: str
    start: int | None
    end: int
    pad: int
    transformer: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what no text encoder is made of."""
        known = {"kind": KINDS, "pooling": POOLINGS, "projection": PROJECTIONS}
        known["clean"] = CLEANINGS
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise Refused("text_tower.choice", name=name, value=getattr(self, name))
        for name in ("dim", "hidden", "context", "end", "pad"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise Refused("text_tower.choice", name=name, value=value)
        if not 3 <= self.context <= LONGEST:
            raise Refused("text_tower.choice", name="context", value=self.context)
        check_transformer(self.transformer)


@dataclass(frozen=True)
class Tokens:
    """A text as the encoder reads it.

    Attributes:
        ids: Its tokens, first and last ones included.
        lost: The words that are not read, since the text is too long.
        unknown: How many of its own tokens say nothing: words that the vocabulary lacks, or the
            single bytes of letters that it lacks.
        count: How many tokens of its own it has.
    """

    ids: tuple[int, ...]
    lost: str
    unknown: int
    count: int


class TextTower(nn.Module):
    """A text encoder, in eval mode on the CPU.

    Attributes:
        settings: What it is made of.
        tokenizer: Makes tokens of texts.
        body: The class of transformers.
        head: The projection behind it.
    """

    def __init__(self, settings: TextSettings, tokenizer: Tokenizer) -> None:
        """Build it with random weights.

        Raises:
            ValueError: If transformers cannot make it.
        """
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.body, width = _body(settings)
        self.head = _head(settings, width)
        self.eval()

    def read(self, text: str) -> Tokens:
        """Make tokens of a text: at most `context`, and the end token last even then."""
        own = self.settings
        shown = canonical(text) if own.clean == "canonical" else text
        found = self.tokenizer.encode(shown, add_special_tokens=False)
        start = () if own.start is None else (own.start,)
        room = own.context - len(start) - 1
        lost = shown[found.offsets[room][0] :] if len(found.ids) > room else ""
        return Tokens(
            ids=(*start, *found.ids[:room], own.end),
            lost=lost.strip(),
            unknown=sum(map(self._says_nothing, found.ids, found.tokens, _parts(shown, found))),
            count=len(found.ids),
        )

    def notes(self, text: str) -> list[Phrase]:
        """Say which words of a text are not read, and which say nothing."""
        tokens, said = self.read(text), []
        if tokens.lost:
            said.append(Phrase("text_tower.lost", text=text[:80], lost=tokens.lost[:200]))
        if tokens.unknown:
            facts = {"unknown": tokens.unknown, "count": tokens.count}
            said.append(Phrase("text_tower.unknown", text=text[:80], **facts))
        return said

    def check(self, text: str) -> None:
        """Refuse a text of which the vocabulary knows nothing.

        Raises:
            ValueError: If it has no token, or none that says anything.
        """
        tokens = self.read(text)
        if tokens.unknown == tokens.count:
            raise Refused("text_tower.all_unknown", text=text[:80])

    def embed(self, texts: Sequence[str], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
        """Return ``(T, D)`` unit rows of texts."""
        parts = [
            self.embed_ids([self.read(text).ids for text in texts[start : start + batch_size]])
            for start in range(0, len(texts), batch_size)
        ]
        return np.concatenate(parts)

    def embed_ids(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Return ``(T, D)`` unit rows of tokens."""
        own = self.settings
        length = own.context if own.fill else max(map(len, rows))
        ids = torch.full((len(rows), length), own.pad)
        attended = torch.zeros((len(rows), length), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            attended[place, : len(row)] = 1
        with torch.inference_mode():
            projected = self.head(self._pool(ids, attended))
            return F.normalize(projected.float(), dim=-1).numpy()

    def _pool(self, ids: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        if self.settings.kind == "clip":  # causal: what fills up stands behind what is pooled
            return self.body(input_ids=ids).text_embeds
        if self.settings.kind == "siglip":  # it was trained with nothing masked
            return self.body(input_ids=ids).pooler_output
        hidden = self.body(input_ids=ids, attention_mask=attended).last_hidden_state
        if self.settings.pooling == "cls":
            return hidden[:, 0]
        weights = attended.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)

    def _says_nothing(self, number: int, token: str, part: str) -> bool:
        if number == self.tokenizer.token_to_id("[UNK]") or token in ("[UNK]", "<unk>"):
            return True
        # a letter of several bytes, of which this is one: bytes are letters of their own here
        return not part.isascii() and len(token.removesuffix("</w>")) == 1 and token != part

    def save(self, folder: Path) -> None:
        """Write it into a new folder."""
        folder.mkdir(parents=True)
        save_json(folder / "config.json", asdict(self.settings))
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        self.tokenizer.save(str(folder / "tokenizer.json"))

    @classmethod
    def load(cls, folder: Path) -> TextTower:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If one is damaged, or they do not fit.
        """
        values: Any = load_json(
            existing(folder / "config.json"), keys={item.name for item in fields(TextSettings)}
        )
        settings = TextSettings(**values)
        tokenizer = read_tokenizer(folder / "tokenizer.json")
        try:
            with UndrawnWeights():
                tower = cls(settings, tokenizer)
            tensors = load_file(existing(folder / "model.safetensors"))
            tower.load_state_dict(tensors)
        except (SafetensorError, RuntimeError, TypeError, AttributeError, KeyError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".:")
            raise Refused("text_tower.unreadable", folder=folder.name, reason=reason) from error
        return tower


def check_transformer(values: object) -> None:
    """Refuse a configuration of a class of transformers that names more than its shape.

    It may be a stranger's, and what is made of it is made before the weights are looked at.

    Raises:
        ValueError: If a name is not among `FIELDS`, or a value is no number of a sensible size and
            no word.
    """
    if not isinstance(values, Mapping):
        raise Refused("text_tower.choice", name="transformer", value=str(values)[:80])
    for name, value in values.items():
        number = type(value) in (int, float) and 0 <= value <= FIELDS.get(name, -1)
        word = name == "hidden_act" and isinstance(value, str)
        token = name in ("bos_token_id", "pad_token_id") and value is None
        if not (number or word or token):
            raise Refused("text_tower.choice", name=str(name)[:80], value=str(value)[:80])


def canonical(text: str) -> str:
    """Return a text in small letters, without punctuation, its words one blank apart."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def text_fingerprint(folder: Path) -> str:
    """Name a text encoder by its three files.

    Of weights of more than `SAMPLED` bytes the header and blocks from all over are read: hashing
    all of them would take a third as long as loading them, and other weights differ throughout.

    Returns:
        16 hexadecimal digits of a SHA-256.

    Raises:
        FileNotFoundError: If one is missing.
    """
    digest = hashlib.sha256()
    for name in FILES:
        path = existing(folder / name)
        size = path.stat().st_size
        step = BLOCK if size <= SAMPLED else size * BLOCK // SAMPLED
        digest.update(f"{name} {size}".encode())
        with path.open("rb") as file:
            for start in range(0, size, step):
                file.seek(start)
                digest.update(file.read(BLOCK))
    return digest.hexdigest()[:16]


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    try:
        return Tokenizer.from_file(str(existing(path)))
    except OSError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower
        raise Refused("text_tower.no_tokenizer", name=path.name, error=error) from error


def _parts(text: str, found: Any) -> list[str]:
    return [text[first:last] for first, last in found.offsets]


def _body(settings: TextSettings) -> tuple[nn.Module, int]:
    """Make the class of transformers, and say how wide what it gives is."""
    import transformers

    values = dict(settings.transformer)
    made: Any
    try:
        if settings.kind == "clip":
            config = transformers.CLIPTextConfig(**values)
            made = transformers.CLIPTextModelWithProjection(config)
            return made, int(made.config.projection_dim)
        if settings.kind == "siglip":
            made = transformers.SiglipTextModel(transformers.SiglipTextConfig(**values))
            return made, int(made.config.projection_size)
        bert = transformers.BertConfig(**values)
        return transformers.BertModel(bert, add_pooling_layer=False), int(bert.hidden_size)
    except Exception as error:  # what checks the fields has errors of its own
        raise Refused("text_tower.not_made", kind=settings.kind, error=error) from error


def _head(settings: TextSettings, width: int) -> nn.Module:
    if settings.projection == "linear":
        return nn.Linear(width, settings.dim, bias=False)
    if settings.projection == "mlp":
        return nn.Sequential(
            nn.Linear(width, settings.hidden, bias=False),
            nn.GELU(),
            nn.Linear(settings.hidden, settings.dim, bias=False),
        )
    if width != settings.dim:
        raise Refused("text_tower.width", width=width, dim=settings.dim)
    return nn.Identity()
