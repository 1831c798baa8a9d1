"""docker-compose.yml and what is put on top of it, as Compose merges them."""

from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.sources import REPOSITORY

_BASE: Final = REPOSITORY / "docker-compose.yml"
SECURE: Final = REPOSITORY / "deploy" / "secure" / "docker-compose.yml"


def base() -> dict[str, Any]:
    """Return docker-compose.yml."""
    return _read(_BASE)


def secure() -> dict[str, Any]:
    """Return it with TLS and passwords on top."""
    merged: dict[str, Any] = _merged(base(), _read(SECURE))
    return merged


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def _merged(below: Any, above: Any, name: str = "") -> Any:
    """Merge mappings, add lists up, but for commands and probes, and replace everything else."""
    if isinstance(below, dict) and isinstance(above, dict):
        keys = [*below, *(key for key in above if key not in below)]
        both = below.keys() & above.keys()
        return {
            key: _merged(below[key], above[key], key) if key in both else (above if key in above else below)[key]
            for key in keys
        }
    if isinstance(below, list) and isinstance(above, list) and name not in {"command", "test"}:
        return below + above
    return above
