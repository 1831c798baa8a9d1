"""What the API offers: one table of routes.

Each with its parameters and the shape of its answers.
The routes are made from it, requests are read by it, and the OpenAPI description is written from it.
"""

from dataclasses import dataclass
from typing import Final

from dashboard_app import api_parameters as parameters
from dashboard_app.api_parameters import Json, Parameter

#: Where the API stands behind the page's prefix.
BASE: Final = "api/v1"
JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8"
CSV_HEADER: Final = ("time_utc", "device_id", "temperature_{unit}", "above_threshold")
_TIME: Final[Json] = {"type": "string", "format": "date-time", "pattern": r"\.\d{3}Z$"}
_NEXT: Final[Json] = {
    "type": ["string", "null"],
    "description": "Where the next rows are; null when there are no more now.",
}
_LIVE: Final[Json] = {
    "type": "boolean",
    "description": "False while Kafka does not answer or the worker reads old records: the rows are as of then.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route; `schema` is that of its answer, named in the description by `schema_name`."""

    path: str
    name: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    content_type: str = JSON
    schema_name: str = ""
    schema: Json

    @property
    def default_limit(self) -> int:
        """How many rows an answer has at most unless `limit` says so; 0 where there is none."""
        return next((one.schema["default"] for one in self.parameters if one.name == "limit"), 0)


def _rows(name: str, row: Json, **more: Json) -> Json:
    return _object(**more, live=_LIVE, **{name: {"type": "array", "items": row}}, next=_NEXT)


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _temperature(description: str, *types: str) -> Json:
    return {"type": ["number", *types], "description": description}


_SAMPLE: Final[dict[str, Json]] = {
    "device_id": parameters.DEVICE_ID_SCHEMA,
    "timestamp": _TIME | {"description": "Event time, UTC."},
    "celsius": _temperature("As received."),
    "fahrenheit": _temperature("Rounded to 2 decimals."),
    "kelvin": _temperature("Rounded to 2 decimals: what the threshold is compared with."),
}
_DEVICE: Final = _object(
    device_id=parameters.DEVICE_ID_SCHEMA,
    state={"type": "string", "enum": list(parameters.STATES), "description": "As on the page."},
    timestamp=_TIME | {"description": "Event time of the newest reading, UTC."},
    celsius=_temperature("The newest reading, as received."),
    kelvin=_temperature("The same, rounded to 2 decimals."),
    change_kelvin=_temperature("Since the reading before; null when it is not known or the device is silent.", "null"),
    avg_celsius=_temperature(
        "Mean of the newest closed window; null when there is none, the device is offline, or job avg-temp is down.",
        "null",
    ),
    avg_end={"type": ["string", "null"], "format": "date-time", "description": "When that window ended."},
    alert_count={
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "Alerts of the window that ends now; null when the jobs that count are down.",
    },
)
_TIMES: Final = (parameters.SINCE, parameters.UNTIL, parameters.LAST)
_MOST_ROWS: Final = 10_000
_MOST_CSV_ROWS: Final = 100_000

DEVICES: Final = Route(
    path="/devices",
    name="devices",
    summary="Devices with their state and newest numbers, by id",
    parameters=(parameters.DEVICE, parameters.STATE, parameters.limit(100, 1_000), parameters.CURSOR),
    schema_name="Devices",
    schema=_rows("devices", _DEVICE, now=_TIME | {"description": "The worker's clock."}),
)
READINGS: Final = Route(
    path="/readings",
    name="readings",
    summary="Readings, oldest first",
    parameters=(parameters.DEVICE, *_TIMES, parameters.limit(1_000, _MOST_ROWS), parameters.CURSOR),
    schema_name="Readings",
    schema=_rows("readings", _object(**_SAMPLE, above_threshold={"type": "boolean"})),
)
ALERTS: Final = Route(
    path="/alerts",
    name="alerts",
    summary="Alerts, as job alert wrote them, oldest first",
    parameters=(parameters.DEVICE, *_TIMES, parameters.limit(1_000, _MOST_ROWS), parameters.CURSOR),
    schema_name="Alerts",
    schema=_rows("alerts", _object(**_SAMPLE)),
)
READINGS_CSV: Final = Route(
    path="/readings.csv",
    name="readings_csv",
    summary="Readings as CSV, oldest first",
    parameters=(
        parameters.DEVICE,
        *_TIMES,
        parameters.UNIT,
        parameters.limit(_MOST_CSV_ROWS, _MOST_CSV_ROWS),
        parameters.CURSOR,
    ),
    content_type=CSV,
    schema={"type": "string"},
)
OVERVIEW_CSV: Final = Route(
    path="/overview.csv",
    name="overview_csv",
    summary="Lowest, 10 %, median, 90 % and highest temperature of each second of 15 min, as CSV",
    parameters=(parameters.DEVICE, parameters.CHOSEN, *_TIMES, parameters.UNIT),
    content_type=CSV,
    schema={"type": "string"},
)
OPENAPI: Final = Route(
    path="/openapi.json",
    name="openapi",
    summary="This description",
    schema={"type": "object"},
)
ROUTES: Final = (DEVICES, READINGS, READINGS_CSV, ALERTS, OVERVIEW_CSV, OPENAPI)
