"""The scenario `resync`: equal content listed again as a whole, for either of the reasons there are for that."""

import os
import signal

from . import change_limits, etcd
from .peers import host
from .process import Failure
from .report import Section
from .subjects import DynamicEtcd


def resync(context):
    """A re-sync by the alias, and one after what was to be watched from had been compacted away."""
    section = Section(
        "resync",
        "Equal content listed again",
        ["what", "routes", "source", "measured", "value"],
    )
    if change_limits.SUBJECT not in context.peers or not etcd.BINARY:
        return section.skip("needs ringway and etcd")
    for measure in (change_limits.resync, compacted):
        print(f"  {measure.__name__} …", flush=True)
        with etcd.Etcd(context) as store:
            try:
                measure(context, section, store)
            except Failure as failure:
                section.fail(f"{measure.__name__}: {failure}")
            finally:
                for process in context.processes[1:]:
                    process.stop()
    return section


def compacted(context, section, store):
    """etcd was restarted and has forgotten what the watch would go on from; every router has a service of its own."""
    routes = context.scale(100_000, 10_000)
    store.load(etcd.tree(routes, context.origin_port, host, has_services=True))
    subject = DynamicEtcd("etcd, compacted", change_limits.SUBJECT, api_port=None)
    subject.start(context, routes, store)
    pid = subject.running.process.popen.pid

    def again():
        # Stopped, so that it cannot hear of the change before it is forgotten.
        os.kill(pid, signal.SIGSTOP)
        try:
            # The first is the one that the watch would begin with.
            store.client.put("elsewhere/key", "")
            store.client.compact(store.client.put("elsewhere/key", ""))
            store.restart()
        finally:
            os.kill(pid, signal.SIGCONT)

    change_limits.listed_again(context, section, subject, "compacted, listed as a whole", again)
