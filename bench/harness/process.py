"""Processes the harness starts, pins, observes and stops: by pid, never by name."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PROXY_CORE = "1"
LOAD_CORE = "0"
START_LIMIT = 30.0
TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A measurement could not be made; the text says what to do."""


def cores():
    return sorted(os.sched_getaffinity(0))


def pinned(core, argv):
    """`argv` on one core; on a machine without that core, unpinned."""
    if all(int(part) in cores() for part in core.split(",")):
        return ["taskset", "-c", core, *argv]
    return list(argv)


def free_port():
    """A port that nothing listens on now, below the range that outgoing connections use."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(10000 + os.getpid() % 1000, low):
        with socket.socket() as probe:
            try:
                # Without SO_REUSEADDR: a port with connections in TIME_WAIT does not count as free.
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in free_port.given:
            free_port.given.add(port)
            return port
    raise Failure("no free port below the ephemeral range")


free_port.given = set()


class Process:
    """One started program, with its children."""

    def __init__(self, name, argv, core, directory, environment=None):
        self.name = name
        self.log = Path(directory) / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.perf_counter()
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                pinned(core, argv) if core else list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )

    def pids(self):
        """The process and its descendants."""
        found, queue = [], [self.popen.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    queue += [int(child) for child in children.read_text().split()]
                except OSError:
                    pass
        return found

    def check(self):
        if self.popen.poll() is not None:
            tail = self.log.read_text(errors="replace")[-1500:]
            raise Failure(f"{self.name} ended with status {self.popen.returncode}:\n{tail}")

    def rss_kib(self):
        """Resident memory, exactly counted (smaps_rollup, not the approximate VmRSS)."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    total += int(line.split()[1])
        return total

    def peak_kib(self):
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
        return total

    def cpu_ms(self, thread=None):
        """CPU milliseconds, user and kernel, of all living threads, or of those with this name."""
        total = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    if thread in (None, (task / "comm").read_text().strip()):
                        total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    # The thread has ended.
                    pass
        return total / 1e6

    def tree_cpu_ms(self):
        """CPU milliseconds of the process and all its descendants, those that have ended included (to the clock
        tick, by their parents' account of them)."""
        ended = 0
        for pid in self.pids():
            try:
                ended += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]))
            except OSError:
                pass
        return self.cpu_ms() + ended * 1e3 / TICKS

    def pss_kib(self):
        """Resident memory of the process and its descendants, pages that they share counted once."""
        total = 0
        for pid in self.pids():
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except OSError:
                # It has ended.
                pass
        return total

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(2)
            except subprocess.TimeoutExpired:
                for pid in self.pids():
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.popen.wait()


def ask(port, host, path="/64", address="127.0.0.1", timeout=5.0):
    """One request on a new connection; gives the status code, or None without a valid answer."""
    try:
        with socket.create_connection((address, port), timeout) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = connection.recv(64)
            return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else None
    except (OSError, ValueError):
        return None


def wait_until_served(process, port, host, limit=START_LIMIT):
    """Seconds from the process's start until `host` is answered 200."""
    while True:
        if ask(port, host) == 200:
            return time.perf_counter() - process.started
        process.check()
        if time.perf_counter() - process.started > limit:
            raise Failure(f"{process.name} did not serve {host} within {limit:.0f} s; see {process.log}")
        time.sleep(0.0005)
