"""Becomes another program under a seccomp filter, as a container runtime starts it.

    seccomp.py forbid io_uring_setup=EPERM … -- PROGRAM ARGUMENT …     these calls fail so, all others work
    seccomp.py profile FILE.json -- PROGRAM ARGUMENT …                  what an OCI profile allows, nothing else

Numbers of system calls come from the C compiler's headers. Only what the profiles here use is understood:
names and actions without arguments.
"""

import ctypes
import errno
import json
import os
import re
import struct
import subprocess
import sys

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ERRNO, ALLOW = 0x00050000, 0x7FFF0000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def numbers():
    """Numbers of this machine's system calls by name."""
    header = subprocess.run(
        ["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
        check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", header, re.M)}


def read_profile(path):
    """The default action of a profile, and the action of each call that it names."""
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)

    def action(rule, default):
        kind = rule.get("action", rule.get("defaultAction"))
        if kind == "SCMP_ACT_ALLOW":
            return ALLOW
        if kind == "SCMP_ACT_ERRNO":
            return ERRNO | rule.get("errnoRet", default)
        raise SystemExit(f"{path}: action {kind} is not understood")

    default = action(profile, profile.get("defaultErrnoRet", errno.EPERM))
    rules = {}
    for rule in profile["syscalls"]:
        if rule.get("args"):
            raise SystemExit(f"{path}: rules with arguments are not understood")
        for name in rule["names"]:
            rules[name] = action(rule, errno.EPERM)
    return default, rules


def filter_of(default, rules):
    """The filter's program: one comparison per call."""
    known = numbers()
    steps = [(LOAD, 0, 0, 0)]
    for name, action in sorted(rules.items()):
        # Names of other machines' calls, and of newer kernels', are no mistake.
        if name in known:
            steps += [(EQUAL, 0, 1, known[name]), (RETURN, 0, 0, action)]
    steps.append((RETURN, 0, 0, default))
    return b"".join(struct.pack("HBBI", *step) for step in steps), len(steps)


def install(program, length):
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program)
    argument = Program(length, ctypes.addressof(buffer))
    for call in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                 (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(argument), 0, 0)]:
        if libc.prctl(*call) != 0:
            raise SystemExit(f"prctl: {os.strerror(ctypes.get_errno())}")


def main():
    split = sys.argv.index("--")
    kind, *arguments = sys.argv[1:split]
    command = sys.argv[split + 1:]
    if kind == "profile":
        default, rules = read_profile(arguments[0])
    else:
        default = ALLOW
        pairs = [argument.split("=") for argument in arguments]
        rules = {name: ERRNO | getattr(errno, code) for name, code in pairs}
    install(*filter_of(default, rules))
    os.execv(command[0], command)


main()
