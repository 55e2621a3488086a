#!/usr/bin/env python3
"""Records what a real server says of its commands: record.py PORT < names > command_rows.txt

One line a command: its name, the first nine elements of COMMAND INFO in RESP3 (line ends as spaces), and the tree of its
arguments from COMMAND DOCS. Prose (summaries, costs, notes) is not recorded; commands whose key specifications have notes
are left without the second part.
"""
import socket
import sys


class Reader:
    def __init__(self, stream):
        self.stream, self.raw = stream, b""

    def line(self):
        line = self.stream.readline()
        self.raw += line
        return line[:-2]

    def element(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind in b"+-,":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind in b"$=":
            body = self.stream.read(int(rest) + 2)
            self.raw += body
            return body[:-2].decode()
        if kind in b"*~":
            return [self.element() for _ in range(int(rest))]
        if kind == b"%":
            return {self.element(): self.element() for _ in range(int(rest))}
        raise ValueError(line)


def ask(sock, reader, *words):
    request = b"*%d\r\n" % len(words)
    for word in words:
        request += b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode())
    sock.sendall(request)
    reader.raw = b""


def tree(arguments):
    return " ".join(one(argument) for argument in arguments)


def one(argument):
    text = f"{argument['name']}:{argument['type']}"
    if argument.get("display_text", argument["name"]) != argument["name"]:
        text += "~" + argument["display_text"]
    if "key_spec_index" in argument:
        text += f"#{argument['key_spec_index']}"
    if "token" in argument:
        text += "=" + argument["token"]
    if "since" in argument:
        text += "@" + argument["since"]
    if "deprecated_since" in argument:
        text += "!" + argument["deprecated_since"]
    flags = argument.get("flags", [])
    text += "?" * ("optional" in flags) + "+" * ("multiple" in flags) + "+" * ("multiple_token" in flags)
    if "arguments" in argument:
        text += f"({tree(argument['arguments'])})"
    return text


def main():
    sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    reader = Reader(sock.makefile("rb"))
    ask(sock, reader, "HELLO", "3")
    reader.element()
    for name in sys.stdin.read().split():
        ask(sock, reader, "COMMAND", "INFO", name)
        reader.line()
        if not reader.line().startswith(b"*10"):
            continue
        reader.raw = b""
        elements = [reader.element() for _ in range(9)]
        info = reader.raw.replace(b"\r\n", b" ").decode()
        if any("notes" in spec for spec in elements[8]):
            info = ""
        reader.element()
        ask(sock, reader, "COMMAND", "DOCS", name)
        docs = list(reader.element().values())[0]
        print(f"{name}\t{info}\t{tree(docs.get('arguments', []))}")


main()
