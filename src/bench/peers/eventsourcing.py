"""Appends of one event by the library eventsourcing on Postgres; prints how many a second."""

import os
import threading
import time
import uuid

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

in_flight, seconds = int(os.environ["IN_FLIGHT"]), float(os.environ["SECONDS"])
state = os.environ["PAYLOAD"].encode()
datastore = PostgresDatastore(
    dbname=os.environ["PGDATABASE"],
    host=os.environ["PGHOST"],
    port=os.environ["PGPORT"],
    user=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    pool_size=in_flight,
    max_waiting=in_flight,
)
recorder = PostgresApplicationRecorder(datastore, events_table_name=f"events_{in_flight}")
recorder.create_table()
done = [0] * in_flight
begun = time.monotonic()


def append(n):
    while time.monotonic() - begun < seconds:
        recorder.insert_events([StoredEvent(uuid.uuid4(), 1, "GameCreated", state)])
        done[n] += 1


threads = [threading.Thread(target=append, args=(n,)) for n in range(in_flight)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(done) / (time.monotonic() - begun))
