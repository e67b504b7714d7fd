"""From a source to a folder: a tower with the names' directions, a text encoder, its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dermsim.core.atomic import atomic_path
from dermsim.core.refused import Refused, RefusedFileExistsError
from dermsim.models.configuration_dermsim_dual import DermSimDualConfig
from dermsim.models.conversion.hugging_face import read_hugging_face
from dermsim.models.conversion.open_clip import quick_gelu, read_open_clip
from dermsim.models.conversion.origin import (
    Origin,
    Place,
    find,
    find_weights,
    settings,
    write_origin,
)
from dermsim.models.conversion.parts import Source, Text
from dermsim.models.conversion.tensors import read_tensors
from dermsim.models.conversion.vocabulary import FILES, find_tokenizer, framing, has_tokenizer
from dermsim.models.encoder import misfit, save_encoder
from dermsim.models.network_dermsim_dual import DermSimDualNetwork
from dermsim.models.preparation import ImagePreparation
from dermsim.models.text import FOLDER, TextSettings, TextTower, text_fingerprint
from dermsim.models.undrawn import UndrawnWeights
from dermsim.tasks.prompt import Prompts, Wording, make_directions, own_wording

OPEN_CLIP, TRANSFORMERS = "open_clip_config.json", "config.json"
"""What tells the layouts apart."""


@dataclass(frozen=True, eq=False)
class Converted:
    """What a source became.

    Attributes:
        model: The tower, its classifier the directions of the diagnoses' names.
        preparation: Shows pictures to it.
        text: The text encoder.
        prompts: What it was asked about the diagnoses, and answered.
        origin: Of the weights.
        words: Of the tokenizer, where that is another repository's.
        layout: How the source was kept.
        dropped: Names of tensors that were left out on purpose.
    """

    model: DermSimDualNetwork
    preparation: ImagePreparation
    text: TextTower
    prompts: Prompts
    origin: Origin
    words: Origin | None
    layout: str
    dropped: tuple[str, ...]


def convert(
    source: str,
    out: Path,
    *,
    revision: str | None = None,
    tokenizer: str | None = None,
    licence: str | None = None,
    wording: Wording | None = None,
) -> Converted:
    """Convert a text-image encoder, and write it whole or not at all.

    Args:
        source: Its folder, or its id on the Hub.
        out: New folder.
        revision: Branch, tag or commit on the Hub.
        tokenizer: Folder or id that the tokenizer is taken from, and the configuration of a BERT;
            by default the source, or the repository that it names.
        licence: Of the weights, where their card states none or another.
        wording: What is asked about the seven diagnoses; by default the project's own.

    Raises:
        FileExistsError: If `out` is there.
        FileNotFoundError: If there is no such source, or it lacks a file.
        PermissionError: If the Hub refuses, or its owners admit few.
        ConnectionError: If the Hub cannot be asked, or what it sends is damaged.
        ValueError: If a file is damaged, a tensor is missing or left over, or the encoder is of a
            kind that cannot be made here.
    """
    if out.exists():
        raise RefusedFileExistsError("conversion.exists", out=out)
    place = find(source, revision=revision)
    layout, found, words = _read(place, tokenizer)
    kind = found[0].text.settings["kind"]
    text = _text(found[0].text, find_tokenizer((words or place).folder, kind))
    with atomic_path(out) as fresh:
        text.save(fresh / FOLDER)
        prompts = ask(text, wording or own_wording(), text_fingerprint(fresh / FOLDER))
        model = _network(found[0], prompts)
        used = [path.name for path in place.folder.iterdir() if path.name in (*found[1], *FILES)]
        converted = Converted(
            model=model,
            preparation=found[0].preparation,
            text=text,
            prompts=prompts,
            origin=place.origin(used, licence),
            words=None if words is None else words.origin(_there(words, *FILES, TRANSFORMERS)),
            layout=layout,
            dropped=tuple(found[0].dropped),
        )
        save_encoder(model, found[0].preparation, fresh)
        prompts.save(fresh)
        write_origin(
            fresh,
            converted.origin,
            words=converted.words,
            layout=layout,
            dropped=converted.dropped,
        )
    return converted


def ask(text: TextTower, wording: Wording, mark: str) -> Prompts:
    """Make the directions of the diagnoses' names.

    Args:
        text: The text encoder.
        wording: What is asked.
        mark: Its fingerprint.
    """
    return Prompts(wording, make_directions(wording, text.embed), mark)


def _read(
    place: Place, tokenizer: str | None
) -> tuple[str, tuple[Source, list[str]], Place | None]:
    """Read a source: its layout, its parts with the files that were read, and who has its words."""
    clip, plain = settings(place, OPEN_CLIP), settings(place, TRANSFORMERS)
    if clip is None and plain is None:
        raise Refused("conversion.no_layout", name=place.name, known=[OPEN_CLIP, TRANSFORMERS])
    if clip is not None:
        _agree(clip, plain)
        words = _second(place, clip, tokenizer)
        text_config = settings(words or place, TRANSFORMERS)
        weights = find_weights(place, "open_clip")
        source = read_open_clip(clip, read_tensors(weights), text_config=text_config)
        return "open_clip", (source, [OPEN_CLIP, weights.name]), words
    assert plain is not None
    pictures = settings(place, "preprocessor_config.json")
    if pictures is None:
        raise Refused("conversion.no_pictures", name=place.name)
    weights = find_weights(place, "transformers")
    source = read_hugging_face(plain, pictures, read_tensors(weights))
    words = None if tokenizer is None else find(tokenizer)
    read = [TRANSFORMERS, "preprocessor_config.json", weights.name]
    return "transformers", (source, read), words


def _agree(clip: Mapping[str, Any], plain: Mapping[str, Any] | None) -> None:
    """Refuse two configurations of one repository that name two activations.

    Raises:
        ValueError: If one says QuickGELU and the other does not.
    """
    model = clip.get("model_cfg")
    if plain is None or plain.get("model_type") != "clip" or not isinstance(model, Mapping):
        return
    vision = plain.get("vision_config")
    told = vision.get("hidden_act", "quick_gelu") if isinstance(vision, Mapping) else "quick_gelu"
    if quick_gelu(model) != (told == "quick_gelu"):
        raise Refused("conversion.two_activations", quick_gelu=quick_gelu(model), hidden_act=told)


def _second(place: Place, clip: Mapping[str, Any], tokenizer: str | None) -> Place | None:
    """Find the repository that a source names for its tokenizer, if it needs one."""
    if tokenizer is not None:
        return find(tokenizer)
    model = clip.get("model_cfg")
    own = model.get("text_cfg") if isinstance(model, Mapping) else None
    own = own if isinstance(own, Mapping) else {}
    if own.get("hf_model_name"):  # the configuration of its text encoder is there
        return find(str(own["hf_model_name"]))
    if not has_tokenizer(place.folder) and own.get("hf_tokenizer_name"):
        return find(str(own["hf_tokenizer_name"]))
    return None


def _text(found: Text, tokenizer: Any) -> TextTower:
    """Make the text encoder."""
    values = dict(found.settings["transformer"])
    kind = found.settings["kind"]
    frame = framing(tokenizer, kind, values["vocab_size"])
    numbers = {"bos_token_id": frame["start"], "eos_token_id": frame["end"]}
    numbers["pad_token_id"] = frame["pad"]
    own = {**found.settings, **frame, "transformer": {**values, **numbers}}
    if own["context"] > values["max_position_embeddings"]:
        limit = values["max_position_embeddings"]
        raise Refused("conversion.context", context=own["context"], limit=limit)
    with UndrawnWeights():
        tower = TextTower(TextSettings(**own), tokenizer)
    if (wrong := misfit(tower.state_dict(), found.tensors)) is not None:
        raise Refused("conversion.misfit", misfit=wrong)
    tower.load_state_dict(found.tensors)
    return tower


def _network(source: Source, prompts: Prompts) -> DermSimDualNetwork:
    """Make the tower, with the directions of the names as its classifier."""
    try:
        config = DermSimDualConfig(**source.vision.shape)
        with UndrawnWeights():
            model = DermSimDualNetwork(config)
    except (TypeError, ValueError) as error:
        backbone = source.vision.shape["backbone"]
        raise Refused("conversion.tower", backbone=backbone, error=error) from error
    directions = torch.from_numpy(prompts.directions.prototypes)
    tensors = {
        **source.vision.tensors,
        "logit_scale": torch.tensor(source.scale),
        "classifier.weight": directions,
        "classifier.bias": torch.full((len(directions),), source.bias),
    }
    if (wrong := misfit(model.state_dict(), tensors)) is not None:
        raise Refused("conversion.misfit", misfit=wrong)
    model.load_state_dict(tensors)
    return model.eval()


def _there(place: Place, *names: str) -> list[str]:
    return [name for name in names if (place.folder / name).is_file()]
