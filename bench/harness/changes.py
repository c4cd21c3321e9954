"""The scenarios about configuration: how soon a large one serves, and edits under load."""

import json
import os
import subprocess
import time

from .context import summary
from .peers import routers_yaml
from .process import Failure, ask
from .report import Section

SUBJECT = "ringway"
EDIT_LIMIT = 5
# The thread of the proxy that reads the dynamic file.
FILE_THREAD = "ringway-file"
# Seconds between two polls where the proxy's CPU is measured, which they cost too.
MEASURED_POLL = 0.01


def start(context):
    """From process start until the last router answers."""
    section = Section(
        "start",
        "From the process's start to the first answer through the last router",
        ["peer", "routers", "shards", "seconds", "range", "RSS, MiB", "peak RSS, MiB"],
    )
    cases = [(name, 10_000, (1,)) for name in context.has("nginx", "haproxy", "traefik")]
    if SUBJECT in context.peers:
        cases += [(SUBJECT, 10_000, (1, 2)), (SUBJECT, 100_000, (1, 2))]
    for name, routes, shard_counts in cases:
        try:
            starts = start_case(context, name, routes, shard_counts)
        except Failure as failure:
            section.fail(failure)
            continue
        for shards, measured in starts.items():
            took, rss, peak = (summary(values) for values in zip(*measured, strict=True))
            section.row(name, routes, shards, f"{took['median']:.3f}", f"{took['min']:.3f} – {took['max']:.3f}",
                        rss["median"], peak["median"])
            section.data(peer=name, routers=routes, shards=shards, seconds=took, rss_mib=rss, peak_mib=peak)
            if shards == 1:
                section.bar(f"seconds, {routes:,} routers", name, took["median"])
            if name == SUBJECT and shards == 1:
                section.check(f"seconds to serve {routes:,} routers", took["median"], 0.1 if routes == 10_000 else 1.0)
            if name == SUBJECT and shards == 1 and routes == 100_000:
                section.check("MiB RSS with 100,000 routers, one shard, worst start", rss["max"], 128.0)
        if 2 in starts:
            more = summary([two[1] - one[1] for one, two in zip(starts[1], starts[2], strict=True)])
            section.data(peer=name, routers=routes, second_shard_mib=more)
            section.check(f"MiB more for a second shard, {routes:,} routers", more["median"], 2.0)
            section.note(f"A second shard with {routes:,} routers: {more['median']:.1f} MiB more, the median of "
                         f"{len(starts[2])} pairs of starts with one and two shards in turn "
                         f"({more['min']:.1f} – {more['max']:.1f}).")
    section.note("nginx has a server block, HAProxy a map entry, Traefik and Ringway a router per host "
                 "(every second one of theirs with a path prefix as well).")
    return section


def start_case(context, name, routes, shard_counts):
    """Seconds, resident MiB and peak MiB of several starts, by the number of shards, which change from start to start."""
    starts = {shards: [] for shards in shard_counts}
    for _ in range(context.scale(7, 3)):
        for shards, measured in starts.items():
            # Two shards need two cores; everything else runs on the one core of the other scenarios.
            pin = {} if shards == 1 else {"core": None}
            running = context.start(name, routes=routes, shards=shards, mixed=True, **pin)
            seconds = running.served_after
            resident = settled_rss(running) / 1024
            measured.append((seconds, resident, running.process.peak_kib() / 1024))
            running.stop()
    return starts


def settled_rss(running):
    """Resident memory once it no longer changes: allocators return memory late."""
    last = running.process.rss_kib()
    for _ in range(20):
        time.sleep(0.1)
        now = running.process.rss_kib()
        if abs(now - last) < 64:
            return now
        last = now
    return last


def edit(context):
    """A thousand edits of the dynamic file under keep-alive POST load that never retries."""
    edits, routes = context.scale(1_000, 200), 1_000
    section = Section(
        "edit",
        f"{edits:,} edits of one of {routes:,} routers' file under keep-alive POST load without retries",
        ["requests", "failed", "edits effective", "p50 ms", "p99 ms", "RSS before, MiB", "after", "fds before", "after"],
    )
    if SUBJECT not in context.peers:
        return section.skip("needs ringway")
    running = context.start(SUBJECT, routes=routes)
    editor = Editor(running, routers_yaml(routes, context.origin_port))
    command = context.load_command(
        running, connections=16, method="POST", body=4096, verify="true", duration=3600, until_stdin="true",
        host=f"h{{0..{routes - 1}}}.test",
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        try:
            delays = []
            # What the first edits leave behind in pools and arenas is not growth.
            for number in range(edits // 10):
                editor.apply(f"warm{number}")
            before = settled_rss(running), running.process.descriptors()
            for number in range(edits):
                delays.append(editor.apply(f"e{number}"))
            after = settled_rss(running), running.process.descriptors()
        finally:
            output = load.communicate(timeout=30)[0]
    running.process.check()
    counts = json.loads(output.strip().splitlines()[-1])
    delays.sort()
    p50, p99 = delays[len(delays) // 2] * 1e3, delays[len(delays) * 99 // 100] * 1e3
    section.row(counts["requests"], counts["failed"], len(delays), p50, p99, before[0] / 1024, after[0] / 1024,
                before[1], after[1])
    section.data(requests=counts["requests"], failed=counts["failed"], errors=counts["first_errors"],
                 announced_closes=counts["announced_closes"], p50_ms=p50, p99_ms=p99, rss_kib=[before[0], after[0]],
                 descriptors=[before[1], after[1]])
    section.check("failed requests during the edits", counts["failed"], 0)
    section.check("keep-alive connections closed during the edits", counts["announced_closes"], 0)
    section.check("RSS after ÷ before the edits", after[0] / before[0], 1.05)
    section.check("descriptors after − before the edits", after[1] - before[1], 2)
    if counts["first_errors"]:
        section.note(f"First errors: {counts['first_errors']}")
    section.note("An edit counts when a new connection gets 200 through the router it added and 404 through the one it "
                 "replaced; the delays contain this poll, which shares a core with the load generator and the origin.")
    running.stop()
    return section


def edit_cost(context):
    """CPU of the whole process for an edit of one route, in files of different sizes."""
    edits = context.scale(50, 10)
    section = Section(
        "edit_cost",
        f"CPU per edit of one route in the dynamic file, medians of {edits} edits",
        ["routers", "file, MiB", "CPU ms per edit", "of it reading the file", "range", "first reading, CPU ms"],
    )
    if SUBJECT not in context.peers:
        return section.skip("needs ringway")
    for routes in (1_000, 10_000, 100_000):
        running = context.start(SUBJECT, routes=routes)
        settled_rss(running)
        first = running.process.cpu_ms(FILE_THREAD)
        editor = Editor(running, routers_yaml(routes, context.origin_port))
        for number in range(3):
            editor.apply(f"warm{number}", MEASURED_POLL)
        totals, readings = [], []
        for number in range(edits):
            before = running.process.cpu_ms(), running.process.cpu_ms(FILE_THREAD)
            editor.apply(f"e{number}", MEASURED_POLL)
            # What is dropped after the edit serves is of its cost as well.
            time.sleep(0.05)
            totals.append(running.process.cpu_ms() - before[0])
            readings.append(running.process.cpu_ms(FILE_THREAD) - before[1])
        total, reading = summary(totals), summary(readings)
        size = editor.target.stat().st_size / (1 << 20)
        section.row(routes, size, total["median"], reading["median"], (total["min"], total["max"]), first)
        section.data(routers=routes, file_mib=size, cpu_ms=total, reading_ms=reading, first_reading_ms=first)
        section.bar("CPU ms per edit of one route", f"{routes:,} routers", total["median"])
        if routes == 100_000:
            section.check("CPU ms per edit of one of 100,000 routes", total["median"], 50.0)
        running.stop()
    section.note("Reading is the file provider's own thread: reading, checking and hashing the text, and decoding what "
                 "differs; its first reading parses and decodes everything. The rest is the merge, the plan, the shards "
                 "and the answers to the polls that notice the edit.")
    return section


class Editor:
    """Edits a running proxy's dynamic file, one router at a time."""

    def __init__(self, running, base):
        self.running = running
        self.base = base
        self.target = running.directory / "dynamic.yml"
        self.previous = None

    def apply(self, name, poll=0.0005):
        """Replaces the file by one with another last router; gives the seconds until that router serves."""
        temporary = self.target.with_suffix(".tmp")
        temporary.write_text(f"{self.base}    edited:\n      rule: Host(`{name}.test`)\n      service: origin\n")
        started = time.perf_counter()
        os.replace(temporary, self.target)
        while ask(self.running.port, f"{name}.test") != 200:
            if time.perf_counter() - started > EDIT_LIMIT:
                self.running.process.check()
                raise Failure(f"the edit that adds {name}.test was not effective within {EDIT_LIMIT} s")
            time.sleep(poll)
        taken = time.perf_counter() - started
        if self.previous and ask(self.running.port, f"{self.previous}.test") != 404:
            raise Failure(f"the edit that removed {self.previous}.test left it served")
        self.previous = name
        return taken
