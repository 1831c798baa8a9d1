"""Variables to options of librdkafka, and values from files."""

from pathlib import Path

import pytest

from sensorbus.contract.errors import SettingsError
from sensorbus.contract.kafka_options import KAFKA_PREFIX, kafka_option, kafka_warning


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("SECURITY_PROTOCOL", "security.protocol"),
        ("LINGER_MS", "linger.ms"),
        ("SASL_OAUTHBEARER_ASSERTION_FILE", "sasl.oauthbearer.assertion.file"),  # librdkafka's own name: a path
    ],
)
def test_a_variable_is_an_option_by_its_name(name: str, option: str) -> None:
    """Small letters, points for underscores; the value as it is."""
    assert kafka_option(f"{KAFKA_PREFIX}{name}", " x ") == (option, " x ")


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    """Without the newline that an editor puts at its end; what else is blank belongs to it."""
    file = tmp_path / "password"
    file.write_bytes(" pässword \r\n".encode())
    assert kafka_option(f"{KAFKA_PREFIX}SASL_PASSWORD_FILE", str(file)) == ("sasl.password", " pässword ")


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    """With the variable's name; what the file holds is not told."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"{KAFKA_PREFIX}SASL_PASSWORD_FILE: cannot read the file that it names"):
        kafka_option(f"{KAFKA_PREFIX}SASL_PASSWORD_FILE", str(file))


@pytest.mark.parametrize("content", ["", "\r\n"])
def test_an_empty_file_is_said(content: str, tmp_path: Path) -> None:
    """A secret that was not written: an empty one would be said to be wrong, or missing."""
    file = tmp_path / "password"
    file.write_text(content)
    with pytest.raises(SettingsError, match=f"{KAFKA_PREFIX}SASL_PASSWORD_FILE: the file that it names is empty"):
        kafka_option(f"{KAFKA_PREFIX}SASL_PASSWORD_FILE", str(file))


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("BOOTSTRAP_SERVERS_FILE", "SENSORBUS_KAFKA_BOOTSTRAP_SERVERS"),
        ("SSL_KEY_PEM", "SENSORBUS_KAFKA_SSL_KEY_LOCATION"),
        ("GROUP_INSTANCE_ID", "SENSORBUS_INSTANCE_ID"),
        ("ISOLATION_LEVEL", "nothing is lost or doubled"),
        ("MAX_IN_FLIGHT", "nothing is lost or doubled"),
        ("TRANSACTIONAL_ID_FILE", "nothing is lost or doubled"),  # before the file is looked for
    ],
)
def test_what_the_guarantees_rest_on_is_refused_with_the_way_out(name: str, way_out: str) -> None:
    """In a file or not."""
    with pytest.raises(SettingsError, match=f"{KAFKA_PREFIX}{name} is refused: .*{way_out}"):
        kafka_option(f"{KAFKA_PREFIX}{name}", "nowhere")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("enable.ssl.certificate.verification", "false", "any certificate is taken for Kafka's"),
        ("enable.ssl.certificate.verification", " F", "any certificate is taken for Kafka's"),
        ("enable.ssl.certificate.verification", "0", "any certificate is taken for Kafka's"),
        ("enable.ssl.certificate.verification", "true", None),
        ("ssl.endpoint.identification.algorithm", "None", "a certificate for another host is taken for Kafka's"),
        ("ssl.endpoint.identification.algorithm", "https", None),
        ("security.protocol", "none", None),
    ],
)
def test_a_check_that_is_switched_off_is_told(option: str, value: str, said: str | None) -> None:
    """With the variable's name, and what it means."""
    warning = kafka_warning("SENSORBUS_KAFKA_X", option, value)
    assert warning == (said and f"SENSORBUS_KAFKA_X switches a check of TLS off: {said}")
