"""Reads events as any client does: an ordered consumer by login and password alone. Prints the sequences of COUNT events."""

import asyncio
import sys

import nats


async def main(url, count):
    client = await nats.connect(url)
    events = await client.jetstream().subscribe("events.>", ordered_consumer=True)
    for _ in range(count):
        event = await events.next_msg(timeout=20)
        print(event.metadata.sequence.stream, flush=True)
    await client.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
