"""A job whose transactions Kafka leaves open for five minutes when it dies.

`python -m tests.support.long_transaction JOB` runs the job as `python -m processors JOB` does.
"""

from processors import application
from processors.__main__ import main

if __name__ == "__main__":
    application._DYNAMIC_TRANSACTION_TIMEOUT_MS = 300_000  # type: ignore[misc]  # no test waits for that
    main()
