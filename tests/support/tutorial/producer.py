"""A producer of the shape that Quix tutorials teach.

`python producer.py ADDRESS COUNT create|use TOPIC DEVICE`.

Naive local timestamps, the device id as key, a JSON serializer, a reading every 100 ms.
"""

import random
import sys
import time
from datetime import datetime

from quixstreams import Application

ADDRESS, COUNT, TOPICS = sys.argv[1:4]
TOPIC, DEVICE = sys.argv[4:6]

app = Application(broker_address=ADDRESS, loglevel="WARNING", auto_create_topics=TOPICS == "create")
topic = app.topic(name=TOPIC, value_serializer="json")

with app.get_producer() as producer:
    for _ in range(int(COUNT)):
        reading = {
            "timestamp": datetime.now().isoformat(),  # noqa: DTZ005  # as the tutorial has it
            "device_id": DEVICE,
            "temperature": round(random.uniform(31.0, 34.0), 2),  # noqa: S311  # no secret
        }
        message = topic.serialize(key=reading["device_id"], value=reading)
        producer.produce(topic=topic.name, key=message.key, value=message.value)
        time.sleep(0.1)
