"""Says why Kafka does not let us in: the setting or the right, in one line.

librdkafka tells the cause once, to a callback or the log, and afterwards only that no broker is there; hence the last
cause is remembered for each address until Kafka answers. Called from any thread.
"""

import re
import socket
import ssl
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError

from sensorbus.contract.settings import PREFIX, Settings

_CONNECT_TIMEOUT_S: Final = 2.0
#: Answers of Kafka to a client that lacks a right.
_DENIED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
}
_last_cause: dict[str, str] = {}


def variable_of(option: str) -> str:
    """Return the variable that sets an option of librdkafka."""
    return f"{PREFIX}KAFKA_{option.upper().replace('.', '_')}"


def refusal(settings: Settings, *said: str) -> str | None:
    """Return the line for what librdkafka said of a connection, or for what it said before; None: no refusal."""
    for line in (_line(settings, each) for each in said):
        if line is not None:
            _last_cause[settings.bootstrap_servers] = line
            return line
    return _last_cause.get(settings.bootstrap_servers)


def answered(settings: Settings) -> None:
    """Forget the last cause: Kafka answers."""
    _last_cause.pop(settings.bootstrap_servers, None)


def missing_right(error: KafkaError, name: str | None = None) -> str | None:
    """Return which right is missing, if that is what an error of Kafka's says; `name` is the thing's, if known."""
    kind = _DENIED.get(error.code())
    if kind is None:
        return None
    thing = f"{kind} {name}" if name else f"a {kind}"
    return f"this Kafka user lacks a right on {thing} ({error.str()}): docs/security.md lists the rights of each part"


def _line(settings: Settings, said: str) -> str | None:
    kafka = f"Kafka at {settings.bootstrap_servers}"
    line = None
    if supported := re.search(r"supported mechanisms: ([\w, -]+?)(?: \(|$)", said):
        line = f"{kafka} takes only the SASL mechanisms {supported[1]} ({variable_of('sasl.mechanism')})"
    elif "SASL authentication error" in said:
        credentials = f"{variable_of('sasl.username')}, {variable_of('sasl.password')}"
        line = f"{kafka} refuses this user and password ({credentials})"
    elif "certificate verify failed" in said:
        reason = _why_not_trusted(settings) or "it cannot be verified"
        line = f"the certificate of {kafka} is not accepted: {reason} ({variable_of('ssl.ca.location')})"
    elif alert := re.search(r"alert (\w+ certificate|certificate \w+|unknown ca)", said):
        line = f"{kafka} {_why_we_are_not_trusted(settings, alert[1])}"
    elif "PLAINTEXT broker listener" in said:
        line = f"{kafka} speaks no TLS there ({variable_of('security.protocol')})"
    return line


def _why_we_are_not_trusted(settings: Settings, alert: str) -> str:
    variable = variable_of("ssl.certificate.location")
    if "ssl.certificate.location" not in settings.kafka_options:
        return f"wants a client certificate, and none is given ({variable})"
    return f"refuses our certificate ({variable}): expired, or of an authority unknown there ({alert})"


def _why_not_trusted(settings: Settings) -> str | None:
    """Ask the first broker for its certificate again, for librdkafka does not say what is wrong with it."""
    host, _, port = settings.bootstrap_servers.split(",")[0].strip().rpartition(":")
    given = settings.kafka_options.get("ssl.ca.location")
    place = Path(given.get_secret_value()) if given else None
    try:
        context = ssl.create_default_context(
            cafile=str(place) if place and place.is_file() else None,
            capath=str(place) if place and place.is_dir() else None,
        )
        with (
            socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except (OSError, ValueError):
        return None
