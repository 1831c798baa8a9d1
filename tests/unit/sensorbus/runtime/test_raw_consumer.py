"""How the other client is let in.

What it reads is in tests/integration/test_raw_consumer.py.
"""

import gc
import warnings

import pytest

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError
from sensorbus.contract.settings import Settings
from sensorbus.runtime.raw_consumer import RawConsumer


@pytest.mark.parametrize(
    "option",
    [
        "ssl.keystore.location",
        "enable.ssl.certificate.verification",
        "sasl.kerberos.principal",
        "https.ca.pem",
        "enable.sasl.oauthbearer.unsecure.jwt",
    ],
)
def test_an_option_of_access_that_it_has_not_is_named(option: str) -> None:
    """It would not be let in, or let in by others than asked for."""
    with pytest.raises(SettingsError, match=f"SENSORBUS_KAFKA_{option.upper().replace('.', '_')}"):
        RawConsumer(Settings(kafka_options={option: "x"}))


@pytest.mark.parametrize("options", [{}, {"sasl.mechanism": "GSSAPI"}])
def test_a_mechanism_that_it_has_not_is_named(options: dict[str, str]) -> None:
    """GSSAPI is what librdkafka takes if none is given."""
    with pytest.raises(SettingsError, match=r"SCRAM-SHA-512, OAUTHBEARER \(SENSORBUS_KAFKA_SASL_MECHANISM\)"):
        RawConsumer(Settings(kafka_options={"security.protocol": "sasl_ssl", **options}))


def test_options_that_are_librdkafkas_own_do_not_matter() -> None:
    """They say how it reads, not who may."""
    RawConsumer(Settings(kafka_options={"fetch.wait.max.ms": "10", "socket.keepalive.enable": "true"})).close()


def test_a_broker_that_is_away_is_named() -> None:
    """With the setting; a closed client asks anew."""
    raw = RawConsumer(Settings(kafka_bootstrap_servers="127.0.0.1:1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # kafka-python leaves what failed to connect to the collector
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1 \(SENSORBUS_KAFKA_BOOTSTRAP_SERVERS\)"):
                raw.fetch("sensor", 0, 0)
            raw.close()
        gc.collect()
