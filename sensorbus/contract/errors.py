"""The one family of errors; this file imports nothing of ours.

A message names the thing (topic, partition, offset, setting) and the way out. The command
prints the message alone and exits with `exit_code`; a traceback is for bugs only.
"""


class SensorbusError(Exception):
    """Root of the family: catch this one to catch all of ours."""

    exit_code = 1


class SettingsError(SensorbusError):
    """A setting has a value that cannot be used; the message names the setting."""

    exit_code = 2


class BrokerUnavailableError(SensorbusError):
    """Kafka did not answer in time; the message names the address and the setting that gives it."""


class TopicError(SensorbusError):
    """A topic cannot be made or used as it is; the message names the topic."""


class StateError(SensorbusError):
    """A job's state cannot be read: it is damaged, or of another version; the message says which."""


class PortInUseError(SensorbusError):
    """A port that we have to listen on is taken; the message names the port and the option."""


class InvalidMessageError(SensorbusError):
    """A record's value is not what its topic's contract says.

    `kind` is one of `messages.ERROR_KINDS`: the word for the `error.kind` header and for metrics.
    """

    def __init__(self, kind: str, message: str) -> None:
        """Keep `kind` beside the message for humans."""
        super().__init__(message)
        self.kind = kind
