"""The page as it stands before any data: places and controls, no values.

What Dash lays out here stays empty or constant; the scripts in assets/ fill the places and Dash never draws them
again. Accessible names are fixed: people learn them and tests ask for them.
"""

from importlib import metadata
from typing import Any, Final

import dash_bootstrap_components as dbc
from dash import dcc, html
from dash.development.base_component import Component

from dashboard_app import empty_chart, ids, plain_pages, theme
from dashboard_app.bundles import Bundles
from dashboard_app.changes import MOST_ALERTS
from dashboard_app.held import SHOWN, TURN_DEVICES
from sensorbus.contract.settings import Settings

_RANGES: Final = (
    (ids.RANGE_30_S, "30 s"),
    (ids.RANGE_100_S, "100 s"),
    (ids.RANGE_5_MIN, "5 min"),
    (ids.RANGE_15_MIN, "15 min"),
)
_SHORTCUTS: Final = (
    ("Space", "pause or resume"),
    ("/", "choose devices"),
    ("t", "theme: system, light, dark"),
    ("u", "unit: °C, °F, K"),
    ("?", "this help"),
    ("Esc", "close what is open; back to live"),
    ("\N{LEFTWARDS ARROW} \N{RIGHTWARDS ARROW}", "on the chart: earlier, later"),
    ("+ \N{MINUS SIGN}", "on the chart: closer, wider"),
    ("0", "on the chart: back to live"),
)
#: Before Dash has loaded there is this page: the theme is set before the first paint, so nothing flashes.
_INDEX: Final = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="color-scheme" content="light dark">
<title>{%title%}</title>
<style>TOKENS</style>
<script src="THEME_SCRIPT"></script>
{%favicon%}
{%css%}
<link rel="stylesheet" href="STYLES">
<link rel="preload" as="fetch" href="PREFIX_dash-layout" crossorigin>
<link rel="preload" as="fetch" href="PREFIX_dash-dependencies" crossorigin>
</head>
<body>
{%app_entry%}
<noscript>Sensorbus draws in the browser and needs JavaScript.</noscript>
<footer>
{%config%}
{%scripts%}
<script src="SCRIPTS"></script>
{%renderer%}
</footer>
</body>
</html>"""


def index_string(prefix: str, files: Bundles) -> str:
    """Return Dash's index template with our colours, and the addresses of our files.

    What Dash's renderer asks for first is on its way while the scripts load.
    """
    places = {
        "TOKENS": theme.stylesheet(),
        "PREFIX": prefix,
        "THEME_SCRIPT": files.theme.address,
        "STYLES": files.styles.address,
        "SCRIPTS": files.scripts.address,
    }
    index = _INDEX
    for place, text in places.items():
        index = index.replace(place, text)
    return index


def build(settings: Settings) -> Component:
    """Return the page's layout."""
    return html.Div(
        [
            html.A("Skip to the devices", href=f"#{ids.CARDS}", className="skip"),
            *_stores(settings),
            html.Div([_header(settings), html.Div(id=ids.BANNER, className="banner", hidden=True)], className="top"),
            html.Section(id=ids.PIPELINE, className="pipeline", role="status", **_aria(label="Pipeline", live="off")),
            html.Main(
                dbc.Container(
                    [
                        html.Section(id=ids.FLEET, className="fleet", **_aria(label="Fleet")),
                        html.Section(
                            id=ids.DEVICE, className="device", hidden=True, tabIndex=-1, **_aria(label="Device")
                        ),
                        html.Div(id=ids.NOTICE, className="notice", hidden=True),
                        dbc.Row(
                            [dbc.Col(_chart(), lg=8, className="main-chart"), dbc.Col(_episodes(), lg=4)],
                            className="views",
                        ),
                        _device_readings(),
                        _cards(),
                    ],
                    fluid=True,
                )
            ),
            html.Div(id=ids.ANNOUNCER, className="visually-hidden", **_aria(live="polite", atomic="true")),
            _help(),
        ],
        id="page",
        className="page",
    )


def config(settings: Settings) -> dict[str, Any]:
    """Return what the scripts need to know of the settings; it never changes while a worker lives."""
    return {
        "version": metadata.version("sensorbus"),
        "prefix": settings.dashboard_url_prefix,
        "threshold_kelvin": settings.alert_threshold_kelvin,
        "turn_devices": TURN_DEVICES,
        "most_alerts": MOST_ALERTS,
        "alert_count_length_ms": settings.alert_count_length_ms,
        "alert_count_step_ms": settings.alert_count_step_ms,
        "avg_temp_length_ms": settings.avg_temp_length_ms,
        "avg_temp_step_ms": settings.avg_temp_step_ms,
        "avg_temp_grace_ms": settings.avg_temp_grace_ms,
        "reading_period_ms": settings.reading_period_ms,
        "history_ms": settings.dashboard_history_ms,
        "tick_ms": settings.dashboard_tick_ms,
        "kafka": settings.bootstrap_servers,
        "topics": {topic.name: settings.topic_name(topic) for topic in SHOWN},
    }


def _stores(settings: Settings) -> list[Component]:
    return [
        dcc.Interval(id=ids.TICK, interval=settings.dashboard_tick_ms),
        dcc.Store(id=ids.CURSOR, data={"cursor": None, "detail": None, "history": []}),
        dcc.Store(id=ids.DELTA),
        dcc.Store(id=ids.CONFIG, data=config(settings)),
    ]


def _header(settings: Settings) -> Component:
    account = html.A("Account", href=f"{settings.dashboard_url_prefix}{plain_pages.ACCOUNT}", className="button")
    return html.Header(
        [
            html.H1("Sensorbus"),
            html.Div(id=ids.FILTER, className="filter"),
            html.Div(
                [
                    html.Button(
                        html.Span("Pause", id=f"{ids.PAUSE}-word"), id=ids.PAUSE, className="button", type="button"
                    ),
                    _choice(ids.UNIT, "Unit"),
                    _choice(ids.ZONE, "Time zone"),
                    _choice(ids.THEME, "Theme"),
                    html.Button("Export CSV", id=ids.EXPORT, className="button", type="button"),
                    html.Button("?", id=ids.HELP, className="button", type="button", **_aria(label="Help")),
                    *([] if settings.dashboard_sign_in == "off" else [account]),
                    html.Span(id=ids.EXPORT_NOTE, className="export-note", role="status"),
                ],
                className="tools",
            ),
        ],
        className="header",
    )


def _choice(action: str, name: str) -> Component:
    """Return a button that steps through values: its name is constant, the value is its description."""
    return html.Button(
        [html.Span(name, className="choice-name"), html.Span(id=f"{action}-value", className="choice-value")],
        id=action,
        className="button choice",
        type="button",
        **_aria(label=name, describedby=f"{action}-value"),
    )


def _chart() -> Component:
    return html.Figure(
        [
            html.Div(
                [
                    html.Figcaption("Temperature, last 100 s", id=ids.CAPTION),
                    html.Span(id=ids.PAUSE_NOTE, className="pause-note"),
                    html.Button("Back to live", id=ids.LIVE, className="button chip", type="button", hidden=True),
                    html.Div(
                        [
                            html.Button(name, id=action, className="button", type="button", **_aria(pressed="false"))
                            for action, name in _RANGES
                        ],
                        className="ranges",
                        role="group",
                        **_aria(label="Range"),
                    ),
                ],
                className="figure-head",
            ),
            html.Div(id=ids.LEGEND, className="legend"),
            html.Div(
                dcc.Graph(id=ids.CHART, figure=empty_chart.figure(), config=empty_chart.GRAPH_CONFIG, className="plot"),
                className="plot-frame",
                **_aria(hidden="true"),
            ),
            html.P(id=ids.CHART_SUMMARY, className="visually-hidden"),
            html.Div(
                [
                    html.Span(id=ids.CHART_NOTE),
                    html.Button(
                        "Show as table", id=ids.TABLE, className="button link", type="button", **_aria(expanded="false")
                    ),
                ],
                className="figure-foot",
            ),
            html.Div(id=ids.CHART_TABLE, className="chart-table", hidden=True, tabIndex=0),
        ],
        id=ids.FIGURE,
        className="panel figure",
        tabIndex=0,
        **_aria(labelledby=ids.CAPTION, describedby=ids.CHART_SUMMARY),
    )


def _episodes() -> Component:
    return html.Section(
        [html.H2("Recent alerts", id="episodes-title"), html.Div(id=ids.EPISODES, className="episodes", tabIndex=0)],
        className="panel",
        **_aria(labelledby="episodes-title"),
    )


def _cards() -> Component:
    return html.Section(
        [
            html.Div(
                [
                    html.H2("By device", id="cards-title"),
                    html.Span(id=ids.CARDS_NOTE, className="quiet"),
                    _choice(ids.SORT, "Order"),
                ],
                className="cards-head",
            ),
            html.Div(id=ids.CARDS, className="cards", tabIndex=-1),
        ],
        className="cards-section",
        **_aria(labelledby="cards-title"),
    )


def _device_readings() -> Component:
    """Return the place of a device's readings: of the page of one device, which device.js makes of this one."""
    return html.Section(
        [
            html.Div(
                html.H2("Readings", id="device-readings-title"),
                id=ids.DEVICE_READINGS_HEAD,
                className="device-readings-head",
            ),
            html.Div(id=ids.DEVICE_ROWS, className="device-rows", tabIndex=0),
        ],
        id=ids.DEVICE_READINGS,
        className="panel device-readings",
        hidden=True,
        **_aria(labelledby="device-readings-title"),
    )


def _help() -> Component:
    rows = [html.Div([html.Dt(html.Kbd(key)), html.Dd(meaning)]) for key, meaning in _SHORTCUTS]
    return html.Dialog(
        [
            html.H2("Keyboard", id="help-title"),
            html.Dl(rows),
            html.P("Drag over the chart to zoom in, double click to come back. The address holds the view, no zoom."),
            html.Form(html.Button("Close", className="button", type="submit"), method="dialog"),
        ],
        id=ids.HELP_DIALOG,
        className="help",
        **_aria(labelledby="help-title"),
    )


def _aria(**values: str) -> dict[str, Any]:
    """Return aria-* attributes as keywords, which Python cannot spell."""
    return {f"aria-{name}": value for name, value in values.items()}
