"""Chromium for the tests: found on this machine, driven by Playwright.

Playwright's synchronous API keeps an event loop in the main thread while it runs, so it is opened per module and
closed at its end: other tests may need a loop of their own.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

#: The path of a Chromium, when it is not one of the known names on the PATH.
PATH_VARIABLE: Final = "SENSORBUS_TEST_CHROMIUM"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS: Final = (
    "--no-sandbox",  # containers run as root, where Chromium's sandbox refuses to start
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """Return the path of Chromium on this machine, or None."""
    return os.environ.get(PATH_VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)


def why_not() -> str | None:
    """Return why no browser can be started here, or None."""
    return None if executable() else f"a browser test needs one of {', '.join(_NAMES)}, or a path in {PATH_VARIABLE}"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium and close it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
