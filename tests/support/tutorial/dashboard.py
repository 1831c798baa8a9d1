"""A page's consumer of the shape that Quix tutorials teach.

`python dashboard.py ADDRESS PREFIX`

It subscribes to the four topics and prints each value that it would show, one JSON object per line.
"""

import json
import sys
import time

from quixstreams import Application

ADDRESS, PREFIX = sys.argv[1:3]
SECONDS = 6
FIELDS = {"sensor": "temperature", "alert": "kelvin", "alert-count": "alert_count", "avg-temp": "avg_temp"}

app = Application(
    broker_address=ADDRESS, consumer_group=f"{PREFIX}streamlit", auto_offset_reset="earliest", loglevel="WARNING"
)

with app.get_consumer() as consumer:
    consumer.subscribe([f"{PREFIX}{name}" for name in FIELDS])
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        message = consumer.poll(0.5)
        if message is None or message.error() is not None:
            continue
        topic = message.topic().removeprefix(PREFIX)
        value = json.loads(message.value())
        shown = {"topic": topic, "device_id": value["device_id"], "value": value[FIELDS[topic]]}
        sys.stdout.write(json.dumps(shown) + "\n")
        consumer.store_offsets(message)
