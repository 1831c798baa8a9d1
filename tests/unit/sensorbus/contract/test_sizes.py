"""A record is refused by its size, and cut to what fits."""

import pytest

from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.sizes import Headers, check_size, first_bytes
from sensorbus.contract.topics import Topic

TOPIC = Topic(name="t", written_by="", value="", max_message_bytes=1_124)  # 100 bytes, and what a letter has more


@pytest.mark.parametrize(
    ("value", "key", "headers", "size"),
    [
        (b"v" * 100, None, None, 100),
        (b"v" * 101, None, None, 101),
        (b"v" * 60, b"k" * 41, (), 101),
        (None, b"k" * 101, [], 101),
        (b"v" * 60, b"k" * 20, [("h", b"1" * 9)], 100),
        (b"v" * 60, b"k" * 20, [("h\u00e4", b"1" * 8)], 101),
        (None, None, [("", None)] * 11, 110),
    ],
)
def test_all_bytes_of_a_record_count(
    value: bytes | None, key: bytes | None, headers: Headers | None, size: int
) -> None:
    """Of value, key and headers, and 10 for each header."""
    if size <= 100:
        check_size(value, key, headers, TOPIC)
        return
    with pytest.raises(InvalidMessageError, match=f"the record has {size} bytes, more than 100;") as refused:
        check_size(value, key, headers, TOPIC)
    assert refused.value.kind == "too-large"


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ((b"v" * 60, b"k" * 20, [("h", b"1" * 9)]), (60, 20, 1)),
        ((b"v" * 200, b"k" * 20, [("h", b"1" * 9)]), (60, 20, 1)),
        ((b"v" * 200, b"k" * 200, [("h", b"1" * 9)]), (0, 100, 0)),
        ((b"v" * 200, None, [("h", b"1" * 9), ("h", b"1" * 90), ("h", b"")]), (80, None, 1)),
        ((None, b"", [("h", b"1" * 90)]), (None, 0, 0)),
    ],
)
def test_the_first_bytes_fit(
    record: tuple[bytes | None, bytes | None, Headers], kept: tuple[int | None, int | None, int]
) -> None:
    """Of the key, then whole headers in their order, then of the value; null stays null."""
    value, key, headers = first_bytes(*record, TOPIC)
    sizes = [None if part is None else len(part) for part in (value, key)]
    assert (*sizes, len(headers)) == kept
    check_size(value, key, headers, TOPIC)
