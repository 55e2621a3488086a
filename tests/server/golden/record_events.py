#!/usr/bin/env python3
"""Fills in the events of events.txt from a real server.

    redis-server --port 7777 --save "" --enable-debug-command yes &
    tests/server/golden/record_events.py 7777
"""

import pathlib
import socket
import sys
import time

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "transcripts"))
from record import words  # noqa: E402


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, request):
        parts = [b"*%d\r\n" % len(request)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in request]
        self.socket.sendall(b"".join(parts))

    def read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$" and rest != b"-1":
            return self.file.read(int(rest) + 2)[:-2]
        if kind in b"*>" and rest != b"-1":
            return [self.read() for _ in range(int(rest))]
        return rest

    def ask(self, *request):
        self.send([word.encode() if isinstance(word, str) else word for word in request])
        return self.read()


def events_until_marker(port, subscriber):
    Client(port).ask("PUBLISH", "marker", "x")
    found = []
    while True:
        message = subscriber.read()
        if message[0] == b"message":
            return found
        channel = message[2].decode()
        db = channel.split("@")[1].split("_")[0]
        name = channel.split("__:")[1]
        line = f"! {name} {message[3].decode()}"
        found.append(line if db == "0" else f"{line} {db}")


def main():
    port = int(sys.argv[1])
    client, subscriber = Client(port), Client(port)
    client.ask("FLUSHALL")
    client.ask("CONFIG", "SET", "notify-keyspace-events", "KEAmn")
    subscriber.ask("PSUBSCRIBE", "__keyevent@*__:*")
    subscriber.ask("SUBSCRIBE", "marker")
    path = here / "events.txt"
    lines = []
    for line in path.read_text().splitlines():
        if line.startswith("!"):
            continue
        lines.append(line)
        if line[:1] in (">", "~"):
            client.send(words(line[1:]))
            client.read()
        elif line.startswith("&"):
            waiting.append(Client(port))
            waiting[-1].send(words(line[1:]))
            time.sleep(0.1)
        elif line == "@ later":
            time.sleep(0.4)
        else:
            continue
        lines += events_until_marker(port, subscriber)
    path.write_text("\n".join(lines) + "\n")


# Kept open while they wait.
waiting = []
main()
