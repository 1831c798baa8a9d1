"""Each module has its unit test, or stands here with the test that runs it."""

from pathlib import Path

import pytest

from tests.support.sources import REPOSITORY, Module, modules

UNIT_TESTS = REPOSITORY / "tests" / "unit"
#: What is nothing without a process or a socket, and what runs it.
RUN_BY = {
    "sensorbus.__main__": "tests/integration/test_command.py",
    "sensorbus.runtime.gateway": "tests/integration/test_gateway.py",
    "sensorbus.runtime.listener": "tests/integration/test_secure_kafka.py",
    "processors.embedded": "tests/integration/test_jobs.py",
    "dashboard_app.gunicorn_conf": "tests/integration/test_gunicorn_life.py",
    "dashboard_app.oidc": "tests/integration/test_oidc.py",
    "dashboard_app.oidc_sign_in": "tests/integration/test_oidc.py",
    "dashboard_app.wsgi": "tests/integration/test_dashboard.py",
}


def unit_test_of(module: Module) -> Path:
    """Return where a module's unit test stands: the same folders, the same name."""
    place = module.path.relative_to(REPOSITORY)
    return UNIT_TESTS / place.parent / f"test_{place.stem.strip('_')}.py"


SHIPPED = [module for module in modules() if module.path.name != "__init__.py"]


@pytest.mark.parametrize("module", SHIPPED, ids=lambda module: module.name)
def test_a_module_has_its_unit_test_or_is_run_by_another(module: Module) -> None:
    """Who changes a module finds its tests by its name."""
    assert unit_test_of(module).is_file() or (REPOSITORY / RUN_BY.get(module.name, "missing")).is_file()


def test_a_unit_test_is_of_a_module() -> None:
    """The folders mirror the packages; a test of what is gone goes too."""
    wanted = {unit_test_of(module) for module in SHIPPED}
    assert [str(path.relative_to(REPOSITORY)) for path in UNIT_TESTS.rglob("test_*.py") if path not in wanted] == []


def test_the_list_names_modules_that_have_no_unit_test() -> None:
    """A module that was moved, or has got its unit test, is not listed for ever."""
    assert {module.name for module in SHIPPED if not unit_test_of(module).is_file()} == set(RUN_BY)
