#!/usr/bin/env python3
"""Fills in the replies of transcripts from a real server.

    redis-server --port 7777 --save "" --enable-debug-command yes &
    tests/transcripts/record.py 7777 tests/transcripts/*.txt

A transcript is a session, replayed by tests/commands/transcript.rs:

    # a comment
    > SET key "a value\n"      a request; words as redis-cli takes them
    < +OK                      its reply, an element a line: +simple -error :integer "bulk" $-1 *count %count ,double _
    @ unordered                the next reply is an array in any order (its elements, each a line, are sorted)
    @ wait 30                  this many milliseconds pass
    @ db 1                     another database
    @ protocol 3               another protocol
    @ policy allkeys-lfu       maxmemory-policy
    @ stream-node-max-entries 3
    @ by-hand                  on the first line: the replies are from documents, and this script leaves the file alone

Every transcript starts with empty databases, protocol 2, database 0 and noeviction.
"""

import re
import socket
import sys
import time

ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}


def words(line):
    """Splits a line as redis-cli does: bare words, 'as they are', "with escapes"."""
    found, at = [], 0
    while at < len(line):
        if line[at].isspace():
            at += 1
        elif line[at] == '"':
            word, at = b"", at + 1
            while line[at] != '"':
                if line[at] != "\\":
                    word, at = word + line[at].encode(), at + 1
                elif line[at + 1] == "x":
                    word, at = word + bytes.fromhex(line[at + 2 : at + 4]), at + 4
                else:
                    mark = line[at + 1]
                    word, at = word + ESCAPES.get(mark, mark.encode()), at + 2
            found.append(word)
            at += 1
        elif line[at] == "'":
            end = line.index("'", at + 1)
            found.append(line[at + 1 : end].encode())
            at = end + 1
        else:
            word = re.match(r"\S+", line[at:]).group()
            found.append(word.encode())
            at += len(word)
    return found


def quoted(text):
    """A bulk string between quotes, every byte that does not print escaped."""
    named = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
    return '"' + "".join(named.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in text) + '"'


class Server:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.socket.sendall(request)
        return self.element()

    def element(self):
        """Reads one element as the lines a transcript has for it."""
        line = self.file.readline().decode()[:-2]
        kind, rest = line[0], line[1:]
        if kind == "$" and rest != "-1":
            return [quoted(self.file.read(int(rest) + 2)[:-2])]
        if kind in "*~%" and rest != "-1":
            count = int(rest) * (2 if kind == "%" else 1)
            return [line] + [part for _ in range(count) for part in self.element()]
        return [line]


def record(server, path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    if lines[0] == "@ by-hand":
        return
    server.ask("HELLO", 2)
    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.ask("CONFIG", "SET", "stream-node-max-entries", "100")
    server.ask("SELECT", 0)
    server.ask("FLUSHALL")
    out, unordered = [], False
    for line in lines:
        if line.startswith("< "):
            continue
        out.append(line)
        if line.startswith("@ "):
            name, *rest = line[2:].split()
            unordered = name == "unordered"
            if name == "wait":
                time.sleep(int(rest[0]) / 1000 + 0.01)
            elif name == "db":
                server.ask("SELECT", rest[0])
            elif name == "protocol":
                server.ask("HELLO", rest[0])
            elif name == "stream-node-max-entries":
                server.ask("CONFIG", "SET", name, rest[0])
            elif name == "policy":
                server.ask("CONFIG", "SET", "maxmemory-policy", rest[0])
            elif name != "unordered":
                sys.exit(f"{path}: what is {line!r}?")
        elif line.startswith("> "):
            reply = server.ask(*words(line[2:]))
            if unordered:
                reply[1:] = sorted(reply[1:])
                unordered = False
            out += ["< " + part for part in reply]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


if __name__ == "__main__":
    connection = Server(int(sys.argv[1]))
    for name in sys.argv[2:]:
        record(connection, name)
