"""What several of the page's unit tests start with."""

from collections.abc import Iterator

import pytest

from tests.support.worker_scene import Scene


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give a worker with one connection."""
    made = Scene()
    yield made
    made.close()
