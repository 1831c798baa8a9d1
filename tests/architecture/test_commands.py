"""The docs' commands name what there is.

bash runs each `console` block as it stands; what it would start only writes down how it was called. The `sh` blocks of
docs/operations.md are run for real by tests/integration/test_operations.py.
"""

import itertools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from werkzeug.security import check_password_hash

from dashboard_app.users import read_users
from sensorbus import cli
from sensorbus.contract.settings import Settings, load
from sensorbus.services import SERVICES
from tests.support import compose
from tests.support.manifests import documents, pod, workloads
from tests.support.shell import blocks
from tests.support.sources import REPOSITORY, files

#: What is called in place of what is not installed, must not be done here, or would start something.
STAND_INS = ("docker", "kubectl", "git", "make", "kill", "cp", "systemctl")
#: Called by its name, in backticks, without what it is given.
NAMED_ONLY = {"sensorbus dead-letter export"}
NEW_VERSION = "../sensorbus-0.2.0/.venv/bin/python"
CONSOLE = [
    pytest.param(block, id=f"{heading}: {block[0][2:40]}")
    for heading, held in blocks("operations.md", "console").items()
    for block in held
]
Calls = list[list[str]]


def calls_of(block: list[str], folder: Path) -> Calls:
    """Run a block in a folder in which the repository's files are; return each call, its program first."""
    here = folder / "repository"
    here.mkdir()
    for path in REPOSITORY.iterdir():
        (here / path.name).symlink_to(path)
    recorder = 'printf "%s\\037" "$@" >>"$CALLS"; printf "\\n" >>"$CALLS"'
    newer = here / NEW_VERSION
    newer.parent.mkdir(parents=True)
    newer.write_text(f'#!/bin/sh\nset -- python "$@"\n{recorder}\n')
    newer.chmod(0o755)
    functions = [f'{name}() {{ set -- {name} "$@"; {recorder}; }}' for name in STAND_INS]
    commands = [line[2:] for line in block]
    done = subprocess.run(
        [str(shutil.which("bash")), "-euc", "\n".join([*functions, *commands])],
        cwd=here,
        env={"PATH": os.environ["PATH"], "CALLS": str(folder / "calls")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\x1f")[:-1] for line in (folder / "calls").read_text().splitlines()]


@pytest.mark.parametrize("block", CONSOLE)
def test_a_console_block_has_commands_alone(block: list[str]) -> None:
    """Each line is typed as it stands, behind its prompt."""
    assert [line for line in block if not line.startswith(("$ ", "> "))] == []


@pytest.mark.parametrize("block", CONSOLE)
def test_a_console_block_names_what_there_is(block: list[str], tmp_path: Path) -> None:
    """Services, profiles, volumes, files, deployments, jobs, secrets and labels."""
    files_of = {word for line in block for word in re.findall(r"COMPOSE_FILE=(\S+)", line)}
    assert [name for text in files_of for name in text.split(":") if not (REPOSITORY / name).is_file()] == []
    for program, *arguments in calls_of(block, tmp_path):
        if program in {"docker", "kubectl"}:
            assert (why_docker if program == "docker" else why_kubectl)(arguments) == []
        elif program == "make":
            assert arguments[-1] in re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        elif program == "python":
            assert arguments[:3] == ["-P", "-m", "processors"]
        elif program == "cp":
            assert all((REPOSITORY / name).is_file() for name in arguments[:-1])
        elif program == "systemctl":
            assert why_systemctl(arguments) == []
        else:
            assert program in {"git", "kill"}


def why_docker(arguments: list[str]) -> list[str]:
    """Return what a call names and docker-compose.yml does not have."""
    known = compose.base()
    services = set(known["services"])
    profiles = {profile for each in known["services"].values() for profile in each.get("profiles", [])}
    if arguments[:1] == ["build"]:
        return [] if (REPOSITORY / "Dockerfile").is_file() and arguments[-1] == "." else arguments
    if arguments[:2] == ["volume", "rm"]:
        volumes = {f"{known['name']}_{name}" for name in known["volumes"]}
        return [name for name in arguments[2:] if name not in volumes]
    if arguments[:2] == ["network", "inspect"]:
        return [] if arguments[2] == f"{known['name']}_default" and "networks" not in known else arguments
    assert arguments[0] == "compose"
    asked = [name for option, name in itertools.pairwise(arguments) if option == "--profile"]
    words = [word for word in arguments[1:] if not word.startswith("-") and word not in asked]
    verb, *named = (word.removesuffix("=0") for word in words)  # --scale NAME=0
    assert verb in {"up", "build", "rm", "run", "exec"}
    if verb in {"exec", "run"}:
        named = named[:1]  # what follows is a command in there
    return [*({*asked} - profiles), *({*named} - services)]


def why_systemctl(arguments: list[str]) -> list[str]:
    """Return the units that a call names and deploy/systemd does not have, or whose job there is not."""
    verb, *words = arguments
    assert verb in {"daemon-reload", "enable", "reload", "stop", "start", "clean"}
    if verb == "clean":  # of what only a job has, and no more: systemd would remove logs and caches too
        assert words[0] == "--what=state"
        assert "StateDirectory=sensorbus-%i\n" in (REPOSITORY / "deploy/systemd/sensorbus-job@.service").read_text()
        assert all("sensorbus-job@" in word for word in words[1:])
    jobs = {service.name for service in SERVICES if service.jobs}
    known = {f"sensorbus-job@{job}" for job in jobs} | {"sensorbus-dashboard"}
    return [word for word in words if not word.startswith("-") and word not in known]


def why_kubectl(arguments: list[str]) -> list[str]:
    """Return what a call names and the manifests do not have."""
    deployed = {(each["kind"].lower(), name) for name, each in workloads().items()}
    secrets = secrets_wanted()
    labels = [
        f"{name}={value}"
        for policy in documents("kubernetes/network.yaml")
        for rule in policy["spec"]["ingress"]
        for source in rule["from"]
        for name, value in source["namespaceSelector"]["matchLabels"].items()
    ]
    wrong = []
    if arguments[:2] == ["-n", "sensorbus"]:
        arguments = arguments[2:]
    verb, *rest = arguments
    if verb == "apply":
        wrong += [path for path in rest[1:] if not (REPOSITORY / path).exists()]
    elif verb == "create":
        assert rest[:2] == ["secret", "generic"]
        made = {word.split("=")[1] for word in rest[3:]}
        wrong += sorted(made ^ secrets.get(rest[2], set()))
    elif verb == "label":
        assert rest[0] == "namespace"
        wrong += [rest[2]] * (rest[2] not in labels)
    elif verb == "delete":
        wrong += [rest[1]] * ((rest[0], rest[1]) not in deployed)
    else:
        assert (verb, rest[0]) in {("rollout", "status"), ("rollout", "restart")}
        wrong += [name for name in rest[1:] if tuple(name.split("/")) not in deployed]
    return wrong


def secrets_wanted() -> dict[str, set[str]]:
    """Return the keys of each secret that the manifests read: the pods' files, and what KEDA asks with."""
    (settings,) = documents("kubernetes/settings.yaml")
    read = {value.rpartition("/")[2] for value in settings["data"].values() if value.startswith("/run/secrets/kafka/")}
    volumes = [volume for each in workloads().values() for volume in pod(each)["volumes"] if "secret" in volume]
    wanted = {volume["secret"]["secretName"]: set(read) for volume in volumes}
    for each in documents("kubernetes/autoscaling-by-lag.yaml"):
        for reference in each["spec"].get("secretTargetRef", []):
            wanted.setdefault(reference["name"], set()).add(reference["key"])
    return wanted


def test_the_secrets_of_the_docs_are_all_that_are_wanted(tmp_path: Path) -> None:
    """The loop makes one for each part."""
    made = set()
    for number, block in enumerate(blocks("operations.md", "console")["On Kubernetes"]):
        (tmp_path / str(number)).mkdir()
        calls = calls_of(block, tmp_path / str(number))
        made |= {call[6] for call in calls if call[3:5] == ["create", "secret"]}
    assert made == secrets_wanted().keys()


def test_the_command_that_makes_a_hash_makes_one_that_lets_in(tmp_path: Path) -> None:
    """Of docs/security.md: what it prints is what the file of users takes."""
    ((line,),) = blocks("security.md", "console")["By a proxy or by a password"]
    done = subprocess.run(
        [str(shutil.which("bash")), "-euc", line.removeprefix("$ ")],
        env={"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore"},
        input="hunter2\n",  # getpass asks the terminal, or without one who stands at its input
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    made = done.stdout.rpartition(" ")[2].strip()
    (tmp_path / "users").write_text(f"ann:viewer:{made}\n")
    settings = Settings(dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    assert check_password_hash(read_users(settings)["ann"].password_hash, "hunter2")


def test_the_settings_of_sign_in_at_a_provider_are_taken(tmp_path: Path) -> None:
    """Of docs/security.md, with secrets in the files that it names."""
    ((*lines,),) = blocks("security.md", "properties")["By OpenID Connect"]
    given = dict(line.split("=", 1) for line in lines)
    for name in [name for name in given if name.endswith("_FILE")]:
        given[name] = str(tmp_path / name)
        (tmp_path / name).write_text(f"{'ab' * 32}\n")
    settings, warnings = load(given)
    assert (settings.dashboard_sign_in, warnings) == ("oidc", {})


def commands_of_ours() -> list[str]:
    """Return each `sensorbus ...` of the pages, in a block or in backticks, without what a shell takes from it."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in files(".md"))
    found = re.findall(r"(?:`|^(?:\$ |\.venv/bin/)?)(sensorbus [a-z][^`\n#>]*)", text, re.MULTILINE)
    return sorted({command.strip() for command in found if "|" not in command} - NAMED_ONLY)


@pytest.mark.parametrize("command", commands_of_ours())
def test_a_command_of_ours_is_taken_as_it_is_shown(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands and options that are there, with values that they take; the letters were exported before."""
    (tmp_path / "letters.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    _, *words = shlex.split(command)
    taken: Any = typer.main.get_command(cli.app)
    context = taken.make_context("sensorbus", list(words))
    while hasattr(taken, "resolve_command"):  # it has commands below it
        name, taken, words = taken.resolve_command(context, words)
        context = taken.make_context(name, list(words), parent=context)
