"""Only a kill leaves a trace, and the next life reads with care then."""

from pathlib import Path

import pytest

from processors import lives
from sensorbus.contract.settings import Settings


def test_only_a_kill_leaves_a_trace(tmp_path: Path) -> None:
    """Beside the state; a second kill after a first is one too."""
    settings = Settings(state_dir=tmp_path)
    first = lives.Life(settings, "alert")
    assert first.begin() is None
    first.close()
    first.close()
    assert lives.Life(settings, "alert").begin() is None
    for _ in range(2):
        assert lives.Life(settings, "alert").begin() is not None
    assert lives.Life(settings, "avg-temp").begin() is None


def test_a_file_that_stays_hides_no_error(tmp_path: Path) -> None:
    """Of a job that ends because its disk fails: that one is to be told."""
    settings = Settings(state_dir=tmp_path)
    life = lives.Life(settings, "alert")
    life.begin()
    (file,) = tmp_path.rglob("alive")
    file.unlink()
    file.mkdir()  # what nobody unlinks, not even root
    life.close()


def test_the_embedded_broker_is_read_as_always(tmp_path: Path) -> None:
    """It speaks an older protocol, and ends with its jobs."""
    settings = Settings(state_dir=tmp_path, embedded_broker=True)
    assert [lives.Life(settings, "alert").begin() for _ in range(2)] == [None, None]


def test_where_the_other_client_is_not_let_in_the_job_reads_as_always(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And says which option is in the way."""
    settings = Settings(state_dir=tmp_path, kafka_options={"ssl.keystore.location": "/keys"})
    assert [lives.Life(settings, "alert").begin() for _ in range(2)] == [None, None]
    (said,) = caplog.messages
    assert "SENSORBUS_KAFKA_SSL_KEYSTORE_LOCATION" in said
