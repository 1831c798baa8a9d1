"""The embedded broker and nothing else: `python -m tests.support.embedded PORT`."""

import sys
import threading

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import logs

if __name__ == "__main__":
    logs.configure(Settings(), "broker")
    with EmbeddedBroker(port=int(sys.argv[1])):
        threading.Event().wait()
