"""Takes the colour of the light off a photograph. Ships beside the weights; needs NumPy alone."""

from __future__ import annotations

import numpy as np


def shades_of_grey(image: np.ndarray, *, power: int = 6) -> np.ndarray:
    """Take the colour of the light off a photograph, whatever lamp and camera made it.

    Finlayson and Trezzi 2004, "Shades of Gray and Colour Constancy": the light's colour is read
    from the Minkowski mean of each channel, and every channel divided by its share of it.

    Args:
        image: ``(3, H, W)``, RGB, any scale whose zero is black.
        power: Of the Minkowski mean; 1 assumes a grey world, infinity a white patch.

    Returns:
        ``(3, H, W)`` float32 on the same scale, as bright on the whole; a photograph that is black
        in one of the channels comes back as it is.
    """
    pixels = np.asarray(image, dtype=np.float32)
    highest = pixels.max(initial=0)
    if highest <= 0:
        return pixels
    light = np.mean((pixels / highest) ** power, axis=(1, 2)) ** (1 / power)
    if light.min() <= 0:
        return pixels
    gains = np.sqrt(np.mean(light**2)) / light
    return pixels * gains[:, None, None].astype(np.float32)
