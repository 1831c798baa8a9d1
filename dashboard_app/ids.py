"""Names of the places and controls that code on both sides of the wire refers to.

The server's tick callback uses TICK, CURSOR, DELTA and CONFIG. The scripts in assets/ fill the other places by the
same names, which a test holds together.
"""

from typing import Final

# The tick: docs/tick.md.
TICK: Final = "tick"  # dcc.Interval
CURSOR: Final = "cursor"  # dcc.Store: the next request {"cursor", "detail", "history"}
DELTA: Final = "delta"  # dcc.Store: the last answer, as JSON text
CONFIG: Final = "config"  # dcc.Store: what never changes while a worker lives

# Controls. An action's id is what `sensorbus.page.act` is called with.
PAUSE: Final = "pause"
UNIT: Final = "unit"
ZONE: Final = "zone"
THEME: Final = "theme"
SORT: Final = "sort"
EXPORT: Final = "export"
HELP: Final = "help"
LIVE: Final = "live"
TABLE: Final = "table"
RANGE_30_S: Final = "range-30"
RANGE_100_S: Final = "range-100"
RANGE_5_MIN: Final = "range-300"
RANGE_15_MIN: Final = "range-900"
RANGES: Final = (RANGE_30_S, RANGE_100_S, RANGE_5_MIN, RANGE_15_MIN)
ACTIONS: Final = (PAUSE, UNIT, ZONE, THEME, SORT, EXPORT, HELP, LIVE, TABLE, *RANGES)
FILTER: Final = "filter"  # the whole control; its button and list are built by filter.js

# Places that the scripts fill.
BANNER: Final = "banner"
PIPELINE: Final = "pipeline"
FLEET: Final = "fleet"
FIGURE: Final = "figure"
CAPTION: Final = "caption"
LEGEND: Final = "legend"
CHART: Final = "chart"
CHART_NOTE: Final = "chart-note"
CHART_SUMMARY: Final = "chart-summary"
CHART_TABLE: Final = "chart-table"
CARDS: Final = "cards"
CARDS_NOTE: Final = "cards-note"
EPISODES: Final = "episodes"
PAUSE_NOTE: Final = "pause-note"
EXPORT_NOTE: Final = "export-note"
NOTICE: Final = "notice"
ANNOUNCER: Final = "announcer"
HELP_DIALOG: Final = "help-dialog"
DEVICE: Final = "device"  # of the page of one device, as the next three
DEVICE_READINGS: Final = "device-readings"
DEVICE_READINGS_HEAD: Final = "device-readings-head"
DEVICE_ROWS: Final = "device-rows"
