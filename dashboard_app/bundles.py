"""The page's own scripts and styles, each as one file.

A browser asks a host for six files at a time: forty small ones take it and the worker longer than what is in them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from flask import Flask, Response

FOLDER: Final = Path(__file__).with_name("assets")
#: What Dash shall not put into the page by itself.
IGNORED_FOLDERS: Final = ("^(model|page|style)$",)
IGNORED_FILES: Final = r"^(dom|theme_boot)\.js$"
_ENDINGS: Final = {"text/javascript": "js", "text/css": "css"}
_THEME: Final = ("theme_boot.js",)
_SCRIPTS: Final = ("dom.js", "model/*.js", "page/*.js")
_STYLES: Final = ("style/*.css",)


class Bundle(NamedTuple):
    """A file as it is served; its path holds the version, so that a worker of another one has no such file."""

    path: str
    content_type: str
    text: str

    @property
    def address(self) -> str:
        """Return the path as the page names it: `m` tells that browsers may keep it for ever (compression.py)."""
        return f"{self.path}?m=1"


class Bundles(NamedTuple):
    """What the page's index names; the theme's script stands in its head, before anything is painted."""

    theme: Bundle
    styles: Bundle
    scripts: Bundle


def build(prefix: str, folder: Path = FOLDER) -> Bundles:
    """Return the bundles of a folder, whose addresses begin with `prefix`."""
    base = f"{prefix}assets/"
    return Bundles(
        theme=_bundle(base, "theme", "text/javascript", _joined(folder, _THEME)),
        styles=_bundle(base, "styles", "text/css", _joined(folder, _STYLES)),
        scripts=_bundle(base, "scripts", "text/javascript", _joined(folder, _SCRIPTS)),
    )


def serve(server: Flask, bundles: Bundles) -> None:
    """Let the server answer for them."""
    for bundle in bundles:

        def answer(bundle: Bundle = bundle) -> Response:
            return Response(bundle.text, content_type=f"{bundle.content_type}; charset=utf-8")

        server.add_url_rule(bundle.path, bundle.path, answer)


def _bundle(base: str, name: str, content_type: str, text: str) -> Bundle:
    version = hashlib.blake2s(text.encode(), digest_size=6).hexdigest()
    return Bundle(f"{base}{name}-{version}.{_ENDINGS[content_type]}", content_type, text)


def _joined(folder: Path, patterns: Sequence[str]) -> str:
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
