#!/usr/bin/env python3
"""Question: how far above maxmemory does used_memory come while keys of mixed sizes come and go?

usage: overshoot.py --server 'rondo=RONDO --port {port} --dir {dir} --threads 4' --server 'redis=REDIS --port {port} --dir {dir} --save ""'

Each case runs on a fresh server: so many connections send pipelines of requests, while one more asks for INFO over and over.
The figures are used_memory over maxmemory, in percent above it: the highest that was seen, the 99th of a hundred, and the peak that the server
remembers; then how many of the samples were more than 1% above, and how much was written and evicted meanwhile.
"""
import argparse
import random
import selectors
import socket
import threading
import time

from servers import Connection, Server, encode

PAYLOAD = b"v" * (1 << 20)


def log_uniform(rng, least, most):
    return int(least * (most / least) ** rng.random())


def mixed(rng):
    """Strings of 16 bytes to 1 MiB, some read back, some removed."""
    key = f"key:{rng.randrange(20_000)}"
    turn = rng.random()
    if turn < 0.8:
        return "SET", key, PAYLOAD[:log_uniform(rng, 16, 1 << 20)]
    return ("GET", key) if turn < 0.95 else ("DEL", key)


def large(rng):
    """Strings of 1 MiB each."""
    return "SET", f"key:{rng.randrange(2_000)}", PAYLOAD


def small(rng):
    """Strings of 16 to 2,000 bytes."""
    return "SET", f"key:{rng.randrange(2_000_000)}", PAYLOAD[:rng.randint(16, 2000)]


def grown(rng):
    """Strings, lists and hashes that grow by up to 64 KiB at a time."""
    key, value = rng.randrange(2_000), PAYLOAD[:log_uniform(rng, 16, 1 << 16)]
    return rng.choice([("APPEND", f"s:{key}", value), ("RPUSH", f"l:{key}", value, value), ("HSET", f"h:{key}", rng.randrange(100), value)])


def several(rng):
    """MSET of eight keys, which lie on all cores, of up to 64 KiB each."""
    return "MSET", *(word for _ in range(8) for word in (f"key:{rng.randrange(20_000)}", PAYLOAD[:log_uniform(rng, 16, 1 << 16)]))


CASES = {"mixed": mixed, "large": large, "small": small, "grown": grown, "several": several}


class Client:
    """Sends a pipeline, reads until the echo that ends it, and begins again."""

    def __init__(self, port, case, seed, depth):
        self.rng, self.case, self.depth = random.Random(seed), case, depth
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.mark = b"==ends:%d==" % seed
        self.out, self.tail = memoryview(b""), b""
        self.sent_bytes = self.errors = 0

    def go_on(self, events):
        if events & selectors.EVENT_READ:
            data = self.socket.recv(1 << 20)
            if not data:
                raise SystemExit("the server closed the connection")
            self.errors += data.count(b"-OOM")
            self.tail = (self.tail + data)[-len(self.mark) - 2:]
        if not self.out and self.tail in (b"", self.mark + b"\r\n"):
            self.tail = b"-"
            requests = [encode(*self.case(self.rng)) for _ in range(self.depth)]
            self.out = memoryview(b"".join(requests) + encode("ECHO", self.mark))
        if self.out:
            try:
                count = self.socket.send(self.out)
                self.sent_bytes += count
                self.out = self.out[count:]
            except BlockingIOError:
                pass
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)


def churn(clients, until):
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_WRITE, client)
        while time.time() < until[0]:
            for key, events in selector.select(0.1):
                wanted = key.data.go_on(events)
                if wanted != key.events:
                    selector.modify(key.fileobj, wanted, key.data)


def numbers(connection, section, *names):
    lines = dict(line.split(":", 1) for line in connection.ask("INFO", section).decode().split("\r\n") if ":" in line)
    return [int(lines[name]) for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, help="name=command")
    parser.add_argument("--maxmemory", type=int, default=64 << 20)
    parser.add_argument("--policy", default="allkeys-lru")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--case", action="append", choices=sorted(CASES))
    args = parser.parse_args()
    print(f"maxmemory {args.maxmemory:,}, {args.policy}, {args.clients} connections, pipelines of {args.depth}, {args.seconds:g} s after it is full")
    print(f"{'case':8} {'server':8} {'highest %':>9} {'p99 %':>7} {'peak %':>7} {'over 1%':>8} {'samples':>8} {'mean %':>7} {'MB sent':>8} {'evicted':>8} {'OOM':>5}")
    for case in args.case or CASES:
        for text in args.server:
            name, command = text.split("=", 1)
            with Server(command) as server:
                connection = Connection(server.port)
                connection.ask("CONFIG", "SET", "maxmemory", args.maxmemory, "maxmemory-policy", args.policy)
                clients = [Client(server.port, CASES[case], seed + 1, args.depth) for seed in range(args.clients)]
                used, evicted = [], 0
                # It ends so long after the first eviction.
                until = [time.time() + 60]
                worker = threading.Thread(target=churn, args=(clients, until))
                worker.start()
                while worker.is_alive():
                    now, peak = numbers(connection, "memory", "used_memory", "used_memory_peak")
                    if not evicted:
                        evicted, = numbers(connection, "stats", "evicted_keys")
                        if evicted:
                            until[0] = time.time() + args.seconds
                    if evicted:
                        used.append(now)
                    time.sleep(0.0005)
                now, peak = numbers(connection, "memory", "used_memory", "used_memory_peak")
                evicted, = numbers(connection, "stats", "evicted_keys")
                percent = sorted((value / args.maxmemory - 1) * 100 for value in used) or [0.0]
                peak = (peak / args.maxmemory - 1) * 100
                over = sum(value > 1 for value in percent)
                mean = sum(percent) / len(percent)
                sent = sum(client.sent_bytes for client in clients) / 1e6
                errors = sum(client.errors for client in clients)
                print(f"{case:8} {name:8} {percent[-1]:9.2f} {percent[len(percent) * 99 // 100]:7.2f} {peak:7.2f} {over:8} {len(used):8} {mean:7.2f} {sent:8.0f} {evicted:8} {errors:5}", flush=True)


if __name__ == "__main__":
    main()
