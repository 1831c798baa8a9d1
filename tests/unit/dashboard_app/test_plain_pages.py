"""The small pages around the sign-in."""

import pytest

from dashboard_app import plain_pages
from dashboard_app.users import Role


@pytest.mark.parametrize(("role", "may"), [("viewer", "changes nothing"), ("operator", "may change")])
def test_the_account_page_says_name_and_role(role: Role, may: str) -> None:
    """And what the role is good for; nobody keeps a copy of it."""
    answer = plain_pages.account("ann", role, "/x/", None)
    assert f"signed in as ann, with the role {role}." in answer.get_data(as_text=True)
    assert may in answer.get_data(as_text=True)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_a_name_is_text_and_nothing_else() -> None:
    """Whatever characters a provider or a proxy hands on."""
    text = plain_pages.account("<script>alert(1)</script>&{0}", "viewer", '/"><b>/', None).get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;{0}" in text
    assert "<b>" not in text


def test_signing_out_is_a_form_where_it_is_ours() -> None:
    """A proxy and a browser's own password dialog end their sessions themselves."""
    assert 'method="post" action="/x/sign-out"' in plain_pages.account("ann", "viewer", "/x/", "/x/sign-out").get_data(
        as_text=True
    )
    assert "<form" not in plain_pages.account("ann", "viewer", "/x/", None).get_data(as_text=True)


def test_there_is_no_script() -> None:
    """The page's policy would not run it."""
    assert "<script" not in plain_pages.page(403, "No access", ("Why.",), "/", sign_out="/sign-out").get_data(
        as_text=True
    )
