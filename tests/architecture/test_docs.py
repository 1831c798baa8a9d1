"""The docs say what the code says."""

import itertools
import re
import tomllib

import pytest
from prometheus_client.metrics import MetricWrapperBase

from sensorbus.contract import messages
from sensorbus.contract.topics import TOPICS, Topic
from sensorbus.runtime import metrics
from tests.support.sources import REPOSITORY, files
from tests.support.write_settings_docs import ENVIRONMENT_EXAMPLE, SETTINGS_PAGE, environment_example, settings_page

DOCS = REPOSITORY / "docs"
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


def test_every_target_that_the_docs_name_is_in_the_makefile() -> None:
    """`make x` in a page is a target."""
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for page in files(".md")
        for target in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= targets
