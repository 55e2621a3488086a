#!/usr/bin/env python3
"""Kills a server under load again and again, and looks each time at what it had acknowledged.

    tuning/crash.py BINARY [--policy always|everysec] [--kills 200] [--signal KILL|TERM] [--keys 0] [--port 7290] [--dir DIR]

Writers count up: a key of one core, three keys by MSET, two keys in a block. Every second round the log is rewritten
meanwhile, and every start has another number of cores. With `always`, and where it was told to stop (TERM), nothing that was
acknowledged may be missing, with `everysec` nothing that is older than a second; what was written together is there
together. `--keys` are there from the beginning, 200 bytes each: a rewriting takes its time with them. With `--churn` one rewriting
follows the other for up to so many seconds before each kill: files are written over those of before (`node/spare.rs`), where there are
keys enough (400,000) and the file system is mounted with `discard`.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

WRITERS = 6
START_MAX_S = 30


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def send(self, *requests):
        out = b""
        for words in requests:
            out += b"*%d\r\n" % len(words)
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                out += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(out)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            if int(rest) < 0:
                return None
            data = self.file.read(int(rest) + 2)
            if len(data) < int(rest) + 2:
                raise ConnectionError("closed")
            return data[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.reply() for _ in range(int(rest))]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        return rest

    def ask(self, *words):
        self.send(words)
        return self.reply()


class Writer(threading.Thread):
    """Counts up from `last`; `acknowledged` has each number with the time of its reply."""

    def __init__(self, port, index, last):
        super().__init__(daemon=True)
        self.port, self.index, self.last = port, index, last
        self.acknowledged = []

    def run(self):
        try:
            client = Client(self.port)
            number, i = self.last, self.index
            while True:
                batch = []
                for _ in range(random.choice((1, 1, 4))):
                    number += 1
                    batch.append(number)
                    client.send(
                        ("SET", f"single{i}", number),
                        ("MSET", f"a{i}", number, f"b{i}", number, f"c{i}", number),
                        ("MULTI",),
                        ("SET", f"d{i}", number),
                        ("SET", f"e{i}", number),
                        ("EXEC",),
                    )
                for number in batch:
                    for _ in range(6):
                        client.reply()
                    self.acknowledged.append((number, time.monotonic()))
        except (ConnectionError, OSError):
            pass


def start(args, threads, log, tries_left=10):
    process = subprocess.Popen(
        [args.binary, "--port", str(args.port), "--threads", str(threads), "--pin-threads", "no", "--bind", "127.0.0.1",
         "--dir", args.dir, "--appendonly", "yes", "--appendfsync", args.policy, "--save", ""],
        stdout=log, stderr=log)
    begin = time.monotonic()
    while time.monotonic() - begin < START_MAX_S:
        if process.poll() is not None:
            break
        try:
            if Client(args.port).ask("PING") == b"PONG":
                return process
        except (ConnectionError, OSError, RuntimeError):
            pass
        time.sleep(0.005)
    log.flush()
    # The kernel takes a moment to let go of a killed process's ring, and of the port with it.
    if process.poll() is not None and tries_left:
        time.sleep(0.1)
        return start(args, threads, log, tries_left - 1)
    sys.exit(f"the server did not come up; see {args.dir}/log")


def fill(port, count):
    client = Client(port)
    for first in range(0, count, 1000):
        words = [word for key in range(first, min(first + 1000, count)) for word in (f"key:{key}", os.urandom(100).hex())]
        client.ask("MSET", *words)


def churn(port, seconds):
    """Rewrites again and again for so long; how often."""
    client, count, end = Client(port), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if b"aof_rewrite_in_progress:0" in client.ask("INFO", "persistence"):
            client.ask("BGREWRITEAOF")
            count += 1
        time.sleep(0.02)
    return count


def check(port, writers, killed, figures):
    client = Client(port)
    keys = int(client.ask("DBSIZE"))
    if keys < figures["keys"]:
        figures["missing"] += figures["keys"] - keys
        print(f"{keys} keys, of at least {figures['keys']}")
    lasts = []
    for writer in writers:
        i = writer.index
        names = ["single", "a", "b", "c", "d", "e"]
        values = [int(value or 0) for value in client.ask("MGET", *[f"{name}{i}" for name in names])]
        single, a, b, c, d, e = values
        if not a == b == c or d != e:
            figures["torn"] += 1
            print(f"writer {i}: {dict(zip(names, values))}: written together, and not there together")
        found = min(values)
        lost = [(number, at) for number, at in writer.acknowledged if number > found]
        if lost:
            figures["lost"] += len(lost)
            age = max(killed - at for _, at in lost)
            figures["oldest_s"] = max(figures["oldest_s"], age)
        figures["acknowledged"] += len(writer.acknowledged)
        lasts.append(max(values))
    return lasts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--policy", default="always", choices=("always", "everysec"))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signal", default="KILL", choices=("KILL", "TERM"))
    parser.add_argument("--keys", type=int, default=0)
    parser.add_argument("--churn", type=float, default=0.0, help="seconds at most")
    parser.add_argument("--port", type=int, default=7290)
    parser.add_argument("--dir", default="crash-data")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.binary, args.dir = os.path.abspath(args.binary), os.path.abspath(args.dir)
    random.seed(args.seed)
    shutil.rmtree(args.dir, ignore_errors=True)
    os.makedirs(args.dir)
    figures = {"acknowledged": 0, "lost": 0, "torn": 0, "oldest_s": 0.0, "rewrites": 0, "keys": args.keys, "missing": 0}
    lasts = [0] * WRITERS
    with open(os.path.join(args.dir, "log"), "w") as log:
        process = start(args, 2, log)
        fill(args.port, args.keys)
        for kill in range(args.kills):
            writers = [Writer(args.port, index, last) for index, last in enumerate(lasts)]
            for writer in writers:
                writer.start()
            if kill % 2:
                time.sleep(random.uniform(0.0, 0.1))
                Client(args.port).ask("BGREWRITEAOF")
                figures["rewrites"] += 1
            if args.churn:
                figures["rewrites"] += churn(args.port, random.uniform(0.0, args.churn))
            time.sleep(random.uniform(0.02, 0.6))
            killed = time.monotonic()
            process.send_signal(signal.Signals[f"SIG{args.signal}"])
            process.wait()
            for writer in writers:
                writer.join(15)
            process = start(args, random.randint(1, 4), log)
            lasts = check(args.port, writers, killed, figures)
        process.kill()
        process.wait()
    print(f"{args.policy}: {args.kills} times SIG{args.signal}, {figures['rewrites']} rewritings under way or begun; "
          f"{figures['acknowledged']} rounds of writes acknowledged, {figures['lost']} of them lost "
          f"(the oldest {figures['oldest_s']:.3f} s before the kill), {figures['torn']} torn, "
          f"{figures['missing']} keys missing")
    shutil.rmtree(args.dir, ignore_errors=True)
    may_lose = args.policy == "everysec" and args.signal == "KILL" and figures["oldest_s"] <= 1.0
    is_good = figures["torn"] == 0 and figures["missing"] == 0 and (figures["lost"] == 0 or may_lose)
    sys.exit(0 if is_good else 1)


main()
