"""The page's colours: legible on what they stand on, and told apart by colour-blind eyes."""

import re
from importlib.resources import files

import numpy as np
import pytest

SHEET = files("dermsim.ui").joinpath("style.css").read_text(encoding="utf-8")
MODES = {"light": r":root \{(.*?)\n\}", "dark": r"\n\.dark \{(.*?)\n\}"}

# Machado, Oliveira, Fernandes 2009, https://doi.org/10.1109/TVCG.2009.113, severity 1, linear RGB
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip

TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = [0.9505, 1.0, 1.089]


def colors(mode: str) -> dict[str, np.ndarray]:
    """The sheet's own colours in linear RGB, by name."""
    block = re.search(MODES[mode], SHEET, re.DOTALL)[1]
    found = re.findall(r"--ds-([a-z-]+): #([0-9a-f]{6});", block)
    return {name: linear(value) for name, value in found}


def linear(value: str) -> np.ndarray:
    rgb = np.array([int(value[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2.2, from 1 to 21."""
    light, dark = sorted((float(np.dot(TO_XYZ[1], c)) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    t = np.array(TO_XYZ) @ rgb.clip(0, 1) / WHITE
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_is_measured_as_the_standard_does():
    assert contrast(linear("000000"), linear("ffffff")) == pytest.approx(21)
    assert contrast(linear("777777"), linear("ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"),
        ("soft", "paper"),
        ("soft", "well"),
        ("accent", "paper"),
        ("alarm", "alarm-well"),
        ("calm", "calm-well"),
        ("ink", "alarm-well"),
        ("ink", "calm-well"),
    ],
)
def test_text_is_legible_on_its_ground(mode, text, ground):
    known = colors(mode)
    assert contrast(known[text], known[ground]) >= 4.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_alarm_and_calm_are_told_apart_by_every_eye(mode, deficiency):
    known, seen = colors(mode), np.array(DEFICIENCIES[deficiency])
    apart = np.linalg.norm(lab(seen @ known["alarm"]) - lab(seen @ known["calm"]))
    assert apart > 20  # 2.3 is the least that can be told side by side
