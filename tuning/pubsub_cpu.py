#!/usr/bin/env python3
"""Server CPU per PUBLISH, several servers in one run, rounds alternating.

    pubsub_cpu.py NAME=PORT:PID [NAME=PORT:PID ...] [--rounds 5] [--count 20000] [--pipeline 1] [--subscribers 0,1,100]

Ten connections publish in batches, one batch outstanding each; a thread reads what subscribers get. Patterns are such that no
message matches them. CPU is what the scheduler counts of all threads (schedstat).
"""
import argparse
import os
import selectors
import socket
import statistics
import threading
import time


def pack(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def cpu(pid):
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) for task in tasks) / 1e9


class Readers:
    """Subscribed connections, read by a thread until they are closed."""

    def __init__(self, port, subscriptions):
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        self.got = 0
        self.ended = False
        for words in subscriptions:
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(pack(*words))
            one.recv(1 << 16)
            self.sockets.append(one)
            self.selector.register(one, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        buffer = bytearray(1 << 20)
        while not self.ended:
            for key, _ in self.selector.select(0.05):
                self.got += key.fileobj.recv_into(buffer)

    def close(self):
        self.ended = True
        self.thread.join()
        [one.close() for one in self.sockets]


def drive(port, request, count, pipeline, clients=10):
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    [one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) for one in sockets]
    begin = time.time()
    for _ in range(count // pipeline // clients):
        for one in sockets:
            one.sendall(request * pipeline)
        for one in sockets:
            got = 0
            while got < pipeline:
                got += one.recv(1 << 16).count(b"\r\n")
    took = time.time() - begin
    [one.close() for one in sockets]
    return took


parser = argparse.ArgumentParser()
parser.add_argument("servers", nargs="+")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--count", type=int, default=20_000)
parser.add_argument("--pipeline", default="1,16")
parser.add_argument("--subscribers", default="0,1,100")
parser.add_argument("--patterns", default="0,100")
args = parser.parse_args()
servers = []
for one in args.servers:
    name, rest = one.split("=")
    port, pid = map(int, rest.split(":"))
    servers.append((name, port, pid))
request = pack("PUBLISH", "news:today", "x" * 32)
for patterns in map(int, args.patterns.split(",")):
    for subscribers in map(int, args.subscribers.split(",")):
        for pipeline in map(int, args.pipeline.split(",")):
            count = args.count // (10 if subscribers >= 100 else 1)
            results = {name: [] for name, _, _ in servers}
            for _ in range(args.rounds):
                for name, port, pid in servers:
                    named = [("SUBSCRIBE", "news:today")] * subscribers
                    others = [("PSUBSCRIBE", f"other:{n}:*") for n in range(patterns)]
                    readers = Readers(port, named + others)
                    drive(port, request, count // 10, pipeline)
                    before = cpu(pid)
                    drive(port, request, count, pipeline)
                    results[name].append((cpu(pid) - before) / count * 1e6)
                    readers.close()
            base = statistics.median(results[servers[0][0]])
            for name, _, _ in servers:
                middle = statistics.median(results[name])
                print(f"{patterns:3} patterns {subscribers:3} subscribers pipeline {pipeline:3} {name:10} {middle:7.2f} us CPU a "
                      f"message (min {min(results[name]):.2f}, max {max(results[name]):.2f})  {base / middle:5.2f}x of "
                      f"{servers[0][0]}", flush=True)
