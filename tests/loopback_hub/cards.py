"""What the Hub asks of the YAML block at the head of a card, as far as cards here use it.

See https://huggingface.co/docs/hub/model-cards and https://huggingface.co/docs/hub/spaces-config-reference.
"""

from __future__ import annotations

from typing import Any

import yaml

COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SDKS = ("gradio", "docker", "static")


def check_card(readme: str, *, kind: str) -> tuple[list[str], list[str]]:
    """Return what is wrong with a card, and what is only unwise.

    Args:
        readme: The whole card.
        kind: "model", "dataset" or "space".
    """
    if not readme.startswith("---\n") or "\n---" not in readme[3:]:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        values = yaml.safe_load(readme[4:].split("\n---", 1)[0])
    except yaml.YAMLError as error:
        return [f"YAML is invalid: {' '.join(str(error).split())}"], []
    if not isinstance(values, dict):
        return ["YAML metadata must be a mapping."], []
    errors = []
    for key in ("license", "pipeline_tag", "library_name", "title", "sdk", "app_file"):
        if key in values and not isinstance(values[key], str):
            errors.append(f'"{key}" must be a string')
    for key in ("tags", "models", "preload_from_hub"):
        if key in values and not _strings(values[key]):
            errors.append(f'"{key}" must be an array of strings')
    if kind == "space":
        errors += _space(values)
    for number, model in enumerate(values.get("model-index") or []):
        errors += [f'"model-index[{number}].{text}' for text in _index(model)]
    return errors, []


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _space(values: dict[str, Any]) -> list[str]:
    errors = []
    if values.get("sdk") not in SDKS:
        errors.append(f'"sdk" must be one of [{", ".join(SDKS)}]')
    for key in ("colorFrom", "colorTo"):
        if key in values and values[key] not in COLORS:
            errors.append(f'"{key}" must be one of [{", ".join(COLORS)}]')
    if len(values.get("short_description", "")) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    if "sdk_version" in values and not isinstance(values["sdk_version"], str):
        errors.append('"sdk_version" must be a string')
    return errors


def _index(model: Any) -> list[str]:
    """Say what one entry of a model-index lacks."""
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        return ['name" is required']
    errors = []
    for n, result in enumerate(model.get("results") or []):
        for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
            for key in keys:
                if not isinstance((result.get(part) or {}).get(key), str):
                    errors.append(f'results[{n}].{part}.{key}" is required')
        for m, metric in enumerate(result.get("metrics") or [{}]):
            if not isinstance(metric.get("type"), str) or "value" not in metric:
                errors.append(f'results[{n}].metrics[{m}]" needs a type and a value')
    return errors
