#!/usr/bin/env python3
"""Memory per key of servers on the same data: used and resident, without and with a deadline.

usage: memory.py [--keys N] --server NAME='command with {port} and {dir}' [--server ...]
Fills each server with 16-byte keys and 32-byte values and prints, per key, what INFO used_memory and the resident set
grew by, and the resident set in all. Deterministic data; one server at a time, on 127.0.0.1.
"""
import argparse
import shlex
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    sys.exit("the server does not answer")


def used_memory(s):
    s.sendall(b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n")
    data = b""
    while b"\r\n" not in data or len(data) < int(data[1:data.index(b"\r\n")]) + data.index(b"\r\n") + 4:
        data += s.recv(65536)
    return next(int(l.split(b":")[1]) for l in data.split(b"\r\n") if l.startswith(b"used_memory:"))


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(l.split()[1]) * 1024 for l in f if l.startswith("VmRSS"))


def fill(s, keys, with_deadline):
    step = 2000
    for start in range(0, keys, step):
        batch = bytearray()
        count = min(step, keys - start)
        for i in range(start, start + count):
            words = b"$3\r\nSET\r\n$16\r\nkey:%012d\r\n$32\r\n%032d\r\n" % (i, i * 2654435761)
            batch += b"*5\r\n" + words + b"$2\r\nEX\r\n$6\r\n100000\r\n" if with_deadline else b"*3\r\n" + words
        s.sendall(batch)
        got = 0
        while got < 5 * count:
            got += len(s.recv(1 << 20))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--server", action="append", required=True)
    ap.add_argument("--keys", type=int, default=2_000_000)
    a = ap.parse_args()
    print(f"{a.keys} keys of 16 bytes, values of 32 bytes; bytes per key")
    print(f"{'server':12} {'deadline':>8} {'used':>7} {'resident':>9} {'resident in all':>16}")
    for name, command in (server.split("=", 1) for server in a.server):
        for with_deadline in (False, True):
            port, folder = free_port(), tempfile.mkdtemp()
            argv = shlex.split(command.format(port=port, dir=folder))
            p = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
            try:
                s = connect(port)
                time.sleep(0.5)
                used, rss = used_memory(s), resident(p.pid)
                fill(s, a.keys, with_deadline)
                time.sleep(1)
                used, grown, total = used_memory(s) - used, resident(p.pid) - rss, resident(p.pid)
                print(f"{name:12} {'yes' if with_deadline else 'no':>8} {used / a.keys:7.1f} {grown / a.keys:9.1f} "
                      f"{total / a.keys:16.1f}", flush=True)
            finally:
                p.kill()
                p.wait()


main()
