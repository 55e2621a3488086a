#!/usr/bin/env python3
"""Question: what does a GET or SET of a long value cost the server, from 16 KiB to 4 MiB?

usage: long_values.py --server NAME='command with {port} and {dir}' [--server ...] [--size BYTES ...] [--rounds N]
The first server is the reference; ratios are its CPU over the other's, round by round (median): above 1 is cheaper. 10 clients of
memtier_benchmark, one request at a time each, on 20 keys that are there already. SERVER_CPUS and CLIENT_CPUS say which cores are whose.
"""
import argparse
import os
import statistics
import subprocess

from servers import Server

BYTES_A_ROUND = 2_000_000_000
SIZES = [16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20]


def load(port, ratio, size, count, pattern):
    pin = ["taskset", "-c", os.environ["CLIENT_CPUS"]] if "CLIENT_CPUS" in os.environ else []
    subprocess.run(
        [*pin, "memtier_benchmark", "-s", "127.0.0.1", "-p", str(port), "-t", "1", "-c", "10", "--ratio", ratio, "-d", str(size), "-n", str(count),
         "--key-minimum", "1", "--key-maximum", "20", "--key-pattern", pattern, "--hide-histogram"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--size", action="append", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    pin = f"taskset -c {os.environ['SERVER_CPUS']} " if "SERVER_CPUS" in os.environ else ""
    servers = [text.split("=", 1) for text in args.server]
    print(f"{'request':8} {'bytes':>8} " + " ".join(f"{name + ' us':>14}" for name, _ in servers) + "  ratio to the first")
    for size in args.size or SIZES:
        costs = {(request, name): [] for request in ["GET", "SET"] for name, _ in servers}
        for _ in range(args.rounds):
            for name, command in servers:
                with Server(pin + command) as server:
                    load(server.port, "1:0", size, 20, "S:S")
                    count = max(BYTES_A_ROUND // size // 10, 20)
                    for request, ratio in [("GET", "0:1"), ("SET", "1:0")]:
                        before = server.cpu_seconds()
                        load(server.port, ratio, size, count, "R:R")
                        costs[request, name].append((server.cpu_seconds() - before) * 1e6 / (10 * count))
        for request in ["GET", "SET"]:
            of = [costs[request, name] for name, _ in servers]
            ratios = [statistics.median(first / other for first, other in zip(of[0], its)) for its in of]
            print(f"{request:8} {size:8} " + " ".join(f"{statistics.median(its):14.1f}" for its in of) + "  " + " ".join(f"{ratio:.2f}" for ratio in ratios), flush=True)


main()
