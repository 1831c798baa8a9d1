"""What a member's transactions are called, by real processes and real locks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processors import lasting_name
from processors.lasting_name import name_of

TELL_AND_WAIT = """
import sys
from pathlib import Path
from processors.lasting_name import name_of
print(name_of(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


class Process:
    """Another process that works in a folder."""

    def __init__(self, folder: Path) -> None:
        """Start it, and hear what it is called."""
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", TELL_AND_WAIT, folder], stdin=pipe, stdout=pipe, text=True
        )
        assert self.process.stdout is not None
        self.name = self.process.stdout.readline().strip()

    def kill(self) -> str:
        """Kill it as by kill -9, and return what it was called."""
        self.process.kill()
        self.process.communicate()
        return self.name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder of a state that is not there yet."""
    return tmp_path / "alert" / "sensorbus.alert"


def test_the_next_life_has_the_same_name(folder: Path) -> None:
    """Kafka then knows that the last one is dead."""
    assert Process(folder).kill() == Process(folder).kill() != ""


def test_a_second_process_in_a_folder_has_another_name(folder: Path) -> None:
    """Two with the same would end each other's transactions; who is left keeps its own."""
    first, second = Process(folder), Process(folder)
    assert first.name != second.name
    assert second.kill() not in {first.kill(), Process(folder).kill()}


def test_a_copy_of_a_folder_has_another_name(folder: Path, tmp_path: Path) -> None:
    """Whoever copies a state to another disk or another member does not end the first one's transactions."""
    name = Process(folder).kill()
    shutil.copytree(folder, tmp_path / "copy")
    assert Process(tmp_path / "copy").kill() != name


def test_another_start_of_the_machine_is_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another machine may have the same number; no transaction is older than a start."""
    monkeypatch.setattr(lasting_name, "boot_id", lambda: "another")
    assert name_of(folder) != Process(folder).kill()


def test_a_process_has_one_name_however_often_it_begins(folder: Path) -> None:
    """It begins again when Kafka was not there the first time."""
    assert name_of(folder) == name_of(folder)


def test_a_folder_that_cannot_be_is_named(folder: Path) -> None:
    """Whoever reads the line knows where to look."""
    folder.parent.mkdir()
    folder.touch()
    with pytest.raises(OSError, match=str(folder)):
        name_of(folder)
