#!/usr/bin/env python3
"""WebSockets held open through a proxy: the echoing origin and its clients in one process.

Prints its port; once a line on standard input names the proxy's port and host, opens the connections, prints how many
stand, and sends a frame on each twice a second, comparing what comes back. At the end of standard input it prints
what was lost. Frames are short text, the client's masked, as the protocol wants them; nothing else is understood.
"""

import asyncio
import base64
import hashlib
import json
import os
import sys

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAUSE = 0.5
PATIENCE = 10


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        raw = next(line for line in head if line.startswith("sec-websocket-key:"))
        # Header names are in lower case here, values must not be: the key is in hexadecimal digits for that.
        accept = accept_for(raw.split(":", 1)[1].strip())
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while True:
            writer.write(frame(await read_frame(reader), mask=False))
    except (asyncio.IncompleteReadError, ConnectionError, StopIteration):
        pass
    finally:
        writer.close()


def accept_for(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def frame(text, mask):
    head = bytes((0x81, len(text) | (0x80 if mask else 0)))
    if not mask:
        return head + text
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(text))


async def read_frame(reader):
    head = await reader.readexactly(2)
    key = await reader.readexactly(4) if head[1] & 0x80 else b"\0\0\0\0"
    text = await reader.readexactly(head[1] & 0x7F)
    if head[0] != 0x81:
        raise ConnectionError("not a frame of text")
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(text))


class Client:
    def __init__(self):
        self.echoes = 0
        self.error = None

    async def open(self, port, host):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        key = os.urandom(12).hex()
        self.writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
        if not head.startswith("HTTP/1.1 101") or accept_for(key) not in head:
            raise ConnectionError(head.split("\r\n", 1)[0])

    async def run(self, number):
        try:
            while True:
                text = f"{number}:{self.echoes}".encode()
                self.writer.write(frame(text, mask=True))
                if await asyncio.wait_for(read_frame(self.reader), PATIENCE) != text:
                    raise ConnectionError("another text came back")
                self.echoes += 1
                await asyncio.sleep(PAUSE)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.error = f"{type(error).__name__}: {error}"


async def main():
    count = int(sys.argv[1])
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    port, host = line.split()
    clients = [Client() for _ in range(count)]
    for client in clients:
        await client.open(int(port), host)
    print(json.dumps({"open": count}), flush=True)
    tasks = [asyncio.create_task(client.run(number)) for number, client in enumerate(clients)]
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    errors = [client.error for client in clients if client.error]
    print(json.dumps({"open": count, "lost": len(errors), "echoes": sum(client.echoes for client in clients),
                      "silent": sum(not client.echoes for client in clients), "first_errors": errors[:5]}), flush=True)
    # What serves does so as long as its peer stays.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
