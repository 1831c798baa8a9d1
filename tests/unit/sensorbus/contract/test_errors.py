"""The family of errors.

One root, an exit code each, a word for what cannot be read.
"""

import inspect

from sensorbus.contract import errors
from sensorbus.contract.errors import InvalidMessageError, SensorbusError, SettingsError


def test_one_root_catches_all() -> None:
    """The command prints any of them as one line."""
    assert [
        name for name, member in inspect.getmembers(errors, inspect.isclass) if not issubclass(member, SensorbusError)
    ] == []


def test_exit_codes_tell_a_wrong_setting_from_a_failure() -> None:
    """2 is for what the person who starts it can correct at once, as with wrong options; 1 for the rest."""
    assert {
        name: getattr(member, "exit_code", None) for name, member in inspect.getmembers(errors, inspect.isclass)
    } == {
        "BrokerUnavailableError": 1,
        "InvalidMessageError": 1,
        "PortInUseError": 1,
        "SensorbusError": 1,
        "SettingsError": 2,
        "StateError": 1,
        "TopicError": 1,
    }
    assert SettingsError("x").exit_code == 2


def test_what_cannot_be_read_has_a_word_and_a_message() -> None:
    """The word goes into headers and metrics, the message is for people."""
    error = InvalidMessageError("json", "the value is not JSON")
    assert (error.kind, str(error)) == ("json", "the value is not JSON")
