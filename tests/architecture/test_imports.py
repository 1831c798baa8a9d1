"""Imports go down only.

Contract, runtime, then the command on one side and the parts on the other.
"""

import subprocess
import sys

import pytest

from tests.support.sources import PACKAGES, REPOSITORY, Module, modules

PARTS = ("simulator", "processors", "dashboard_app")
#: What the files of `sensorbus/` beside contract and runtime may import of each other, from the bottom up.
BUS_LAYERS = (
    {"sensorbus.broker", "sensorbus.services", "sensorbus.records", "sensorbus.source"},
    {"sensorbus.reading"},
    {"sensorbus.progress"},
    {"sensorbus.expectation"},
    {"sensorbus.history", "sensorbus.comparison", "sensorbus.count_sequence", "sensorbus.bounds"},
    {"sensorbus.up", "sensorbus.doctor", "sensorbus.verify", "sensorbus.dead_letters"},
    {"sensorbus.cli"},
    {"sensorbus.__main__"},
)
#: Imports the named modules one by one and ends with the first that did something.
PROBE = """
import importlib, os, sys, threading
sys.modules["hypothesis"] = None  # as where only `make up` has run: kio tells it of its types where it is installed
for name in sys.argv[1:]:
    before = set(os.listdir("."))
    importlib.import_module(name)
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    made = sorted(set(os.listdir(".")) - before)
    if threads or made:
        sys.exit(f"{name}: threads {threads}, files {made}")
"""


def is_within(name: str, *packages: str) -> bool:
    """Tell whether a module is one of the packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def strays(module: Module, *allowed: str) -> list[str]:
    """Return what a module imports of ours beyond the allowed packages."""
    return sorted(name for name in module.our_imports() if not is_within(name, *allowed))


def test_contract_imports_nothing_of_ours_but_itself() -> None:
    """Messages, topics, units, settings and errors stand at the bottom."""
    assert {m.name: strays(m, "sensorbus.contract") for m in modules("sensorbus/contract")} == {
        m.name: [] for m in modules("sensorbus/contract")
    }


def test_errors_import_nothing_of_ours_at_all() -> None:
    """The family of errors can be raised from anywhere."""
    errors = next(module for module in modules("sensorbus/contract") if module.name.endswith(".errors"))
    assert errors.our_imports() == set()


def test_runtime_imports_the_contract_only() -> None:
    """Kafka clients, logs, metrics and health know no part and no command."""
    wrong = {m.name: strays(m, "sensorbus.contract", "sensorbus.runtime") for m in modules("sensorbus/runtime")}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_the_bus_imports_downwards() -> None:
    """The broker and records come first, then what verify expects, then up, doctor, verify, then the command."""
    wrong = {}
    allowed = ["sensorbus.contract", "sensorbus.runtime"]
    for layer in BUS_LAYERS:
        for module in modules("sensorbus"):
            if module.name in layer and (names := strays(module, *allowed)):
                wrong[module.name] = names
        allowed += sorted(layer)
    assert wrong == {}


def test_every_file_of_the_bus_has_a_place_in_its_order() -> None:
    """A new file in sensorbus/ is put into contract, runtime or a row of BUS_LAYERS."""
    placed = {"sensorbus", *set().union(*BUS_LAYERS)}
    found = {m.name for m in modules("sensorbus") if not is_within(m.name, "sensorbus.contract", "sensorbus.runtime")}
    assert found == placed


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_itself_the_contract_and_the_runtime_only(part: str) -> None:
    """No part imports another one, nor what runs it."""
    wrong = {module.name: strays(module, part, "sensorbus.contract", "sensorbus.runtime") for module in modules(part)}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_nothing_that_is_shipped_imports_tests() -> None:
    """The wheel holds the four packages only."""
    assert [module.name for module in modules() if any(is_within(name, "tests") for name in module.our_imports())] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_does_no_work(package: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a fresh interpreter, no module of a package starts a thread, writes a file or prints when imported."""
    # wsgi and gunicorn_conf are what gunicorn imports in order to do work; a __main__ runs by being named.
    names = [m.name for m in modules(package) if not m.name.endswith(("__main__", ".wsgi", ".gunicorn_conf"))]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE, *names],
        cwd=tmp_path_factory.mktemp("empty"),
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
