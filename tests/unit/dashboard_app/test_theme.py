"""The colours: complete, readable and told apart, in light and in dark."""

import itertools
import re
from typing import Final

import pytest

from dashboard_app import theme

_THEMES: Final = (pytest.param(0, id="light"), pytest.param(1, id="dark"))
_GROUNDS: Final = ("ground", "surface", "surface-raised", "surface-sunken")


@pytest.mark.parametrize("index", _THEMES)
def test_text_reaches_the_contrast_of_wcag_aa_on_every_ground(index: int) -> None:
    """Words are at 4.5:1 or better wherever they may stand."""
    words = ("text", "text-quiet", "accent", "ok", "high", "stale", "offline")
    tinted = [(word, f"{word}-ground") for word in ("high", "stale", "offline")]
    tinted += [("text-quiet", f"{word}-ground") for word in ("high", "stale", "offline")]
    pairs = [*itertools.product(words, _GROUNDS), *tinted, ("accent-text", "accent"), ("surface", "high")]
    low = {pair: round(_contrast(*pair, index), 2) for pair in pairs if _contrast(*pair, index) < 4.5}
    assert low == {}


@pytest.mark.parametrize("index", _THEMES)
def test_lines_and_borders_of_controls_reach_3_to_1(index: int) -> None:
    """What must be seen but not read is at 3:1 or better on the surface."""
    drawn = [token for token in theme.TOKENS if token.startswith("series-")] + ["line-strong", "high"]
    low = {token: _contrast(token, "surface", index) for token in drawn if _contrast(token, "surface", index) < 3}
    assert low == {}


def test_every_token_is_a_colour_in_both_themes() -> None:
    """A token is two hex colours; the series' are all different."""
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for values in theme.TOKENS.values() for colour in values)
    for index in (0, 1):
        series = [values[index] for token, values in theme.TOKENS.items() if token.startswith("series-")]
        assert len(set(series)) == len(series) == 7


def test_the_stylesheet_holds_both_themes_and_colours_the_controls_of_dash() -> None:
    """Light is the default; dark comes by the system or by choice; a dcc control follows."""
    css = theme.stylesheet()
    assert "--ground:#f4f6f8;" in css
    assert css.count("--ground:#0e1216;") == 2
    assert "--Dash-Fill-Inverse-Strong:var(--surface-raised);" in css
    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", css)) <= set(theme.TOKENS)


def _contrast(first: str, second: str, index: int) -> float:
    """Return the contrast of two tokens by WCAG 2."""
    low, high = sorted(_luminance(theme.TOKENS[token][index]) for token in (first, second))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
