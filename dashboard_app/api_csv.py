"""Readings as CSV by RFC 4180, safe to open in a spreadsheet.

The page's export is made of it (assets/model/export.js).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from dashboard_app.api_rows import Rows
from dashboard_app.api_table import CSV_HEADER
from dashboard_app.api_time import time_text
from dashboard_app.bands import BANDS
from sensorbus.contract.messages import is_alert
from sensorbus.contract.units import fahrenheit_from_celsius, kelvin_from_celsius

#: An answer has so many bytes at most; what is left out is told of by its `Link`.
MAX_BYTES: Final = 16_777_216
_BYTES_BESIDE_NAME: Final = len("2026-01-31T12:00:00.250Z,,-123456.78,yes\r\n")
_ROWS_PER_CHUNK: Final = 1_000
_IS_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_IS_QUOTED: Final = re.compile(r'[",\r\n]')
_IN_UNIT: Final[dict[str, Callable[[float], float]]] = {
    "celsius": lambda celsius: round(celsius, 2),
    "fahrenheit": fahrenheit_from_celsius,
    "kelvin": kelvin_from_celsius,
}


def cell(text: str) -> str:
    """Return a cell of text; one that a spreadsheet would run as a formula gets an apostrophe."""
    safe = f"'{text}" if _IS_FORMULA.match(text) else text
    return '"{}"'.format(safe.replace('"', '""')) if _IS_QUOTED.search(safe) else safe


def fitting(device_ids: list[str]) -> int:
    """Return how many rows of these devices fit into an answer."""
    sizes = {device_id: len(cell(device_id).encode()) + _BYTES_BESIDE_NAME for device_id in set(device_ids)}
    left = MAX_BYTES - len(",".join(CSV_HEADER)) - len("fahrenheit")
    for number, device_id in enumerate(device_ids):
        left -= sizes[device_id]
        if left < 0:
            return number
    return len(device_ids)


def lines(rows: Rows, number: int, unit: str, threshold_kelvin: float) -> Iterator[bytes]:
    """Yield the header and the first `number` rows, some at a time."""
    convert = _IN_UNIT[unit]
    cells = {device_id: cell(device_id) for device_id in set(rows.device_ids[:number])}
    yield f"{','.join(CSV_HEADER).format(unit=unit)}\r\n".encode()
    for start in range(0, number, _ROWS_PER_CHUNK):
        part = slice(start, min(number, start + _ROWS_PER_CHUNK))
        columns = zip(rows.times_ms[part], rows.device_ids[part], rows.celsius[part], strict=True)
        yield "".join(
            f"{time_text(time_ms)},{cells[device_id]},{_number(convert(celsius))},"
            f"{'yes' if is_alert(celsius, threshold_kelvin) else 'no'}\r\n"
            for time_ms, device_id, celsius in columns
        ).encode()


def overview(bands: Mapping[int, Sequence[float]], unit: str) -> tuple[bytes, int]:
    """Return the bands (bands.py) as CSV, and the number of rows."""
    convert = _IN_UNIT[unit]
    told = [["time_utc", *(f"{name}_{unit}" for name in BANDS)]]
    told += ([time_text(ms), *(_number(convert(celsius)) for celsius in bands[ms])] for ms in sorted(bands))
    return "".join(f"{','.join(cells)}\r\n" for cells in told).encode(), len(bands)


def _number(value: float) -> str:
    """Return 20.5 as "20.5", 20.0 as "20"."""
    return f"{value + 0.0:.2f}".rstrip("0").rstrip(".")
