#!/usr/bin/env python3
"""Runs a command under a seccomp profile of the container engines' format: try_seccomp.py PROFILE COMMAND...

Needs Debian's python3-seccomp; for checking that rondo serves under tuning/deploy/seccomp.json where no container engine is at hand.
"""
import json
import os
import sys

import seccomp

with open(sys.argv[1]) as file:
    profile = json.load(file)
allowed = [name for rule in profile["syscalls"] for name in rule["names"]]
denied = seccomp.SyscallFilter(defaction=seccomp.ERRNO(profile["defaultErrnoRet"]))
for name in allowed:
    denied.add_rule(seccomp.ALLOW, name)
denied.load()
os.execv(sys.argv[2], sys.argv[2:])
