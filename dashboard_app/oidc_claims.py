"""Who somebody is by the claims of an OpenID Connect token."""

from collections.abc import Mapping
from typing import Any

from dashboard_app.users import Role, User, is_name
from sensorbus.contract.settings import Settings


def user_of(claims: Mapping[str, Any], settings: Settings) -> User | None:
    """Return name and role; None for somebody without a role, or with a name that is none."""
    name, role = claims.get(settings.dashboard_oidc_name_claim) or claims.get("sub"), role_of(claims, settings)
    return User(name, role, "") if role and isinstance(name, str) and is_name(name) else None


def role_of(claims: Mapping[str, Any], settings: Settings) -> Role | None:
    """Return the role that the claim lists: one as text or several as a list; it may stand within another claim."""
    path = settings.dashboard_oidc_role_claim
    given: Any = claims
    for step in [path] if path in claims else path.split("."):
        given = given.get(step) if isinstance(given, Mapping) else None
    roles = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    if settings.dashboard_oidc_operator_role in roles:
        return "operator"
    return "viewer" if settings.dashboard_oidc_viewer_role in ("*", *roles) else None
