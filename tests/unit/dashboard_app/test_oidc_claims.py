"""Names and roles out of claims."""

from typing import Any

import pytest

from dashboard_app.oidc_claims import role_of, user_of, why_nobody
from dashboard_app.users import User
from sensorbus.contract.settings import Settings


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"roles": ["sensorbus-viewer"]}, "viewer"),
        ({"roles": "sensorbus-operator"}, "operator"),
        ({"roles": ["sensorbus-viewer", "sensorbus-operator"]}, "operator"),
        ({"roles": ["sensorbus-viewers", 7, None, []]}, None),
        ({"roles": {"sensorbus-viewer": True}}, None),
        ({"roles": None}, None),
        ({}, None),
    ],
)
def test_a_role_is_one_word_or_one_of_a_list(claims: dict[str, Any], role: str | None) -> None:
    """Letter by letter; the larger of two counts, and anything else is none."""
    assert role_of(claims, Settings()) == role


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"a": {"b": ["sensorbus-viewer"]}}, "viewer"),
        ({"a.b": "sensorbus-operator", "a": {"b": ["sensorbus-viewer"]}}, "operator"),
        ({"a": ["b"]}, None),
        ({"a": None}, None),
    ],
)
def test_a_role_may_stand_within_a_claim(claims: dict[str, Any], role: str | None) -> None:
    """A claim whose own name has the dot goes before."""
    assert role_of(claims, Settings(dashboard_oidc_role_claim="a.b")) == role


def test_whoever_can_sign_in_may_be_a_viewer() -> None:
    """If the setting says so; operators are still those with the role."""
    open_to_all = Settings(dashboard_oidc_viewer_role="*")
    assert role_of({}, open_to_all) == "viewer"
    assert role_of({"roles": ["sensorbus-operator"]}, open_to_all) == "operator"
    assert role_of({"roles": ["*"]}, Settings()) is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "ann", "sub": "1"}, "ann"),
        ({"preferred_username": "", "sub": "1"}, "1"),
        ({"sub": "1"}, "1"),
        ({"preferred_username": "a\nb"}, None),
        ({"preferred_username": "a" * 129}, None),
        ({"preferred_username": ["ann"]}, None),
        ({}, None),
    ],
)
def test_a_name_is_a_line_of_text(claims: dict[str, Any], name: str | None) -> None:
    """The claim of the setting, else the subject; what is no name is nobody."""
    user = user_of({"roles": "sensorbus-viewer", **claims}, Settings())
    assert user == (User(name, "viewer", "") if name else None)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        (
            {"sub": "1", "name": "Ann"},
            "no claim roles (SENSORBUS_DASHBOARD_OIDC_ROLE_CLAIM); it has ['name', 'sub']",
        ),
        ({"roles": ["a\nb"]}, "has neither sensorbus-viewer nor sensorbus-operator; it has ['a\\nb']"),
        ({"roles": "staff"}, "has neither sensorbus-viewer nor sensorbus-operator; it has ['staff']"),
        ({"roles": {"sensorbus-viewer": 1}}, "is neither a text nor a list (SENSORBUS_DASHBOARD_OIDC_ROLE_CLAIM)"),
        ({"roles": "sensorbus-viewer", "sub": ""}, "no name of 1 to 128 printable"),
    ],
)
def test_why_somebody_is_nobody_is_told_to_who_sets_it_up(claims: dict[str, Any], why: str) -> None:
    """The setting, and what the provider sent in its place; a line of the log whatever is in it."""
    assert user_of(claims, Settings()) is None
    assert why in why_nobody(claims, Settings())


def test_the_log_does_not_fill_with_the_groups_of_one_person() -> None:
    """200 characters of them are enough."""
    said = why_nobody({"roles": [f"group-{number}" for number in range(10_000)]}, Settings())
    assert said.endswith("...")
    assert len(said) < 400
