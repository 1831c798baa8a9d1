"""Kafka's requests and answers, as the gateway reads and changes them."""

import dataclasses
import io
import struct
import typing
from datetime import timedelta
from typing import Any, Final

import pytest
from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.schema.types import BrokerId
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i16, i32, i32Timedelta

from sensorbus.runtime import wire

_CORRELATION_ID: Final = 7
_HOST: Final = "gateway.example"
_PORT: Final = 9092


def frame(*entities: Any) -> bytes:
    """Return the bytes of a header and a body."""
    buffer = io.BytesIO()
    for entity in entities:
        entity_writer(type(entity))(buffer, entity)
    return buffer.getvalue()


def request(api_key: int, version: int, **fields: Any) -> wire.Request:
    """Return a request as a client sends it."""
    schema: Any = load_request_schema(api_key, version)
    header = schema.__header_schema__(
        request_api_key=i16(api_key),
        request_api_version=i16(version),
        correlation_id=i32(_CORRELATION_ID),
        client_id="client",
    )
    return wire.read_request(frame(header, schema(**fields)))


def answer(api_key: int, version: int, **fields: Any) -> bytes:
    """Return an answer as the broker gives it."""
    schema: Any = load_response_schema(api_key, version)
    known = {field.name for field in dataclasses.fields(schema)}
    chosen = {name: value for name, value in fields.items() if name in known}
    return frame(schema.__header_schema__(correlation_id=i32(_CORRELATION_ID)), schema(**chosen))


def read(api_key: int, version: int, data: bytes) -> Any:
    """Return what an answer says."""
    schema: Any = load_response_schema(api_key, version)
    header: Any
    header, size = entity_reader(schema.__header_schema__)(data, 0)
    assert header.correlation_id == _CORRELATION_ID
    entity, end = entity_reader(schema)(data, size)
    assert size + end == len(data)
    return entity


def brokers(api_key: int, version: int) -> tuple[Any, ...]:
    """Return two brokers of an answer to a Metadata request in a version."""
    fields = {field.name: field for field in dataclasses.fields(load_response_schema(api_key, version))}
    one: Any = typing.get_args(fields["brokers"].type)[0]
    return tuple(one(node_id=BrokerId(node), host="127.0.0.1", port=i32(40_000 + node)) for node in (5, 6))


@pytest.mark.parametrize("version", range(14))
def test_metadata_names_the_gateway_and_keeps_the_rest(version: int) -> None:
    """In each version: all brokers at its address, the controller one of them, the cluster's name as it was."""
    fields = {"brokers": brokers(wire.METADATA, version), "cluster_id": "mockCluster1", "controller_id": BrokerId(0)}
    fields |= {"topics": (), "throttle_time": i32Timedelta.parse(timedelta()), "error_code": ErrorCode.none}
    given = answer(wire.METADATA, version, **fields)
    asked = wire.Request(wire.METADATA, version, _CORRELATION_ID, b"")
    told = read(wire.METADATA, version, wire.translated(asked, given, _HOST, _PORT))
    assert [(broker.node_id, broker.host, broker.port) for broker in told.brokers] == [
        (5, _HOST, _PORT),
        (6, _HOST, _PORT),
    ]
    assert version < 1 or told.controller_id == 5
    assert version < 2 or told.cluster_id == "mockCluster1"


@pytest.mark.parametrize("version", range(4))
def test_the_coordinator_is_at_the_gateway(version: int) -> None:
    """In each version that the embedded broker speaks."""
    fields = {"error_code": ErrorCode.none, "node_id": BrokerId(1), "host": "127.0.0.1", "port": i32(40_000)}
    fields |= {"throttle_time": i32Timedelta.parse(timedelta()), "error_message": None}
    given = answer(wire.FIND_COORDINATOR, version, **fields)
    asked = wire.Request(wire.FIND_COORDINATOR, version, _CORRELATION_ID, b"")
    told = read(wire.FIND_COORDINATOR, version, wire.translated(asked, given, _HOST, _PORT))
    assert (told.node_id, told.host, told.port) == (1, _HOST, _PORT)


@pytest.mark.parametrize(
    ("asked", "told"),
    [(0, 0), (1, 1), (2, 2), (3, 0), (4, 0)],
    ids=["v0", "v1", "v2", "new v3", "new v4"],
)
def test_what_the_gateway_adds_is_among_the_versions(asked: int, told: int) -> None:
    """A version that the broker does not speak is refused in version 0, with the list, as Kafka does."""
    sent = wire.Request(wire.API_VERSIONS, asked, _CORRELATION_ID, b"as it came")
    passed_on = wire.readable(sent)
    assert passed_on.version == told
    assert (passed_on.frame == b"as it came") is (asked == told)
    schema: Any = load_response_schema(wire.API_VERSIONS, told)
    known: Any = typing.get_args(next(f.type for f in dataclasses.fields(schema) if f.name == "api_keys"))[0]
    fetch = known(api_key=i16(1), min_version=i16(0), max_version=i16(11))
    fields = {"error_code": ErrorCode.none, "api_keys": (fetch,), "throttle_time": i32Timedelta.parse(timedelta())}
    given = answer(wire.API_VERSIONS, told, **fields)
    answered = read(wire.API_VERSIONS, told, wire.translated(sent, given, _HOST, _PORT))
    assert answered.error_code is (ErrorCode.none if asked == told else ErrorCode.unsupported_version)
    spoken = {one.api_key: (one.min_version, one.max_version) for one in answered.api_keys}
    assert spoken == {1: (0, 11)} | wire.ADDED


def test_other_answers_pass_as_they_are() -> None:
    """Not even their bytes are looked at."""
    given = b"anything"
    assert wire.translated(wire.Request(1, 11, _CORRELATION_ID, b""), given, _HOST, _PORT) is given


def test_a_frame_that_ends_early_is_an_error() -> None:
    """A request has at least 8 bytes."""
    with pytest.raises(struct.error):
        wire.read_request(b"\0\x12\0\0\0\0\0")


@pytest.mark.parametrize(
    ("key", "version"),
    [(wire.JOIN_GROUP, version) for version in range(10)]
    + [(key, version) for key in (wire.LEAVE_GROUP, wire.SYNC_GROUP) for version in range(6)],
)
def test_what_a_member_asks_is_refused_in_its_version(key: int, version: int) -> None:
    """With Kafka's own error."""
    asked = wire.read_request(struct.pack(">hhi", key, version, _CORRELATION_ID))
    refused = read(key, version, wire.refused(asked, ErrorCode.unknown_member_id))
    assert refused.error_code is ErrorCode.unknown_member_id


@pytest.mark.parametrize("version", range(10))
def test_a_member_gets_a_name_and_all_else_stays(version: int) -> None:
    """In each version, with one tag or more in the newer headers."""
    asked = joining(version)
    body = wire.body(asked)
    named = wire.with_body(asked, dataclasses.replace(body, member_id="a name"))
    assert wire.read_request(named.frame)[:3] == asked[:3]
    assert wire.body(named) == dataclasses.replace(body, member_id="a name")


def joining(version: int) -> wire.Request:
    """Return a JoinGroup request of a member without a name."""
    schema: Any = load_request_schema(wire.JOIN_GROUP, version)
    fields: dict[str, Any] = {field.name: field for field in dataclasses.fields(schema)}
    protocol: Any = typing.get_args(fields["protocols"].type)[0]
    minute = i32Timedelta.parse(timedelta(minutes=1))
    given = {"group_id": "group", "session_timeout": minute, "rebalance_timeout": minute, "member_id": ""}
    given |= {"protocol_type": "consumer", "protocols": (protocol(name="range", metadata=b"x"),)}
    given |= {"group_instance_id": None, "reason": None}
    return request(wire.JOIN_GROUP, version, **{name: value for name, value in given.items() if name in fields})


def test_a_member_leaves() -> None:
    """As a request that is read again."""
    left = wire.body(wire.read_request(wire.leave_request("group", "member")))
    assert (left.group_id, left.member_id) == ("group", "member")


@pytest.mark.parametrize(("key", "version"), [(wire.CREATE_TOPICS, 5), (wire.DESCRIBE_CONFIGS, 4)])
def test_what_the_gateway_answers_itself_has_its_versions(key: int, version: int) -> None:
    """Another version would be read as what it is not."""
    with pytest.raises(ValueError, match=f"request {key} in version {version}, not in "):
        wire.body(wire.Request(key, version, _CORRELATION_ID, b"\0" * 99))


def produce(records: bytes) -> wire.Request:
    """Return a Produce request with these records."""
    partition = struct.pack(">iii", 1, 0, len(records)) + records
    asked = struct.pack(">hhi", -1, 1, 500) + struct.pack(">ih", 1, 1) + b"t" + partition
    return wire.read_request(struct.pack(">hhih", wire.PRODUCE, 3, _CORRELATION_ID, -1) + asked)


@pytest.mark.parametrize(
    "asked", [produce(b""), wire.Request(4, 0, 1, b"\0" * 99), wire.Request(wire.METADATA, -1, 1, b"\0" * 99)]
)
def test_what_the_mock_cluster_does_not_survive_is_not_handed_on(asked: wire.Request) -> None:
    """Records of no bytes, a request or a version that there is not."""
    with pytest.raises(ValueError, match=r"of 0 bytes|Failed mapping"):
        wire.body(asked)


def test_a_whole_request_is_read() -> None:
    """As kio's class."""
    asked = wire.body(produce(b"x"))
    assert asked.topic_data[0].partition_data[0].records == b"x"
