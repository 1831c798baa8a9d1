"""How large a record may be, whatever it was while it was compressed."""

from collections.abc import Sequence
from typing import Final

from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.topics import Topic

#: Kafka's record headers: names may repeat.
Headers = Sequence[tuple[str, bytes | None]]
# What a dead letter or a copy under the right key has more than the record: our headers, a key, Kafka's own bytes.
_SPARE_BYTES: Final = 1_024
_HEADER_BYTES: Final = 10  # Kafka's own for each header at most


def check_size(value: bytes | None, key: bytes | None, headers: Headers | None, topic: Topic) -> None:
    """Refuse a record that its topic would not take if it were not compressed."""
    size = len(value or b"") + len(key or b"")
    if headers:
        size += sum(map(_header_size, headers))
    if size > topic.max_message_bytes - _SPARE_BYTES:
        raise InvalidMessageError(
            "too-large",
            f"the record has {size} bytes, more than {topic.max_message_bytes - _SPARE_BYTES}; the first of them are "
            "kept: of the key, then whole headers, then of the value",
        )


def first_bytes(
    value: bytes | None, key: bytes | None, headers: Headers, topic: Topic
) -> tuple[bytes | None, bytes | None, Headers]:
    """Return as much of a record as its topic would take uncompressed: of the key, whole headers, of the value."""
    left = topic.max_message_bytes - _SPARE_BYTES
    key = None if key is None else key[:left]
    left -= len(key or b"")
    kept = []
    for header in headers:
        if _header_size(header) > left:
            break
        kept.append(header)
        left -= _header_size(header)
    return None if value is None else value[:left], key, kept


def _header_size(header: tuple[str, bytes | None]) -> int:
    name, value = header
    return len(name.encode()) + len(value or b"") + _HEADER_BYTES
