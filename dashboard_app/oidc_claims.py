"""Who somebody is by the claims of an OpenID Connect token."""

from collections.abc import Mapping
from typing import Any, Final

from dashboard_app.users import Role, User, is_name
from sensorbus.contract.settings import Settings, variable_name

_MOST_SHOWN: Final = 200  # characters of a list of names that is logged


def user_of(claims: Mapping[str, Any], settings: Settings) -> User | None:
    """Return name and role; None for somebody without a role, or with a name that is none."""
    name, role = claims.get(settings.dashboard_oidc_name_claim) or claims.get("sub"), role_of(claims, settings)
    return User(name, role, "") if role and isinstance(name, str) and is_name(name) else None


def role_of(claims: Mapping[str, Any], settings: Settings) -> Role | None:
    """Return the role that the claim lists: one as text or several as a list; it may stand within another claim."""
    roles = _listed(_given(claims, settings.dashboard_oidc_role_claim)) or []
    if settings.dashboard_oidc_operator_role in roles:
        return "operator"
    return "viewer" if settings.dashboard_oidc_viewer_role in ("*", *roles) else None


def why_nobody(claims: Mapping[str, Any], settings: Settings) -> str:
    """Return why `user_of` found nobody, for who sets roles up: names of claims and of roles, and no other value."""
    if role_of(claims, settings):
        return f"no name of 1 to 128 printable characters ({variable_name('dashboard_oidc_name_claim')})"
    path, variable = settings.dashboard_oidc_role_claim, variable_name("dashboard_oidc_role_claim")
    given = _given(claims, path)
    if given is None:
        return f"the token has no claim {path} ({variable}); it has {_shown(sorted(claims))}"
    roles = _listed(given)
    if roles is None:
        return f"claim {path} of the token is neither a text nor a list ({variable})"
    wanted = f"{settings.dashboard_oidc_viewer_role} nor {settings.dashboard_oidc_operator_role}"
    return f"claim {path} ({variable}) has neither {wanted}; it has {_shown(roles)}"


def _given(claims: Mapping[str, Any], path: str) -> Any:
    """Return what stands in a claim, or in one within another."""
    given: Any = claims
    for step in [path] if path in claims else path.split("."):
        given = given.get(step) if isinstance(given, Mapping) else None
    return given


def _listed(given: Any) -> list[Any] | None:
    """Return what a claim lists, None where it is neither a text nor a list."""
    return [given] if isinstance(given, str) else given if isinstance(given, list) else None


def _shown(names: list[Any]) -> str:
    """Return names for a line of the log, whatever is in them."""
    text = ascii(names)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
