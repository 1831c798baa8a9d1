"""The repository's own files, parsed: what the architecture tests look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
PACKAGES: Final = ("sensorbus", "simulator", "processors", "dashboard_app")
_IGNORED: Final = frozenset({"__pycache__", "node_modules", "artifacts", "vendor", "dist", "build", "state"})
_OUR_ROOTS: Final = (*PACKAGES, "tests")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file of ours."""

    path: Path

    @property
    def name(self) -> str:
        """Return the dotted name, `sensorbus.runtime` for a package's `__init__.py`."""
        parts = self.path.relative_to(REPOSITORY).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        """Return the source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Return the parsed source."""
        return ast.parse(self.text, str(self.path))

    def imports(self) -> set[str]:
        """Return the dotted names that it imports, those inside functions and `if TYPE_CHECKING` too."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                raise AssertionError(f"{self.path}:{node.lineno} imports relatively")
        return names

    def our_imports(self) -> set[str]:
        """Return those of its imports that are ours, each as the name of the module that is loaded."""
        return {_module_of(name) for name in self.imports() if name.split(".")[0] in _OUR_ROOTS}

    def functions(self) -> Iterator[Function]:
        """Yield every function, methods included."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def docstring(self) -> str:
        """Return the docstring, or no text."""
        return ast.get_docstring(self.tree) or ""


def modules(*packages: str) -> list[Module]:
    """Return the modules of these packages (none named: of the four that are shipped), in the order of their names."""
    return [
        Module(path)
        for package in packages or PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if not _is_ignored(path)
    ]


def files(*suffixes: str) -> list[Path]:
    """Return the repository's files with these suffixes, without what is ignored or generated."""
    return [
        path
        for path in sorted(REPOSITORY.rglob("*"))
        if path.suffix in suffixes and path.is_file() and not _is_ignored(path)
    ]


def _is_ignored(path: Path) -> bool:
    """Tell whether a path is generated, fetched or hidden (but for what CI and GitHub read)."""
    parts = path.relative_to(REPOSITORY).parts
    hidden = any(part.startswith(".") and part not in {".ci", ".github"} for part in parts[:-1])
    return hidden or parts[0] == ".env" or not _IGNORED.isdisjoint(parts)


def _module_of(name: str) -> str:
    """Return the module behind `package.module` or `package.module.attribute`."""
    path = REPOSITORY.joinpath(*name.split("."))
    if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
        return name
    return name.rpartition(".")[0]
