"""The page while a job is dead: its name is said, its numbers are not guessed."""

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Bus, Visit, keep, tell
from tests.support.axe import serious_faults
from tests.support.waiting import wait_until

_NOTHING: Final = "\N{EN DASH}"
_CELSIUS: Final = re.compile(r"^\d+\.\d °C$")
_SEEN_WITHIN_S: Final = 60.0


def _card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name, exact=True)


def _tell_until(bus: Bus, page: Page, seen: Locator) -> None:
    """Send a reading of a calm and one of a hot device every half second until something is seen."""

    def tell_and_look() -> bool:
        tell(bus, "calm", 20)
        tell(bus, "hot", 35)
        page.wait_for_timeout(500)
        return seen.is_visible()

    wait_until(tell_and_look, _SEEN_WITHIN_S, f"{seen} on the page", bus.dashboard.log)


def test_numbers_of_a_job_that_is_dead_are_not_shown_and_come_back_with_it(visit: Visit, bus: Bus) -> None:
    """First the averages, then the counts; a device without alerts has 0 while all jobs are alive."""
    count, average = bus.run("processors", "alert-count"), bus.run("processors", "avg-temp")
    with bus.run("processors", "alert"), count, average:
        page = visit().open("?devices=calm,hot")
        averages, alerts = (_card(page, "calm").locator(".average"), _card(page, "hot").locator(".alerts"))
        fault = page.locator(".link-fault")
        some = re.compile("^[1-9]")
        _tell_until(bus, page, averages.filter(has_text=_CELSIUS))
        _tell_until(bus, page, alerts.filter(has_text=some))
        expect(_card(page, "calm").locator(".alerts")).to_have_text("0")
        expect(fault).to_have_text("")

        average.stop()
        _tell_until(bus, page, fault.filter(has_text="job avg-temp does not follow sensor"))
        expect(averages).to_have_text(_NOTHING)
        expect(alerts).to_have_text(some)
        keep(page, "job-avg-temp-gone")
        assert serious_faults(page) == []
        average.start()
        _tell_until(bus, page, averages.filter(has_text=_CELSIUS))
        expect(fault).to_have_text("")

        count.stop()
        _tell_until(bus, page, fault.filter(has_text="job alert-count does not follow alert"))
        for name in ("calm", "hot"):
            expect(_card(page, name).locator(".alerts")).to_have_text(_NOTHING)
        expect(page.locator(".tile-alerts .tile-value")).to_have_text(_NOTHING)
        expect(averages).to_have_text(_CELSIUS)
        keep(page, "job-alert-count-gone")
        count.start()
        _tell_until(bus, page, alerts.filter(has_text=some))
        expect(fault).to_have_text("")
