"""Whether a request has come whole, told from its first bytes.

Only then is a thread given to it: 16 clients that stop in the middle would else hold all of a worker's threads.
"""

from http import HTTPStatus
from typing import Final

#: Under this name the app's `extensions` may hold what tells of a request's bytes whether it is answered at once.
QUICK: Final = "sensorbus_quick"
#: A tick has some kB.
MAX_BODY_BYTES: Final = 262_144
#: A request line and headers may have so many bytes together; nginx lets through half of it.
MAX_HEAD_BYTES: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"
_ENCODING: Final = b"\r\ntransfer-encoding:"


class RefusedError(Exception):
    """A request that need not come to its end: `status` says why."""

    def __init__(self, status: HTTPStatus) -> None:
        """Refuse with this status."""
        super().__init__(status.phrase)
        self.status = status


def request_bytes(received: bytes) -> int | None:
    """Return how many bytes a request has, its body included; None: its head has not come whole.

    What is no HTTP counts as a request without a body: gunicorn says what is wrong in it. Raises `RefusedError`.
    """
    end = received.find(_HEAD_END)
    if end < 0:
        if len(received) >= MAX_HEAD_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return None
    head = received[: end + 2].lower()
    size = end + len(_HEAD_END)
    if _ENCODING in head:
        # Where its body ends, reading it tells alone; with a length too, others may think otherwise.
        raise RefusedError(HTTPStatus.BAD_REQUEST if _LENGTH in head else HTTPStatus.LENGTH_REQUIRED)
    _, found, rest = head.partition(_LENGTH)
    if not found:
        if head.startswith(b"post "):  # gunicorn would take its body for the next request
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED)
        return size
    length = rest[: rest.index(b"\r\n")].strip()
    if not length.isdigit():
        return size
    length = length.lstrip(b"0") or b"0"
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return size + int(length)
