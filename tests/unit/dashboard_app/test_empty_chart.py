"""The chart before any data."""

from dashboard_app import empty_chart


def test_the_empty_chart_has_no_data_and_no_ground_of_its_own() -> None:
    """Nothing of it shows before the first answer, in any theme."""
    chart = empty_chart.figure()
    assert chart["data"] == []
    assert chart["layout"]["paper_bgcolor"] == chart["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"


def test_each_call_gives_a_figure_of_its_own() -> None:
    """Dash may change what it is given; another page must not see it."""
    empty_chart.figure()["data"].append("changed")
    assert empty_chart.figure()["data"] == []
