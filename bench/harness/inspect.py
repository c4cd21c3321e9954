"""Looks inside the proxy under load: system calls, a flame graph, instructions per request."""

import collections
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .process import Failure
from .report import Section
from .flame import draw

SUBJECT = "ringway"


def syscalls(context):
    """`strace -c` on the proxy under load."""
    section = Section("syscalls", "System calls of the proxy under load, from strace -c",
                      ["peer", "calls per request", "calls"])
    if not shutil.which("strace"):
        return section.skip("strace is not installed")
    for name in context.has("forwarder", "nginx", "haproxy", SUBJECT):
        running = context.start(name)
        output = context.root / "flamegraphs" / f"syscalls-{name}.txt"
        output.parent.mkdir(exist_ok=True)
        calls, requests = count_calls(context, running, output)
        section.row(name, sum(calls.values()) / max(requests, 1), listed(calls))
        section.data(peer=name, calls=calls, requests=requests)
        if name == SUBJECT:
            others = sum(number for call, number in calls.items() if call != "io_uring_enter")
            section.check("share of system calls other than io_uring_enter", others / sum(calls.values()), 0.01)
        running.stop()
    section.note("Tracing slows the proxy down, so that batches are larger than without. Kept in `flamegraphs/syscalls-*.txt`.")
    return section


def count_calls(context, running, output):
    """How often a running proxy makes which system call under load, and how many requests it answers meanwhile."""
    with UnderLoad(context, running) as load:
        first = load.requests()
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-o", output, *(word for pid in running.process.pids() for word in ("-p", str(pid)))],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1.0)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        requests = load.requests() - first
    calls = {}
    for line in output.read_text().splitlines():
        match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if match and match[2] != "total":
            calls[match[2]] = int(match[1])
    if not calls:
        raise Failure(f"strace saw nothing of {running.name}; see {output}")
    return calls, requests


def listed(calls):
    """System calls and how often, the most frequent first."""
    return ", ".join(f"{call} {number:,}" for call, number in sorted(calls.items(), key=lambda item: -item[1]))


def flamegraph(context):
    """Where the proxy's time goes, as flamegraphs/<peer>.svg."""
    section = Section("flamegraph", "CPU samples of the proxy under load (64 connections)",
                      ["peer", "samples", "in user space", "file"])
    if not shutil.which("perf"):
        return section.skip("perf is not installed")
    for name in context.has("forwarder", "nginx", SUBJECT):
        running = context.start(name)
        recorded = running.directory / "perf.data"
        pids = ",".join(map(str, running.process.pids()))
        with UnderLoad(context, running):
            result = subprocess.run(
                ["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "--call-graph", "dwarf,4096", "-p", pids,
                 "-o", recorded, "--", "sleep", "2"], capture_output=True, text=True)
        if result.returncode != 0:
            raise Failure(f"perf record: {result.stderr.strip()[-400:]}")
        script = subprocess.run(["perf", "script", "-i", recorded, "-F", "comm,ip,sym", "--no-inline"],
                                capture_output=True, text=True, timeout=300).stdout
        stacks, kernel = fold(script)
        total = sum(stacks.values())
        if not total:
            raise Failure(f"perf recorded no sample of {name}")
        output = context.root / "flamegraphs" / f"{name}.svg"
        output.parent.mkdir(exist_ok=True)
        title = f"{name}: {total} samples at 997 Hz, 64 keep-alive connections, 64-byte bodies"
        output.write_text(draw(stacks, title))
        section.row(name, total, f"{100 * (1 - kernel / total):.0f} %", f"flamegraphs/{output.name}")
        section.data(peer=name, samples=total, kernel_samples=kernel)
        running.stop()
    return section


def fold(script):
    """perf script's stacks, root first, with their number of samples; and how many were taken in the kernel."""
    stacks, kernel, frames, top = collections.Counter(), 0, [], None
    for line in [*script.splitlines(), ""]:
        if not line.strip():
            if frames:
                stacks[tuple(reversed(frames))] += 1
                kernel += top.startswith("ffff")
            frames, top = [], None
            continue
        parts = line.split(None, 1)
        if line[0].isspace() and re.fullmatch(r"[0-9a-f]+", parts[0]):
            top = top or parts[0].rjust(16, "0")
            name = parts[1].strip() if len(parts) > 1 else "?"
            frames.append(re.sub(r"::h[0-9a-f]{16}$|\+0x[0-9a-f]+$", "", name))
    return stacks, kernel


def instructions(context):
    """Instructions per request in user space, counted by valgrind: the difference of two runs removes the start."""
    section = Section("instructions", "Instructions in user space per request (callgrind, 8 connections)",
                      ["peer", "instructions/request"])
    if not shutil.which("valgrind"):
        return section.skip("valgrind is not installed")
    preload = context.scratch / "yielding_enter.so"
    source = Path(__file__).with_name("yielding_enter.c")
    compiled = subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", preload, source], capture_output=True, text=True)
    if compiled.returncode != 0:
        raise Failure(f"cc cannot compile {source}: {compiled.stderr.strip()}")
    for name in context.has("forwarder", "nginx", "haproxy", SUBJECT):
        counted = {}
        for requests in (2_000, 6_000):
            counted[requests] = count_instructions(context, name, requests, preload)
        if None in counted.values():
            section.note(f"{name}: valgrind cannot run it.")
            continue
        each = (counted[6_000] - counted[2_000]) / 4_000
        section.row(name, round(each))
        section.bar("instructions per request", name, each)
        section.data(peer=name, instructions=each)
    return section


def count_instructions(context, name, requests, preload):
    """User instructions of one peer's process group that serves `requests` requests, or None if it does not run."""
    peer = context.peers[name]
    original = peer.command

    def command(directory, *rest):
        output = directory / "callgrind.%p"
        return ["env", f"LD_PRELOAD={preload}", "valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", "--trace-children=yes",
                *original(directory, *rest)]

    peer.command = command
    try:
        running = context.start(name)
        context.load(running, connections=8, requests=requests)
    except Failure:
        return None
    finally:
        del peer.command
    running.process.popen.send_signal(signal.SIGTERM)
    running.process.popen.wait(20)
    total = 0
    for file in running.directory.glob("callgrind.*"):
        match = re.search(r"^(?:totals|summary): (\d+)", file.read_text(), re.MULTILINE)
        total += int(match[1]) if match else 0
    return total or None


class UnderLoad:
    """Keep-alive load at 64 connections while the block runs."""

    def __init__(self, context, running):
        self.command = context.load_command(running, connections=64, duration=3600, until_stdin="true")

    def __enter__(self):
        self.popen = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # Every connection is up and both pools are warm by then.
        while self.requests() < 2_000:
            time.sleep(0.05)
        return self

    def requests(self):
        """How many requests have been answered so far."""
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()
        return json.loads(self.popen.stdout.readline())["requests"]

    def __exit__(self, *_):
        self.popen.communicate(timeout=30)
