#!/usr/bin/env python3
"""Builds the same small proxy on several runtimes, measures them side by side on one core, and writes
bench/results/<machine>-runtimes.{md,json,svg}. See bench/README.md."""

import argparse
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

from harness import peers, report  # noqa: E402
from harness.context import Context, paired_ratio, summary  # noqa: E402
from harness.inspect import count_calls, listed  # noqa: E402
from harness.process import Failure, cores  # noqa: E402
from harness.report import Section  # noqa: E402
from harness.scenarios import cpu_per_request, hold_idle, rounds_of  # noqa: E402

ROOT = BENCH.parent
CHOSEN = "ringway uring"
IDLE = 10_000

# Runtime, variant, and what is special about it.
TOYS = [
    ("ringway", "uring", "DEFER_TASKRUN, SINGLE_ISSUER, multishot accept and receive, provided buffers"),
    ("ringway", "epoll", "the same reactor over epoll"),
    ("monoio", "default", "io_uring as it comes"),
    ("monoio", "defer", "DEFER_TASKRUN and SINGLE_ISSUER through uring_builder"),
    ("monoio", "readable", "the same; clients wait without a buffer, at one more operation per request"),
    ("monoio", "legacy", "epoll"),
    ("glommio", "default", "io_uring; its flags cannot be chosen"),
    ("compio", "default", "io_uring as it comes"),
    ("compio", "defer", "DEFER_TASKRUN and SINGLE_ISSUER"),
    ("compio", "managed", "the same, receiving into provided buffers of its own"),
    ("compio", "polling", "epoll"),
]


class Toy(peers.Peer):
    """The small proxy on one runtime."""

    def __init__(self, binaries, runtime, variant):
        self.name = f"{runtime} {variant}"
        self.binary = binaries / f"toy-{runtime}"
        self.variant = variant

    def command(self, directory, port, origin, routes, options):
        return [self.binary, "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{origin}",
                "--variant", self.variant]


def request(context, names):
    """CPU per request and latency of all runtimes, interleaved."""
    section = Section("request", "64-byte bodies on keep-alive connections: CPU µs of the proxy per request",
                      ["connections", "runtime", "CPU µs/request", "range", f"× {CHOSEN}", "requests/s", "p50 µs", "p99 µs"])
    running = {name: context.start(name) for name in names}
    for connections in (4, 64, 512):
        results = rounds_of(
            context, names, context.scale(9, 3),
            lambda name: context.load(running[name], connections=connections, warmup=context.scale(0.25, 0.15),
                                      duration=context.scale(1.5, 0.5)),
        )
        costs = {name: [cpu_per_request(counts) for counts in results[name]] for name in names}
        for name in names:
            cost = summary(costs[name])
            middle = {key: summary([counts[key] for counts in results[name]])["median"]
                      for key in ("rps", "p50_us", "p99_us")}
            ratio = paired_ratio(costs[name], costs[CHOSEN]) if CHOSEN in costs else None
            section.row(connections, name, cost["median"], (cost["min"], cost["max"]), ratio, round(middle["rps"]),
                        middle["p50_us"], middle["p99_us"])
            section.bar(f"CPU µs per request, {connections} connections", name, cost["median"])
            section.data(connections=connections, runtime=name, cpu_us=cost, ratio=ratio, **middle)
        if "ringway epoll" in costs and CHOSEN in costs:
            section.check(f"epoll's CPU per request, {connections} connections, × {CHOSEN}",
                          paired_ratio(costs["ringway epoll"], costs[CHOSEN]), 1.15)
        others = [name for name in costs if not name.startswith(("ringway", "forwarder"))]
        if others and CHOSEN in costs:
            best = min(others, key=lambda name: paired_ratio(costs[name], costs[CHOSEN]))
            section.check(f"CPU per request of {CHOSEN}, {connections} connections, × the best other ({best})",
                          paired_ratio(costs[CHOSEN], costs[best]), 1.10)
    for each in running.values():
        each.stop()
    section.note("All in one run, in turning order; a ratio is the median of the rounds' ratios. `forwarder` parses nothing "
                 "and has no pool: the kernel's share.")
    return section


def syscalls(context, names):
    """System calls per request under load."""
    section = Section("syscalls", "System calls per request at 64 connections, from strace -c",
                      ["runtime", "calls per request", "calls"])
    if not shutil.which("strace"):
        return section.skip("strace is not installed")
    for name in names:
        running = context.start(name)
        calls, requests = count_calls(context, running, context.scratch / f"syscalls-{name.replace(' ', '-')}.txt")
        each = sum(calls.values()) / max(requests, 1)
        section.row(name, each, listed(calls))
        section.bar("system calls per request", name, each)
        section.data(runtime=name, calls=calls, requests=requests, per_request=each)
        running.stop()
    section.note("Tracing slows the proxy down, so that batches are larger than without.")
    return section


def idle(context, names):
    """Memory of idle connections."""
    section = Section("idle", f"Resident memory per idle keep-alive connection ({IDLE:,}, one request done on each)",
                      ["runtime", "KiB/connection", "RSS before, MiB", "RSS with them, MiB", "lost while held"])
    for name in names:
        running = context.start(name)
        try:
            before, held, lost = hold_idle(context, running, IDLE)
        except Failure as failure:
            section.fail(f"{name}: {failure}")
            continue
        finally:
            running.stop()
        each = (held - before) / IDLE
        section.row(name, each, before / 1024, held / 1024, lost)
        section.bar("KiB per idle connection", name, each)
        section.data(runtime=name, kib_per_connection=each, before_kib=before, held_kib=held, lost=lost)
    section.note("A runtime that receives into the program's own buffer needs one for every connection that waits, here "
                 "4 KiB, unless it waits for readiness first. Ringway's reactor parks idle connections: no task, and the "
                 "kernel picks a buffer when bytes come.")
    return section


def build(profile):
    # One target directory: this package is none of the workspace's, and must not rebuild what that has built.
    commands = [
        ["cargo", "build", "--locked", "--profile", profile, "-p", "ringway-bench"],
        ["cargo", "build", "--locked", "--profile", profile, "--manifest-path", BENCH / "runtimes/Cargo.toml",
         "--target-dir", target_directory() / "runtimes"],
    ]
    for command in commands:
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise Failure(f"{' '.join(map(str, command))} failed")


def target_directory():
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def facts(options):
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    lock = tomllib.loads((BENCH / "runtimes/Cargo.lock").read_text())
    versions = {package["name"]: package["version"] for package in lock["package"]}
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "CPU": f"{model[1] if model else platform.machine()}, {len(cores())} usable cores",
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "mode": "quick" if options.quick else "full",
        "compiler": compiler,
        "ringway": f"{versions['ringway']} ({revision.stdout.strip() or 'no git'})",
        **{name: versions[name] for name in ("monoio", "glommio", "compio")},
        **{f"{runtime} {variant}": what for runtime, variant, what in TOYS},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, quickly built: noisy")
    parser.add_argument("--no-build", action="store_true", help="use what is built")
    parser.add_argument("--only", help="comma-separated runtimes, such as ringway,monoio")
    parser.add_argument("--results", type=Path, default=BENCH / "results", help="where the results go")
    parser.add_argument("--name", help="the results' file name (default: derived from the CPU)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("runtimes: terminated"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    profile = "fast" if options.quick else "release"
    wanted = options.only.split(",") if options.only else None
    sections, failures = [], []
    try:
        if not options.no_build:
            build(profile)
        binaries = target_directory() / profile
        toys = [Toy(target_directory() / "runtimes" / profile, runtime, variant) for runtime, variant, _ in TOYS
                if wanted is None or runtime in wanted]
        machine = facts(options)
        for name, value in machine.items():
            print(f"{name}: {value}")
        with Context(binaries, [peers.Forwarder(binaries / "forwarder"), *toys], options.quick, ROOT) as context:
            names = []
            for toy in toys:
                try:
                    context.start(toy.name).stop()
                    names.append(toy.name)
                except Failure as failure:
                    failures.append(f"{toy.name} does not serve: {failure}")
                    print(failures[-1])
            for scenario, subjects in ((request, ["forwarder", *names]), (syscalls, names), (idle, names)):
                section = scenario(context, subjects)
                failures += section.failures
                sections.append(section)
                print(section.markdown(), flush=True)
            context.keep = bool(failures)
    except Failure as failure:
        sys.exit(f"runtimes: {failure}")
    print("\n".join(report.checks_table(sections)))
    cpu = machine["CPU"].split(",")[0]
    label = options.name or re.sub(r"[^a-z0-9]+", "-", f"{cpu} {len(cores())} cores runtimes".lower()).strip("-")
    options.results.mkdir(parents=True, exist_ok=True)
    for suffix, text in (("md", report.markdown(machine, sections)), ("json", report.as_json(machine, sections)),
                         ("svg", report.svg(sections))):
        (options.results / f"{label}.{suffix}").write_text(text)
    print(f"\nwritten: {options.results / label}.{{md,json,svg}}")
    if failures:
        sys.exit("runtimes: failed: " + "; ".join(failures))


if __name__ == "__main__":
    main()
