"""What Kafka's refusals are called, without a broker.

A real one refuses in tests/integration/test_secure_kafka.py.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from sensorbus.contract.settings import Settings, load
from sensorbus.runtime import access, listener

SASL = "sasl_ssl://a:1/bootstrap: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)"
MECHANISM = (
    "SASL PLAIN mechanism handshake failed: broker's supported mechanisms: SCRAM-SHA-256,SCRAM-SHA-512 (after 1ms)"
)
NO_SASL = "SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's"
ALERT = (
    "ssl://a:1/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42"
)


UNTOLD = "Failed to acquire SASL OAUTHBEARER token: "


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Give settings whose address nobody else's cause is remembered for."""
    of = load({"SENSORBUS_KAFKA_BOOTSTRAP_SERVERS": "nowhere.invalid:1"})[0]
    yield of
    access.answered(of)


@pytest.mark.parametrize(
    ("said", "variable"),
    [
        (SASL, "SENSORBUS_KAFKA_SASL_PASSWORD"),
        (MECHANISM, "SENSORBUS_KAFKA_SASL_MECHANISM"),
        (ALERT, "SENSORBUS_KAFKA_SSL_CERTIFICATE_LOCATION"),
        ("closed by peer: connecting to a PLAINTEXT broker listener?", "SENSORBUS_KAFKA_SECURITY_PROTOCOL"),
        (f"{NO_SASL} supported mechanisms:  (after 0ms)", "SENSORBUS_KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_a_refusal_names_its_setting(settings: Settings, said: str, variable: str) -> None:
    """One line with the address and the variable."""
    line = access.refusal(settings, said)
    assert line is not None
    assert "Kafka at nowhere.invalid:1" in line
    assert variable in line


def test_the_mechanisms_that_the_broker_takes_are_named(settings: Settings) -> None:
    """They are the way out."""
    assert "mechanisms SCRAM-SHA-256,SCRAM-SHA-512 (" in str(access.refusal(settings, MECHANISM))


def test_what_is_no_refusal_is_none(settings: Settings) -> None:
    """A broker that is away is told by the caller."""
    assert access.refusal(settings, "Connect to ipv4#127.0.0.1:1 failed: Connection refused") is None


def test_a_refusal_is_remembered_until_kafka_answers(settings: Settings) -> None:
    """The client says it once, and then only that all brokers are down."""
    line = access.refusal(settings, SASL)
    assert access.refusal(settings, "1/1 brokers are down") == line
    access.answered(settings)
    assert access.refusal(settings, "1/1 brokers are down") is None


@pytest.mark.parametrize(
    ("option", "variable"),
    [("ssl.certificate.location", "SSL_KEY_LOCATION"), ("ssl.keystore.location", "SSL_KEYSTORE_LOCATION")],
)
def test_a_certificate_that_is_given_is_not_called_missing(settings: Settings, option: str, variable: str) -> None:
    """It may lack its key, or come with it from another setting."""
    given = settings.model_copy(update={"kafka_options": {option: SecretStr("mine")}})
    assert f"(SENSORBUS_KAFKA_{variable})" in str(access.refusal(given, ALERT))


def test_a_listener_is_asked_what_it_speaks_once_in_a_while(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says is remembered as a refusal; one that says nothing is asked again 30 s later, or after an answer."""
    asked: list[str] = []
    clock_s = [100.0]
    monkeypatch.setattr(listener, "protocol_of", asked.append)
    monkeypatch.setattr(time, "monotonic", lambda: clock_s[0])
    for clock_s[0] in (100.0, 129.0, 130.0):
        access.ask_listener(settings)
    assert asked == ["nowhere.invalid:1"] * 2
    assert access.refusal(settings) is None
    access.answered(settings)
    monkeypatch.setattr(listener, "protocol_of", lambda _: "SASL_SSL")
    access.ask_listener(settings)
    assert "speaks SASL_SSL, not PLAINTEXT (SENSORBUS_KAFKA_SECURITY_PROTOCOL)" in str(access.refusal(settings))


def test_a_missing_right_names_the_thing() -> None:
    """And no other error is called one."""
    denied = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    assert str(access.missing_right(denied, "g")).startswith("this Kafka user lacks a right on group g (")
    assert str(access.missing_right(denied)).startswith("this Kafka user lacks a right on a group (")
    other = access.missing_right(denied, "sensor", "WRITE", of="topic")
    assert str(other).startswith("this Kafka user lacks a right on a group (")
    assert str(access.missing_right(denied, "g", "READ")).startswith(
        "this Kafka user lacks the right READ on group g ("
    )
    assert access.missing_right(KafkaError(KafkaError._TRANSPORT)) is None


def test_who_may_write_to_no_topic_is_told_of_one_and_not_of_the_cluster() -> None:
    """Kafka gives an idempotent producer no id then, and says that it is the cluster's to give."""
    denied = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    assert "lacks the right WRITE on topic sensor (" in str(access.missing_right(denied, "sensor", "WRITE", of="topic"))
    assert "lacks the right WRITE on a topic (" in str(
        access.missing_right(denied, "x", "WRITE", of="transactional id")
    )
    assert "lacks the right WRITE on a topic (" in str(access.missing_right(denied))


def with_tokens() -> Settings:
    """Return settings of somebody who comes with tokens."""
    mechanism = {"SENSORBUS_KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
    return load({"SENSORBUS_KAFKA_BOOTSTRAP_SERVERS": "a:2", **mechanism})[0]


@pytest.mark.parametrize(
    ("said", "variable"),
    [
        (f'{UNTOLD}{{"error": "invalid_client"}}', "CLIENT_ID, SENSORBUS_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET"),
        (f"{UNTOLD}Failed to connect to 127.0.0.1 port 9", "TOKEN_ENDPOINT_URL"),
        (SASL, "TOKEN_ENDPOINT_URL"),
    ],
)
def test_a_token_that_is_not_given_or_not_taken_names_its_setting(said: str, variable: str) -> None:
    """Whose fault it is: ours, the provider's address, or what the broker expects of a token."""
    line = access.refusal(with_tokens(), said)
    assert line is not None
    assert f"(SENSORBUS_KAFKA_SASL_OAUTHBEARER_{variable})" in line
    assert "Kafka at a:2" in line
    access.answered(with_tokens())


def test_what_a_provider_says_is_cut() -> None:
    """It may be a whole page of HTML."""
    line = access.refusal(with_tokens(), f"{UNTOLD}{'x' * 10_000}\n<html>")
    assert line is not None
    assert len(line) < 400
    access.answered(with_tokens())


UNVERIFIED = (
    "ssl://kafka-2.internal:9093/2: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed"
)


class ForOthers:
    """A broker whose certificate is good, and names others only."""

    def __init__(self, certificate: Mapping[str, Any] | None) -> None:
        """Be asked by nobody yet; without a certificate it hangs up on who has none of his own."""
        self.asked: list[tuple[str, int]] = []
        self._certificate = certificate

    def __call__(self, context: ssl.SSLContext, host: str, port: int) -> Mapping[str, Any]:
        """Show it to who does not look at the name."""
        self.asked.append((host, port))
        if context.check_hostname:
            error = ssl.SSLCertVerificationError("Hostname mismatch")
            error.verify_code, error.verify_message = 62, "Hostname mismatch"
            raise error
        if self._certificate is None:
            raise ssl.SSLError("tlsv13 alert certificate required")
        return self._certificate


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ({"subjectAltName": (("DNS", "kafka.example.com"), ("IP Address", "10.0.0.7"))}, "kafka.example.com, 10.0.0.7"),
        ({"subject": ((("organizationName", "x"),), (("commonName", "kafka.example.com"),))}, "kafka.example.com"),
        ({}, "no name"),
    ],
)
def test_a_certificate_for_another_name_tells_for_which(
    certificate: dict[str, Any], said: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the broker that was asked, which need not be the one in the setting."""
    broker = ForOthers(certificate)
    monkeypatch.setattr(access, "_shown_certificate", broker)
    line = access.refusal(settings, UNVERIFIED)
    assert line is not None
    assert f"is for {said}, and not for kafka-2.internal (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in line
    assert set(broker.asked) == {("kafka-2.internal", 9093)}


def test_a_certificate_for_another_name_that_is_not_shown_is_for_another_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that wants a certificate of ours may hang up before it has shown its own."""
    monkeypatch.setattr(access, "_shown_certificate", ForOthers(None))
    assert "is not accepted: Hostname mismatch (" in (access.refusal(settings, UNVERIFIED) or "")
