"""axe-core's judgement of a page."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.needs import need

_SCRIPT: Final = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
_PHONE: Final[Any] = {"width": 360, "height": 780}
_SETTLED_MS: Final = 400  # colours fade, charts are drawn anew


def serious_faults(page: Page, *, has_script: bool = True) -> list[str]:
    """Return the serious and critical faults, light and dark, wide and at 360 px, each with the first that has it.

    What scrolls sideways on the phone is one too. The page is light and as wide as before at the end. One without a
    script of ours says nowhere which theme it has.
    """
    wide: Any = page.viewport_size
    page.evaluate(_script())
    faults: list[str] = []
    for size in (_PHONE, wide):
        page.set_viewport_size(size)
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_timeout(_SETTLED_MS)
            assert page.evaluate("document.documentElement.dataset.theme") == (theme if has_script else None)
            faults += [f"{theme}, {size['width']} px: {fault}" for fault in _faults(page)]
    return faults


@cache
def _script() -> str:
    need(None if _SCRIPT.exists() else "axe-core is missing; `npm ci --prefix tests/js` brings it")
    return _SCRIPT.read_text(encoding="utf-8")


def _faults(page: Page) -> list[str]:
    report: dict[str, Any] = page.evaluate("axe.run()")
    assert len(report["passes"]) > 5, "axe looked at nothing"
    sideways = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return ["it scrolls sideways"] * sideways + [
        f"{fault['id']}: {fault['nodes'][0]['target']} {fault['nodes'][0]['failureSummary']}"
        for fault in report["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
