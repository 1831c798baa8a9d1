"""CSV: the page's columns, nothing that a spreadsheet would run, bounded bytes."""

import csv
import io

import pytest

from dashboard_app import api_csv
from dashboard_app.api_rows import Rows

NOW_MS = 1_769_860_800_250


def text(unit: str, *rows: tuple[str, float]) -> str:
    """Return these devices and values as CSV."""
    columns = Rows([row[0] for row in rows], [NOW_MS] * len(rows), [row[1] for row in rows], None)
    return b"".join(api_csv.lines(columns, len(rows), unit, 303)).decode()


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_text_that_a_spreadsheet_would_run_is_not_run(start: str) -> None:
    """As on the page: an apostrophe before it."""
    assert api_csv.cell(f"{start}1").strip('"') == f"'{start}1"


def test_cells_are_quoted_by_rfc_4180() -> None:
    """Commas, quotes, ends of lines."""
    names = ['say "x"', "b,c", '=HYPERLINK("x","y")', "ü", " a ", "👩\u200d💻"]
    rows = list(csv.reader(io.StringIO(text("celsius", *((name, 20.0) for name in names)))))
    assert [row[1] for row in rows[1:]] == ['say "x"', "b,c", '\'=HYPERLINK("x","y")', "ü", " a ", "👩\u200d💻"]


@pytest.mark.parametrize(("unit", "shown"), [("celsius", "29.86"), ("fahrenheit", "85.75"), ("kelvin", "303.01")])
def test_temperatures_are_in_the_unit_that_the_header_names(unit: str, shown: str) -> None:
    """UTC, ends of lines as the RFC has them, the threshold in kelvin."""
    header = f"time_utc,device_id,temperature_{unit},above_threshold"
    assert text(unit, ("a", 29.86)) == f"{header}\r\n2026-01-31T12:00:00.250Z,a,{shown},yes\r\n"


@pytest.mark.parametrize(
    ("celsius", "shown"), [(20.0, "20"), (20.5, "20.5"), (-0.001, "0"), (100.0, "100"), (-3, "-3")]
)
def test_numbers_are_written_as_the_page_writes_them(celsius: float, shown: str) -> None:
    """Two decimals at most, without zeros at the end."""
    assert text("celsius", ("a", celsius)).split(",")[-2] == shown


def test_bytes_are_bounded() -> None:
    """Rows with long names are fewer."""
    names = ['"' * 128] * 100_000
    number = api_csv.fitting(names)
    assert 0 < number < len(names)
    rows = Rows(names, [NOW_MS] * len(names), [-100.25] * len(names), None)
    sent = sum(map(len, api_csv.lines(rows, number, "fahrenheit", 303)))
    assert api_csv.MAX_BYTES * 0.9 < sent <= api_csv.MAX_BYTES
    assert api_csv.fitting(["a"] * 100_000) == 100_000


def test_bands_are_a_line_for_each_second() -> None:
    """In the unit that the header names, by time."""
    body, number = api_csv.overview({NOW_MS + 750: [1, 2, 3, 4, 5.25], NOW_MS - 250: [0, 0, 0, 0, 0]}, "fahrenheit")
    assert number == 2
    assert body.decode() == (
        "time_utc,min_fahrenheit,p10_fahrenheit,median_fahrenheit,p90_fahrenheit,max_fahrenheit\r\n"
        "2026-01-31T12:00:00.000Z,32,32,32,32,32\r\n2026-01-31T12:00:01.000Z,33.8,35.6,37.4,39.2,41.45\r\n"
    )
