"""The scenarios about steady load: cost per request, number of routers, bulk, idle connections, shards."""

import json
import subprocess
import time
import urllib.request

from .context import paired_ratio, summary
from .process import Failure, free_port
from .report import Section

SUBJECT = "ringway"
# The same binary on epoll, and how much more CPU that may cost.
EPOLL = "ringway-epoll"
EPOLL_LIMIT = 1.15


def cpu_per_request(counts):
    return counts["cpu_us"] / counts["requests"]


def rounds_of(context, cases, rounds, measure):
    """Measures every case once per round, turning the order each round; gives the results by case."""
    results = {case: [] for case in cases}
    for number in range(rounds):
        turned = cases[number % len(cases):] + cases[:number % len(cases)]
        for case in turned:
            results[case].append(measure(case))
    return results


def request(context):
    """CPU per request with 64-byte bodies at 4, 64 and 512 keep-alive connections."""
    names = context.has("forwarder", "nginx", "haproxy", "traefik", SUBJECT, EPOLL)
    running = {name: context.start(name) for name in names}
    section = Section(
        "request",
        "64-byte bodies on keep-alive connections: CPU µs of the proxy per request",
        ["connections", "peer", "CPU µs/request", "range", "× forwarder", "requests/s", "p50 µs", "p99 µs"],
    )
    for connections in (4, 64, 512):
        results = rounds_of(
            context, names, context.scale(5, 3),
            lambda name: context.load(
                running[name], connections=connections, warmup=context.scale(0.25, 0.15),
                duration=context.scale(1.5, 0.6),
            ),
        )
        costs = {name: [cpu_per_request(counts) for counts in results[name]] for name in names}
        for name in names:
            cost = summary(costs[name])
            middle = {key: summary([counts[key] for counts in results[name]])["median"]
                      for key in ("rps", "p50_us", "p99_us")}
            to_forwarder = paired_ratio(costs[name], costs["forwarder"]) if "forwarder" in costs else None
            section.row(connections, name, cost["median"], (cost["min"], cost["max"]), to_forwarder,
                        round(middle["rps"]), middle["p50_us"], middle["p99_us"])
            section.bar(f"{connections} connections", name, cost["median"])
            section.data(connections=connections, peer=name, cpu_us=cost, **middle)
        for reference, target in (("nginx", 0.80), ("haproxy", 0.70), ("forwarder", 1.10), ("traefik", 0.17)):
            if SUBJECT in costs and reference in costs:
                section.check(f"CPU per request, {connections} connections, × {reference}",
                              paired_ratio(costs[SUBJECT], costs[reference]), target)
        if SUBJECT in costs and EPOLL in costs:
            section.check(f"CPU per request on epoll, {connections} connections, × io_uring",
                          paired_ratio(costs[EPOLL], costs[SUBJECT]), EPOLL_LIMIT)
    for each in running.values():
        each.stop()
    return section


def routers(context):
    """CPU per request with 1, 10,000 and 100,000 routers: one host asked for, and all of them uniformly."""
    section = Section(
        "routers",
        "CPU µs per request by number of routers (64 connections)",
        ["peer", "routers", "hosts asked for", "CPU µs/request", "range", "× 1 router"],
    )
    for name in context.has("nginx", SUBJECT):
        sizes = (1, 10_000) if name == "nginx" or context.quick else (1, 10_000, 100_000)
        # A single router that takes every host, so that the same requests can be sent to one router and to many.
        running = {size: context.start(name, routes=size, any_host=size == 1) for size in sizes}
        cases = [(size, spread) for size in sizes for spread in ("one", "all")]
        hosts = {"one": lambda size: f"h{size // 2}.test",
                 "all": lambda size: f"h{{0..{max(size, 10_000) - 1}}}.test"}
        results = rounds_of(
            context, cases, context.scale(5, 3),
            lambda case: cpu_per_request(context.load(
                running[case[0]], connections=64, host=hosts[case[1]](case[0]),
                warmup=0.15, duration=context.scale(1.2, 0.5),
            )),
        )
        for size, spread in cases:
            cost = summary(results[size, spread])
            ratio = paired_ratio(results[size, spread], results[1, spread])
            section.row(name, size, spread, cost["median"], (cost["min"], cost["max"]), ratio)
            section.data(peer=name, routers=size, hosts=spread, cpu_us=cost, ratio=ratio)
            section.bar(name, f"{size:,} ({spread})", cost["median"])
            if name == SUBJECT and size == 10_000:
                section.check(f"{size:,} routers, {spread} hit, × 1 router", ratio, 1.05)
        for each in running.values():
            each.stop()
    section.note("All hosts: drawn at random for every request (from 10,000 for a single router, which then takes any "
                 "host), so that no cache knows the next one. A ratio compares the same requests, sent to many routers "
                 "and to one.")
    return section


def large(context):
    """CPU per MiB of 1 MiB bodies."""
    names = context.has("forwarder", "nginx", "nginx-tuned", "nginx-unbuffered", "haproxy", SUBJECT, EPOLL)
    running = {name: context.start(name, bulk=True) for name in names}
    section = Section(
        "large",
        "1 MiB bodies, 8 connections: CPU µs of the proxy per MiB",
        ["peer", "CPU µs/MiB", "range", "× nginx", "MiB/s"],
    )
    results = rounds_of(
        context, names, context.scale(5, 3),
        lambda name: context.load(running[name], connections=8, path="/1048576", warmup=0.15,
                                  duration=context.scale(1.5, 0.6)),
    )
    costs = {name: [cpu_per_request(counts) for counts in results[name]] for name in names}
    for name in names:
        cost = summary(costs[name])
        ratio = paired_ratio(costs[name], costs["nginx"]) if "nginx" in costs else None
        speed = summary([counts["rps"] for counts in results[name]])["median"]
        section.row(name, cost["median"], (cost["min"], cost["max"]), ratio, round(speed))
        section.bar("1 MiB bodies", name, cost["median"])
        section.data(peer=name, cpu_us_per_mib=cost, ratio_to_nginx=ratio, mib_per_second=speed)
    if SUBJECT in costs and "nginx" in costs:
        for name in context.has("nginx", "nginx-tuned", "nginx-unbuffered"):
            section.check(f"CPU per MiB × {name}", paired_ratio(costs[SUBJECT], costs[name]), 1.00)
    if SUBJECT in costs and EPOLL in costs:
        section.check("CPU per MiB on epoll × io_uring", paired_ratio(costs[EPOLL], costs[SUBJECT]), EPOLL_LIMIT)
    # One pass with every byte compared, so that speed is never bought with wrong content.
    for name in names:
        for path in ("/1048576", "/chunked/1000003"):
            context.load(running[name], connections=8, path=path, verify="true", requests=100)
        context.load(running[name], connections=8, method="POST", body=300_000, verify="true", requests=100)
    section.note("Afterwards 100 bodies each of 1 MiB, of 1,000,003 chunked bytes, and 100 uploads of 300,000 bytes "
                 "passed every peer and were compared byte by byte.")
    for each in running.values():
        each.stop()
    return section


def hold_idle(context, running, count):
    """Resident KiB of a proxy before and while `count` idle connections are held, and how many were lost meanwhile."""
    context.load(running, connections=64, duration=0.5)
    before = running.process.rss_kib()
    options = {"mode": "idle", "connections": count, "window": 64,
               "source": [f"127.0.0.{last}" for last in range(2, 6)]}
    with subprocess.Popen(context.load_command(running, **options), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        ready = json.loads(holder.stdout.readline())
        time.sleep(1.0)
        held = running.process.rss_kib()
        counts = json.loads(holder.communicate(timeout=30)[0].strip().splitlines()[-1])
    if ready["idle"] != count:
        raise Failure(f"{running.name} held {ready['idle']} of {count} connections: {counts['first_errors']}")
    return before, held, counts["idle_lost"]


def idle(context):
    """User memory per idle keep-alive connection."""
    count = context.scale(15_000, 15_000)
    names = context.has("nginx", "haproxy", SUBJECT, EPOLL)
    section = Section(
        "idle",
        f"Resident memory per idle keep-alive connection ({count:,} connections, one request done on each)",
        ["peer", "KiB/connection", "RSS before, MiB", "RSS with them, MiB", "lost while held"],
    )
    for name in names:
        running = context.start(name)
        before, held, lost = hold_idle(context, running, count)
        each = (held - before) / count
        section.row(name, each, before / 1024, held / 1024, lost)
        section.bar("KiB per idle connection", name, each)
        section.data(peer=name, kib_per_connection=each, before_kib=before, held_kib=held, lost=lost)
        if name == SUBJECT:
            section.check(f"KiB per idle connection at {count:,}", each, 0.5)
            section.check("idle connections lost while held", lost, 0)
        running.stop()
    section.note("Memory of the process only; the kernel's socket memory is the same for everybody.")
    return section


def shards(context):
    """How evenly two shards share few connections: what each shard itself counts, from `/debug/vars`."""
    section = Section(
        "shards",
        "Two shards: load of the busier by that of the other, worst of several runs",
        ["connections", "worst by connections", "worst by requests", "requests, all runs"],
    )
    if SUBJECT not in context.peers:
        return section.skip("needs ringway")
    api = free_port()
    running = context.start(SUBJECT, core=None, shards=2, api_port=api)
    for connections in (4, 16):
        held, served = [], []
        for _ in range(context.scale(8, 3)):
            settle(api)
            before = shard_counters(api)
            load = subprocess.Popen(
                context.load_command(running, core=None, connections=connections, warmup=0.1, duration=3),
                stdout=subprocess.DEVNULL,
            )
            time.sleep(2.2)  # Shards publish their counters once a second.
            during = shard_counters(api)
            load.wait(timeout=30)
            held.append(uneven([shard["downstream_connections"] for shard in during]))
            requests = [now["requests"] - then["requests"] for now, then in zip(during, before, strict=True)]
            served.append(uneven(requests))
        section.row(connections, f"{max(held):.2f}", f"{max(served):.2f}", ", ".join(f"{each:.2f}" for each in served))
        section.bar("busier ÷ other, by requests", f"{connections} connections", max(served))
        section.data(connections=connections, held=held, served=served)
        section.check(f"connections of the busier shard ÷ the other's, {connections} connections", max(held), 2.0)
    running.stop()
    section.note(
        "Two shards, the load generator and the origin share two cores here: how many requests a shard serves also "
        "depends on who runs beside it. Its connections are what balancing decides."
    )
    return section


def shard_counters(api_port):
    """What each shard of a running Ringway counts."""
    with urllib.request.urlopen(f"http://127.0.0.1:{api_port}/debug/vars", timeout=10) as answer:
        return json.load(answer)["shards"]


def settle(api_port):
    """Waits until the last run's connections have ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if sum(shard.get("downstream_connections", 1) for shard in shard_counters(api_port)) <= 1:
            return  # The question itself may hold one.
        time.sleep(0.2)
    raise Failure("connections of the last run did not end in 10 s")


def uneven(loads):
    return max(loads) / max(min(loads), 1)
