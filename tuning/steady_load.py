#!/usr/bin/env python3
"""An open loop of writes: so many SET a second whatever the server does, and how long each took from when it was due.

    tuning/steady_load.py --port 6379 [--rate 20000] [--seconds 10] [--keys 5000000] [--prefix key:]

A closed loop sends nothing while the server stands still, so a stall of 100 ms is one slow request for each connection; here it
is every request that was due meanwhile. Requests fall due in ticks of a millisecond, spread over the connections. Prints JSON:
how many, p50, p99, p99.9 and the longest in milliseconds. SIGTERM ends it early.
"""
import argparse
import collections
import json
import random
import select
import signal
import socket
import time

TICK_S = 0.001


def percentile(counts, total, part):
    """`counts` by latency in units of 10 microseconds."""
    left = total * part
    for units in sorted(counts):
        left -= counts[units]
        if left <= 0:
            return units / 100
    return 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--prefix", default="key:")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    value = b"$%d\r\n%s\r\n" % (args.size, b"x" * args.size)
    prefix = args.prefix.encode()
    links, poll = {}, select.epoll()
    for _ in range(args.connections):
        link = socket.create_connection(("127.0.0.1", args.port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        links[link.fileno()] = (link, collections.deque())
        poll.register(link.fileno(), select.EPOLLIN)
    order = list(links.values())
    counts, ended = collections.Counter(), []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))

    def request():
        key = b"%s%d" % (prefix, rng.randrange(args.keys))
        return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n%s" % (len(key), key, value)

    begin = time.monotonic()
    sent_count, waiting_count, tick, is_sending = 0, 0, 0, True
    while is_sending or waiting_count:
        now = time.monotonic()
        due_at = begin + tick * TICK_S
        if is_sending and (ended or now >= begin + args.seconds):
            is_sending, end = False, now
        if is_sending and now >= due_at:
            tick += 1
            due_count = int(args.rate * tick * TICK_S) - sent_count
            sent_count += due_count
            waiting_count += due_count
            for place, (link, due) in enumerate(order):
                count = due_count // len(order) + (place < due_count % len(order))
                if count:
                    due.append([due_at, count])
                    link.sendall(b"".join(request() for _ in range(count)))
            order.append(order.pop(0))
        timeout = max(0.0, begin + tick * TICK_S - time.monotonic()) if is_sending else 1.0
        for descriptor, _ in poll.poll(timeout):
            link, due = links[descriptor]
            data = link.recv(1 << 20)
            now = time.monotonic()
            if not data:
                raise SystemExit("the server closed a connection")
            if data.count(b"+OK\r\n") * 5 != len(data):
                # A reply may come in two parts; anything but +OK is an error.
                while len(data) % 5:
                    data += link.recv(5 - len(data) % 5)
                if data.count(b"+OK\r\n") * 5 != len(data):
                    raise SystemExit(f"a reply that is no +OK: {data[:80]!r}")
            left = len(data) // 5
            waiting_count -= left
            while left:
                at, count = due[0]
                taken = min(left, count)
                counts[int((now - at) * 100_000)] += taken
                left -= taken
                due[0][1] -= taken
                if taken == count:
                    due.popleft()
    total = counts.total()
    print(json.dumps({
        "count": total, "seconds": end - begin, "p50": percentile(counts, total, 0.5), "p99": percentile(counts, total, 0.99),
        "p99.9": percentile(counts, total, 0.999), "most": max(counts) / 100,
    }))


main()
