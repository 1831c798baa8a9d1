"""Some devices of a fleet, named by their places in the roster, one bit each.

Any worker that knows the same devices can read it.
"""

import base64
import binascii
import re
from typing import Final, NamedTuple

import numpy as np

from dashboard_app.devices import MAX_DEVICES, Roster
from dashboard_app.ring import Integers

_MOST_CHARACTERS: Final = MAX_DEVICES // 6 + 4
_BASE64: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Choice(NamedTuple):
    """A browser's own number of a choice, told back with its bands, and the places of its devices as bits."""

    number: int
    bits: bytes


def bits_in(text: object) -> bytes | None:
    """Return the bits in a text (base64url without padding, the first place lowest); None when it is none."""
    if not isinstance(text, str) or len(text) > _MOST_CHARACTERS or not _BASE64.fullmatch(text):
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None


def devices_in(bits: bytes, roster: Roster) -> Integers:
    """Return the numbers of the devices at these places, in their order; places beyond the roster are nobody's."""
    is_chosen = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[: roster.size]
    return np.sort(roster.numbers[np.flatnonzero(is_chosen)])
