"""The tokenizer of a source, and the numbers of the tokens that frame its texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import BertWordPieceTokenizer, Tokenizer

from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.core.storage import LARGEST_CONFIG, LARGEST_JSON, read_json
from dermsim.models.text import read_tokenizer

FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt")
"""What of a repository holds a tokenizer."""

FRAMES: Mapping[str, tuple[str | None, str, str]] = {
    "clip": ("<|startoftext|>", "<|endoftext|>", "<|endoftext|>"),
    "siglip": (None, "</s>", "</s>"),
    "bert": ("[CLS]", "[SEP]", "[PAD]"),
}
"""Before a text, behind it, and what fills up, by kind of text encoder."""


def has_tokenizer(folder: Path) -> bool:
    """Say whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "merges.txt"))


def find_tokenizer(folder: Path, kind: str) -> Tokenizer:
    """Read a tokenizer, whichever files it is in.

    Args:
        folder: Of the source, or of the second repository that it names.
        kind: Of text encoder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    if (folder / "tokenizer.json").is_file():
        return read_tokenizer(folder / "tokenizer.json")
    try:
        if kind == "bert" and (folder / "vocab.txt").is_file():
            return _word_pieces(folder)
        if kind == "clip" and (folder / "merges.txt").is_file():
            return _byte_pairs(folder)
    except (OSError, Refused):
        raise
    except Exception as error:  # tokenizers raises nothing narrower
        raise Refused("text_tower.no_tokenizer", name=folder.name, error=error) from error
    raise RefusedFileNotFoundError("conversion.no_tokenizer", name=folder.name)


def _word_pieces(folder: Path) -> Tokenizer:
    settings = folder / "tokenizer_config.json"
    values: Any = read_json(settings, limit=LARGEST_CONFIG) if settings.is_file() else {}
    lower = bool(values.get("do_lower_case", True)) if isinstance(values, dict) else True
    made: Any = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lower)
    return Tokenizer.from_str(made.to_str())


def _byte_pairs(folder: Path) -> Tokenizer:
    from transformers import CLIPTokenizer

    words: Any = read_json(folder / "vocab.json", limit=LARGEST_JSON)
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    pairs: Any = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    made: Any = CLIPTokenizer(vocab=words, merges=pairs)
    return Tokenizer.from_str(made.backend_tokenizer.to_str())


def framing(tokenizer: Tokenizer, kind: str, words: int) -> dict[str, Any]:
    """Return the fields of `TextSettings` about tokens.

    Args:
        tokenizer: Of the source.
        kind: Of text encoder.
        words: How many tokens the encoder has vectors of.

    Raises:
        ValueError: If the tokenizer lacks a token that frames texts, or is of another encoder.
    """
    if (count := tokenizer.get_vocab_size(with_added_tokens=True)) > words:
        raise Refused("conversion.vocabulary", count=count, words=words)
    numbers = []
    for token in FRAMES[kind]:
        number = None if token is None else tokenizer.token_to_id(token)
        if token is not None and number is None:
            raise Refused("conversion.no_token", token=token)
        numbers.append(number)
    start, end, pad = numbers
    clean = "canonical" if kind == "siglip" else "none"
    return {"start": start, "end": end, "pad": pad, "fill": kind == "siglip", "clean": clean}
