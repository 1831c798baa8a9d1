"""Turns readings into keys and values of topic `sensor`, in bulk.

Ten times as fast as one by one.
The bytes are those of `sensorbus.contract.messages.encode_reading`; a test compares. What repeats (a device's name, a
second, a temperature) is encoded once and kept.
"""

from typing import Final

from sensorbus.contract.messages import encode_key, iso_timestamp

_FRACTIONS: Final = [b"%03d" % ms for ms in range(1000)]
_KEPT_TEXTS: Final = 10_000  # a temperature has 2 decimals, so a fleet needs about 2,500


class Encoder:
    """Knows the names of a fleet, by device index."""

    def __init__(self, names: list[str]) -> None:
        """Encode the names; they need no escape in JSON."""
        #: Each device's key.
        self.keys = [encode_key(name) for name in names]
        self._middles = [f'Z","device_id":"{name}","temperature":'.encode() for name in names]
        self._until_second = _UntilSecond()
        self._ends = _Ends()

    def value(self, device: int, time_ms: int, celsius: float) -> bytes:
        """Return the value for a reading of that device; `celsius` is finite and not -0.0."""
        second, ms = divmod(time_ms, 1000)
        return b"".join((self._until_second[second], _FRACTIONS[ms], self._middles[device], self._ends[celsius]))


class _UntilSecond(dict[int, bytes]):
    """A value from its beginning to the dot before the milliseconds, by seconds since the epoch."""

    def __missing__(self, second: int) -> bytes:
        if len(self) >= _KEPT_TEXTS:
            self.clear()
        text = self[second] = b'{"timestamp":"' + iso_timestamp(second * 1000)[: -len("000Z")].encode()
        return text


class _Ends(dict[float, bytes]):
    """A value from the temperature to its end."""

    def __missing__(self, celsius: float) -> bytes:
        if len(self) >= _KEPT_TEXTS:
            self.clear()
        text = self[celsius] = f"{celsius!r}}}".encode()
        return text
