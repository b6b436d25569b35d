"""Has polars guess a table from a file of NDJSON, without settings, and prints how many rows and events of each type it holds."""

import json
import sys

import polars

events = polars.read_ndjson(sys.argv[1])
kinds = dict(events.group_by("type").len().iter_rows())
last = json.loads(events.sort("position")[-1, "data"])
print(json.dumps({"kinds": kinds, "last": last, "causation": events.sort("position")[-1, "causationid"]}))
