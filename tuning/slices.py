#!/usr/bin/env python3
"""Two builds beside each other on a machine whose pace changes from second to second: slices of less than one, in turn.

    tuning/slices.py [--pipeline 16] [--slice 0.4] [--rounds 40] [--keys 1000000] --server NAME='command with {port} and {dir}' ...

All servers are up at once and have all keys, written over once and, where the command has a `--dir`, saved and loaded again by a restart: the
memory of a server that has been filled is not that of one that has loaded. Each round asks every one for a slice, in an order drawn anew. Of a
server: the median of its operations a second, and of how many times the first one's they were in the same round, with the quartiles.

The load comes from `closed_loop.rs`. SERVER_CPUS and CLIENT_CPUS say which cores are whose.
"""
import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import tempfile
import time

from servers import Connection, free_port


class Kept:
    """A server that is started again in its folder once it is full."""

    def __init__(self, command):
        self.command, self.port = command, free_port()
        self.folder = tempfile.TemporaryDirectory(dir=".")
        self.start()

    def start(self):
        argv = shlex.split(self.command.format(port=self.port, dir=self.folder.name))
        if "SERVER_CPUS" in os.environ:
            argv = ["taskset", "-c", os.environ["SERVER_CPUS"]] + argv
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection = Connection(self.port)
        # `async_loading:0` is another line.
        while b"\r\nloading:0\r\n" not in self.connection.ask("INFO", "persistence"):
            time.sleep(0.01)

    def stop(self):
        self.connection.socket.sendall(b"SHUTDOWN\r\n")
        self.process.wait(60)

    def figures(self):
        """Of its pages, in KiB: all that are in memory, and those that are huge."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
        return sizes["Rss"], sizes["AnonHugePages"]


def load(args, server, seconds):
    line = f"{args.closed_loop} --port {server.port} --pipeline {args.pipeline} --seconds {seconds} --keys {args.keys} --busy-poll"
    pin = ["taskset", "-c", os.environ["CLIENT_CPUS"]] if "CLIENT_CPUS" in os.environ else []
    return json.loads(subprocess.run(pin + shlex.split(line), capture_output=True, text=True, check=True).stdout)["operations"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--pipeline", type=int, default=16)
    parser.add_argument("--slice", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--closed-loop", default="target/release/examples/closed_loop")
    args = parser.parse_args()
    servers = {}
    for name, command in (server.split("=", 1) for server in args.server):
        servers[name] = server = Kept(command)
        load(args, server, 6)
        server.connection.ask("SAVE")
        server.stop()
        server.start()
    found = {name: [] for name in servers}
    for _ in range(args.rounds):
        for name in random.sample(list(servers), len(servers)):
            found[name].append(load(args, servers[name], args.slice))
    first = next(iter(found.values()))
    for name, server in servers.items():
        times = [own / other for own, other in zip(found[name], first)]
        low, middle, high = statistics.quantiles(times, n=4)
        rss, huge = server.figures()
        print(f"{name:10} {statistics.median(found[name]):9.0f}/s  {middle:.3f}x ({low:.3f} to {high:.3f})  {rss >> 10} MiB, huge {huge >> 10}")
        server.stop()


main()
