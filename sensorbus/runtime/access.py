"""Says why Kafka does not let us in, in one line.

It names the setting, the right or the cause.

librdkafka tells the cause once, to a callback or the log, and afterwards only that no broker is there; hence what any
client was told last is remembered for each address until Kafka answers. Called from any thread.
"""

import re
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError

from sensorbus.contract.settings import PREFIX, Settings, variable_name
from sensorbus.runtime import listener

_CONNECT_TIMEOUT_S: Final = 2.0
_SHOWN_CHARACTERS: Final = 200
#: A listener that only breaks off is asked so often at most what it speaks.
_LISTENER_ANEW_S: Final = 30.0
#: OpenSSL's numbers for a certificate that is good, of another host or address.
_FOR_ANOTHER_NAME: Final = (62, 64)
#: Answers of Kafka to a client that lacks a right.
_DENIED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "topic",  # see missing_right
}
_last_refusal: dict[str, str] = {}  # by address, as our line
_last_cause: dict[str, str] = {}  # by address, as librdkafka said it
_listener_asked_s: dict[str, float] = {}  # by address, when a listener was asked what it speaks


def variable_of(option: str) -> str:
    """Return the variable that sets an option of librdkafka."""
    return f"{PREFIX}KAFKA_{option.upper().replace('.', '_')}"


def told(settings: Settings, said: str) -> None:
    """Remember what librdkafka said of a connection; what it repeats is not looked into again."""
    known = cause(settings)
    _last_cause[settings.bootstrap_servers] = said
    if cause(settings) != known:
        refusal(settings, said)


def refusal(settings: Settings, said: str = "") -> str | None:
    """Return the line for what librdkafka said, or said before; None: Kafka refused nothing since it last answered."""
    if line := _line(settings, said):
        _last_refusal[settings.bootstrap_servers] = line
    return _last_refusal.get(settings.bootstrap_servers)


def ask_listener(settings: Settings) -> None:
    """Remember as a refusal that the first broker speaks another protocol, of which librdkafka says nothing."""
    address, now_s = settings.bootstrap_servers, time.monotonic()
    if address in _last_refusal or now_s - _listener_asked_s.get(address, -_LISTENER_ANEW_S) < _LISTENER_ANEW_S:
        return
    _listener_asked_s[address] = now_s
    given = _option(settings, "security.protocol") or "PLAINTEXT"
    spoken = listener.protocol_of(address.partition(",")[0].strip())
    if spoken not in (None, given):
        _last_refusal[address] = f"Kafka at {address} speaks {spoken}, not {given} ({variable_of('security.protocol')})"


def cause(settings: Settings) -> str | None:
    """Return why a connection failed last, e.g. `Failed to resolve 'nohost:9092': ...`; None: nothing was said."""
    said = _last_cause.get(settings.bootstrap_servers)
    # `nohost:9092/bootstrap: Failed to resolve ... (after 1ms in state CONNECT)`
    return said and re.sub(r"^\S+: | \(after \d+ms in state .*$", "", said)


def answered(settings: Settings) -> None:
    """Forget what was said: Kafka answers."""
    _last_refusal.pop(settings.bootstrap_servers, None)
    _last_cause.pop(settings.bootstrap_servers, None)
    _listener_asked_s.pop(settings.bootstrap_servers, None)


def missing_right(
    error: KafkaError, name: str | None = None, right: str | None = None, *, of: str | None = None
) -> str | None:
    """Return which right is missing, if that is what an error says; `name` and `right` as far as they are known.

    They hold for things of the kind `of` alone, if one is given: `topic`, `group`, `transactional id`. Of a cluster we
    need no right: it is what Kafka says to an idempotent producer whose user may write to no topic at all.
    """
    kind = _DENIED.get(error.code())
    if kind is None:
        return None
    if of not in (None, kind):
        name = right = None
    if error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        right = "WRITE"
    thing = f"{kind} {name}" if name else f"a {kind}"
    which = f"the right {right}" if right else "a right"
    return f"this Kafka user lacks {which} on {thing} ({error.str()}): docs/security.md lists the rights of each part"


def _line(settings: Settings, said: str) -> str | None:
    kafka = f"Kafka at {settings.bootstrap_servers}"
    line = None
    if supported := re.search(r"supported mechanisms: ([\w, -]+?)(?: \(|$)", said):
        line = f"{kafka} takes only the SASL mechanisms {supported[1]} ({variable_of('sasl.mechanism')})"
    elif token := re.search(r"Failed to acquire SASL OAUTHBEARER token: (.*)", said, re.DOTALL):
        line = f"no token for {kafka}: {_why_no_token(token[1])}"
    elif "SASL authentication error" in said and _mechanism(settings) == "OAUTHBEARER":
        variable = variable_of("sasl.oauthbearer.token.endpoint.url")
        line = f"{kafka} refuses our token ({variable}): its issuer, audience, key or time is not what Kafka expects"
    elif "SASL authentication error" in said:
        credentials = f"{variable_of('sasl.username')}, {variable_of('sasl.password')}"
        line = f"{kafka} refuses this user and password ({credentials})"
    elif "certificate verify failed" in said:
        line = f"the certificate of {kafka} {_why_not_trusted(settings, said)}"
    elif alert := re.search(r"alert (\w+ certificate|certificate \w+|unknown ca)", said):
        line = f"{kafka} {_why_we_are_not_trusted(settings, alert[1])}"
    elif "PLAINTEXT broker listener" in said:
        line = f"{kafka} speaks no TLS there ({variable_of('security.protocol')})"
    elif "not valid in current SASL state" in said:
        line = f"{kafka} asks for no user and password there ({variable_of('security.protocol')})"
    return line


def _option(settings: Settings, *names: str) -> str:
    """Return what the first of these options that is given says, in capitals; nothing without any."""
    given = next((settings.kafka_options[name] for name in names if name in settings.kafka_options), None)
    return given.get_secret_value().upper() if given else ""


def _mechanism(settings: Settings) -> str:
    return _option(settings, "sasl.mechanism", "sasl.mechanisms")


def _why_no_token(said: str) -> str:
    """Return whose fault it is that there is no token; what the provider said is cut, whatever it is."""
    options = ("client.id", "client.secret") if "invalid_client" in said else ("token.endpoint.url",)
    variables = ", ".join(variable_of(f"sasl.oauthbearer.{option}") for option in options)
    return f"{said.strip()[:_SHOWN_CHARACTERS]} ({variables})"


def _why_we_are_not_trusted(settings: Settings, alert: str) -> str:
    variable = variable_of("ssl.certificate.location")
    if "ssl.keystore.location" in settings.kafka_options:
        variable = variable_of("ssl.keystore.location")
    elif "ssl.certificate.location" not in settings.kafka_options:
        return f"wants a client certificate, and none is given ({variable})"
    elif "ssl.key.location" not in settings.kafka_options:
        return f"wants a client certificate, and its key is not given ({variable_of('ssl.key.location')})"
    return f"refuses our certificate ({variable}): expired, or of an authority unknown there ({alert})"


def _why_not_trusted(settings: Settings, said: str) -> str:
    """Ask the broker for its certificate again, for librdkafka does not say what is wrong with it."""
    # `ssl://kafka-2:9093/2: SSL handshake failed: ...`: it may be another broker than the one that is asked first.
    named = re.match(r"\w+://(\S+:\d+)/", said)
    host, _, port = (named[1] if named else settings.bootstrap_servers.split(",")[0].strip()).rpartition(":")
    host, reason = host.strip("[]"), "it cannot be verified"
    try:
        context = _context(settings)
        try:
            _shown_certificate(context, host, int(port))
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message.rstrip(".")
            if error.verify_code in _FOR_ANOTHER_NAME:
                context.check_hostname = False
                return _is_for_another(host, _shown_certificate(context, host, int(port)))
    except (OSError, ValueError):
        pass  # it is away meanwhile, or the setting names no file that can be read
    return f"is not accepted: {reason} ({variable_of('ssl.ca.location')})"


def _context(settings: Settings) -> ssl.SSLContext:
    given = settings.kafka_options.get("ssl.ca.location")
    place = Path(given.get_secret_value()) if given else None
    return ssl.create_default_context(
        cafile=str(place) if place and place.is_file() else None,
        capath=str(place) if place and place.is_dir() else None,
    )


def _shown_certificate(context: ssl.SSLContext, host: str, port: int) -> Mapping[str, Any]:
    with (
        socket.create_connection((host, port), _CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert() or {}


def _is_for_another(host: str, certificate: Mapping[str, Any]) -> str:
    common = (name for part in certificate.get("subject", ()) for kind, name in part if kind == "commonName")
    names = ", ".join([name for _, name in certificate.get("subjectAltName", ())] or common) or "no name"
    variable = variable_name("kafka_bootstrap_servers")
    way_out = "give Kafka's address by a name that its certificate has, here and in its advertised.listeners"
    return f"is for {names[:_SHOWN_CHARACTERS]}, and not for {host} ({variable}): {way_out}"
