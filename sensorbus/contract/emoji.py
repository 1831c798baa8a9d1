"""Finds the zero width joiners that make one emoji of several.

Anywhere else a joiner is invisible, and would make two texts look like one.
"""

import re
from typing import Final

#: Arrows, symbols and pictographs: the blocks of which Unicode joins emoji, without the skin tones.
_EMOJI: Final = "\u2194-\u21aa\u2600-\u27bf\u2b05-\u2b55\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
_VARIANT: Final = "\ufe0f\U0001f3fb-\U0001f3ff"  # in colour, or in a skin tone
_JOINED: Final = re.compile(f"[{_EMOJI}][{_VARIANT}]?(\u200d)(?=[{_EMOJI}])")


def joiner_places(text: str) -> frozenset[int]:
    """Return where in the text a zero width joiner stands between two emoji."""
    return frozenset(match.start(1) for match in _JOINED.finditer(text))
