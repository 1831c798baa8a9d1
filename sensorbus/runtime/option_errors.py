"""Options of librdkafka that cannot be used, as lines for people.

librdkafka names its own option, or an alias of it, or none; people have set a variable.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sensorbus.contract.settings import PREFIX, variable_name
from sensorbus.runtime import access

#: What librdkafka says when an option is missing, and which; of the mechanism also when it does not know it.
_NEEDED: Final = {
    "sasl.username and sasl.password must be set": ("sasl.username", "sasl.password"),
    "SASL mechanism": ("sasl.mechanism",),
    "no certificate assigned": ("ssl.certificate.location",),
}


def explain(reason: str, given: Mapping[str, str]) -> str:
    """Return a line that names the variable at fault, by librdkafka's reason and the options that were given."""
    needed = next((options for said, options in _NEEDED.items() if said in reason), ())
    if missing := [access.variable_of(option) for option in needed if not given.keys() & {option, f"{option}s"}]:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: {reason}"
    named = [option for option in given if re.search(rf"(?<![a-z.]){re.escape(option)}(?![a-z.])", reason)]
    named = named or [option for option in given if option.removesuffix("s") in needed]
    for option in named:
        if option.endswith(".location") and (why := _why_unreadable(given[option])):
            return f"{access.variable_of(option)}: cannot read the file that it names: {why}"
    variables = [access.variable_of(option) for option in named or given]
    if not variables:
        return f"the Kafka client cannot be made: {reason}"
    hint = _nearest(variables[0]) if "No such configuration property" in reason else ""
    one_of = "" if len(variables) == 1 else "one of "
    return f"{one_of}{', '.join(variables)} cannot be used: {reason}{hint}"


def _why_unreadable(path: str) -> str | None:
    """Return why a file cannot be read; OpenSSL does not say it."""
    try:
        Path(path).open("rb").close()
    except IsADirectoryError:
        pass  # of certificates, perhaps
    except OSError as error:
        return error.strerror
    return None


def _nearest(variable: str) -> str:
    known = [
        variable_name("kafka_bootstrap_servers"),
        f"{PREFIX}KAFKA_SECURITY_PROTOCOL",
        f"{PREFIX}KAFKA_SASL_MECHANISM",
        f"{PREFIX}KAFKA_SASL_USERNAME",
        f"{PREFIX}KAFKA_SASL_PASSWORD",
        f"{PREFIX}KAFKA_SSL_CA_LOCATION",
    ]
    nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
    return f"; did you mean {nearest[0]}?" if nearest else ""
