#!/usr/bin/env python3
"""Records what a real server says to several clients: record_pubsub.py PORT pubsub.txt [MARK]

    # a comment
    > A SUBSCRIBE news         client A sends this; a client connects when it is first named
    < A *3~$9~subscribe~...    what A receives then, a ~ (or MARK) for each line end, a ^ for any other ~

Keeps the lines with # and >, and writes the others anew. HELLO's reply, which names the server, is left out.
"""
import socket
import sys

SILENCE_S = 0.2


def request(words):
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words]
    return b"".join(parts)


def receive(client):
    data = b""
    try:
        while chunk := client.recv(65536):
            data += chunk
    except TimeoutError:
        pass
    return data


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    mark = sys.argv[3] if len(sys.argv) > 3 else "~"
    clients = {}
    kept = []
    for line in open(path):
        if not line.startswith("<"):
            kept.append(line)
        if not line.startswith(">"):
            continue
        name, *words = line[1:].split()
        if name not in clients:
            clients[name] = socket.create_connection(("127.0.0.1", port))
            clients[name].settimeout(SILENCE_S)
        clients[name].sendall(request(words))
        for other in sorted(clients, key=lambda other: other != name):
            data = receive(clients[other])
            if data and words[0] != "HELLO":
                text = data.decode().replace("~", "^").replace("\r\n", mark)
                kept.append(f"< {other} {text}\n")
    open(path, "w").writelines(kept)


main()
