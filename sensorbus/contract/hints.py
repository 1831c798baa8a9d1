"""What is said of names that no setting has, and of values of a wrong form."""

import difflib
from collections.abc import Iterable
from typing import Final

#: What the patterns of fields say.
FORMS: Final = {
    "topic_prefix": "it may have up to 100 letters, digits and . _ -",
    "instance_id": "it may have up to 64 letters, digits and . _ -",
    "dashboard_url_prefix": "it begins and ends with /, as /temperature/, and has letters, digits and . _ ~ - between",
}


def nearest(name: str, known: Iterable[str], prefix: str) -> str:
    """Return what was probably meant; the prefix, which all share, is no likeness."""
    fields = [other.removeprefix(prefix) for other in known]
    close = difflib.get_close_matches(name.removeprefix(prefix), fields, n=1, cutoff=0.6)
    return f"did you mean {prefix}{close[0]}?" if close else "docs/settings.md lists the known ones"
