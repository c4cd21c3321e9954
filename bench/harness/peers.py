"""The proxies that are compared, configured to do the same work.

Equal features: one worker or thread, no access log, keep-alive on both sides, up to 512 idle upstream connections,
and the request headers that Traefik sets (X-Forwarded-For, -Host, -Port, -Proto, -Server, X-Real-IP).
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from .process import PROXY_CORE, START_LIMIT, Process, free_port, wait_until_served

HOSTNAME = socket.gethostname()


def host(number):
    return f"h{number}.test"


class Peer:
    """A program under measurement; `start` gives a `Running`."""

    name = ""

    def version(self):
        """One line, or None if the program is not there."""
        raise NotImplementedError

    def command(self, directory, port, origin, routes, options):
        """Writes the configuration into `directory` and gives the command line."""
        raise NotImplementedError

    def start(self, context, routes=1, core=PROXY_CORE, wait=True, limit=START_LIMIT, **options):
        number = context.next_number()
        directory = context.scratch / f"{number:03}-{self.name}"
        directory.mkdir(parents=True)
        port = free_port()
        argv = self.command(directory, port, context.origin_port, routes, options)
        process = Process(self.name, argv, core, directory)
        context.processes.append(process)
        running = Running(self, process, port, directory, routes)
        running.api_port = options.get("api_port")
        if wait:
            running.served_after = wait_until_served(process, port, host(routes - 1), limit)
        return running


class Running:
    """A started peer."""

    def __init__(self, peer, process, port, directory, routes):
        self.peer = peer
        self.name = peer.name
        self.process = process
        self.port = port
        self.directory = directory
        self.routes = routes
        self.served_after = None
        self.api_port = None

    def stop(self):
        self.process.stop()


class Forwarder(Peer):
    """The raw io_uring forwarder: no parsing, no headers, one upstream connection per downstream connection."""

    name = "forwarder"

    def __init__(self, binary):
        self.binary = binary

    def version(self):
        return "raw io_uring, this repository" if self.binary.exists() else None

    def command(self, directory, port, origin, routes, options):
        # Measured: few large buffers for bulk (they stay in the L2 cache), many small ones for messages. A size that
        # is not a power of two spreads the buffers over the cache's sets.
        count, size = (8, 65536) if options.get("bulk") else (1024, 4160)
        return [
            self.binary, "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{origin}",
            "--buffers", str(count), "--buffer-size", str(size),
        ]


class Nginx(Peer):
    name = "nginx"

    def __init__(self, name="nginx", tuning=""):
        self.name = name
        self.tuning = tuning
        self.binary = shutil.which("nginx") or "/usr/sbin/nginx"

    def version(self):
        return first_line([self.binary, "-v"])

    def command(self, directory, port, origin, routes, options):
        location = "location / { proxy_pass http://origin; }"
        if options.get("change"):
            # A host that no block has is refused, so that it shows whether a change is effective.
            servers = f"server {{ listen 127.0.0.1:{port} backlog=4096 default_server; return 404; }}\n# servers\n"
            servers += "\n".join(
                f"server {{ listen 127.0.0.1:{port}; server_name {host(number)}; {location} }}" for number in range(routes)
            )
        elif routes == 1:
            servers = f"server {{ listen 127.0.0.1:{port} backlog=4096; {location} }}"
        else:
            servers = "\n".join(
                f"server {{ listen 127.0.0.1:{port}{' backlog=4096' if number == 0 else ''};"
                f" server_name {host(number)}; {location} }}"
                for number in range(routes)
            )
        (directory / "nginx.conf").write_text(f"""
daemon off; user root; worker_processes 1; worker_rlimit_nofile {descriptor_limit()};
pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections {descriptor_limit() - 100}; }}
http {{
  access_log off; keepalive_timeout 1h; keepalive_requests 1000000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server_names_hash_max_size 262144; server_names_hash_bucket_size 64;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Port $server_port;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Server $hostname;
  proxy_set_header X-Real-IP $remote_addr;
  {self.tuning}
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 512; keepalive_requests 1000000000; keepalive_timeout 1h;
  }}
  {servers}
}}
""")
        return [self.binary, "-p", directory, "-c", directory / "nginx.conf", "-e", directory / "error.log"]


def nginx_tuned():
    """nginx with buffers that hold bulk in memory: large ones, and no temporary file."""
    return Nginx(
        "nginx-tuned",
        "proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 256k; proxy_max_temp_file_size 0;",
    )


def nginx_unbuffered():
    return Nginx("nginx-unbuffered", "proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k;")


class HAProxy(Peer):
    name = "haproxy"

    def __init__(self):
        self.binary = shutil.which("haproxy") or "/usr/sbin/haproxy"

    def version(self):
        return first_line([self.binary, "-v"])

    def command(self, directory, port, origin, routes, options):
        use = "default_backend origin"
        if routes > 1 or options.get("change"):
            # A map is how HAProxy routes by many hosts; a request whose host is not in it is answered 503.
            names = "".join(f"{host(number)} origin\n" for number in range(routes))
            (directory / "hosts.map").write_text(names)
            use = f"use_backend %[req.hdr(host),lower,map({directory}/hosts.map)]"
        (directory / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn {descriptor_limit() - 1000}
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-keep-alive
  option forwardfor
  http-reuse always
frontend web
  bind 127.0.0.1:{port} backlog 4096
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Server {HOSTNAME}
  http-request set-header X-Real-IP %[src]
  {use}
backend origin
  server origin 127.0.0.1:{origin}
""")
        # To be reloaded it needs its master process.
        mode = ["-W", "-db"] if options.get("change") else ["-db"]
        return [self.binary, *mode, "-f", directory / "haproxy.cfg"]


def routers_yaml(routes, origin, mixed=False, any_host=False, prefix=""):
    """A dynamic configuration with one router per host; `mixed` gives every second one a path too. `any_host` is one
    router for all. All names begin with `prefix`."""
    lines = ["http:", "  services:", f"    {prefix}origin:", "      loadBalancer:", "        servers:"]
    lines += [f"          - url: http://127.0.0.1:{origin}", "  routers:"]
    for number in range(routes):
        path = " && PathPrefix(`/64`)" if mixed and number % 2 else ""
        lines.append(f"    {prefix}r{number}:")
        lines.append("      rule: PathPrefix(`/`)" if any_host else f"      rule: Host(`{prefix}{host(number)}`){path}")
        lines.append(f"      service: {prefix}origin")
    return "\n".join(lines) + "\n"


class Traefik(Peer):
    """Also how Ringway is configured: the same files."""

    name = "traefik"
    extra = ""

    def __init__(self, binary):
        self.binary = Path(binary) if binary else None

    def version(self):
        if self.binary is None or not self.binary.exists():
            return None
        return re.sub(r"\s+", " ", first_line([self.binary, "version"]))

    def command(self, directory, port, origin, routes, options):
        if options.get("etcd"):
            provider = f'etcd:\n    endpoints: ["{options["etcd"]}"]\n    rootKey: traefik'
            if options.get("alias"):
                provider += f"\n    aliasKey: {options['alias']}"
            if options.get("beside"):
                (directory / "dynamic.d").mkdir()
                provider += f"\n  file:\n    directory: {directory}/dynamic.d"
        else:
            text = routers_yaml(routes, origin, options.get("mixed", False), options.get("any_host", False))
            path = directory / ("dynamic.d/routes.yml" if options.get("split") else "dynamic.yml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            provider = f"file:\n    {'directory' if options.get('split') else 'filename'}: "
            provider += str(path.parent if options.get("split") else path)
        (directory / "static.yml").write_text(f"""
entryPoints:
  web:
    address: "127.0.0.1:{port}"
    transport:
      respondingTimeouts:
        idleTimeout: 1h
providers:
  providersThrottleDuration: {options.get("throttle", "0s")}
  {provider}
serversTransport:
  maxIdleConnsPerHost: 512
global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
{self.extra.format(**{"shards": 1, **options})}""")
        return [self.binary, f"--configFile={directory}/static.yml"]


class Ringway(Traefik):
    name = "ringway"
    extra = "ringway:\n  shards: {shards}\n"

    def command(self, directory, port, origin, routes, options):
        argv = super().command(directory, port, origin, routes, options)
        if options.get("api_port"):
            # Flags and file exclude each other, so this goes into the file: the API on a port of its own.
            static = directory / "static.yml"
            text = static.read_text().replace(
                "providers:", f'  traefik:\n    address: "127.0.0.1:{options["api_port"]}"\nproviders:', 1
            )
            static.write_text(text + "api:\n  insecure: true\n  debug: true\n")
        return argv

    def start(self, context, **options):
        # `api_port=None` asks for an API on a port of its own, as any port does.
        if options.get("api_port", 0) is None:
            options["api_port"] = free_port()
        return super().start(context, **options)

    def has_etcd(self):
        """Whether this build has the provider: `check` names what a static configuration asks for in vain."""
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write("entryPoints: {web: {address: ':1'}}\nproviders: {etcd: {endpoints: ['127.0.0.1:1']}}\n")
            file.flush()
            result = subprocess.run([self.binary, "check", file.name], capture_output=True, text=True, timeout=10)
        return "not supported" not in result.stdout + result.stderr


class RingwayEpoll(Ringway):
    """The same binary on its other driver."""

    name = "ringway-epoll"
    extra = Ringway.extra + "  driver: epoll\n"


def descriptor_limit():
    import resource

    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 100000)


def first_line(argv):
    """The first line that a command prints, or None if it cannot be run."""
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=10, env=os.environ)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (result.stdout + result.stderr).strip().splitlines()
    return lines[0].strip() if lines else str(argv[0])
