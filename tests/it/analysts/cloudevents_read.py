"""Reads each line of standard input by the official SDK of CloudEvents, and prints what it says of it."""

import json
import sys

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

for line in sys.stdin.buffer:
    event = JSONFormat().read(CloudEvent, line)
    told = {
        "id": event.get_id(),
        "type": event.get_type(),
        "source": event.get_source(),
        "subject": event.get_subject(),
        "dataschema": event.get_dataschema(),
        "partitionkey": event.get_extension("partitionkey"),
        "data": event.get_data(),
    }
    print(json.dumps(told))
