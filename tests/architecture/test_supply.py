"""What is installed is known, locked and looked through for holes."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.needs import need
from tests.support.sources import REPOSITORY, files

WORKFLOW: dict[str, Any] = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))

DEPENDABOT: dict[str, Any] = yaml.safe_load((REPOSITORY / ".github/dependabot.yml").read_text(encoding="utf-8"))
#: What pins others' work, by the name of its file.
PINNING = {
    "Dockerfile": "docker",
    "docker-compose.yml": "docker-compose",
    "package.json": "npm",
    "pom.xml": "maven",
    "uv.lock": "uv",
    "uv.txt": "pip",
    "npm.txt": "pip",
    "ci.yml": "github-actions",
}


def steps(job: str) -> list[dict[str, Any]]:
    """Return the steps of a job of the workflow."""
    found: list[dict[str, Any]] = WORKFLOW["jobs"][job]["steps"]
    return found


def recipe(target: str) -> str:
    """Return the commands of a target of the Makefile."""
    return MAKEFILE.partition(f"\n{target}:")[2].partition("\n\n")[0]


def test_the_workflow_looks_for_holes_and_keeps_the_list() -> None:
    """By the target that anybody can run; the list is kept when a hole was found, too."""
    assert "make audit" in [step.get("run") for step in steps("audit")]
    (kept,) = [step for step in steps("audit") if "upload-artifact" in step.get("uses", "")]
    assert (kept["with"]["path"], kept["if"]) == ("sbom.cdx.json", "always()")


def test_the_search_for_holes_cannot_pass_by_finding_nothing_out() -> None:
    """Strict, by hash, with a version written out: `@2` would be the 2.0.0 of years ago."""
    (version,) = re.findall(r"^PIP_AUDIT := pip-audit@(\S+)$", MAKEFILE, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert "$(PIP_AUDIT) --strict --disable-pip --require-hashes" in recipe("audit")
    assert recipe("audit").count("export --frozen --no-dev") == 2


def test_the_bill_of_materials_lists_what_we_depend_on() -> None:
    """Each with its version, its address on PyPI and the hashes of its files."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(REPOSITORY / ".cache" / "uv" / "bin"))
    need(None if uv else "the bill of materials needs uv")
    options = ["--frozen", "--no-dev", "--format", "cyclonedx1.5", "--preview-features", "sbom-export"]
    assert all(option in recipe("audit") for option in options)
    made = subprocess.run(
        [str(uv), "export", *options], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    listed = {each["name"]: each for each in json.loads(made.stdout)["components"]}
    wanted = {re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]}
    assert wanted - listed.keys() == set()
    assert "pytest" not in listed
    assert all(listed[name]["purl"] == f"pkg:pypi/{name}@{listed[name]['version']}" for name in wanted)
    assert all(file["hashes"] for name in wanted for file in listed[name]["externalReferences"])


def test_every_file_that_the_lock_names_has_its_hash() -> None:
    """Whatever it is installed for; only our own package is none of a registry."""
    registered = [package for package in LOCK["package"] if "registry" in package["source"]]
    assert [package["name"] for package in LOCK["package"] if package not in registered] == [PROJECT["project"]["name"]]
    for package in registered:
        kept = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        assert kept, package["name"]
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in kept), package["name"]


@pytest.mark.parametrize("folder", ["deploy/plotly", "tests/js"])
def test_every_package_of_npm_has_its_hash(folder: str) -> None:
    """Of the page's plotly.js and of what tests its scripts."""
    packages = json.loads((REPOSITORY / folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert [name for name, package in packages.items() if name and "sha512-" not in package.get("integrity", "")] == []
    assert len(packages) > 1


def test_the_workflow_looks_for_holes_of_our_own() -> None:
    """By bandit's rules, which ruff has as `S`: all of them, but for what tests may do."""
    assert ".ci/run" in [step.get("run") for step in steps("all")]
    assert "make check" in (REPOSITORY / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert "ruff check\n" in recipe("check")
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert (lint["select"], [rule for rule in lint["ignore"] if re.match(r"S\d*$", rule)]) == (["ALL"], [])
    assert lint["per-file-ignores"].keys() == {"tests/**"}


def test_the_installers_themselves_are_installed_by_their_hash() -> None:
    """By `make`, into the image and in the workflow; each file of their versions is known."""
    for path, packages, fewest in (("deploy/uv.txt", 1, 10), ("deploy/plotly/npm.txt", 2, 9)):
        lines = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()[1:]
        hashes = [line for line in lines if re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)]
        versions = [line for line in lines if re.fullmatch(r"[a-z-]+==\d+\.\d+\.\d+ \\", line)]
        assert (len(versions), len(versions) + len(hashes)) == (packages, len(lines))
        assert len(hashes) > fewest
    installs = re.findall(r"pip install (.*)", "\n".join([DOCKERFILE, MAKEFILE, steps("audit")[2]["run"]]))
    assert len(installs) == 4
    assert all(re.search(r"--require-hashes -r (deploy/uv|uv|npm)\.txt", each) for each in installs)


def test_the_image_has_the_small_plotly_that_make_brings() -> None:
    """From the same lock, to the same place, running nothing of the package's own."""
    (file,) = re.findall(r"node_modules/\S+\.min\.js", recipe("plotly"))
    assert f"COPY --from=plotly /plotly/{file} dashboard_app/assets/vendor/" in DOCKERFILE
    assert "npm ci --ignore-scripts" in DOCKERFILE
    assert {"!deploy/plotly", "**/node_modules"} <= set((REPOSITORY / ".dockerignore").read_text().splitlines())


def test_what_is_pinned_is_asked_to_be_renewed() -> None:
    """Each file that pins something, in each folder that has one; by the schema of the robot that does it."""
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "dependabot.json"
    jsonschema.validate(DEPENDABOT, json.loads(vendored.read_text(encoding="utf-8")))
    renewed = {(each["package-ecosystem"], folder) for each in DEPENDABOT["updates"] for folder in each["directories"]}
    own = [file.relative_to(REPOSITORY) for file in files("", ".yml", ".json", ".xml", ".lock", ".txt")]
    pinning = [Path("/", path) for path in own if path.name in PINNING]
    folders = {(PINNING[path.name], str(path.parent)) for path in pinning}
    assert renewed == {(kind, folder.removesuffix("/.github/workflows") or "/") for kind, folder in folders}


def test_the_workflow_may_only_read() -> None:
    """No token is left where a test could find it, and nobody else's actions are run."""
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in WORKFLOW["jobs"]:
        used = [step["uses"] for step in steps(job) if "uses" in step]
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used)
        assert all(
            step["with"]["persist-credentials"] is False for step in steps(job) if "checkout" in step.get("uses", "")
        )
