"""The names that both sides use.

One of each, all of them in the layout, all of them known to the scripts.
"""

import re
from pathlib import Path
from typing import Final

import dashboard_app
from dashboard_app import ids, layout
from sensorbus.contract.settings import Settings

_SCRIPTS: Final = Path(dashboard_app.__file__).parent / "assets"
_NAMES: Final = {name: value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str)}


def _in_layout() -> set[str]:
    page = layout.build(Settings())
    below = page._traverse_ids()  # type: ignore[no-untyped-call]  # Dash publishes no type of it
    return {part.id for part in [page, *below]}


def test_every_name_is_used_once() -> None:
    """Two places of one name would draw into each other."""
    assert len(set(_NAMES.values())) == len(_NAMES)


def test_every_name_stands_in_the_layout() -> None:
    """A name without a place is a leftover."""
    assert set(_NAMES.values()) <= _in_layout()


def test_the_scripts_fill_only_what_stands_in_the_layout() -> None:
    """`dom.by("...")` finds its element."""
    asked = set()
    for script in _SCRIPTS.rglob("*.js"):
        asked |= set(re.findall(r'dom\.by\("([a-z-]+)"\)', script.read_text(encoding="utf-8")))
    assert asked
    assert asked <= _in_layout()
