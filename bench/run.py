#!/usr/bin/env python3
"""Builds, starts the peers, measures, and writes bench/results/<machine>.{md,json,svg}. See bench/README.md."""

import argparse
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import change, change_limits, changes, etcd, inspect, peers, report, resync, scenarios  # noqa: E402
from harness.context import Context  # noqa: E402
from harness.process import Failure, cores  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent

SCENARIOS = {
    "request": scenarios.request,
    "routers": scenarios.routers,
    "large": scenarios.large,
    "idle": scenarios.idle,
    "start": changes.start,
    "edit": changes.edit,
    "edit_cost": changes.edit_cost,
    "change": change.change,
    "change_limits": change_limits.change_limits,
    "resync": resync.resync,
    "shards": scenarios.shards,
    "syscalls": inspect.syscalls,
    "flamegraph": inspect.flamegraph,
    "instructions": inspect.instructions,
}
# Slow or dependent on tools that few have: by name only.
ON_REQUEST = {"change", "change_limits", "resync", "flamegraph", "instructions"}
# Their results have files of their own.
CHANGES = {"change", "change_limits", "resync"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO",
                        help=f"which to run, of: {', '.join(SCENARIOS)} (default: all but {', '.join(sorted(ON_REQUEST))})")
    parser.add_argument("--quick", action="store_true", help="shorter and noisier: under two minutes")
    parser.add_argument("--ringway", type=Path, help="measure this binary instead of building one")
    parser.add_argument("--traefik", type=Path, help="a Traefik binary to compare start-up with")
    parser.add_argument("--peers", help="comma-separated peers to run (default: every one that is installed)")
    parser.add_argument("--no-build", action="store_true", help="use target/release as it is")
    parser.add_argument("--results", type=Path, default=ROOT / "bench/results", help="where the results go")
    parser.add_argument("--name", help="the results' file name (default: derived from the CPU and kernel)")
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return options


def build(options):
    """Builds the equipment and, unless a binary was given, the proxy."""
    if options.no_build:
        return
    commands = [["cargo", "build", "--release", "-p", "ringway-bench"]]
    wanted = options.peers is None or "ringway" in options.peers.split(",")
    if wanted and options.ringway is None:
        commands.append(["cargo", "build", "--release", "-p", "ringway"])
    for command in commands:
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise Failure(f"{' '.join(command)} failed; --peers nginx,haproxy,forwarder measures without Ringway")


def present_peers(options, target):
    """The peers to run, and a line about each."""
    # A path with symbolic links resolved, because the peer runs with its own working directory.
    ringway = (options.ringway or target / "ringway").resolve()
    candidates = [
        peers.Forwarder(target / "forwarder"), peers.Nginx(), peers.nginx_tuned(), peers.nginx_unbuffered(),
        peers.HAProxy(), peers.Traefik(options.traefik), peers.Ringway(ringway), peers.RingwayEpoll(ringway),
    ]
    wanted = options.peers.split(",") if options.peers else [peer.name for peer in candidates]
    unknown = set(wanted) - {peer.name for peer in candidates}
    if unknown:
        raise Failure(f"no such peer: {', '.join(unknown)}")
    chosen, lines = [], {}
    for peer in candidates:
        if peer.name not in wanted:
            continue
        version = peer.version()
        if version is None:
            hint = {"nginx": " (apt-get install nginx)", "haproxy": " (apt-get install haproxy)",
                    "traefik": " (--traefik PATH)"}.get(peer.name, "")
            print(f"absent: {peer.name}{hint}")
            if peer.name == "ringway":
                raise Failure(f"{ringway} cannot be run")
            continue
        chosen.append(peer)
        lines[peer.name] = version
    return chosen, lines


def machine(lines, options):
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1])
    return {
        "CPU": f"{model[1] if model else platform.machine()}, {len(cores())} usable cores",
        "memory": f"{memory / (1 << 20):.0f} GiB",
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "mode": "quick" if options.quick else "full",
        **lines,
    }


def main():
    options = arguments()
    # So that a terminated run stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    started = time.monotonic()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = options.scenarios or [name for name in SCENARIOS if name not in ON_REQUEST]
    sections, failures = [], []
    try:
        build(options)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
        chosen, lines = present_peers(options, target)
        if (version := etcd.version()) and CHANGES.intersection(names):
            lines["etcd"] = version
        facts = machine(lines, options)
        for name, value in facts.items():
            print(f"{name}: {value}")
        for name in names:
            with Context(target, chosen, options.quick, ROOT) as context:
                print(f"\n[{time.monotonic() - started:.0f} s] {name} …", flush=True)
                try:
                    section = SCENARIOS[name](context)
                except Failure as failure:
                    context.keep = True
                    # The other scenarios are still worth having; the exit status tells.
                    failures.append(f"{name}: {failure}")
                    print(f"FAILED {failures[-1]}")
                    continue
                context.keep = bool(section.failures)
            failures += section.failures
            sections.append(section)
            print(section.markdown(), flush=True)
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    print("\n".join(report.checks_table(sections)))
    label = options.name or re.sub(r"[^a-z0-9]+", "-", f"{facts['CPU'].split(',')[0]} {len(cores())} cores".lower()).strip("-")
    if CHANGES.issuperset(names) and not options.name:
        label += "-resync" if names == ["resync"] else "-change"
    options.results.mkdir(parents=True, exist_ok=True)
    for suffix, text in (("md", report.markdown(facts, sections)), ("json", report.as_json(facts, sections)),
                         ("svg", report.svg(sections))):
        (options.results / f"{label}.{suffix}").write_text(text)
    print(f"\nwritten: {options.results / label}.{{md,json,svg}} after {time.monotonic() - started:.0f} s")
    if failures:
        sys.exit("bench: failed: " + "; ".join(failures))


if __name__ == "__main__":
    main()
