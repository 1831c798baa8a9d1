"""The table of services.

How they are run is shown in tests/integration/test_services.py.
"""

import signal

import pytest

from sensorbus import services
from sensorbus.services import SERVICES, Service


def test_the_services_stand_in_the_order_of_the_data() -> None:
    """Who writes a topic stands before who reads it, so stopping in reverse loses nothing on its way."""
    assert [service.name for service in SERVICES] == ["simulator", "alert", "alert-count", "avg-temp", "dashboard"]


def test_a_service_is_a_module_and_its_arguments() -> None:
    """The same words for a child process, for compose and for Kubernetes."""
    service = Service(name="x", module="processors", arguments=("avg-temp",))
    assert service.command() == ["python", "-m", "processors", "avg-temp"]
    assert service.command("/opt/python") == ["/opt/python", "-m", "processors", "avg-temp"]


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "exit code 0"), (1, "exit code 1"), (-signal.SIGKILL, "signal SIGKILL"), (-signal.SIGSEGV, "signal SIGSEGV")],
)
def test_an_ending_is_told_in_words(code: int, said: str) -> None:
    """A signal by its name."""
    assert services._ending(code) == said
