"""A name that a member without an instance id has again in its next life.

The next life's transactions are then Kafka's sign that the last one is dead: its open transaction ends at once, where
a name that nobody takes again is given up after 10 to 20 s, and `read_committed` readers wait for that.
"""

import fcntl
import functools
import os
import uuid
from pathlib import Path
from typing import Final

from processors.committed import boot_id

_FILE: Final = "member.lock"


@functools.cache
def name_of(folder: Path) -> str:
    """Return a name for what this process does in a folder of its state; raises `OSError` naming the file.

    It belongs to the lock on a file there, which the process holds until it dies: who comes next in the same folder has
    the same name, unless the machine was started again. A second process there, or one with a copy of the folder, has
    another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process works here, or this file system knows no locks
        os.close(lock)
        return str(uuid.uuid4())
    held = os.fstat(lock)
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{boot_id()} {held.st_dev} {held.st_ino}"))
