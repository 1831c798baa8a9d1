"""Requests that are whole, and such as say that they have more than there is."""

import struct
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.index import load_request_schema
from kio.serial import entity_reader

from sensorbus.runtime import wholeness
from tests.support.hostile_frames import GOOD, frame

METADATA: Final = 3
FETCH: Final = 1


def request(key: int, version: int, body: bytes) -> tuple[Any, bytes]:
    """Return the schema of a request and its frame without the length."""
    return load_request_schema(key, version), frame(key, version, body)[4:]


@pytest.mark.parametrize(("key", "version"), GOOD)
def test_a_request_is_whole_until_a_byte_is_missing(key: int, version: int) -> None:
    """Wherever it is cut."""
    schema, whole = request(key, version, GOOD[key, version])
    wholeness.check(schema, whole)
    for length in range(8, len(whole)):
        with pytest.raises(ValueError, match=r"in \d+ bytes"):
            wholeness.check(schema, whole[:length])


@pytest.mark.parametrize("count", [2**31 - 1, 65_536, -2, -(2**31)])
def test_a_list_is_not_believed(count: int) -> None:
    """Nobody takes memory for it."""
    with pytest.raises(ValueError, match=r"in \d+ bytes"):
        wholeness.check(*request(METADATA, 4, struct.pack(">i", count) + b"\0"))


def test_nothing_is_something_only_where_it_may_be() -> None:
    """All topics, in Metadata; no topic without a name."""
    wholeness.check(*request(METADATA, 4, struct.pack(">i", -1) + b"\0"))
    with pytest.raises(ValueError, match="a length of -1"):
        wholeness.check(*request(METADATA, 4, struct.pack(">ih", 1, -1) + b"\0"))


def test_tagged_fields_are_looked_at() -> None:
    """Those that are known by their kind, others by their size."""
    nothing = b"\0" + struct.pack(">iiiibii", -1, 0, 0, 1, 0, 0, 0) + b"\1\1\1"  # wanted of Fetch 12
    cluster, unknown = b"\1\0\4\4abc", b"\1\x63\3xyz"
    for tags in (cluster, unknown):
        schema, whole = request(FETCH, 12, nothing + tags)
        wholeness.check(schema, whole)
        with pytest.raises(ValueError, match=r"in \d+ bytes"):
            wholeness.check(schema, whole[:-1])
    with pytest.raises(ValueError, match="a number of more than 5 bytes"):
        wholeness.check(*request(FETCH, 12, nothing + b"\xff" * 6))


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=60))
def test_what_is_whole_is_never_more_than_there_is(kind: tuple[int, int], body: bytes) -> None:
    """Whatever comes is refused by us, or is read to an end within it by kio or refused."""
    schema, whole = request(*kind, body)
    try:
        wholeness.check(schema, whole)
    except ValueError:
        return
    _, begin = entity_reader(schema.__header_schema__)(whole, 0)
    try:
        _, size = entity_reader(schema)(whole, begin)
    except Exception:  # noqa: BLE001  # kio knows more rules: texts, numbers, tags
        return
    assert begin + size <= len(whole)
