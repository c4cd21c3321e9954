"""What is changed and how: for every way to configure a proxy, one route among many gets another host."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from .peers import routers_yaml
from .process import PROXY_CORE, Failure, Process, ask

# A path that nobody watches, for a quiet phase in which everything else is done as well.
ELSEWHERE = "elsewhere"


class Subject:
    """A proxy under change. `apply` writes and gives the time at which the write was done."""

    # Parallel receivers of connections: each must have the change.
    workers = 1

    def __init__(self, label, name, **options):
        self.label = label
        self.name = name
        self.options = options

    def start(self, context, routes, store):
        """Starts the proxy with `routes` routes besides the one that changes."""
        self.context, self.routes, self.store = context, routes, store
        # What a change ran and has ended, besides the proxy's own processes.
        self.ended_cpu_ms = 0.0
        self.running = context.start(self.name, routes=routes, change=True, limit=context.scale(180, 60), **self.options)
        self.prepare()
        return self.running

    def prepare(self):
        """Called once after the start."""

    def apply(self, name, pretend=False):
        """Gives the changing route this host; with `pretend` all the same work, but where nobody looks."""
        raise NotImplementedError

    def cpu_ms(self):
        return self.running.process.tree_cpu_ms() + self.ended_cpu_ms

    def processes(self):
        return [self.running.process]

    def memory_kib(self):
        return sum(process.pss_kib() for process in self.processes())

    def stop(self):
        self.running.stop()

    def write(self, name, text, pretend):
        """Replaces a file of the proxy's directory at once, as an editor or a deployment does."""
        target = self.running.directory / (f"{ELSEWHERE}-{name}" if pretend else name)
        temporary = self.running.directory / f"{name}.new"
        temporary.write_text(text)
        os.replace(temporary, target)
        return time.perf_counter()

    def run(self, argv):
        """Runs a command to its end and accounts for it."""
        with open(self.running.process.log, "ab") as log:
            process = subprocess.Popen([str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.ended_cpu_ms += (usage.ru_utime + usage.ru_stime) * 1e3
        if process.returncode:
            raise Failure(f"{argv[0]} ended with status {process.returncode}; see {self.running.process.log}")


class DynamicFile(Subject):
    """Traefik and Ringway, watching a file."""

    def prepare(self):
        self.base = routers_yaml(self.routes, self.context.origin_port)

    def apply(self, name, pretend=False):
        edited = f"    edited:\n      rule: Host(`{name}`)\n      service: origin\n"
        return self.write("dynamic.yml", self.base + edited, pretend)


class DynamicDirectory(Subject):
    """The same with the changing route in a small file beside the large one."""

    def apply(self, name, pretend=False):
        text = f"http:\n  routers:\n    edited:\n      rule: Host(`{name}`)\n      service: origin\n"
        if pretend:
            return self.write("edited.yml", text, True)
        target = self.running.directory / "dynamic.d/edited.yml"
        temporary = self.running.directory / "edited.new"
        temporary.write_text(text)
        os.replace(temporary, target)
        return time.perf_counter()


class DynamicEtcd(Subject):
    """Traefik and Ringway, watching etcd."""

    def start(self, context, routes, store):
        self.options["etcd"] = store.address
        store.client.put("traefik/http/routers/edited/service", "origin")
        store.client.put("traefik/http/routers/edited/rule", "Host(`first.test`)")
        return super().start(context, routes, store)

    def apply(self, name, pretend=False):
        root = ELSEWHERE if pretend else "traefik"
        self.store.client.put(f"{root}/http/routers/edited/rule", f"Host(`{name}`)")
        return time.perf_counter()


class NginxByHand(Subject):
    """The file is written and `nginx -s reload` run."""

    def prepare(self):
        text = (self.running.directory / "nginx.conf").read_text()
        # Before the two braces that end the file's last block.
        self.head, self.tail = text.rsplit("}", 1)[0], "}\n"
        self.binary = self.running.peer.binary

    def apply(self, name, pretend=False):
        server = f"server {{ listen 127.0.0.1:{self.running.port}; server_name {name};"
        text = f"{self.head}\n{server} location / {{ proxy_pass http://origin; }} }}\n{self.tail}"
        written = self.write("nginx.conf", text, pretend)
        if not pretend:
            directory = self.running.directory
            self.run([self.binary, "-p", directory, "-c", directory / "nginx.conf", "-e", directory / "error.log",
                      "-s", "reload"])
        return written


class HAProxyReload(Subject):
    """The map is written and the master process told to reload, which starts a new worker (`-sf` to the old one)."""

    def prepare(self):
        self.base = (self.running.directory / "hosts.map").read_text()
        # The worker may serve before its master listens to signals, and one that comes too early is lost.
        self.reloaded(0)
        deadline = time.monotonic() + 20
        while "Reloading" not in self.log():
            if time.monotonic() > deadline:
                raise Failure(f"the master process does not react to SIGUSR2; see {self.running.process.log}")
            os.kill(self.running.process.popen.pid, signal.SIGUSR2)
            time.sleep(1.0)
        self.reloaded(1)

    def log(self):
        return self.running.process.log.read_text(errors="replace")

    def reloaded(self, times):
        """Waits until the master process has reported so many workers beside the first."""
        deadline = time.monotonic() + 20
        while self.log().count("Loading success") <= times:
            if time.monotonic() > deadline:
                raise Failure(f"the master process did not report its worker; see {self.running.process.log}")
            time.sleep(0.01)

    def apply(self, name, pretend=False):
        written = self.write("hosts.map", f"{self.base}{name} origin\n", pretend)
        if not pretend:
            self.reload()
        return written

    def reload(self):
        """Signals until the master process says that it reloads: one signal during a reload is lost."""
        before, deadline = self.log().count("Reloading HAProxy"), time.monotonic() + 20
        while self.log().count("Reloading HAProxy") == before:
            if time.monotonic() > deadline:
                raise Failure(f"the master process does not react to SIGUSR2; see {self.running.process.log}")
            os.kill(self.running.process.popen.pid, signal.SIGUSR2)
            patience = time.monotonic() + 0.05
            while self.log().count("Reloading HAProxy") == before and time.monotonic() < patience:
                time.sleep(0.001)


class NginxFromEtcd(DynamicEtcd):
    """An etcd watcher that renders a template, tests it and reloads nginx: `confd.py`."""

    watcher = None

    def start(self, context, routes, store):
        running = super().start(context, routes, store)
        config = running.directory / "nginx.conf"
        template = running.directory / "nginx.tmpl"
        head = config.read_text().split(SERVERS, 1)[0]
        template.write_text(head + "%SERVERS%\n}\n")
        argv = [sys.executable, "-I", Path(__file__).with_name("confd.py"), "--etcd", store.address, "--root", "traefik",
                "--template", template, "--config", config, "--port", str(running.port), "--nginx", running.peer.binary,
                "--prefix", running.directory]
        # On the proxy's core, as everything that a peer consists of.
        self.watcher = Process("confd", argv, PROXY_CORE, running.directory)
        context.processes.append(self.watcher)
        deadline = time.monotonic() + context.scale(120, 40)
        while ask(running.port, "first.test") != 200:
            self.watcher.check()
            if time.monotonic() > deadline:
                raise Failure(f"the watcher did not bring nginx up to date; see {self.watcher.log}")
            time.sleep(0.05)
        return running

    def cpu_ms(self):
        return super().cpu_ms() + (self.watcher.tree_cpu_ms() if self.watcher else 0)

    def processes(self):
        return [self.running.process, self.watcher]

    def stop(self):
        if self.watcher:
            self.watcher.stop()
        super().stop()


# Where the server blocks of nginx's configuration begin.
SERVERS = "# servers"


class RingwayApi:
    """What a running Ringway tells of itself."""

    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=120) as answer:
            return json.load(answer)

    def generation(self):
        return self.get("/api/ringway/generation")["generation"]

    def expect(self, generation, timeout=30):
        """Asks for the moment at which all shards have this generation; `reached` waits for the answer."""
        self.connection.request("GET", f"/api/ringway/generation?wait={generation}&timeout={timeout}s")

    def reached(self):
        answer = json.loads(self.connection.getresponse().read())
        return time.perf_counter(), answer

    def variables(self):
        return self.get("/debug/vars")


def subjects(context, store):
    """Every way of changing every peer that is here; those with etcd only if it is."""
    found = []
    if "nginx" in context.peers:
        found.append(NginxByHand("nginx -s reload", "nginx"))
        if store:
            found.append(NginxFromEtcd("etcd → template → nginx -s reload", "nginx"))
    if "haproxy" in context.peers:
        found.append(HAProxyReload("haproxy reload", "haproxy"))
    if "traefik" in context.peers:
        for throttle, text in (("2s", ", throttle 2 s (default)"), ("0s", ", throttle 0")):
            found.append(DynamicFile(f"traefik file{text}", "traefik", throttle=throttle))
            if store:
                found.append(DynamicEtcd(f"traefik etcd{text}", "traefik", throttle=throttle))
    if "ringway" in context.peers:
        found.append(DynamicFile("ringway file", "ringway"))
        found.append(DynamicDirectory("ringway directory", "ringway", split=True))
        if store and context.peers["ringway"].has_etcd():
            found.append(DynamicEtcd("ringway etcd", "ringway"))
    for subject in found:
        if subject.name == "ringway":
            subject.options["api_port"] = None
    return found
