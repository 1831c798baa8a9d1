"""`python -m processors JOB`: runs one of the stream jobs until SIGTERM."""

import sys
import warnings
from threading import Event

from sensorbus.contract.settings import Settings
from sensorbus.runtime.process import run_part

_JOBS = ("alert", "alert-count", "avg-temp", "all")


def main() -> None:
    """Run the job named on the command line; exit code 2 and one line for any other name."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or arguments[0] not in _JOBS:
        given = " ".join(arguments) or "no job"
        known = ", ".join(_JOBS)
        sys.stderr.write(f"processors: {given!r} is not one of the jobs: {known}\n")
        sys.exit(0 if arguments in (["-h"], ["--help"]) else 2)
    job = arguments[0]

    def run(settings: Settings, stop: Event) -> None:
        # Quix takes a second to import; a dependency of its schema registry client, unused here, warns when it does.
        with warnings.catch_warnings(record=True):
            from processors.application import run_job  # noqa: PLC0415  # after the settings are known to be right

        run_job(job, settings, stop)

    run_part(job, run)


if __name__ == "__main__":
    main()
