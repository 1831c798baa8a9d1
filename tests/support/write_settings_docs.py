"""Writes docs/settings.md and .env.example.

From the table of settings; `make docs` runs it.
A test compares what is written with what stands there.
"""

import shlex
import types
import typing
from pathlib import Path
from typing import Any, Final

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sensorbus.contract.settings import SECRETS, Settings, variable_name

_REPOSITORY: Final = Path(__file__).parents[2]
SETTINGS_PAGE: Final = _REPOSITORY / "docs" / "settings.md"
ENVIRONMENT_EXAMPLE: Final = _REPOSITORY / ".env.example"
#: The chapters, each with the beginnings of its fields' names, in the order of the page.
_CHAPTERS: Final = (
    ("Kafka and topics", ("kafka_", "embedded_", "topic_", "dead_letter_")),
    ("Stream jobs", ("state_", "instance_", "processing_", "commit_", "alert_", "avg_", "timestamp_", "clock_")),
    ("Page", ("reading_", "dashboard_")),
    ("Health and logs", ("ops_", "log_")),
)
_HEAD: Final = """\
# Settings

<!-- Written by `make docs` from sensorbus/contract/settings.py; a test compares. -->

Every part reads its settings from environment variables, once, when it starts. An unknown `SENSORBUS_` name is a
warning with the nearest known one; a value that cannot be used ends the part with one line and exit code 2.
An empty value counts as not set. The command line wins over the environment, and the environment over a file `.env`,
which `make up` reads and nothing else does.

Any option of librdkafka passes through: `SENSORBUS_KAFKA_` and the option's name in capitals with `_` for `.`, so
`SENSORBUS_KAFKA_SASL_MECHANISM` is `sasl.mechanism`. With `_FILE` at the end the value is read from the file that it
names (`SENSORBUS_KAFKA_SASL_PASSWORD_FILE`). Values of these options are never logged. Private keys are taken as files
only (`SENSORBUS_KAFKA_SSL_KEY_LOCATION`).
"""


def main() -> None:
    """Write both files."""
    SETTINGS_PAGE.write_text(settings_page())
    ENVIRONMENT_EXAMPLE.write_text(environment_example())


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [_HEAD]
    for title, fields in _by_chapter():
        lines += [f"## {title}", "", "| variable | default | values | meaning |", "|---|---|---|---|"]
        for name, field in fields:
            variable = "SENSORBUS_KAFKA_*" if name == "kafka_options" else variable_name(name)
            default = f"`{_default(field)}`" if _default(field) else "none"
            if name in SECRETS:
                variable += "`, `" + variable + "_FILE"
            lines.append(f"| `{variable}` | {default} | {_values(field)} | {field.description} |")
        lines.append("")
    return "\n".join(lines)


def environment_example() -> str:
    """Return .env.example: every variable, commented out, with its default.

    In quotes where a shell needs them; docker compose reads single quotes as a shell does.
    """
    lines = [
        "# Every setting with its default; docs/settings.md explains them. Written by `make docs`.",
        "# As `.env` it is read by `make up`; sensorbus itself reads the environment only.",
    ]
    for title, fields in _by_chapter():
        lines += ["", f"# {title}"]
        for name, field in fields:
            if name == "kafka_options":
                lines += ["# SENSORBUS_KAFKA_SECURITY_PROTOCOL=SASL_SSL"]
                lines += ["# SENSORBUS_KAFKA_SASL_PASSWORD_FILE=/run/secrets/kafka-password"]
            else:
                default = _default(field)
                lines.append(f"# {variable_name(name)}={default and shlex.quote(default)}")
    return "\n".join(lines) + "\n"


def _by_chapter() -> list[tuple[str, list[tuple[str, FieldInfo]]]]:
    chapters = [
        (title, [(name, field) for name, field in Settings.model_fields.items() if name.startswith(beginnings)])
        for title, beginnings in _CHAPTERS
    ]
    listed = [name for _, fields in chapters for name, _ in fields]
    if sorted(listed) != sorted(Settings.model_fields):
        odd = set(Settings.model_fields) ^ set(listed)
        raise ValueError(f"these settings are in no chapter of {Path(__file__).name}: {', '.join(sorted(odd))}")
    return chapters


def _default(field: FieldInfo) -> str:
    """Return the default as it would stand in the environment; none: no text."""
    default = None if field.default is PydanticUndefined else field.default
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _values(field: FieldInfo) -> str:
    choices = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = _bounds(field.metadata)
    return f"{_type_name(field.annotation)}{bounds}"


def _bounds(metadata: list[Any]) -> str:
    low = next((f"from {rule.ge}" for rule in metadata if isinstance(rule, Ge)), "")
    above = next((f"above {rule.gt}" for rule in metadata if isinstance(rule, Gt)), "")
    high = next((f"to {rule.le}" for rule in metadata if isinstance(rule, Le)), "")
    words = " ".join(word for word in (low or above, high) if word)
    return f", {words}" if words else ""


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, types.UnionType):
        annotation = typing.get_args(annotation)[0]
    names = {int: "integer", float: "number", bool: "`true`, `false`", str: "text", Path: "path"}
    return names.get(annotation, "text")


if __name__ == "__main__":
    main()
