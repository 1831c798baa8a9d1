"""Small pages around the sign-in, without a script.

Who you are, signed out, refused.
"""

from typing import Final

from flask import Response, request
from markupsafe import Markup

from dashboard_app import theme
from dashboard_app.users import Role

#: Behind the prefix: who you are, and the end of it.
ACCOUNT: Final = "account"
SIGN_OUT: Final = "sign-out"
_STYLE: Final = (
    "body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.5 system-ui,sans-serif}"
    "main{max-width:34rem;margin:12vh auto;padding:0 1.5rem}h1{font-size:1.5rem}a{color:var(--accent)}"
    "button{font:inherit;padding:.3rem 1rem;border:1px solid var(--line-strong);border-radius:7px;"
    "background:var(--surface-raised);color:inherit;cursor:pointer}"
    ":focus-visible{outline:2px solid var(--accent);outline-offset:2px}"
)
_PAGE: Final = Markup(
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>{title} - Sensorbus</title>'
    "<style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)
_PARAGRAPH: Final = Markup("<p>{}</p>")
_LINK: Final = Markup('<p><a href="{}">{}</a></p>')
_SIGN_OUT: Final = Markup('<form method="post" action="{}"><button type="submit">Sign out</button></form>')
_MAY: Final = {
    "viewer": "A viewer sees everything and changes nothing.",
    "operator": "An operator may change what the page lets people change; today the page only shows.",
}


def account(name: str, role: Role, home: str, sign_out: str | None) -> Response:
    """Return the page that says who is signed in; `home` and `sign_out` are addresses, None: not ours to end."""
    said = (f"You are signed in as {name}, with the role {role}.", _MAY[role])
    return page(200, "Account", said, home, sign_out=sign_out)


def is_for_a_person() -> bool:
    """Tell whether a browser opens an address: a program, and a script of the page, is answered in JSON."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def page(status: int, title: str, said: tuple[str, ...], home: str, *, sign_out: str | None = None) -> Response:
    """Return a page of these paragraphs with a link to the page itself; the text is escaped."""
    body = Markup("").join(_PARAGRAPH.format(text) for text in said) + _LINK.format(home, "To the page")
    if sign_out:
        body += _SIGN_OUT.format(sign_out)
    style = Markup(theme.stylesheet() + _STYLE)  # noqa: S704  # constants of ours
    answer = Response(
        _PAGE.format(title=title, style=style, body=body), status, content_type="text/html; charset=utf-8"
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
