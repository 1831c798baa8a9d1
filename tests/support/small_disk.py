"""A disk that is full soon."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.needs import need


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    """Make a folder that is a disk of so many MB; mounting one takes root."""
    folder.mkdir(parents=True)
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        need("a small disk needs the right to mount one")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until the disk is full, and return it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(itertools.repeat(bytes(4_096)))
    return ballast
