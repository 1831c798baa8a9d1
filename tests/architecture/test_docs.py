"""The docs say what the code says."""

import itertools
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from sensorbus.contract import messages
from sensorbus.contract.settings import PREFIX, Settings, load
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, TOPICS, Topic
from sensorbus.runtime import metrics
from tests.support.shell import blocks
from tests.support.sources import REPOSITORY, files, modules
from tests.support.write_settings_docs import ENVIRONMENT_EXAMPLE, SETTINGS_PAGE, environment_example, settings_page

DOCS = REPOSITORY / "docs"
#: What reads as a file of ours and is none: what `make audit` makes, a library's name.
NO_FILES_OF_OURS = {"sbom.cdx.json", "plotly.js"}
#: How each topic's value is read, by a reader in the year 2100.
PARSERS: dict[Topic, Callable[[bytes], Any]] = {
    SENSOR: lambda raw: messages.parse_reading(raw, 4_102_444_800_000, Settings().time_rules),
    ALERT: lambda raw: messages.parse_alert(raw, 4_102_444_800_000, Settings().time_rules),
    ALERT_COUNT: messages.parse_alert_count,
    AVG_TEMP: messages.parse_avg_temp,
}
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def rows(page: str) -> list[str]:
    """Return the first cells, in backticks, of a page's tables."""
    return ROW.findall((DOCS / page).read_text(encoding="utf-8"))


def test_the_page_of_settings_is_the_table_of_settings() -> None:
    """docs/settings.md is what `make docs` writes."""
    assert SETTINGS_PAGE.read_text(encoding="utf-8") == settings_page()


def test_the_example_environment_is_the_table_of_settings() -> None:
    """.env.example is what `make docs` writes."""
    assert ENVIRONMENT_EXAMPLE.read_text(encoding="utf-8") == environment_example()


def test_a_shell_reads_the_example_environment_whole() -> None:
    """With every line switched on, bash takes it as it stands, and what it read are the defaults."""
    lines = ENVIRONMENT_EXAMPLE.read_text(encoding="utf-8").splitlines()
    switched_on = [re.sub(r"^# (?=SENSORBUS_)", "", line) for line in lines]
    text = "\n".join(line for line in switched_on if not line.startswith("SENSORBUS_KAFKA_S"))  # two mere examples
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-euc", "set -a; . /dev/stdin; env -0"], input=text, env={}, capture_output=True, text=True, check=True
    )
    given = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    settings, warnings = load(given)
    assert (settings, warnings, done.stderr) == (Settings(), {}, "")
    assert {name for name in given if name.startswith(PREFIX)} == set(re.findall(r"^SENSORBUS_\w+", text, re.MULTILINE))


def test_quotes_in_the_example_environment_are_those_that_compose_reads_too() -> None:
    """A value is plain, or stands in single quotes as a whole: a shell joins pieces, docker compose does not."""
    values = re.findall(r"^# SENSORBUS_\w+=(.*)$", environment_example(), re.MULTILINE)
    assert [value for value in values if not re.fullmatch(r"[^'\"\s$#\\]*|'[^']*'", value)] == []


def test_every_metric_is_on_the_page_of_operations() -> None:
    """docs/operations.md has a row for each metric and no other."""
    known = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    listed = [name for name in rows("operations.md") if name.startswith("sensorbus_")]
    names = {f"{metric._name}_total" if metric._type == "counter" else metric._name for metric in known}
    assert sorted(listed) == sorted(names)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_is_on_the_page_of_messages(topic: Topic) -> None:
    """docs/messages.md has a row for each topic: its name, who writes it, what it holds, its largest record."""
    page = (DOCS / "messages.md").read_text(encoding="utf-8")
    assert f"| `{topic.name}` | {topic.written_by} | {topic.value} | {topic.max_message_bytes:,} |" in page


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic is not DEAD_LETTER], ids=lambda topic: topic.name)
def test_every_topic_has_a_message_and_an_example_that_it_reads(topic: Topic) -> None:
    """docs/messages.md shows a value of each topic, and `parse_...` takes it; a dead letter's value is anything."""
    page = (DOCS / "messages.md").read_text(encoding="utf-8")
    example = re.search(rf"^`{topic.name}`: [^`]*```json\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert example
    assert PARSERS[topic](example[1].encode()).device_id == "device-0001"


def test_every_decision_is_named_by_the_architecture() -> None:
    """ARCHITECTURE.md links each page of docs/decisions/ and no other."""
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    linked = re.findall(r"\(docs/decisions/(.+?\.md)\)", text)
    assert sorted(linked) == sorted(page.name for page in (DOCS / "decisions").glob("*.md"))


def test_every_kind_of_error_is_on_the_page_of_messages() -> None:
    """docs/messages.md has a row for each `error.kind`, in the order in which a value is checked."""
    chapter = (DOCS / "messages.md").read_text(encoding="utf-8").partition("## Dead letters")[2]
    assert ROW.findall(chapter)[1:] == list(messages.ERROR_KINDS)  # after the head of the table


def test_every_dependency_has_its_reason() -> None:
    """docs/decisions/0001-dependencies.md has a row for each dependency of every group and no other."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *itertools.chain(*project["dependency-groups"].values())]
    names = [re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in wanted]
    assert sorted(rows("decisions/0001-dependencies.md")) == sorted(names)


def test_every_relative_link_leads_somewhere() -> None:
    """A link in a page of ours names a file that is there."""
    link = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
    broken = [
        f"{page.relative_to(REPOSITORY)}: {target}"
        for page in files(".md")
        for target in link.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_that_the_code_names_is_there() -> None:
    """`docs/....md` in a comment, a message or a page is a file."""
    named = re.compile(r"docs/\w[\w/.-]*\.md")
    broken = {
        f"{path.relative_to(REPOSITORY)}: {page}"
        for path in files(".py", ".md", ".toml", ".yml")
        for page in named.findall(path.read_text(encoding="utf-8"))
        if not (REPOSITORY / page).exists()
    }
    assert broken == set()


def test_every_file_that_a_page_or_a_module_names_is_there() -> None:
    """In a page's backticks, or in a module's opening; it may be named by the end of its path."""
    suffixes = ("py", "js", "css", "md", "yml", "yaml", "json", "toml", "conf", "sh")
    name = rf"[\w.-][\w./-]*\.(?:{'|'.join(suffixes)})"
    named = {(page, path) for page in files(".md") for path in re.findall(f"`({name})`", page.read_text("utf-8"))}
    for module in [*modules(), *modules("tests")]:
        named |= {(module.path, path) for path in re.findall(rf"(?<![\w./-]){name}\b", module.docstring())}
    there = [f"/{path.relative_to(REPOSITORY).as_posix()}" for path in files(*(f".{suffix}" for suffix in suffixes))]
    broken = {
        f"{place.relative_to(REPOSITORY)}: {path}"
        for place, path in named
        if path not in NO_FILES_OF_OURS and not any(known.endswith(f"/{path}") for known in there)
    }
    assert len(named) > 100
    assert broken == set()


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_a_command_that_takes_a_setting_says_what_it_is_when_it_is_not_set(page: str) -> None:
    """`"$SENSORBUS_STATE_DIR/avg-temp"` is `/avg-temp` then; what stands behind the dash is the setting's default."""
    lines = [line for chapter in blocks(page).values() for block in chapter for line in block]
    taken = [name for line in lines for name in re.findall(r"\$\{?SENSORBUS_\w+", line)]
    said = [pair for line in lines for pair in re.findall(r"\$\{SENSORBUS_(\w+?):?-([^}]*)\}", line)]
    assert len(taken) == len(said)
    assert [pair for pair in said if str(getattr(Settings(), pair[0].lower())) != pair[1]] == []


def test_every_target_that_the_docs_name_is_in_the_makefile() -> None:
    """`make x` in a page is a target."""
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for page in files(".md")
        for target in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= targets


def test_every_module_of_the_jobs_is_on_their_page() -> None:
    """docs/streams.md has a row for each file of processors/."""
    cells = re.findall(r"^\| (`\w+\.py`[^|]*) \|", (DOCS / "streams.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = re.findall(r"\w+\.py", " ".join(cells))
    files_of_jobs = [module.path.name for module in modules("processors")]
    assert sorted(listed) == [name for name in files_of_jobs if not name.startswith("__")]
