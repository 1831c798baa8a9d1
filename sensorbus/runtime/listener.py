"""Asks a listener of Kafka which `security.protocol` it speaks.

With a client of another one it only breaks the connection off, and librdkafka then knows no cause.
"""

import socket
import ssl
import struct
from typing import Final

_TIMEOUT_S: Final = 1.0
_SASL_HANDSHAKE: Final = 17
_USERS: Final = {33: True, 34: False}  # to nobody's mechanism: it is none of mine, or there is no SASL here
#: Kafka's answers to this question are far shorter.
_LONGEST_ANSWER_BYTES: Final = 10_000


def protocol_of(address: str) -> str | None:
    """Return the `security.protocol` of the listener at `host:port`; None: it is away, or no Kafka."""
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    try:
        is_secured = _speaks_tls(place)
        has_users = _has_users(place, is_secured=is_secured)
    except OSError:
        return None
    if has_users is None and not is_secured:
        return None
    return f"{'SASL_' if has_users else ''}{'SSL' if is_secured else 'PLAINTEXT'}"


def _speaks_tls(place: tuple[str, int]) -> bool:
    with socket.create_connection(place, _TIMEOUT_S) as plain:
        try:
            _secured(plain)
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")  # it speaks TLS, and wants more of us
        except ConnectionError:
            return False
    return True


def _has_users(place: tuple[str, int], *, is_secured: bool) -> bool | None:
    """Tell whether the listener asks for a user; None: it does not answer, as one that wants a certificate."""
    client, mechanism = (struct.pack(">h", len(text)) + text for text in (b"sensorbus", b"none"))
    request = struct.pack(">hhi", _SASL_HANDSHAKE, 1, 0) + client + mechanism
    with socket.create_connection(place, _TIMEOUT_S) as plain:
        try:
            asked = _secured(plain) if is_secured else plain
            asked.sendall(struct.pack(">i", len(request)) + request)
            answer = asked.recv(_LONGEST_ANSWER_BYTES)  # its length, our number, the error, the mechanisms
        except OSError:
            return None
    return _USERS.get(int.from_bytes(answer[8:10], "big"))


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    """Return the connection with TLS, whoever is there: it is told nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)
