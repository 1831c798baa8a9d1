"""A job stands in each table that wants it."""

from processors.application import JOBS
from sensorbus.contract.topics import BY_NAME
from sensorbus.services import SERVICES
from tests.support.sources import REPOSITORY, Module

#: `all` is the others in one process.
SINGLE_JOBS = [job for job in JOBS if job != "all"]


def module_of(job: str) -> str:
    """Return the module of a job."""
    return f"processors.{job.replace('-', '_')}"


def test_a_job_is_named_after_its_topic_as_its_module_is() -> None:
    """Who knows one of the three names knows all."""
    assert [job for job in SINGLE_JOBS if job not in BY_NAME] == []
    builds = {job: JOBS[job][1].__module__ for job in SINGLE_JOBS}
    assert builds == {job: module_of(job) for job in SINGLE_JOBS}


def test_each_job_is_a_service() -> None:
    """`sensorbus up` starts each one, and so does docker-compose.yml, which is compared with the same table."""
    started = {service.name: service.arguments for service in SERVICES if service.module == "processors"}
    assert started == {job: (job,) for job in SINGLE_JOBS}


def test_each_job_is_in_the_process_that_runs_all() -> None:
    """Job `all` reads what they read, and its module takes them from theirs."""
    everything = Module(REPOSITORY / "processors" / "everything.py")
    assert {module_of(job) for job in SINGLE_JOBS} <= everything.our_imports()
    assert set(JOBS["all"][0]) == {topic for job in SINGLE_JOBS for topic in JOBS[job][0]}
