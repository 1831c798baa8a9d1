"""`python -m processors JOB`: runs one of the stream jobs until SIGTERM."""

import sys
from threading import Event

from processors.left_out import unused_modules_left_out
from sensorbus.contract.settings import Settings
from sensorbus.runtime.process import run_part

#: As in `processors.application.JOBS`, which takes a second to import.
_JOBS = ("alert", "alert-count", "avg-temp", "all")


def main() -> None:
    """Run the job named on the command line; exit code 2 and one line for anything else."""
    job = _job(sys.argv[1:])

    def run(settings: Settings, stop: Event) -> None:
        with unused_modules_left_out():
            from processors.application import run_job  # noqa: PLC0415  # after the settings are known to be right

        run_job(job, settings, stop)

    run_part(job, run)


def _job(arguments: list[str]) -> str:
    known = ", ".join(_JOBS)
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(f"usage: python -m processors JOB\nJOB is {known}; docs/settings.md lists the settings.\n")
        sys.exit(0)
    if len(arguments) == 1 and arguments[0] in _JOBS:
        return arguments[0]
    wrong = f"{' '.join(arguments)!r} is not one of the jobs" if arguments else "name one of the jobs"
    sys.stderr.write(f"processors: {wrong}: {known}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
