"""The description is valid and says what the table says."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from dashboard_app.api_openapi import description
from dashboard_app.api_table import ROUTES


def test_the_description_is_valid_openapi() -> None:
    """Of version 3.1, by a validator that others keep."""
    told = description("/x/", "1.2.3")
    OpenAPIV31SpecValidator(told).validate()
    assert (told["openapi"], told["servers"]) == ("3.1.0", [{"url": "/x/api/v1"}])


def test_every_route_and_parameter_is_described() -> None:
    """And no other."""
    paths = description("/", "1")["paths"]
    told = {path: [one["name"] for one in item["get"]["parameters"]] for path, item in paths.items()}
    assert told == {route.path: [one.name for one in route.parameters] for route in ROUTES}
    assert all(one["get"]["operationId"] for one in paths.values())
