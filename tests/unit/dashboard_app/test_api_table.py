"""The table of routes."""

from dashboard_app.api_table import ROUTES


def test_routes_have_a_name_and_a_path_of_their_own() -> None:
    """Both are keys elsewhere."""
    assert len({route.path for route in ROUTES}) == len({route.name for route in ROUTES}) == len(ROUTES)


def test_every_route_with_rows_has_a_limit() -> None:
    """Its default is within its bounds."""
    for route in ROUTES:
        bounds = [one.schema for one in route.parameters if one.name == "limit"]
        assert len(bounds) == bool(route.default_limit)
        assert all(one["default"] == route.default_limit <= one["maximum"] for one in bounds)
