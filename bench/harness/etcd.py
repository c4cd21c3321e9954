"""An etcd for a scenario, and a client that speaks just enough gRPC to know when a PUT was answered.

etcd's JSON gateway answers later than its gRPC interface does, which would count in favour of whoever watches; so
the client writes the few HTTP/2 frames of a unary call itself. It is no general gRPC client: one call at a time,
small answers, no header of a response is read.
"""

import shutil
import socket
import struct
import tempfile
import time
from pathlib import Path

from .process import LOAD_CORE, Failure, Process, free_port

BINARY = shutil.which("etcd")
# Of a transaction, so that its request fits etcd's first flow control window (64 KiB) with room to spare.
MOST_OPERATIONS = 400
MOST_BYTES = 45_000


def version():
    """One line, or None if etcd is not there."""
    from .peers import first_line

    return first_line([BINARY, "--version"]) if BINARY else None


class Etcd:
    """A running etcd with its data in memory where the system has a place for that. Use as a context manager."""

    def __init__(self, context):
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="ringway-bench-etcd-", dir=memory if memory.is_dir() else None))
        self.port, peer = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        argv = [
            BINARY, "--data-dir", self.directory, "--name", "bench", "--log-level", "error",
            "--listen-client-urls", f"http://{self.address}", "--advertise-client-urls", f"http://{self.address}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"bench=http://127.0.0.1:{peer}",
            "--max-txn-ops", str(MOST_OPERATIONS), "--max-request-bytes", str(16 << 20),
            "--quota-backend-bytes", str(4 << 30), "--unsafe-no-fsync",
        ]
        # Debian's 3.4 may not know the last option; a file system in memory makes it a matter of microseconds.
        if b"unsafe-no-fsync" not in Path(BINARY).read_bytes():
            argv.pop()
        self.argv, self.context = argv, context
        self.start()

    def start(self):
        self.process = Process("etcd", self.argv, LOAD_CORE, self.context.scratch)
        self.context.processes.append(self.process)
        deadline = time.monotonic() + 15
        while True:
            try:
                self.client = Client(self.address)
                self.client.put("bench/ready", "")
                return
            except (OSError, Failure):
                self.process.check()
                if time.monotonic() > deadline:
                    raise Failure(f"etcd does not answer; see {self.process.log}") from None
                time.sleep(0.05)

    def restart(self):
        """The same with the same data, at the same address."""
        self.process.stop()
        self.context.processes.remove(self.process)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def load(self, pairs):
        """Writes many pairs, several in a transaction."""
        pairs = list(pairs)
        for at in range(0, len(pairs), MOST_OPERATIONS):
            self.client.put_all(pairs[at:at + MOST_OPERATIONS])


def tree(routes, origin, host, prefix="traefik", has_services=False, condition=""):
    """The pairs of one router per host, and of the service that all of them share or of one for each.

    `condition` ends each rule.
    """
    yield f"{prefix}/http/services/origin/loadBalancer/servers/0/url", f"http://127.0.0.1:{origin}"
    for number in range(routes):
        yield f"{prefix}/http/routers/r{number}/rule", f"Host(`{host(number)}`){condition}"
        yield f"{prefix}/http/routers/r{number}/service", f"s{number}" if has_services else "origin"
        if has_services:
            yield f"{prefix}/http/services/s{number}/loadBalancer/servers/0/url", f"http://127.0.0.1:{origin}"


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return number, at


def revision(answer):
    """The revision in an answer's header: field 3 of field 1, which comes first."""
    length, at = read_varint(answer, 1)
    end = at + length
    while at < end:
        # All of the header's fields are numbers.
        tag, at = read_varint(answer, at)
        number, at = read_varint(answer, at)
        if tag == 3 << 3:
            return number
    raise Failure(f"no revision in {answer!r}")


def field(number, content):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def put_request(key, value):
    return field(1, key.encode()) + field(2, value.encode())


class Client:
    """One connection, one call at a time."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = address
        self.socket = socket.create_connection((host, int(port)), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.stream = -1
        # A window as large as possible: answers are small, and none is waited for to be allowed.
        window = self.frame(8, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0, b"") + window)

    def put(self, key, value):
        """Writes one pair; returns the store's revision when etcd has answered."""
        return revision(self.call("/etcdserverpb.KV/Put", put_request(key, value)))

    def put_all(self, pairs):
        """Writes pairs in one transaction."""
        operations = b"".join(field(2, field(2, put_request(key, value))) for key, value in pairs)
        self.call("/etcdserverpb.KV/Txn", operations)

    def compact(self, revision):
        """Has it forget what was before a revision."""
        self.call("/etcdserverpb.KV/Compact", b"\x08" + varint(revision))

    def call(self, path, message):
        self.stream += 2
        # HPACK without compression: POST, http, the path and what gRPC asks for, as literals.
        headers = b"\x83\x86" + literal(b":path", path.encode()) + literal(b":authority", self.address.encode())
        headers += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
        body = b"\0" + struct.pack(">I", len(message)) + message
        if len(body) > MOST_BYTES:
            raise Failure(f"a request of {len(body)} bytes to etcd; this client sends {MOST_BYTES} at most")
        frames = self.frame(1, 4, self.stream, headers)
        while len(body) > 16384:
            frames += self.frame(0, 0, self.stream, body[:16384])
            body = body[16384:]
        self.socket.sendall(frames + self.frame(0, 1, self.stream, body))
        answer = b""
        while True:
            kind, flags, stream, payload = self.next_frame()
            if kind == 6 and not flags & 1:
                self.socket.sendall(self.frame(6, 1, 0, payload))
            elif kind == 4 and not flags & 1:
                self.socket.sendall(self.frame(4, 1, 0, b""))
            elif kind in (3, 7):
                raise Failure(f"etcd refused {path}: frame {kind}, {payload!r}")
            elif stream == self.stream and kind == 0:
                answer += payload
            elif stream == self.stream and kind == 1 and flags & 1:
                if not answer:
                    raise Failure(f"etcd refused {path}: {payload!r}")
                return answer[5:]

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

    def next_frame(self):
        while len(self.received) < 9 or len(self.received) < 9 + int.from_bytes(self.received[:3], "big"):
            piece = self.socket.recv(65536)
            if not piece:
                raise Failure("etcd closed the connection")
            self.received += piece
        length = int.from_bytes(self.received[:3], "big")
        kind, flags = self.received[3], self.received[4]
        stream = int.from_bytes(self.received[5:9], "big") & 0x7FFFFFFF
        payload = bytes(self.received[9:9 + length])
        del self.received[:9 + length]
        return kind, flags, stream, payload


def literal(name, value):
    """An HPACK literal without indexing, both parts as they are."""
    def text(part):
        head = bytes((len(part),)) if len(part) < 127 else b"\x7f" + varint(len(part) - 127)
        return head + part

    return b"\0" + text(name) + text(value)
