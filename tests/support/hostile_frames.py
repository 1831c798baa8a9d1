"""What no client of Kafka sends, from a seed.

Requests bent in every place, frames cut short and of lengths that nobody has, bytes that are no frames.
"""

import random
import struct
from collections.abc import Callable, Mapping
from typing import Final

_LENGTHS: Final = (-(2**31), -1, 0, 1, 7, 1_000_000, 104_857_600, 104_857_601, 2**31 - 1)
_ODD: Final = tuple(struct.pack(">i", number) for number in (-(2**31), -2, -1, 0, 1, 65_536, 2**24, 2**31 - 1))
_KEYS: Final = (*range(75), -1, 1_000, -(2**15), 2**15 - 1)
_VERSIONS: Final = (*range(16), -1, -(2**15), 2**15 - 1)


def text(value: str) -> bytes:
    """Return a text with its length."""
    return struct.pack(">h", len(value)) + value.encode()


def one(item: bytes) -> bytes:
    """Return a list of one."""
    return struct.pack(">i", 1) + item


#: Bodies that are right, by the key and the version of their request.
GOOD: Final[Mapping[tuple[int, int], bytes]] = {
    (0, 3): struct.pack(">hhi", -1, 1, 500) + one(text("readings") + one(struct.pack(">ii", 0, 4) + b"\0\0\0\0")),
    (1, 4): struct.pack(">iiiib", -1, 0, 0, 9_999, 0) + one(text("readings") + one(struct.pack(">iqi", 0, 0, 9))),
    (2, 1): struct.pack(">i", -1) + one(text("readings") + one(struct.pack(">iq", 0, -1))),
    (3, 4): one(text("readings")) + b"\0",
    (8, 2): text("group") + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) + one(text("readings") + one(
        struct.pack(">iqh", 0, 1, -1))),
    (9, 1): text("group") + one(text("readings") + one(struct.pack(">i", 0))),
    (10, 2): text("group") + b"\0",
    (11, 2): text("group") + struct.pack(">ii", 6_000, 6_000) + text("") + text("consumer") + one(
        text("range") + struct.pack(">i", 2) + b"\0\0"),
    (12, 1): text("group") + struct.pack(">i", 1) + text("member"),
    (13, 1): text("group") + text("member"),
    (14, 1): text("group") + struct.pack(">i", 1) + text("member") + one(text("member") + struct.pack(">i", 0)),
    (18, 0): b"",
    (18, 3): b"\0\x05test\x021\0",
    (19, 4): one(text("readings") + struct.pack(">ih", 1, 1) + struct.pack(">ii", 0, 0)) + struct.pack(">ib", 500, 1),
    (22, 1): struct.pack(">h", -1) + struct.pack(">i", 1_000),
    (32, 1): one(b"\x02" + text("readings") + struct.pack(">i", -1)) + b"\0",
}  # fmt: skip


def frame(key: int, version: int, body: bytes, number: int = 1) -> bytes:
    """Return a request as it is sent."""
    request = struct.pack(">hhi", key, version, number) + text("hostile") + body
    return struct.pack(">i", len(request)) + request


class HostileFrames:
    """A stream of what is sent on connections, which depends on its seed alone."""

    def __init__(self, seed: int) -> None:
        """Start anew."""
        self._random = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self._kinds: tuple[Callable[[], bytes], ...] = (self._bent,) * 6 + (
            self._strange, self._cut, self._mislaid, self._several, self._noise
        )  # fmt: skip

    def next(self) -> bytes:
        """Return what is sent on the next connection."""
        return self._random.choice(self._kinds)()

    def _good(self) -> bytes:
        (key, version), body = self._random.choice(list(GOOD.items()))
        return frame(key, version, body, self._random.randrange(2**31))

    def _bent(self) -> bytes:
        """Return a good request, of a right length, with some of its places replaced."""
        sent = bytearray(self._good())
        for _ in range(self._random.randint(1, 3)):
            odd = self._random.choice((self._random.choice(_ODD), self._random.randbytes(1), self._random.randbytes(9)))
            place = self._random.randrange(4, len(sent))
            sent[place : place + len(odd)] = odd
        sent[:4] = struct.pack(">i", len(sent) - 4)
        return bytes(sent)

    def _strange(self) -> bytes:
        body = self._random.choice((b"", self._random.randbytes(100), self._random.choice(list(GOOD.values()))))
        return frame(self._random.choice(_KEYS), self._random.choice(_VERSIONS), body)

    def _cut(self) -> bytes:
        sent = self._good()
        return sent[: self._random.randint(0, len(sent))]

    def _mislaid(self) -> bytes:
        return struct.pack(">i", self._random.choice(_LENGTHS)) + self._good()[4:]

    def _several(self) -> bytes:
        return self._good() + self._bent() + self._good()

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randint(0, 200))
