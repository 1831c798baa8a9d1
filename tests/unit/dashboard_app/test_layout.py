"""The page before any data: names that people and tests rely on."""

from typing import Any

from dashboard_app import bundles, ids, layout
from sensorbus.contract.settings import Settings


def _parts(**settings: Any) -> dict[str, Any]:
    page = layout.build(Settings(**settings))
    below = page._traverse_ids()  # type: ignore[no-untyped-call]  # Dash publishes no type of it
    return {part.id: part for part in below}


def test_the_names_that_assistive_technology_says_are_fixed() -> None:
    """UX: they are learnt by people and asked for by tests."""
    parts = _parts()
    assert "H1('Sensorbus')" in repr(layout.build(Settings()))
    strip = parts[ids.PIPELINE].to_plotly_json()["props"]
    assert (strip["role"], strip["aria-label"], strip["aria-live"]) == ("status", "Pipeline", "off")
    assert parts[ids.CAPTION].children == "Temperature, last 100 s"
    assert parts[ids.FIGURE].to_plotly_json()["props"]["aria-labelledby"] == ids.CAPTION
    assert parts[f"{ids.PAUSE}-word"].children == "Pause"
    assert parts[ids.EXPORT].children == "Export CSV"
    names = {action: parts[action].to_plotly_json()["props"]["aria-label"] for action in (ids.UNIT, ids.THEME)}
    assert names == {ids.UNIT: "Unit", ids.THEME: "Theme"}


def test_the_page_asks_as_often_as_the_setting_says_and_starts_without_a_cursor() -> None:
    """The interval is the only clock of the page."""
    parts = _parts(dashboard_tick_ms=250)
    assert parts[ids.TICK].interval == 250
    assert parts[ids.CURSOR].data == {"cursor": None, "detail": None, "history": []}


def test_the_config_tells_the_scripts_the_settings_and_no_secret() -> None:
    """Numbers with their unit in the name; the topics as they are on the cluster."""
    config = _parts(topic_prefix="x-", alert_threshold_kelvin=310, kafka_options={"sasl.password": "hush"})[ids.CONFIG]
    assert config.data["threshold_kelvin"] == 310
    assert config.data["topics"]["alert-count"] == "x-alert-count"
    assert "hush" not in str(config.data)


def test_the_index_sets_the_theme_before_anything_is_painted() -> None:
    """The colours and the theme's script stand in the head, without inline script."""
    files = bundles.build("/")
    index = layout.index_string("/", files)
    head = index[: index.index("</head>")]
    assert head.index("<style>") < head.index(f'<script src="{files.theme.address}"></script>') < head.index("{%css%}")
    assert head.index("{%css%}") < head.index(f'<link rel="stylesheet" href="{files.styles.address}">')
    for path in ("/_dash-layout", "/_dash-dependencies"):
        assert f'<link rel="preload" as="fetch" href="{path}" crossorigin>' in head
    script = index.index(f'<script src="{files.scripts.address}"></script>')
    assert index.index("{%scripts%}") < script < index.index("{%renderer%}")
    assert index.count("<script") == 2
    for place in ("{%metas%}", "{%app_entry%}", "{%config%}", "{%scripts%}", "{%renderer%}"):
        assert index.count(place) == 1
