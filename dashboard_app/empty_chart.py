"""The chart as it is before any data: data in, figure out, once per page load.

Everything that moves is drawn by assets/page/chart.js into the same plot; a figure built on a tick costs a hundred
times what the tick costs.
"""

from typing import Any, Final

from dash import dcc

#: dcc.Graph's config: our own buttons instead of the mode bar, drag to zoom, double click to return.
GRAPH_CONFIG: Final[dcc.Graph.Config] = {
    "displayModeBar": False,
    "displaylogo": False,
    "doubleClick": False,
    "responsive": True,
    "scrollZoom": False,
    "showTips": False,
}


def figure() -> dict[str, Any]:
    """Return the figure of a chart without data: transparent, no text, axes without labels."""
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    return {
        "data": [],
        "layout": {
            "autosize": True,
            "margin": {"l": 52, "r": 12, "t": 8, "b": 32},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "showlegend": False,
            "xaxis": axis,
            "yaxis": axis,
        },
    }
