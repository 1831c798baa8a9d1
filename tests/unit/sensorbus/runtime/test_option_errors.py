"""Options that librdkafka refuses, each with the line that people get."""

from pathlib import Path
from typing import Final

import pytest

from sensorbus.contract.errors import SettingsError
from sensorbus.contract.settings import Settings, load
from sensorbus.runtime import kafka
from tests.support.certificates import Authority

MARKER: Final = "marker-hunter2"


def with_options(**variables: str) -> Settings:
    """Return settings with Kafka options; names without `SENSORBUS_KAFKA_`."""
    settings, _ = load({f"SENSORBUS_KAFKA_{name}": text for name, text in variables.items()})
    return settings


def refusal(settings: Settings) -> str:
    """Return the line with which a client's options are refused; the same one for all three kinds."""
    lines = []
    for make in (kafka.producer, kafka.consumer, kafka.admin):
        with pytest.raises(SettingsError) as caught:
            make(settings, "test")
        lines.append(str(caught.value).replace("consumer", "producer").replace("admin client", "producer"))
    assert len(set(lines)) == 1
    assert lines[0].isprintable()
    return lines[0]


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"LINGER_M": "5"}, "SENSORBUS_KAFKA_LINGER_M cannot be used: No such configuration property"),
        ({"SECURITY_PROTOCOL": "TLS"}, 'SENSORBUS_KAFKA_SECURITY_PROTOCOL cannot be used: Invalid value "TLS"'),
        ({"LINGER_MS": "soon"}, "SENSORBUS_KAFKA_LINGER_MS cannot be used: Invalid value"),  # an alias in librdkafka
        ({"LINGER_MS": "99999999999"}, "SENSORBUS_KAFKA_LINGER_MS cannot be used: Configuration property"),
        ({"COMPRESSION_TYPE": "zap"}, 'SENSORBUS_KAFKA_COMPRESSION_TYPE cannot be used: Invalid value "zap"'),
        ({"LOG_CONNECTION_CLOSE": "perhaps"}, "SENSORBUS_KAFKA_LOG_CONNECTION_CLOSE cannot be used: Expected bool"),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_CA_LOCATION": "/nowhere"},
            "SENSORBUS_KAFKA_SSL_CA_LOCATION: cannot read the file that it names: No such file or directory",
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_CA_LOCATION": __file__},
            "SENSORBUS_KAFKA_SSL_CA_LOCATION cannot be used: Failed to create producer: ssl.ca.location failed",
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_KEY_LOCATION": "/nowhere"},
            "SENSORBUS_KAFKA_SSL_KEY_LOCATION: cannot read the file that it names: No such file or directory",
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "FOO"},
            "SENSORBUS_KAFKA_SASL_MECHANISM cannot be used: Failed to create producer: Unsupported SASL mechanism",
        ),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISMS": "FOO"}, "SENSORBUS_KAFKA_SASL_MECHANISMS cannot be used"),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "SENSORBUS_KAFKA_SASL_MECHANISM is not set"),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "ann"},
            "SENSORBUS_KAFKA_SASL_PASSWORD is not set: Failed",
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512"},
            "SENSORBUS_KAFKA_SASL_USERNAME, SENSORBUS_KAFKA_SASL_PASSWORD are not set: Failed",
        ),
        ({"OPTIONS": "x"}, "SENSORBUS_KAFKA_OPTIONS cannot be used: No such configuration property"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_with_its_variable(variables: dict[str, str], line: str) -> None:
    """One line that begins with the variable that was set, whatever librdkafka calls it."""
    assert refusal(with_options(**variables)).startswith(line)


def test_a_key_without_its_certificate_is_told_so(tmp_path: Path) -> None:
    """It is the certificate that is missing, whatever of the others OpenSSL complains of."""
    key = Authority(tmp_path).issue("alert").key
    line = refusal(with_options(SECURITY_PROTOCOL="SSL", SSL_KEY_LOCATION=str(key)))
    assert line.startswith("SENSORBUS_KAFKA_SSL_CERTIFICATE_LOCATION is not set: ")


def test_a_misspelled_option_is_refused_with_the_nearest() -> None:
    """The address is an option of librdkafka too, so its slip of the pen ends here."""
    assert refusal(with_options(BOOTSTRAP_SERVER="a:1")).endswith("; did you mean SENSORBUS_KAFKA_BOOTSTRAP_SERVERS?")
    assert refusal(with_options(SECURTY_PROTOCOL="SSL")).endswith("; did you mean SENSORBUS_KAFKA_SECURITY_PROTOCOL?")


def test_a_refusal_shows_no_secret() -> None:
    """Passwords beside the wrong option stay hidden, and so does a key's password that does not fit."""
    secrets = {"SASL_PASSWORD": MARKER, "SSL_KEY_PASSWORD": MARKER}
    assert MARKER not in refusal(with_options(LINGER_M="5", **secrets))
    assert MARKER not in refusal(with_options(SECURITY_PROTOCOL="SSL", SSL_KEY_LOCATION="/nowhere", **secrets))
    assert MARKER not in refusal(with_options(SASL_JAAS_CONFIG=f'password="{MARKER}"'))


def test_without_options_of_the_user_the_fault_is_ours_and_said_so() -> None:
    """No variable is blamed that nobody set."""
    with pytest.raises(SettingsError, match="the Kafka client cannot be made: No such configuration property"):
        kafka.producer(Settings(), "test", **{"no.such": 1})
