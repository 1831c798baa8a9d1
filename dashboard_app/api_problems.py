"""What the API answers when it cannot answer: problem details by RFC 9457.

A problem names the parameter, if one is the cause, and the way out; it says nothing of the inside.
"""

from http import HTTPStatus
from typing import Final

import orjson
from flask import Response

from sensorbus.contract.errors import SensorbusError

CONTENT_TYPE: Final = "application/problem+json"
PARAMETER: Final = "urn:sensorbus:problem:parameter"
STALE_CURSOR: Final = "urn:sensorbus:problem:stale-cursor"
CATCHING_UP: Final = "urn:sensorbus:problem:catching-up"
_RETRY_AFTER_S: Final = 1


class ProblemError(SensorbusError):
    """A request that is not answered as asked; the message is the problem's `detail`."""

    def __init__(self, status: int, detail: str, kind: str = "about:blank", parameter: str | None = None) -> None:
        """Keep what the answer says; `kind` is its `type`."""
        super().__init__(detail)
        self.status, self.kind, self.parameter = status, kind, parameter


def refused(parameter: str, detail: str) -> ProblemError:
    """Return the problem of a parameter that makes no sense."""
    return ProblemError(400, detail, PARAMETER, parameter)


def stale_cursor(reason: str) -> ProblemError:
    """Return the problem of a cursor from which there is no going on."""
    return ProblemError(400, f"{reason}; start again without `cursor`", STALE_CURSOR, "cursor")


def catching_up(reason: str) -> ProblemError:
    """Return the problem of a worker that does not hold enough yet."""
    return ProblemError(503, f"{reason}; ask again in {_RETRY_AFTER_S} s", CATCHING_UP)


def response(error: ProblemError) -> Response:
    """Return the answer to a request that has this problem."""
    fields: dict[str, object] = {
        "type": error.kind,
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": str(error),
    }
    if error.parameter is not None:
        fields["parameter"] = error.parameter
    answer = Response(orjson.dumps(fields), error.status, content_type=CONTENT_TYPE)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = "GET, HEAD"
    return answer
