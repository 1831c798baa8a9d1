"""Reads batches as Kafka stores them, by a second client.

librdkafka hands out records alone, when it has decompressed them. This client knows no groups; it is for who has to
look at a batch before (docs/streams.md: Dead letters).
"""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from kafka.errors import KafkaError, NotLeaderForPartitionError, OffsetOutOfRangeError, for_code
from kafka.net.manager import KafkaConnectionManager
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import FetchRequest
from kafka.structs import TopicPartition

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import access, kafka
from sensorbus.runtime.stored_batches import BatchError, Fetched

_READ_COMMITTED: Final = 1
#: Half of the time-out of a transaction that the job may have open meanwhile.
_ANSWERED_WITHIN_S: Final = 5.0
_RECONNECT_WITHIN_MS: Final = 1_000
_WAIT_MS: Final = 50
#: More than the first batch is not sent; that one is, whatever its size.
_FETCHED_BYTES: Final = 1_048_576
_LARGEST_ANSWER_BYTES: Final = 100_000_000
#: librdkafka's options by which one is let in, as far as this client has them, and what it calls them.
_OPTIONS: Final[Mapping[str, str]] = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
_OAUTH: Final = "sasl.oauthbearer."
_TOKEN_OPTIONS: Final = {
    "https.ca.location",
    *(f"{_OAUTH}{name}" for name in ("method", "client.id", "client.secret", "token.endpoint.url", "scope")),
}
#: How options begin by which one is let in.
_OF_ACCESS: Final = ("sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "https.")
_PROTOCOL: Final = "security_protocol"
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_MECHANISM_VARIABLE: Final = access.variable_of("sasl.mechanism")


class RawConsumer:
    """A client for one thread; it connects when it is asked."""

    def __init__(self, settings: Settings) -> None:
        """Take over how one is let in; raises `SettingsError` naming an option that this client has not."""
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what fails is said by who asks; it would log passwords
        self._settings, self._options = settings, _options(settings)
        self._net: Any = None
        self._manager: Any = None

    def fetch(self, topic: str, partition: int, offset: int) -> Fetched:
        """Return the batches from the one that holds an offset on: about 1 MB, the last cut off, or one whole batch.

        Raises `BrokerUnavailableError`, and `BatchError` where Kafka has no such offset, or no longer.
        """
        place = TopicPartition(topic, partition)
        if self._manager is None:
            self._net = NetworkSelector()
            self._manager = KafkaConnectionManager(self._net, **self._options)
        try:
            answer = self._manager.run(self._ask, place, _request(place, offset))
        except OffsetOutOfRangeError:
            raise BatchError("Kafka has no such offset there") from None
        except KafkaError as error:
            self._manager.cluster.request_update()  # its leader may be another now
            raise BrokerUnavailableError(f"Kafka at {kafka.place(self._settings)} does not answer: {error}") from None
        aborted = [(each.first_offset, each.producer_id) for each in answer.aborted_transactions or ()]
        return Fetched(bytes(answer.records or b""), aborted)

    async def _ask(self, place: TopicPartition, request: FetchRequest) -> Any:  # what it answers of the partition
        manager, deadline_s = self._manager, time.monotonic() + _ANSWERED_WITHIN_S

        async def within(asked: Any) -> Any:
            return await manager.wait_for(asked, max(0.0, deadline_s - time.monotonic()) * 1_000)

        await within(manager.bootstrap_async(refresh=False))
        await within(manager.cluster.add_topic(place.topic))
        leader = manager.cluster.leader_for_partition(place)
        if leader is None:
            raise NotLeaderForPartitionError
        answer = await within(manager.send(request, node_id=leader))
        if answer.error_code:  # names no partition
            raise for_code(answer.error_code)
        found = answer.responses[0].partitions[0]
        if found.error_code:
            raise for_code(found.error_code)
        return found

    def close(self) -> None:
        """Close its connections; who asks again opens others."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None
            self._net.close()


class _Tokens(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """Asks for a token as librdkafka does with `oidc`, once for each connection."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def token(self) -> str:
        from authlib.integrations.requests_client import OAuth2Session  # noqa: PLC0415  # 5 MB

        client = OAuth2Session(self._given[f"{_OAUTH}client.id"], self._given[f"{_OAUTH}client.secret"])
        client.verify = self._given.get("https.ca.location") or True
        scope = self._given.get(f"{_OAUTH}scope")
        url = self._given[f"{_OAUTH}token.endpoint.url"]
        answer = client.fetch_token(url, grant_type="client_credentials", scope=scope, timeout=_ANSWERED_WITHIN_S)
        return str(answer["access_token"])


def _request(place: TopicPartition, offset: int) -> FetchRequest:
    part = FetchRequest.FetchTopic.FetchPartition(
        partition=place.partition,
        fetch_offset=offset,
        partition_max_bytes=_FETCHED_BYTES,
        current_leader_epoch=-1,
        last_fetched_epoch=-1,
        log_start_offset=-1,
    )
    return FetchRequest(
        max_wait_ms=_WAIT_MS,
        min_bytes=1,
        max_bytes=_FETCHED_BYTES,
        isolation_level=_READ_COMMITTED,
        session_id=0,
        session_epoch=-1,
        topics=[FetchRequest.FetchTopic(topic=place.topic, partitions=[part])],
        forgotten_topics_data=[],
        rack_id="",
        min_version=4,
        max_version=12,
    )


def _options(settings: Settings) -> dict[str, Any]:
    given = {name: value.get_secret_value() for name, value in settings.kafka_options.items()}
    for name in given:
        if name.startswith(_OF_ACCESS) and name not in _OPTIONS and name not in _TOKEN_OPTIONS:
            raise SettingsError(f"the client that looks at batches has no option as {access.variable_of(name)}")
    options: dict[str, Any] = {_OPTIONS[name]: value for name, value in given.items() if name in _OPTIONS}
    options[_PROTOCOL] = options.get(_PROTOCOL, "PLAINTEXT").upper()  # librdkafka takes small letters too
    if "SASL" in options[_PROTOCOL] and options.get("sasl_mechanism") not in _MECHANISMS:  # by default it is GSSAPI
        raise SettingsError(f"the client that looks at batches takes {', '.join(_MECHANISMS)} ({_MECHANISM_VARIABLE})")
    options["bootstrap_servers"] = settings.bootstrap_servers
    options["client_id"] = "sensorbus-raw"
    options["reconnect_backoff_max_ms"] = _RECONNECT_WITHIN_MS
    options["receive_message_max_bytes"] = _LARGEST_ANSWER_BYTES
    if options.get("sasl_mechanism") == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = _Tokens(given)
    return options
