"""What every scenario needs: the binaries, an origin, the peers, and a way to load one."""

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from .process import LOAD_CORE, Failure, Process, ask, free_port, pinned


class Context:
    """One run of the harness. Use as a context manager: leaving it stops everything that was started."""

    def __init__(self, binaries, peers, quick, root):
        self.binaries = binaries
        self.peers = {peer.name: peer for peer in peers}
        self.quick = quick
        self.root = root
        self.processes = []
        self.numbers = 0
        self.keep = False
        self.origin_port = None

    def __enter__(self):
        self.scratch = Path(tempfile.mkdtemp(prefix="ringway-bench-"))
        self.origin_port = free_port()
        argv = [self.binaries / "origin", "--port", str(self.origin_port)]
        origin = Process("origin", argv, LOAD_CORE, self.scratch)
        self.processes.append(origin)
        deadline = time.monotonic() + 5
        while ask(self.origin_port, "bench") != 200:
            origin.check()
            if time.monotonic() > deadline:
                raise Failure(f"the origin does not answer; see {origin.log}")
            time.sleep(0.01)
        return self

    def __exit__(self, kind, value, trace):
        self.stop_all()
        if kind is None and not self.keep:
            shutil.rmtree(self.scratch, ignore_errors=True)
        else:
            print(f"configurations and logs are kept in {self.scratch}")

    def stop_all(self):
        for process in reversed(self.processes):
            process.stop()

    def next_number(self):
        self.numbers += 1
        return self.numbers

    def scale(self, full, quick):
        return quick if self.quick else full

    def start(self, name, **options):
        return self.peers[name].start(self, **options)

    def has(self, *names):
        return [name for name in names if name in self.peers]

    def load_command(self, running, core=LOAD_CORE, **options):
        """The load generator's command line; option names as its own, `_` for `-`; lists repeat an option."""
        argv = [self.binaries / "load", "--target", f"127.0.0.1:{running.port}"]
        argv += ["--host", "h0.test"] if "host" not in options else []
        for pid in running.process.pids():
            argv += ["--pid", str(pid)]
        for name, value in options.items():
            for each in value if isinstance(value, list) else [value]:
                argv += [f"--{name.replace('_', '-')}", str(each)]
        return argv if core is None else pinned(core, argv)

    def load(self, running, **options):
        """Runs the load generator to its end and gives its counts; a failed request is an error."""
        argv = self.load_command(running, **options)
        limit = options.get("duration", 2) + options.get("warmup", 0) + 30
        result = subprocess.run(argv, capture_output=True, text=True, timeout=limit)
        running.process.check()
        if result.returncode != 0:
            raise Failure(f"load on {running.name}: {result.stderr.strip()}")
        counts = json.loads(result.stdout.strip().splitlines()[-1])
        if counts["failed"]:
            raise Failure(f"{running.name}: {counts['failed']} of {counts['requests']} failed: {counts['first_errors']}")
        if not counts["requests"]:
            raise Failure(f"{running.name}: not one request was answered")
        return counts


def summary(values):
    """Median and range of one quantity's rounds."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": list(values)}


def paired_ratio(numerators, denominators):
    """Median of the rounds' ratios: what ran side by side is compared, so that slow phases of the machine cancel."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
