"""Tells whether a request of Kafka is whole, before a length in it is believed.

kio takes memory for as many entries as a list says that it has, and where that is too much the process ends; so it does
in librdkafka's mock cluster. Here every length is held against the bytes that are there.
"""

import dataclasses
import struct
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, get_args, get_origin

_SIZES: Final = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "timedelta_i32": 4,
    "int64": 8,
    "timedelta_i64": 8,
    "float64": 8,
    "uuid": 16,
}
_BYTE, _SHORT, _LONG = struct.Struct(">B"), struct.Struct(">h"), struct.Struct(">i")
#: Where the client's id begins, behind key, version and correlation id.
_CLIENT_ID: Final = 8
_NULL_BYTE: Final = 255
_MORE_FOLLOWS: Final = 128


class _Field(NamedTuple):
    kind: Any  # one of kio's classes, or a type of Python's
    name: str  # what Kafka calls the type
    is_list: bool
    is_nullable: bool


class _Shape(NamedTuple):
    fields: tuple[_Field, ...]
    tagged: dict[int, _Field]
    is_flexible: bool


def check(schema: Any, frame: bytes) -> None:  # any of kio's generated requests
    """Raise `ValueError` for a request whose frame ends before the request does."""
    walk = _Walk(frame)
    walk.skip_header(is_flexible=schema.__header_schema__.__flexible__)
    walk.entity(schema)


@cache
def _shape(schema: Any) -> _Shape:
    fields = [(field.metadata.get("tag"), _field(field)) for field in dataclasses.fields(schema)]
    untagged = tuple(field for tag, field in fields if tag is None)
    return _Shape(untagged, {tag: field for tag, field in fields if tag is not None}, schema.__flexible__)


def _field(field: "dataclasses.Field[Any]") -> _Field:
    kind: Any = field.type
    is_nullable = get_origin(kind) is UnionType
    if is_nullable:
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    is_list = get_origin(kind) is tuple
    return _Field(get_args(kind)[0] if is_list else kind, field.metadata.get("kafka_type", ""), is_list, is_nullable)


class _Walk:
    """Goes over a frame; each step raises `ValueError` where there is too little of it."""

    def __init__(self, frame: bytes) -> None:
        self._frame, self._place = frame, _CLIENT_ID

    def skip_header(self, *, is_flexible: bool) -> None:
        self._skip(self._length(_SHORT, is_flexible=False, is_nullable=True))  # the client's id, in every version
        if is_flexible:
            self._tags({})

    def entity(self, schema: Any) -> None:
        shape = _shape(schema)
        for field in shape.fields:
            self._value_or_list(field, is_flexible=shape.is_flexible)
        if shape.is_flexible:
            self._tags(shape.tagged)

    def _tags(self, known: dict[int, _Field]) -> None:
        for _ in range(self._varint()):
            tag, size = self._varint(), self._varint()
            if tag in known:
                self._value_or_list(known[tag], is_flexible=True)
            else:
                self._skip(size)

    def _value_or_list(self, field: _Field, *, is_flexible: bool) -> None:
        if not field.is_list:
            self._value(field, is_flexible=is_flexible)
            return
        count = self._length(_LONG, is_flexible=is_flexible, is_nullable=field.is_nullable)
        left = len(self._frame) - self._place
        if not 0 <= count <= left:
            raise ValueError(f"a list of {count} in {left} bytes")
        for _ in range(count):
            self._value(field._replace(is_nullable=False), is_flexible=is_flexible)

    def _value(self, field: _Field, *, is_flexible: bool) -> None:
        if dataclasses.is_dataclass(field.kind):
            if not field.is_nullable or self._number(_BYTE) != _NULL_BYTE:
                self.entity(field.kind)
        elif field.name in _SIZES:
            self._skip(_SIZES[field.name])
        else:
            legacy = _SHORT if field.name == "string" else _LONG
            self._skip(self._length(legacy, is_flexible=is_flexible, is_nullable=field.is_nullable))

    def _length(self, legacy: struct.Struct, *, is_flexible: bool, is_nullable: bool) -> int:
        """Return a length; that of nothing at all is 0 here, where that may be."""
        length = self._varint() - 1 if is_flexible else self._number(legacy)
        return 0 if is_nullable and length == -1 else length

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self._number(_BYTE)
            value |= byte % _MORE_FOLLOWS << shift
            if byte < _MORE_FOLLOWS:
                return value
        raise ValueError("a number of more than 5 bytes")

    def _number(self, kind: struct.Struct) -> int:
        place = self._place
        self._skip(kind.size)
        return int(kind.unpack_from(self._frame, place)[0])

    def _skip(self, size: int) -> None:
        left = len(self._frame) - self._place
        if not 0 <= size <= left:
            raise ValueError(f"a length of {size} in {left} bytes")
        self._place += size
