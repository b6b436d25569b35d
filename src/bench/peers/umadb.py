"""Appends of one event to a server of UmaDB; prints how many a second."""

import os
import threading
import time
import uuid

from umadb import Client, Event

in_flight, seconds = int(os.environ["IN_FLIGHT"]), float(os.environ["SECONDS"])
data = os.environ["PAYLOAD"].encode()
clients = [Client(os.environ["UMADB_URL"]) for _ in range(in_flight)]
done = [0] * in_flight
begun = time.monotonic()


def append(n):
    while time.monotonic() - begun < seconds:
        clients[n].append([Event("GameCreated", data, [f"game:{uuid.uuid4()}"])])
        done[n] += 1


threads = [threading.Thread(target=append, args=(n,)) for n in range(in_flight)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(done) / (time.monotonic() - begun))
