"""Many small MQTT clients in one asyncio loop, which count what the broker answered them."""
import asyncio
import collections
import random
import struct

from .raw import connect_packet, packet, text


class Hung(Exception):
    """The broker hung up, or does not answer."""


class SwarmClient:
    """pause: seconds between two publishes at most; also: one more filter to subscribe to."""

    def __init__(self, port, name, password, counts, pause=0.05, also=None):
        self.port, self.name, self.password, self.counts, self.pause = port, name, password, counts, pause
        self.filters = [f"devices/{name}/commands", *([also] if also else [])]

    async def read_packet(self):
        try:
            head = (await asyncio.wait_for(self.reader.readexactly(1), 30))[0]
            length, shift = 0, 0
            while True:
                digit = (await self.reader.readexactly(1))[0]
                length |= (digit & 0x7F) << shift
                shift += 7
                if not digit & 0x80:
                    return head, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.TimeoutError) as error:
            raise Hung from error

    async def answer(self, kind):
        """The next packet of that kind; deliveries on the way are counted."""
        while True:
            head, body = await self.read_packet()
            if head & 0xF0 == 0x30:
                self.counts["delivered"] += 1
            elif head & 0xF0 == kind:
                return body

    async def session(self, publishes):
        """One life: connect, subscribe, publish allowed and denied topics, leave politely or not."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            self.writer.write(connect_packet(self.name, self.name, self.password, version=5))
            if (await self.answer(0x20))[1] != 0:
                self.counts["refused"] += 1
                return
            self.counts["accepted"] += 1
            self.writer.write(packet(0x82, b"\0\1\0" + b"".join(text(one) + b"\0" for one in self.filters)))
            for code in (await self.answer(0x90))[-len(self.filters):]:
                self.counts["subscribed" if code < 0x80 else "not subscribed"] += 1
            for number in range(publishes):
                mine = random.random() < 0.8
                topic = f"devices/{self.name if mine else 'someone-else'}/data"
                self.writer.write(packet(0x32, text(topic) + struct.pack("!H", number + 2) + b"\0" + b"x" * 40))
                body = await self.answer(0x40)
                self.counts["published" if len(body) < 3 or body[2] < 0x80 else "denied"] += 1
                await asyncio.sleep(random.random() * self.pause)
            if random.random() < 0.7:
                self.writer.write(packet(0xE0, b""))
        except Hung:
            self.counts["hung up"] += 1
        finally:
            self.writer.close()


async def swarm(port, credentials, seconds, publishes=10, **more):
    """Runs one client for each (name, password callable) over and over; returns the counts. more: as SwarmClient."""
    counts = collections.Counter()
    end = asyncio.get_running_loop().time() + seconds

    async def one(name, password):
        await asyncio.sleep(random.random())
        while asyncio.get_running_loop().time() < end:
            await SwarmClient(port, name, password(), counts, **more).session(publishes)
            await asyncio.sleep(random.random() * 0.2)

    await asyncio.gather(*(one(name, password) for name, password in credentials))
    return counts
