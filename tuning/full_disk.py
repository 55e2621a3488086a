#!/usr/bin/env python3
"""Fills the disk under a log, makes room again, kills the server, and looks at what it had acknowledged.

    tuning/full_disk.py BINARY --dir DIR [--policy always|everysec] [--threads 2] [--port 7291]

DIR is on a small file system of its own, say `mount -t tmpfs -o size=400m tmpfs DIR`. A file takes half of it, room for the logs of
the second start; a writer sets keys until writes are refused with -MISCONF; reads must be served meanwhile; the file goes, and writes
must be taken again. After a kill and a start on one core more everything acknowledged must be there, with `everysec` what is older
than a second and a half.
Exits with 1 where any of that is not so.
"""

import argparse
import os
import socket
import subprocess
import sys
import time

from servers import Connection, encode

VALUE_BYTES = 20_000
REFUSALS = 20
STARTED = []
FILL_MAX_S = 60
RECOVER_MAX_S = 20


class Writer:
    """A write that the disk had no room for is answered when it is durable: its connection waits, others go on."""

    def __init__(self, port):
        self.port = port
        self.waiting = []
        self.acknowledged = {}
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.settimeout(1.0)

    def set(self, key, value):
        """The reply, or none where it waits."""
        self.socket.sendall(encode("SET", key, value))
        try:
            reply = self.socket.recv(4096)
        except TimeoutError:
            self.waiting.append((self.socket, key, value))
            self.connect()
            return None
        if reply.startswith(b"+OK"):
            self.acknowledged[key] = value
        return reply

    def collect(self):
        """Replies that waited; how many."""
        for waiting, key, value in self.waiting:
            waiting.settimeout(RECOVER_MAX_S)
            if waiting.recv(4096).startswith(b"+OK"):
                self.acknowledged[key] = value
        return len(self.waiting)


def start(args, threads):
    line = [args.binary, "--port", args.port, "--threads", threads, "--dir", args.dir, "--save", "", "--appendonly", "yes",
            "--appendfsync", args.policy, "--auto-aof-rewrite-percentage", "0"]
    process = subprocess.Popen([str(word) for word in line], stdout=subprocess.DEVNULL)
    STARTED.append(process)
    while process.poll() is None:
        try:
            connection = Connection(args.port)
            while b"\r\nloading:0\r\n" not in connection.ask("INFO", "persistence"):
                time.sleep(0.01)
            return process, connection
        except (ConnectionResetError, BrokenPipeError):
            # A killed process's listener outlives it until the kernel has ended what was under way in its rings.
            time.sleep(0.1)
    sys.exit("the server does not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--dir", required=True)
    parser.add_argument("--policy", choices=("always", "everysec"), default="always")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--port", type=int, default=7291)
    args = parser.parse_args()

    space = os.statvfs(args.dir)
    filler = os.path.join(args.dir, "filler")
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize // 2)
    process, reader = start(args, args.threads)
    writer, refused, number, begin = Writer(args.port), 0, 0, time.monotonic()
    while refused < REFUSALS:
        if time.monotonic() - begin > FILL_MAX_S:
            sys.exit("the disk does not fill up")
        number += 1
        reply = writer.set(f"key{number}", "x" * VALUE_BYTES + str(number))
        if reply and reply.startswith(b"-MISCONF"):
            refused += 1
            time.sleep(0.05)
        elif reply and not reply.startswith(b"+OK"):
            sys.exit(f"an unexpected reply: {reply!r}")
    print(f"{args.policy}: {len(writer.acknowledged)} writes acknowledged, {len(writer.waiting)} wait, then {reply.decode().strip()}")
    if reader.ask("STRLEN", "key1") != b":%d\r\n" % (VALUE_BYTES + 1):
        sys.exit("reads are not served")
    os.unlink(filler)
    begin = time.monotonic()
    while not (writer.set("after", "1") or b"").startswith(b"+OK"):
        if time.monotonic() - begin > RECOVER_MAX_S:
            sys.exit("writes are not taken again")
        time.sleep(0.01)
    print(f"reads served; writes taken {time.monotonic() - begin:.1f} s after there is room, {writer.collect()} that waited answered")
    for number in range(300):
        writer.set(f"later{number}", "y" * VALUE_BYTES)
    if args.policy != "always":
        time.sleep(1.5)
    process.kill()
    process.wait()
    time.sleep(1)
    process, reader = start(args, args.threads + 1)
    lost = []
    for key, value in writer.acknowledged.items():
        length = reader.ask("STRLEN", key) == b":%d\r\n" % len(value)
        if not length or not reader.ask("GETRANGE", key, "-40", "-1").endswith(f"{value[-40:]}\r\n".encode()):
            lost.append(key)
    print(f"killed, started on {args.threads + 1} cores: {len(lost)} of {len(writer.acknowledged)} lost {lost[:5]}")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    try:
        main()
    finally:
        for process in STARTED:
            process.kill()
            process.wait()
