"""Which zero width joiners make an emoji."""

import pytest

from sensorbus.contract.emoji import joiner_places


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("👩\u200d💻", {1}),
        ("👩🏽\u200d💻", {2}),  # a skin tone before it
        ("🏳\ufe0f\u200d🌈-7", {2}),  # a variation selector before it
        ("👩\u200d❤\ufe0f\u200d👩", {1, 4}),
        ("🙂\u200d↔\ufe0f", {1}),
        ("🐈\u200d⬛ and 🐻\u200d❄\ufe0f", {1, 9}),
    ],
    ids=str,
)
def test_it_stands_between_two_emoji(text: str, places: set[int]) -> None:
    """As Unicode's list of emoji sequences has them."""
    assert joiner_places(text) == places


@pytest.mark.parametrize(
    "text",
    [
        "a\u200db",
        "👩\u200d",
        "\u200d👩",
        "👩\u200d\u200d💻",
        "👩\u200da",
        "1\u200d💻",
        "👩\u200d🏽",  # a skin tone is no emoji of its own
        "👩\u200d\ufe0f💻",
        "👩\ufe0f\ufe0f\u200d💻",
        "\u0915\u094d\u200d\u0937",  # where Hindi has one
        "👩\u200c💻",  # a zero width non-joiner
    ],
    ids=ascii,
)
def test_elsewhere_it_is_invisible(text: str) -> None:
    """Two texts would look like one."""
    assert joiner_places(text) == frozenset()
