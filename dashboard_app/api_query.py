"""What a request to the API asks for, read from its parameters.

Raises `ProblemError`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dashboard_app import api_parameters as parameters
from dashboard_app.api_cursor import Cursor, cursor_in, request_key
from dashboard_app.api_problems import refused
from dashboard_app.api_table import Route


class Query(NamedTuple):
    """Rows of `devices` (none named: all) with event time in `[since_ms, until_ms)`, after `after`.

    `chosen` names devices by the roster's key and places; `key` tells this request from others, for its cursors.
    """

    devices: tuple[str, ...]
    states: tuple[str, ...]
    since_ms: int | None
    until_ms: int | None
    limit: int
    unit: str
    after: Cursor | None
    key: str
    chosen: tuple[str, bytes] | None = None


def query_in(route: Route, given: Mapping[str, list[str]], now_ms: int) -> Query:
    """Return the query in the texts given for each name."""
    values = parameters.read(route.parameters, given)

    def one(name: str) -> Any:
        return next(iter(values.get(name, ())), None)

    since_ms, until_ms, last_ms = one("since"), one("until"), one("last")
    if last_ms is not None and (since_ms, until_ms) != (None, None):
        raise refused("last", "`last` stands instead of `since` and `until`; give one or the other")
    if since_ms is not None and until_ms is not None and since_ms > until_ms:
        raise refused("until", "`until` is before `since`")
    devices = tuple(sorted(set(values.get("device", ()))))
    states = tuple(sorted(set(values.get("state", ()))))
    key = request_key(route.path, devices, states, since_ms, until_ms, last_ms)
    after = None if one("cursor") is None else cursor_in(one("cursor"), key)
    if last_ms is not None:
        since_ms = after.since_ms if after else max(0, now_ms - last_ms)
    if devices and one("chosen"):
        raise refused("chosen", "`chosen` stands instead of `device`; give one or the other")
    limit = one("limit") or route.default_limit
    return Query(
        devices, states, since_ms, until_ms, limit, one("unit") or parameters.UNITS[0], after, key, one("chosen")
    )
