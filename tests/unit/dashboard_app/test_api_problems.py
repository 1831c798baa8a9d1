"""Problem details as they are sent."""

from dashboard_app import api_problems


def test_a_problem_names_the_parameter_and_the_way_out() -> None:
    """RFC 9457's fields, and ours."""
    answer = api_problems.response(api_problems.stale_cursor("the row is gone"))
    assert answer.content_type == "application/problem+json"
    assert answer.json == {
        "type": "urn:sensorbus:problem:stale-cursor",
        "title": "Bad Request",
        "status": 400,
        "detail": "the row is gone; start again without `cursor`",
        "parameter": "cursor",
    }


def test_headers_say_when_and_how_to_ask_again() -> None:
    """503 has Retry-After, 405 has Allow."""
    assert api_problems.response(api_problems.catching_up("late")).headers["Retry-After"] == "1"
    refused = api_problems.response(api_problems.ProblemError(405, "only GET"))
    assert refused.headers["Allow"] == "GET, HEAD"
