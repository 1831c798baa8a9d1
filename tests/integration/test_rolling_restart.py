"""Two pages behind nginx, of which one after the other is started anew.

While 200 browsers tick once a second: no request fails.
"""

import logging
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.support import nginx
from tests.support.certificates import Authority
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.load import Load, Way
from tests.support.needs import need
from tests.support.nginx import Nginx
from tests.support.waiting import wait_until

BROWSERS: Final = 200
PERIOD_S: Final = 1.0
#: As long as nginx waits. What comes to a page that starts is answered when its workers run, late on a busy machine.
ANSWERED_WITHIN_S: Final = 30.0
PREFIX: Final = "/temperature/"

_log = logging.getLogger(__name__)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass
class Site:
    """Two pages that run, and the way to them."""

    pages: list[Dashboard]
    way: Way


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give two pages of two workers each behind nginx, with 200 readings of 20 devices."""
    need(nginx.why_not())
    authority = Authority(tmp_path)
    with ExitStack() as stack:
        settings = stack.enter_context(fed_bus(tmp_path, 200, devices=20))
        pages = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            page = dashboard(settings, tmp_path / name, dashboard_url_prefix=PREFIX, dashboard_workers=2)
            stack.enter_context(page.part)
            pages.append(page)
        for page in pages:
            page.wait_ready()
        ports = [page.settings.dashboard_port for page in pages]
        proxy = stack.enter_context(Nginx(tmp_path, authority.issue("localhost"), *ports))
        trust = ssl.create_default_context(cafile=str(authority.certificate))
        yield Site(pages, Way(proxy.port, PREFIX, trust, ANSWERED_WITHIN_S))


def restart(page: Dashboard) -> None:
    """Stop a page as a process manager does, and wait until the next is ready."""
    page.part.stop(within_s=5)
    page.part.start()
    page.wait_ready()


def reload(page: Dashboard) -> None:
    """Send SIGHUP, and wait for other workers."""
    before = page.worker_pids()
    page.part.signal(signal.SIGHUP)
    wait_until(partial(all_replaced, page, before), 30, "other workers", page.part.log)
    page.wait_ready()


def kill_a_worker(page: Dashboard) -> None:
    """Kill -9 one of two, and wait for another."""
    before = page.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: set(page.worker_pids()) - set(before), 10, "another worker", page.part.log)
    page.wait_ready()


def all_replaced(page: Dashboard, before: list[int]) -> bool:
    """Tell whether there are as many workers as before, and none of them."""
    now = page.worker_pids()
    return len(now) == len(before) and not set(now) & set(before)


@pytest.mark.embedded
@pytest.mark.parametrize("change", [restart, reload, kill_a_worker])
def test_what_happens_to_a_page_fails_no_request(site: Site, change: Callable[[Dashboard], None]) -> None:
    """One page after the other, twice; no browser even sends a tick again."""
    with Load(site.way, BROWSERS, PERIOD_S) as load:
        for page in (*site.pages, *site.pages):
            load.wait_for_answers(BROWSERS, log=page.part.log)
            change(page)
        load.wait_for_answers(BROWSERS)
    _log.info("%s", load.outcome)
    assert (load.outcome.failures, load.outcome.sent_again, load.outcome.refused) == ([], 0, 0)
    assert not any("Traceback" in page.part.said() for page in site.pages)
