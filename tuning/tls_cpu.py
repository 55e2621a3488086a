#!/usr/bin/env python3
"""Server CPU per request over TLS, several servers in one run, rounds alternating.

    tls_cpu.py --server NAME='command with {port}, {dir}, {cert} and {key}' [--server ...] [--bench redis-benchmark] [--rounds 3]

A certificate is made with openssl. The server has core 0, redis-benchmark (built with TLS) core 1. CPU is what the scheduler counts
of all threads (schedstat); handshakes are in it, 50 for each case. The last column is the first server's CPU over this one's.

No request is larger than a TLS record (16 KiB): redis-benchmark writes each record by itself with Nagle's algorithm on, so that the
second one waits for a delayed acknowledgement, 44 ms for each request, whichever server it is.
"""
import argparse
import os
import shlex
import signal
import statistics
import subprocess
import tempfile
import time

from servers import free_port

CASES = {
    "get_p1": (150_000, "-t get -P 1"),
    "set_p1": (150_000, "-t set -P 1"),
    "get_p16": (1_500_000, "-t get -P 16"),
    "set_p16": (1_500_000, "-t set -P 16"),
    "set_12k": (60_000, "-t set -P 1 -d 12000"),
    "handshake": (1_500, "-t get -P 1 -k 0"),
}


def cpu(pid):
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) for task in tasks) / 1e9


def certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    made = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "30", "-subj", "/CN=localhost", "-keyout", key, "-out", cert]
    subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
    return cert, key


def bench(program, port, words, count):
    command = ["taskset", "-c", "1", program, "-p", str(port), "--tls", "--insecure", "-c", "50", "-r", "100000", "-q", "-n", str(count)]
    subprocess.run(command + shlex.split(words), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--bench", default="redis-benchmark")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    servers = [text.split("=", 1) for text in args.server]
    micros = {case: {name: [] for name, _ in servers} for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder)
        for _ in range(args.rounds):
            for name, command in servers:
                port, data = free_port(), tempfile.mkdtemp(dir=folder)
                words = shlex.split(command.format(port=port, dir=data, cert=cert, key=key))
                server = subprocess.Popen(["taskset", "-c", "0", *words], cwd=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    time.sleep(1)
                    bench(args.bench, port, "-t set -P 16 -d 64", 300_000)
                    for case, (count, words) in CASES.items():
                        before = cpu(server.pid)
                        bench(args.bench, port, words if "-d" in words else words + " -d 64", count)
                        micros[case][name].append((cpu(server.pid) - before) * 1e6 / count)
                finally:
                    server.send_signal(signal.SIGKILL)
                    server.wait()
    base = servers[0][0]
    print(f"{'case':10} {'server':10} {'us/request':>10} {'ratio':>6}")
    for case, by_name in micros.items():
        for name, values in by_name.items():
            ratio = statistics.median(b / v for b, v in zip(by_name[base], values))
            print(f"{case:10} {name:10} {statistics.median(values):10.2f} {ratio:6.2f}")


main()
