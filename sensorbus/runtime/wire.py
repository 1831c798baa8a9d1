"""Kafka's requests and answers, as far as the gateway reads them.

Pure functions; a frame is one request or answer without the four bytes of its length. The schemas are kio's, which
generates them from Apache Kafka's own. What cannot be read raises kio's and `struct`'s errors: the gateway then closes
the connection, as Kafka does.
"""

import dataclasses
import io
import struct
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from kio.index import UnknownAPIKey, UnknownEntity, load_request_schema, load_response_schema
from kio.schema.create_topics.v4.request import CreatableTopic
from kio.schema.create_topics.v4.response import CreatableTopicResult, CreateTopicsResponse
from kio.schema.describe_configs.v1.request import DescribeConfigsResource
from kio.schema.describe_configs.v1.response import (
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from kio.schema.errors import ErrorCode
from kio.schema.leave_group.v1.request import LeaveGroupRequest
from kio.schema.metadata.v4.request import MetadataRequest, MetadataRequestTopic
from kio.schema.metadata.v4.response import MetadataResponse
from kio.schema.request_header.v1.header import RequestHeader
from kio.schema.types import GroupId, TopicName
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i8, i16, i32, i32Timedelta

from sensorbus.runtime import wholeness
from sensorbus.runtime.kafka import EMBEDDED_PARTITIONS, EMBEDDED_TOPIC_CONFIG

PRODUCE: Final = 0
METADATA: Final = 3
FIND_COORDINATOR: Final = 10
JOIN_GROUP: Final = 11
LEAVE_GROUP: Final = 13
SYNC_GROUP: Final = 14
API_VERSIONS: Final = 18
CREATE_TOPICS: Final = 19
DESCRIBE_CONFIGS: Final = 32

#: What is asked for a member of a group.
OF_MEMBERS: Final = frozenset({JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP})
#: What the gateway answers itself: the versions, lowest and highest. Versions 2 to 4 of CreateTopics read alike.
ADDED: Final = {CREATE_TOPICS: (2, 4), DESCRIBE_CONFIGS: (1, 1)}
_API_VERSIONS_HIGHEST: Final = 2
_CORRELATION_ID: Final = struct.Struct(">i")
_REQUEST_START: Final = struct.Struct(">hhi")
_TOPIC_RESOURCE: Final = 2
_NO_DELAY: Final = i32Timedelta.parse(timedelta())
_FROM_DEFAULTS: Final = 5


class Request(NamedTuple):
    """What every request begins with, and the whole frame."""

    api_key: int
    version: int
    correlation_id: int
    frame: bytes


def read_request(frame: bytes) -> Request:
    """Return the request in a frame; raises `struct.error` when it is shorter than 8 bytes."""
    api_key, version, correlation_id = _REQUEST_START.unpack_from(frame)
    return Request(api_key, version, correlation_id, frame)


def body(request: Request) -> Any:
    """Return what a request asks, as one of kio's classes.

    Raises kio's errors or `ValueError` for one that nobody knows or that is not whole: the mock cluster ends the
    process for some of these, and with it all that `sensorbus up` runs.
    """
    low, high = ADDED.get(request.api_key, (request.version, request.version))
    if not low <= request.version <= high:
        raise ValueError(f"request {request.api_key} in version {request.version}, not in {low} to {high}")
    try:
        schema: Any = load_request_schema(request.api_key, request.version)
        wholeness.check(schema, request.frame)
        _, header_size = entity_reader(schema.__header_schema__)(request.frame, 0)
        entity: Any = entity_reader(schema)(request.frame, header_size)[0]
    except (UnknownAPIKey, UnknownEntity, LookupError) as error:  # the last for a tag that is not known
        raise ValueError(str(error)) from None
    if request.api_key == PRODUCE and not all(_batches(entity)):
        raise ValueError("records of 0 bytes")
    return entity


def _batches(produce: Any) -> list[bytes | None]:  # any version of kio's ProduceRequest
    return [partition.records for topic in produce.topic_data for partition in topic.partition_data]


def with_body(request: Request, entity: Any) -> Request:  # any of kio's generated requests
    """Return the request with this instead of what it asks."""
    header: Any
    header, _ = entity_reader(entity.__header_schema__)(request.frame, 0)
    return request._replace(frame=_frame(header, entity))


def refused(request: Request, error: ErrorCode) -> bytes:
    """Return the answer to one of `OF_MEMBERS` that is refused."""
    schema: Any = load_response_schema(request.api_key, request.version)
    values = {"error_code": error, "throttle_time": _NO_DELAY, "generation_id": i32(-1), "assignment": b""}
    values |= dict.fromkeys(("protocol_name", "leader", "member_id"), "")
    values |= {"protocol_type": None, "skip_assignment": False, "members": ()}
    known = {field.name for field in dataclasses.fields(schema)}
    return _answer(request, schema(**{name: value for name, value in values.items() if name in known}))


def leave_request(group_id: str, member_id: str) -> bytes:
    """Return the frame with which a member leaves its group."""
    header = RequestHeader(
        request_api_key=i16(LEAVE_GROUP),
        request_api_version=i16(LeaveGroupRequest.__version__),
        correlation_id=i32(0),
        client_id="gateway",
    )
    return _frame(header, LeaveGroupRequest(group_id=GroupId(group_id), member_id=member_id))


def metadata_request(correlation_id: int, names: Collection[str], *, create: bool) -> bytes:
    """Return the frame that asks which of the topics exist, or creates them by asking."""
    header = RequestHeader(
        request_api_key=i16(METADATA),
        request_api_version=i16(MetadataRequest.__version__),
        correlation_id=i32(correlation_id),
        client_id="gateway",
    )
    topics = tuple(MetadataRequestTopic(name=TopicName(name)) for name in names)
    return _frame(header, MetadataRequest(topics=topics, allow_auto_topic_creation=create))


def topics_in(answer: bytes) -> set[str]:
    """Return the topics that an answer to `metadata_request` knows."""
    metadata, _ = entity_reader(MetadataResponse)(answer, _CORRELATION_ID.size)
    return {topic.name for topic in metadata.topics if topic.error_code is ErrorCode.none}


def readable(request: Request) -> Request:
    """Return the request in a version that the broker can answer; all but a too new ApiVersions are.

    The mock cluster's own refusal cannot be read.
    """
    if request.api_key != API_VERSIONS or request.version <= _API_VERSIONS_HIGHEST:
        return request
    header = RequestHeader(
        request_api_key=i16(API_VERSIONS),
        request_api_version=i16(0),
        correlation_id=i32(request.correlation_id),
        client_id=None,
    )
    return Request(API_VERSIONS, 0, request.correlation_id, _frame(header))


def translated(request: Request, answer: bytes, host: str, port: int) -> bytes:
    """Return the broker's answer to `readable(request)` as the gateway gives it."""
    if request.api_key not in (METADATA, FIND_COORDINATOR, API_VERSIONS):
        return answer
    asked = readable(request)
    schema: Any = load_response_schema(asked.api_key, asked.version)
    header: Any
    entity: Any
    header, size = entity_reader(schema.__header_schema__)(answer, 0)
    entity, _ = entity_reader(schema)(answer, size)
    if request.api_key == METADATA:
        entity = _at_our_address(entity, host, port)
    elif request.api_key == FIND_COORDINATOR:
        entity = dataclasses.replace(entity, host=host, port=port)
    else:
        entity = _with_what_we_add(entity, is_refused=asked is not request)
    return _frame(header, entity)


def _at_our_address(metadata: Any, host: str, port: int) -> Any:  # any version of kio's MetadataResponse
    brokers = tuple(dataclasses.replace(broker, host=host, port=i32(port)) for broker in metadata.brokers)
    changed: dict[str, Any] = {"brokers": brokers}
    if metadata.__version__ > 0:  # the mock cluster names broker 0, which it does not have
        changed["controller_id"] = brokers[0].node_id
    return dataclasses.replace(metadata, **changed)


def _with_what_we_add(versions: Any, *, is_refused: bool) -> Any:  # any version of kio's ApiVersionsResponse
    added = (
        dataclasses.replace(versions.api_keys[0], api_key=i16(key), min_version=i16(low), max_version=i16(high))
        for key, (low, high) in ADDED.items()
    )
    code = ErrorCode.unsupported_version if is_refused else versions.error_code
    return dataclasses.replace(versions, error_code=code, api_keys=(*versions.api_keys, *added))


def creation_error(topic: CreatableTopic, existing: Collection[str]) -> tuple[ErrorCode, str | None]:
    """Return why a topic cannot be made, or that it can."""
    if topic.name in existing:
        return ErrorCode.topic_already_exists, f"topic {topic.name} exists"
    if topic.num_partitions > EMBEDDED_PARTITIONS:
        return (
            ErrorCode.invalid_partitions,
            f"topic {topic.name}: the embedded broker has {EMBEDDED_PARTITIONS} partitions, not {topic.num_partitions}",
        )
    if topic.replication_factor > 1:
        return ErrorCode.invalid_replication_factor, f"topic {topic.name}: the embedded broker is one broker"
    return ErrorCode.none, None


def creation_answer(request: Request, errors: Mapping[TopicName, tuple[ErrorCode, str | None]]) -> bytes:
    """Return the answer to a CreateTopics request."""
    topics = tuple(
        CreatableTopicResult(name=name, error_code=code, error_message=message)
        for name, (code, message) in errors.items()
    )
    return _answer(request, CreateTopicsResponse(throttle_time=_NO_DELAY, topics=topics))


def topic_names(resources: Collection[DescribeConfigsResource]) -> list[str]:
    """Return the topics among the resources."""
    return [resource.resource_name for resource in resources if resource.resource_type == _TOPIC_RESOURCE]


def description(request: Request, resources: Collection[DescribeConfigsResource], existing: Collection[str]) -> bytes:
    """Return the answer to a DescribeConfigs request; brokers and the rest have nothing to say."""
    results = tuple(_described(resource, existing) for resource in resources)
    return _answer(request, DescribeConfigsResponse(throttle_time=_NO_DELAY, results=results))


def _described(resource: DescribeConfigsResource, existing: Collection[str]) -> DescribeConfigsResult:
    is_topic = resource.resource_type == _TOPIC_RESOURCE
    is_there = is_topic and resource.resource_name in existing
    unknown = is_topic and not is_there
    return DescribeConfigsResult(
        error_code=ErrorCode.unknown_topic_or_partition if unknown else ErrorCode.none,
        error_message=f"no topic {resource.resource_name}" if unknown else None,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=_topic_config(resource.configuration_keys) if is_there else (),
    )


def _topic_config(wanted: Collection[str] | None) -> tuple[DescribeConfigsResourceResult, ...]:
    """Return what every topic has, of it the wanted names; None: all."""
    return tuple(
        DescribeConfigsResourceResult(
            name=name, value=value, read_only=True, config_source=i8(_FROM_DEFAULTS), is_sensitive=False, synonyms=()
        )
        for name, value in EMBEDDED_TOPIC_CONFIG.items()
        if wanted is None or name in wanted
    )


def _answer(request: Request, entity: Any) -> bytes:  # any of kio's generated classes
    header = entity.__header_schema__(correlation_id=i32(request.correlation_id))
    return _frame(header, entity)


def _frame(*entities: Any) -> bytes:  # any of kio's generated classes
    buffer = io.BytesIO()
    for entity in entities:
        entity_writer(type(entity))(buffer, entity)
    return buffer.getvalue()
