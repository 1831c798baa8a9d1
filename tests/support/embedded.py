"""The embedded broker and nothing else: `python -m tests.support.embedded PORT`.

It prints its own address. Groups of jobs may follow the port.
"""

import sys
import threading

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import logs

if __name__ == "__main__":
    logs.configure(Settings(), "broker")
    with EmbeddedBroker(int(sys.argv[1]), sys.argv[2:]) as broker:
        print(broker.address, flush=True)  # noqa: T201  # for the test that started it
        threading.Event().wait()
