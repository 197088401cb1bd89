"""Colours out of a text's hash: one hue and its companions in OKLCH, where equal lightness looks equally light in every
hue (Ottosson 2020). Lightness is fixed by role, so that every text keeps its contrast whatever the hue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

Rgb: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of one card.

    ``deep`` are four tones from the darkest on; ``light`` and ``pale`` are text on dark, ``ink`` and ``accent_dark``
    text on ``paper`` and ``tint``.
    """

    seed: bytes
    deep: tuple[Rgb, Rgb, Rgb, Rgb] = field(init=False)
    accent: Rgb = field(init=False)
    second: Rgb = field(init=False)
    warm: Rgb = field(init=False)
    paper: Rgb = field(init=False)
    tint: Rgb = field(init=False)
    ink: Rgb = field(init=False)
    accent_dark: Rgb = field(init=False)
    light: Rgb = field(init=False)
    pale: Rgb = field(init=False)

    def __post_init__(self) -> None:
        hue = self.seed[0] / 256 * 360
        # Analogous, or complementary: what every school of colour teaches to begin with.
        other = hue + (35, 150, 180, 210)[self.seed[1] % 4]
        tones = tuple(oklch(lightness, 0.085, hue) for lightness in (0.25, 0.32, 0.39, 0.47))
        values = {
            "deep": tones,
            "accent": oklch(0.80, 0.14, other),
            "second": oklch(0.72, 0.13, other + 40),
            "warm": oklch(0.82, 0.15, 68),
            "paper": oklch(0.97, 0.012, hue),
            "tint": oklch(0.90, 0.045, hue),
            "ink": oklch(0.24, 0.05, hue),
            "accent_dark": oklch(0.42, 0.11, other),
            "light": oklch(0.98, 0.01, hue),
            "pale": oklch(0.90, 0.035, hue),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


def oklch(lightness: float, chroma: float, hue: float) -> Rgb:
    """A colour as sRGB; `hue` in degrees. What lies outside of sRGB loses chroma until it is inside."""
    while chroma > 0.001:
        linear = _linear(lightness, chroma, hue)
        if all(-0.001 <= each <= 1.001 for each in linear):
            break
        chroma *= 0.93
    else:
        linear = _linear(lightness, 0, hue)
    red, green, blue = (_gamma(min(max(each, 0.0), 1.0)) for each in linear)
    return red, green, blue


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast of two colours after WCAG 2: 1 to 21, at least 4.5 for text."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def _gamma(value: float) -> int:
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


def _luminance(colour: Rgb) -> float:
    red, green, blue = (each / 255 / 12.92 if each <= 10 else ((each / 255 + 0.055) / 1.055) ** 2.4 for each in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
