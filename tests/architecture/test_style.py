"""The house rules that a machine can read."""

import ast
import re

import pytest

from tests.support.sources import Function, Module, files, modules

MAX_MODULE_LINES = 350
MAX_TEST_MODULE_LINES = 450
MAX_FUNCTION_LINES = 40
MAX_CLASS_LINES = 120
MAX_ARGUMENTS = 6
MAX_OPENING_CHARACTERS = 80  # "about 50": a sentence, not a list
#: What may be longer, each with its reason: nothing is cut in two only to obey a number.
LARGER_FOR_A_REASON = {
    "sensorbus.contract.settings.Settings": "one table: a setting is a row of it",
    "simulator.__main__.simulate": "the options of a command are its arguments",
    "dashboard_app.layout._chart": "one figure, as the one tree that it is",
    "dashboard_app.reader.Reader": "one consumer's life; its states share the assignment (see progress)",
    "dashboard_app.ring.Ring": "one data structure; every method works on the same columns (see marks)",
    "tests.support.faults.driver.Driver": "one verb each for what a test does; members, sight and witness do the work",
}
REFUSED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
#: Where threads and locks are at home.
THREADED = (
    "sensorbus.runtime.",
    "dashboard_app.answers",
    "dashboard_app.feed",
    "dashboard_app.gunicorn_",
    "dashboard_app.oidc_turns",
    "dashboard_app.sign_in",
    "dashboard_app.store",
)
#: What makes code of data, whoever wrote that.
RUNS_DATA = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codeop", "pty"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"}
RUNS_TEXT |= {"subprocess.getstatusoutput", "asyncio.create_subprocess_shell"}
TEXT_SUFFIXES = (".py", ".md", ".toml", ".yml", ".yaml", ".js", ".css", ".xml", ".json", "")
SHIPPED_AND_TESTS = [*modules(), *modules("tests")]


def length(node: ast.AST) -> int:
    """Return how many lines a function's or class's body spans, decorators and docstring included."""
    assert isinstance(node, ast.stmt)
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("module", SHIPPED_AND_TESTS, ids=lambda module: module.name)
def test_a_module_opens_with_one_short_sentence(module: Module) -> None:
    """The first line of the docstring says what the file is for; more stands below an empty line."""
    opening = module.docstring().partition("\n\n")[0].replace("\n", " ")
    assert opening, "no docstring"
    assert len(opening) <= MAX_OPENING_CHARACTERS
    assert opening.endswith(".")


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_an_init_file_holds_its_docstring_only(module: Module) -> None:
    """What a package has is found by the names of its files."""
    if module.path.name == "__init__.py":
        assert [type(node) for node in module.tree.body] == [ast.Expr]


def arguments(function: Function) -> int:
    """Return how many arguments a caller may give, `self` and `cls` not counted."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("module", SHIPPED_AND_TESTS, ids=lambda module: module.name)
def test_files_functions_and_classes_stay_readable(module: Module) -> None:
    """Nothing grows beyond what can be read at once."""
    large = [node.name for node in module.functions() if length(node) > MAX_FUNCTION_LINES]
    classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    large += [node.name for node in classes if length(node) > MAX_CLASS_LINES]
    most_lines = MAX_TEST_MODULE_LINES if module.name.startswith("tests.") else MAX_MODULE_LINES
    assert len(module.text.splitlines()) <= most_lines
    assert [name for name in large if f"{module.name}.{name}" not in LARGER_FOR_A_REASON] == []


@pytest.mark.parametrize("module", SHIPPED_AND_TESTS, ids=lambda module: module.name)
def test_a_call_can_be_taken_in_at_once(module: Module) -> None:
    """What needs more than six arguments takes an object of settings."""
    many = [function.name for function in module.functions() if arguments(function) > MAX_ARGUMENTS]
    assert [name for name in many if f"{module.name}.{name}" not in LARGER_FOR_A_REASON] == []


@pytest.mark.parametrize("module", SHIPPED_AND_TESTS, ids=lambda module: module.name)
def test_names_say_what_a_thing_is(module: Module) -> None:
    """No file is called utils, helpers, common or manager."""
    assert not REFUSED_NAMES.intersection(module.name.split("."))


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_nothing_prints(module: Module) -> None:
    """Programs log, the command echoes."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"] == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_nothing_that_came_as_data_is_run(module: Module) -> None:
    """No pickle, no eval or exec, no shell: neither by an import nor by an argument."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    assert {name.partition(".")[0] for name in module.imports()} & RUNS_DATA == set()
    assert module.imports() & RUNS_TEXT == set()  # as `from os import system`
    assert {ast.unparse(call.func) for call in calls} & RUNS_TEXT == set()
    assert [keyword.arg for call in calls for keyword in call.keywords if keyword.arg == "shell"] == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_threads_and_locks_live_where_they_are_looked_for(module: Module) -> None:
    """Only the runtime and the page's feed, store, answers and sign-in make threads or locks; an Event is no thread."""
    made = {"Future"} | {f"threading.{name}" for name in ("Thread", "Lock", "RLock", "Condition", "Timer")}
    made |= {"threading.Semaphore", "threading.BoundedSemaphore"}
    used = {ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    used |= {f"threading.{name}" for name in used}
    if not module.name.startswith(THREADED):
        assert made & used == set()


def test_an_ignored_rule_has_its_reason_on_its_line() -> None:
    """`noqa` and `type: ignore` name their rule and say why."""
    directive = re.compile(r"#\s*(noqa|type:\s*ignore)(.*)$")
    wrong = []
    for module in SHIPPED_AND_TESTS:
        for number, line in enumerate(module.text.splitlines(), 1):
            found = directive.search(line)
            if found and not re.match(r"(: [A-Z]+\d+(, [A-Z]+\d+)*|\[[a-z-]+(, [a-z-]+)*\])  # \S", found[2]):
                wrong.append(f"{module.name}:{number}")
    assert wrong == []


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    """Paths of somebody's machine have no place in a repository."""
    machine = re.compile(r"(?<![\w.])/(work|root|home|Users|private)/")
    wrong = [
        f"{path}:{number}"
        for path in files(*TEXT_SUFFIXES)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if machine.search(line) and path.name != "test_style.py"
    ]
    assert wrong == []
