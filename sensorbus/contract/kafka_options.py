"""Options of librdkafka that pass through the environment.

Also from the files that hold secrets.
"""

from pathlib import Path
from typing import Final

from sensorbus.contract.errors import SettingsError

#: How the variable of an option begins.
KAFKA_PREFIX: Final = "SENSORBUS_KAFKA_"
#: librdkafka options that are refused, each with what to set instead. A private key in memory is printed by others.
_REFUSED_KAFKA_OPTIONS: Final = {
    "ssl.key.pem": "give the key as a file with SENSORBUS_KAFKA_SSL_KEY_LOCATION",
    "ssl.keystore.pem": "give the key as a file with SENSORBUS_KAFKA_SSL_KEYSTORE_LOCATION",
    "sasl.oauthbearer.assertion.private.key.pem": "give the key as a file with "
    "SENSORBUS_KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE",
    "bootstrap.servers": "the address itself belongs into SENSORBUS_KAFKA_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "the address belongs into SENSORBUS_KAFKA_BOOTSTRAP_SERVERS",
    "group.instance.id": "say SENSORBUS_INSTANCE_ID",
    **dict.fromkeys(
        (
            "auto.offset.reset",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.idempotence",
            "group.id",
            "isolation.level",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "transactional.id",
        ),
        "that nothing is lost or doubled rests on what sensorbus sets there",
    ),
}
#: Options that switch a check of the broker's certificate off: the values that do, and who is let in then.
_UNCHECKED: Final = {
    "enable.ssl.certificate.verification": (("false", "f", "0"), "any certificate is taken for Kafka's"),
    "ssl.endpoint.identification.algorithm": (("none",), "a certificate for another host is taken for Kafka's"),
}
#: Options of librdkafka's own that end in `.file`: their value is a path, not read by us.
_KAFKA_OPTIONS_OF_FILES: Final = {
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
}


def kafka_option(name: str, text: str) -> tuple[str, str]:
    """Return option and value that a variable sets; raises `SettingsError` for one that is refused."""
    option = name.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
    from_file = option.endswith(".file") and option not in _KAFKA_OPTIONS_OF_FILES
    option = option.removesuffix(".file") if from_file else option
    if option in _REFUSED_KAFKA_OPTIONS:
        raise SettingsError(f"{name} is refused: {_REFUSED_KAFKA_OPTIONS[option]}")
    return option, file_text(name, text) if from_file else text


def kafka_warning(name: str, option: str, value: str) -> str | None:
    """Return why an option that a variable sets is dangerous, or None."""
    values, what_follows = _UNCHECKED.get(option, ((), ""))
    return f"{name} switches a check of TLS off: {what_follows}" if value.strip().lower() in values else None


def file_text(name: str, path: str) -> str:
    """Return what stands in the file that the variable `name` names, without the newline at its end.

    A byte order mark, as some editors put it at the begin, is no part of it either.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: cannot read the file that it names: {error}") from None
    if not text:
        raise SettingsError(f"{name}: the file that it names is empty")
    return text
