"""The scenario `change`: one changed route, beside everybody's way of changing one.

For every peer and number of routes: how long from the write until every new connection is routed by it, what it
costs in CPU and memory, and what clients notice while changes go on.
"""

import contextlib
import json
import subprocess
import threading
import time

from . import etcd
from .context import summary
from .process import Failure, ask
from .report import Section
from .subjects import subjects

SIZES = (1_000, 10_000, 100_000)
# Answers in a row by the new rule before it counts as effective: a proxy that reloads serves old and new at a time.
IN_A_ROW = 8
# Changes per second of the stream that all peers are given, if they can.
STREAM_RATE = 2


def change(context):
    """Every peer, at every size that it survives."""
    section = Section(
        "change",
        "One changed route among many: from the write to effective, its cost, and what clients notice",
        ["routes", "peer", "effective ms, p50", "p99", "changes", "CPU ms per change", "PSS MiB before", "peak", "after",
         "stream of changes: failed", "connections lost", "p99 × quiet"],
    )
    for routes in SIZES if not context.quick else SIZES[:2]:
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(etcd.Etcd(context)) if etcd.BINARY else None
            if store:
                from .peers import host

                store.load(etcd.tree(routes, context.origin_port, host))
            for subject in subjects(context, store):
                one_subject(context, section, subject, routes, store)
    if not etcd.BINARY:
        section.note("Not measured: everything with etcd (apt-get install etcd-server).")
    elif "ringway" in context.peers and not context.peers["ringway"].has_etcd():
        section.note("Not measured: ringway with etcd, which this build does not have.")
    section.note(f"A change is effective at the first of {IN_A_ROW} answers in a row by the new rule, each on a new "
                 "connection. The write is the file's rename or etcd's answer to the PUT. CPU is that of all the peer's "
                 "processes, children and commands included, without etcd's, while nobody asks. Each peer has one "
                 "worker or shard on one core, with everything else that it runs.")
    section.note(f"The stream: as many as {STREAM_RATE} changes a second for some seconds, under 16 keep-alive "
                 "connections of POST and 4 that open a new connection for each GET, none of which ever retries. "
                 "Connections lost are keep-alive connections that the peer closed. p99 is compared with as long a time "
                 "in which the same is written to where nobody looks; the range of such quiet times among each other "
                 "is the noise.")
    return section


def one_subject(context, section, subject, routes, store):
    """All measurements of one peer; what it does not survive is said in its row."""
    print(f"  {routes:,} routes, {subject.label} …", flush=True)
    try:
        subject.start(context, routes, store)
        changes = Changes(context, subject)
        changes.effective()
        delays = changes.delays(context.scale(100, 20), context.scale(10, 4))
        cpu = changes.cpu(delays, context.scale(6, 2.5))
        memory = changes.memory(context.scale(5, 2))
        stream = changes.stream(delays, context.scale(5, 2), context.scale(2, 1))
        subject.running.process.check()
    except Failure as failure:
        section.row(routes, subject.label, f"did not make it: {first_sentence(failure)}", *[None] * 9)
        section.data(routes=routes, peer=subject.label, failure=str(failure))
        return
    finally:
        if hasattr(subject, "running"):
            subject.stop()
    p50, p99 = percentile(delays, 50), percentile(delays, 99)
    section.row(routes, subject.label, p50, p99, len(delays), cpu, memory["before"], memory["peak"], memory["after"],
                stream["failed"], stream["lost"], stream["ratio"])
    section.data(routes=routes, peer=subject.label, effective_ms=delays, cpu_ms=cpu, pss_mib=memory, stream=stream)
    section.bar(f"ms until effective, p50, {routes:,} routes", subject.label, p50)
    section.bar(f"CPU ms per change, {routes:,} routes", subject.label, cpu)
    if subject.label == "ringway etcd":
        section.check(f"ms from PUT to effective, p50, {routes:,} routes", p50, 2.0)
        section.check(f"ms from PUT to effective, p99, {routes:,} routes", p99, 10.0)
        section.check(f"CPU ms per change, {routes:,} routes", cpu, 0.5)
        if routes != SIZES[0]:
            first = next(r for r in section.records if r["peer"] == subject.label and r["routes"] == SIZES[0])
            section.check(f"CPU per change × {SIZES[0]:,} routes, {routes:,} routes", cpu / first["cpu_ms"], 1.5)
            before = percentile(first["effective_ms"], 50)
            section.check(f"p50 × {SIZES[0]:,} routes, {routes:,} routes", p50 / before, 1.5)
        section.check(f"failed requests during changes, {routes:,} routes", stream["failed"], 0)


class Changes:
    """Makes changes to one subject and measures them."""

    def __init__(self, context, subject):
        self.context = context
        self.subject = subject
        self.number = 0

    def name(self):
        self.number += 1
        return f"e{self.number}.test"

    def effective(self, limit=None):
        """One change; the milliseconds until it is effective."""
        name = self.name()
        written = self.subject.apply(name)
        return self.wait(name, written, limit or self.context.scale(90, 30))

    def wait(self, name, written, limit):
        first, row = None, 0
        while row < IN_A_ROW:
            if ask(self.subject.running.port, name) == 200:
                first = first or time.perf_counter()
                row += 1
                continue
            first, row = None, 0
            waited = time.perf_counter() - written
            if waited > limit:
                self.subject.running.process.check()
                raise Failure(f"a change was not effective within {limit} s")
            # Often where it is short, seldom where it is long.
            time.sleep(min(0.02, max(0.0002, waited / 50)))
        return max(0.0, (first - written) * 1e3)

    def delays(self, most, seconds):
        """Isolated changes, one after the other."""
        end = time.monotonic() + seconds
        delays = []
        while len(delays) < most and (time.monotonic() < end or not delays):
            delays.append(self.effective())
            time.sleep(0.02)
        return delays

    def cpu(self, delays, seconds):
        """CPU milliseconds per change while nobody asks: many changes in time, and what time alone costs taken off."""
        spacing = max(0.02, percentile(delays, 50) * 1.5e-3)
        count = max(2, min(200, int(seconds / spacing)))
        self.settle()
        before, started = self.subject.cpu_ms(), time.perf_counter()
        time.sleep(min(2.0, seconds / 4))
        idle = (self.subject.cpu_ms() - before) / (time.perf_counter() - started)
        before, started = self.subject.cpu_ms(), time.perf_counter()
        for _ in range(count):
            name = self.name()
            written = self.subject.apply(name)
            time.sleep(spacing)
        self.settle()
        used = self.subject.cpu_ms() - before - idle * (time.perf_counter() - started)
        self.wait(name, written, self.context.scale(90, 30))
        return max(0.0, used) / count

    def settle(self):
        """Waits until the subject is at rest, old workers gone and what was written taken in."""
        end = time.monotonic() + self.context.scale(60, 20)
        last = self.subject.cpu_ms()
        while time.monotonic() < end:
            time.sleep(0.25)
            now = self.subject.cpu_ms()
            if now - last < 2.5:
                return
            last = now

    def memory(self, seconds):
        """MiB before, at most during and some time after a few changes."""
        self.settle()
        samples, done = [], threading.Event()
        before = self.subject.memory_kib()

        def watch():
            while not done.wait(0.02):
                samples.append(self.subject.memory_kib())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            end = time.monotonic() + seconds
            for _ in range(50):
                self.effective()
                if time.monotonic() > end:
                    break
        finally:
            done.set()
            watcher.join()
        self.settle()
        after = self.subject.memory_kib()
        return {"before": before / 1024, "peak": max([before, after, *samples]) / 1024, "after": after / 1024}

    def stream(self, delays, seconds, rounds, rate=STREAM_RATE):
        """What clients notice of a stream of changes, beside equally long times without one."""
        spacing = max(1 / rate, percentile(delays, 50) * 1.5e-3)
        quiet, during = [], []
        for _ in range(rounds):
            quiet.append(self.loaded(spacing, seconds, pretend=True))
            during.append(self.loaded(spacing, seconds, pretend=False))
        if not all(counts["p99_us"] for counts in quiet + during):
            raise Failure(f"no request was answered within {seconds} s; {quiet} {during}")
        ratios = [loud["p99_us"] / still["p99_us"] for loud, still in zip(during, quiet, strict=True)]
        return {
            "failed": sum(counts["failed"] for counts in during),
            "failed_quiet": sum(counts["failed"] for counts in quiet),
            "lost": sum(counts["lost"] for counts in during),
            "lost_quiet": sum(counts["lost"] for counts in quiet),
            "changes": sum(counts["changes"] for counts in during),
            "requests": sum(counts["requests"] for counts in during),
            "first_errors": [error for counts in during for error in counts["first_errors"]][:5],
            "p99_us": summary([counts["p99_us"] for counts in during]),
            "p99_us_quiet": summary([counts["p99_us"] for counts in quiet]),
            "ratio": summary(ratios)["median"],
        }

    def loaded(self, spacing, seconds, pretend):
        """One stretch of load with changes, or with what looks like changes."""
        loads = [
            self.load(connections=16, method="POST", body=1024, verify="true"),
            self.load(connections=4, mode="connect"),
        ]
        try:
            time.sleep(0.2)
            changes, end = 0, time.perf_counter() + seconds
            while (now := time.perf_counter()) < end:
                self.subject.apply(self.name(), pretend)
                changes += 1
                time.sleep(max(0.0, spacing - (time.perf_counter() - now)))
        finally:
            reports = [json.loads(load.communicate(timeout=60)[0].strip().splitlines()[-1]) for load in loads]
        kept, churned = reports
        return {
            "changes": changes,
            "requests": kept["requests"] + churned["requests"],
            "failed": kept["failed"] + churned["failed"],
            "lost": kept["connects"] - 16,
            "p99_us": kept["p99_us"],
            "p50_us": kept["p50_us"],
            "first_errors": kept["first_errors"] + churned["first_errors"],
        }

    def load(self, **options):
        routes = self.subject.routes
        command = self.context.load_command(
            self.subject.running, duration=3600, until_stdin="true", host=f"h{{0..{routes - 1}}}.test", **options
        )
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def first_sentence(failure):
    return str(failure).split(";", 1)[0].split("\n", 1)[0]
