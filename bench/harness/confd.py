#!/usr/bin/env python3
"""What confd does for nginx: watches etcd, renders a template, tests the result, moves it into place, reloads.

It keeps all keys in memory and takes in what the watch reports (confd lists them all again on every change), so it
is the kinder variant. It runs until it is ended.
"""

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import urllib.request

PAGE = 5000


def main():
    options = argparse.ArgumentParser(description=__doc__)
    for name in ("etcd", "root", "template", "config", "port", "nginx", "prefix"):
        options.add_argument(f"--{name}", required=True)
    options = options.parse_args()
    template = open(options.template).read()
    pairs, revision = listing(options.etcd, options.root)
    apply(options, template, pairs)
    begin, end = key_range(options.root)
    request = {"create_request": {"key": begin, "range_end": end, "start_revision": revision + 1}}
    with post(options.etcd, "/v3/watch", request, timeout=None) as stream:
        for line in stream:
            events = json.loads(line).get("result", {}).get("events", [])
            for event in events:
                key = text(event["kv"]["key"])
                if event.get("type") == "DELETE":
                    pairs.pop(key, None)
                else:
                    pairs[key] = text(event["kv"].get("value", ""))
            if events:
                apply(options, template, pairs)
    sys.exit("confd: the watch has ended")


def listing(etcd, root):
    """All pairs below the root and the store's revision, in pages of one revision."""
    pairs, revision = {}, 0
    begin, end = key_range(root)
    while True:
        request = {"key": begin, "range_end": end, "limit": PAGE, "revision": revision}
        with post(etcd, "/v3/kv/range", request, timeout=30) as response:
            answer = json.load(response)
        revision = revision or int(answer["header"]["revision"])
        found = answer.get("kvs", [])
        pairs.update((text(pair["key"]), text(pair.get("value", ""))) for pair in found)
        if not answer.get("more"):
            return pairs, revision
        begin = base64.b64encode(base64.b64decode(found[-1]["key"]) + b"\0").decode()


def key_range(root):
    return base64.b64encode(f"{root}/".encode()).decode(), base64.b64encode(f"{root}0".encode()).decode()


def post(etcd, path, request, timeout):
    return urllib.request.urlopen(f"http://{etcd}{path}", json.dumps(request).encode(), timeout=timeout)


def text(encoded):
    return base64.b64decode(encoded).decode()


RULE = re.compile(r"Host\(`([^`]+)`\)")


def apply(options, template, pairs):
    """Renders, tests and, if the result differs and is good, puts it into force."""
    location = "location / { proxy_pass http://origin; }"
    hosts = (RULE.fullmatch(value) for key, value in pairs.items() if key.endswith("/rule"))
    blocks = (f"server {{ listen 127.0.0.1:{options.port}; server_name {host[1]}; {location} }}" for host in hosts if host)
    rendered = template.replace("%SERVERS%", "# servers\n" + "\n".join(blocks))
    if rendered == open(options.config).read():
        return
    staged = options.config + ".staged"
    with open(staged, "w") as file:
        file.write(rendered)
    nginx = [options.nginx, "-p", options.prefix, "-e", f"{options.prefix}/error.log", "-c"]
    if subprocess.run([*nginx, staged, "-t", "-q"]).returncode != 0:
        print("confd: the configuration is bad and was left out", file=sys.stderr)
        return
    os.replace(staged, options.config)
    subprocess.run([*nginx, options.config, "-s", "reload"], check=True)


if __name__ == "__main__":
    main()
