"""The scenario `change_limits`: what Ringway alone must hold while changes come fast, large or for long."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from . import etcd
from .change import Changes, percentile
from .context import summary
from .peers import host, routers_yaml
from .process import LOAD_CORE, PROXY_CORE, Failure, ask, cores, pinned
from .report import Section
from .subjects import DynamicDirectory, DynamicEtcd, RingwayApi

SUBJECT = "ringway"
WEBSOCKETS = 100
ALIAS = "bench/alias"
WEBSOCKET_HOST = "ws.test"
# A shard's counters are published once a second.
PUBLISHED = 1.1


def change_limits(context):
    """Bursts, storms, large changes and many changes."""
    section = Section(
        "change_limits",
        "Ringway under many changes, large changes and both",
        ["what", "routes", "source", "measured", "value"],
    )
    if SUBJECT not in context.peers:
        return section.skip("needs ringway")
    has_etcd = bool(etcd.BINARY) and context.peers[SUBJECT].has_etcd()
    for measure in MEASURES:
        store = None
        print(f"  {measure.__name__} …", flush=True)
        with contextlib.ExitStack() as stack:
            if has_etcd:
                store = stack.enter_context(etcd.Etcd(context))
            elif measure in (alias, resync):
                section.note(f"Not measured: {measure.__name__}, which needs etcd, the program and the provider.")
                continue
            try:
                measure(context, section, store)
            except Failure as failure:
                section.fail(f"{measure.__name__}: {failure}")
            finally:
                for process in context.processes[1:]:
                    process.stop()
    section.note("Source: etcd where there is one, else a directory with the changing route in a small file of its own, "
                 "which every change reads and which adds the file provider's cost.")
    return section


def started(context, store, routes, shards=1, **options):
    """A Ringway under change, its API and its changes."""
    options |= {"api_port": None, "shards": shards}
    if shards > 1:
        options["core"] = None
    if store:
        store.load(etcd.tree(routes, context.origin_port, host))
        subject = DynamicEtcd("etcd", SUBJECT, **options)
    else:
        subject = DynamicDirectory("directory", SUBJECT, split=True, **options)
    running = subject.start(context, routes, store)
    changes = Changes(context, subject)
    changes.effective()
    return subject, RingwayApi(running.api_port), changes


def acknowledged(context, section, store):
    """From the write to the acknowledgement of the last of two shards."""
    for routes in sizes(context):
        subject, api, changes = started(context, store, routes, shards=2)
        delays, early = [], 0
        for _ in range(context.scale(300, 50)):
            generation = api.generation()
            api.expect(generation + 1)
            # So that the question itself is not at work any more.
            time.sleep(0.02)
            written = subject.apply(changes.name())
            reached, answer = api.reached()
            if answer["effective"] <= generation:
                raise Failure(f"generation {generation + 1} did not come: {answer}")
            # etcd may tell its watchers before it answers the PUT.
            early += reached < written
            delays.append(max(0.0, (reached - written) * 1e3))
        p50, p99 = percentile(delays, 50), percentile(delays, 99)
        section.row("effective on both shards", routes, subject.label, "ms, p50", p50)
        section.row("", routes, subject.label, "ms, p99", p99)
        section.data(what="acknowledged", routes=routes, source=subject.label, ms=delays)
        section.bar("ms until both shards have acknowledged, p50", f"{routes:,} routes", p50)
        if store:
            section.check(f"ms from PUT to acknowledged by both shards, p50, {routes:,} routes", p50, 2.0)
            section.check(f"ms from PUT to acknowledged by both shards, p99, {routes:,} routes", p99, 10.0)
        subject.stop()


def sizes(context):
    return (1_000, 10_000) if context.quick else (1_000, 10_000, 100_000)


def burst(context, section, store):
    """A thousand writes in a row: when the last is effective after the last write."""
    subject, api, changes = started(context, store, 10_000, shards=2)
    delays, took, generations = [], [], []
    for _ in range(context.scale(10, 3)):
        before, begun = api.generation(), time.perf_counter()
        for _ in range(1_000):
            name = changes.name()
            written = subject.apply(name)
        took.append((written - begun) * 1e3)
        delays.append(changes.wait(name, written, 10))
        generations.append(api.generation() - before)
    section.row("1,000 writes in a row", 10_000, subject.label, "ms for the writes", summary(took)["median"])
    section.row("", 10_000, subject.label, "ms from the last to effective, worst", max(delays))
    section.row("", 10_000, subject.label, "generations that they came to", summary(generations)["median"])
    section.data(what="burst", source=subject.label, ms=delays, write_ms=took, generations=generations)
    section.check("ms from the last of 1,000 writes to effective, worst", max(delays), 50)


def storm(context, section, store):
    """A hundred changes a second under full load, with WebSockets open."""
    subject, api, changes = started(context, store, 10_000)
    under_storm(context, section, subject, changes, "100 changes a second", [])


def crowded_storm(context, section, store):
    """The same while the API is polled for everything and a large file beside is read again and again."""
    routes = context.scale(100_000, 10_000)
    subject, api, changes = started(context, store, 10_000, beside=True)
    directory = subject.running.directory / "dynamic.d"
    beside = f"{routes:,} routes in a file read anew once a second, /api/rawdata in a loop"

    def poll(done):
        while not done.is_set():
            with urllib.request.urlopen(f"http://127.0.0.1:{api.port}/api/rawdata", timeout=60) as answer:
                while answer.read(1 << 20):
                    pass

    def reload(done):
        number = 0
        while not done.wait(1.0):
            number += 1
            text = routers_yaml(routes, context.origin_port, prefix="beside") + f"# {number}\n"
            text = text.replace("Host(`besideh0.test`)", f"Host(`besideh0-{number}.test`)")
            temporary = subject.running.directory / "beside.new"
            temporary.write_text(text)
            os.replace(temporary, directory / "beside.yml")

    under_storm(context, section, subject, changes, f"100 changes a second; {beside}", [poll, reload])


def under_storm(context, section, subject, changes, what, beside):
    """Load with and without a stream of changes; `beside` runs during both."""
    routes, rounds = subject.routes, context.scale(5, 1)
    with WebSockets(context, subject) as sockets:
        done = threading.Event()
        threads = [threading.Thread(target=work, args=(done,)) for work in beside]
        for thread in threads:
            thread.start()
        try:
            result = changes.stream([1.0], context.scale(8, 3), rounds, rate=100)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        held = sockets.report()
    quiet = result["p99_us_quiet"]
    noise = quiet["max"] / quiet["min"] - 1
    section.row(what, routes, subject.label, "changes", result["changes"])
    section.row("", routes, subject.label, "requests", result["requests"])
    section.row("", routes, subject.label, "failed", result["failed"])
    section.row("", routes, subject.label, f"WebSockets lost, of {WEBSOCKETS}", held["lost"] + held["silent"])
    section.row("", routes, subject.label, "keep-alive connections lost", result["lost"])
    section.row("", routes, subject.label, "p99 ÷ quiet, median of pairs", result["ratio"])
    section.row("", routes, subject.label, "quiet p99: largest ÷ smallest − 1 (noise)", noise)
    section.data(what=what, source=subject.label, websockets=held, **result)
    section.check(f"failed requests, {what}", result["failed"], 0)
    section.check(f"WebSockets lost, {what}", held["lost"] + held["silent"], 0)
    section.check(f"p99 ÷ quiet, {what}", result["ratio"], 1.05)


class WebSockets:
    """Open WebSockets through a proxy. Use as a context manager."""

    def __init__(self, context, subject):
        # Isolated, so that modules beside the script do not stand in for the standard ones of their names.
        argv = [sys.executable, "-I", str(Path(__file__).with_name("websockets.py")), str(WEBSOCKETS)]
        self.popen = subprocess.Popen(pinned(LOAD_CORE, argv), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        origin = int(self.popen.stdout.readline())
        route(subject, WEBSOCKET_HOST, origin)
        deadline = time.monotonic() + 10
        # The route must be there; the origin closes what is no handshake, which the proxy answers 502.
        while ask(subject.running.port, WEBSOCKET_HOST) == 404:
            if time.monotonic() > deadline:
                raise Failure("the route of the WebSockets did not become effective")
            time.sleep(0.01)
        self.say(f"{subject.running.port} {WEBSOCKET_HOST}")
        opened = self.popen.stdout.readline()
        if not opened:
            raise Failure("the WebSockets could not be opened")

    def say(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def report(self):
        return json.loads(self.popen.communicate(timeout=30)[0].strip().splitlines()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


def route(subject, name, port):
    """Adds a route with a service of its own."""
    if subject.store:
        subject.store.client.put_all([
            ("traefik/http/services/ws/loadBalancer/servers/0/url", f"http://127.0.0.1:{port}"),
            ("traefik/http/routers/ws/rule", f"Host(`{name}`)"),
            ("traefik/http/routers/ws/service", "ws"),
        ])
        return
    text = (f"http:\n  services:\n    ws:\n      loadBalancer:\n        servers:\n"
            f"          - url: http://127.0.0.1:{port}\n"
            f"  routers:\n    ws:\n      rule: Host(`{name}`)\n      service: ws\n")
    temporary = subject.running.directory / "ws.new"
    temporary.write_text(text)
    os.replace(temporary, subject.running.directory / "dynamic.d/ws.yml")


def soak(context, section, store):
    """Many changes: what they leave behind."""
    count = context.scale(100_000, 3_000)
    subject, api, changes = started(context, store, 10_000, shards=2)
    for _ in range(max(2_000, count // 50)):
        written, name = subject.apply(last := changes.name()), last
    changes.wait(name, written, 30)
    time.sleep(PUBLISHED)
    before = rss(subject)
    live = 0
    for number in range(count):
        written, name = subject.apply(last := changes.name()), last
        if number % (count // 20) == 0:
            live = max(live, api.variables()["liveGenerations"])
    changes.wait(name, written, 30)
    time.sleep(PUBLISHED)
    after = rss(subject)
    variables = api.variables()
    label = f"{count:,} changes"
    section.row(label, 10_000, subject.label, "RSS before, MiB", before / 1024)
    section.row("", 10_000, subject.label, "RSS after, MiB", after / 1024)
    section.row("", 10_000, subject.label, "live generations, at most seen", live)
    section.row("", 10_000, subject.label, "control thread's longest turn, ms", variables["longestControlTurnNs"] / 1e6)
    section.data(what="soak", source=subject.label, changes=count, rss_kib=[before, after], live=live,
                 variables=variables)
    section.check(f"MiB more after {label} ÷ the larger of 1 % and 2 MiB",
                  max(0, after - before) / max(before / 100, 2048), 1.0)
    # One more for the moment in which the newest is on its way.
    section.check(f"live generations during {label}", live, 2)


def rss(subject):
    """Resident memory once it no longer changes: allocators return memory late."""
    last = subject.running.process.rss_kib()
    for _ in range(30):
        time.sleep(0.2)
        now = subject.running.process.rss_kib()
        if abs(now - last) < 64:
            return now
        last = now
    return last


def resync(context, section, store):
    """The same content listed again as a whole, because the alias was written again."""
    subject = aliased(context, store, context.scale(100_000, 10_000))
    listed_again(context, section, subject, "the same again, listed as a whole",
                 lambda: store.client.put(ALIAS, "trees/blue"))


def listed_again(context, section, subject, what, again):
    """What it costs the source's thread and the others when `again` has equal content listed as a whole."""
    api, process = RingwayApi(subject.running.api_port), subject.running.process
    routes, used = subject.routes, []
    for _ in range(context.scale(5, 2)):
        time.sleep(PUBLISHED)
        before, generation = threads_ms(process), api.generation()
        again()
        settled(process, subject.store.process)
        after = threads_ms(process)
        used.append({name: after[name] - before.get(name, 0) for name in after})
        if api.generation() != generation:
            raise Failure("equal content made a generation")

    def sum_of(mine):
        return summary([sum(ms for name, ms in one.items() if mine(name)) for one in used])["median"]

    source = sum_of(lambda name: name.startswith("ringway-etcd"))
    # The main thread has the program's name, which its file may have changed.
    own = ("ringway-plan", thread_name(process))
    plan = sum_of(lambda name: name in own)
    shards = sum_of(lambda name: name.startswith("shard"))
    section.row(what, routes, subject.label, "plan and control CPU ms", plan)
    section.row("", routes, subject.label, "the source's own thread, CPU ms", source)
    section.row("", routes, subject.label, "shards' CPU ms", shards)
    section.data(what=what, source=subject.label, cpu_ms=used)
    section.check(f"plan, control and source's CPU ms, {what}, {routes:,} routes", plan + source, 500)


def settled(*processes):
    """Waits until these have had next to nothing to do for two seconds: one of them works while another waits for it."""
    calm, before = 0, None
    for _ in range(240):
        used = sum(process.cpu_ms() for process in processes)
        calm = calm + 1 if before is not None and used - before < 25 else 0
        if calm == 4:
            return
        before = used
        time.sleep(0.5)
    raise Failure("the proxy or its store does not come to rest")


def cpu_of(used, prefix):
    """The sum over threads whose names begin so."""
    return sum(ms for name, ms in used.items() if name.startswith(prefix))


def thread_name(process):
    """The name of the process's main thread."""
    return Path(f"/proc/{process.popen.pid}/comm").read_text().strip()


def threads_ms(process):
    """CPU milliseconds by thread name."""
    used = {}
    for task in Path(f"/proc/{process.popen.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        used[name] = used.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e6
    return used


def aliased(context, store, routes):
    """A Ringway whose routes are one of two trees, whichever the alias names. No rule is in both."""
    for tree, condition in (("blue", ""), ("green", " && PathPrefix(`/`)")):
        store.load(etcd.tree(routes, context.origin_port, host, prefix=f"trees/{tree}", condition=condition))
        store.client.put_all([(f"trees/{tree}/http/routers/only/rule", f"Host(`{tree}.test`)"),
                              (f"trees/{tree}/http/routers/only/service", "origin")])
    store.client.put(ALIAS, "trees/blue")
    subject = DynamicEtcd("etcd, by alias", SUBJECT, api_port=None, alias=ALIAS)
    subject.start(context, routes, store)
    return subject


def alias(context, section, store):
    """All routes replaced at once under load, by one write."""
    routes = context.scale(100_000, 10_000)
    subject = aliased(context, store, routes)
    api, changes = RingwayApi(subject.running.api_port), Changes(context, subject)
    # Few connections, so that a shard that nothing interrupts is not stopped as a runaway.
    load = changes.load(connections=3, method="POST", body=256, verify="true")
    delays, quiet, during = [], [], []
    process, switches = subject.running.process, context.scale(10, 2)
    try:
        with isolated_shards(process):
            time.sleep(3 * PUBLISHED)
            before = threads_ms(process)
            for number in range(switches):
                tree = ("green", "blue")[number % 2]
                store.client.put(ALIAS, f"trees/{tree}")
                delays.append(changes.wait(f"{tree}.test", time.perf_counter(), 60))
                during.append(longest_turn(api, 2 * PUBLISHED))
                time.sleep(delays[-1] / 1e3)
                quiet.append(longest_turn(api, 2 * PUBLISHED))
            after = threads_ms(process)
    finally:
        counts = json.loads(load.communicate(timeout=60)[0].strip().splitlines()[-1])
    used = {name: (after[name] - before.get(name, 0)) / switches for name in after}
    control = api.variables()["longestControlTurnNs"] / 1e6
    section.row("switch by alias under load", routes, subject.label, "ms to effective, median", summary(delays)["median"])
    for what, turns in (("with a switch", during), ("quiet, as long", quiet)):
        section.row("", routes, subject.label, f"longest shard turn, {what}, ms: median", summary(turns)["median"])
        section.row("", routes, subject.label, f"worst of {switches}", max(turns))
    section.row("", routes, subject.label, "CPU ms of the source's thread per switch", cpu_of(used, "ringway-etcd"))
    section.row("", routes, subject.label, "CPU ms of the plan's thread per switch", cpu_of(used, "ringway-plan"))
    section.row("", routes, subject.label, "control thread's longest turn, ms", control)
    section.row("", routes, subject.label, "failed requests", counts["failed"])
    section.data(what="alias", ms=delays, cpu_ms=used, longest_turn_ms=during, quiet_turn_ms=quiet, control_ms=control,
                 failed=counts["failed"], errors=counts["first_errors"])
    section.check(f"longest shard turn while {routes:,} routes are switched, median of switches, ms",
                  summary(during)["median"], 1.0)
    section.check(f"longest shard turn while {routes:,} routes are switched, worst switch, ms", max(during), 1.0)
    section.check("failed requests during switches", counts["failed"], 0)
    section.note("Turns are wall time. While they are measured the shard has a core and real-time priority where that "
                 "is allowed, everything else runs on the other core; what a hypervisor or an interrupt takes stays in "
                 "them, which the quiet stretches show.")


def longest_turn(api, seconds):
    """Milliseconds of the longest turn of any shard that is published within this time."""
    longest, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        shards = api.variables()["shards"]
        longest = max([longest, *(shard["longest_turn_lately_ns"] for shard in shards)])
        time.sleep(PUBLISHED / 4)
    return longest / 1e6


@contextlib.contextmanager
def isolated_shards(process):
    """Leaves one core to the shards alone, so that a turn's time is the turn's and not another thread's."""
    mine = os.sched_getaffinity(0)
    if len(cores()) >= 2:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        for task in Path(f"/proc/{process.popen.pid}/task").iterdir():
            is_shard = (task / "comm").read_text().startswith("shard")
            os.sched_setaffinity(int(task.name), {int(PROXY_CORE if is_shard else LOAD_CORE)})
            if is_shard:
                with contextlib.suppress(PermissionError):
                    os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


MEASURES = (acknowledged, burst, storm, crowded_storm, soak, resync, alias)
