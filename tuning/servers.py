"""Servers started one at a time for a measurement, and a connection that speaks to them: shared by the scripts here."""
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


MARK = b"==batch-ends-here=="


class Connection:
    """Sends batches; a batch is over when the echo that ends it has come."""

    def __init__(self, port):
        for _ in range(200):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit("the server does not answer")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, commands):
        self.socket.sendall(commands + encode("ECHO", MARK))

    def wait(self):
        """Until the batch is over; errors among the replies end the script."""
        end = MARK + b"\r\n"
        tail = b""
        while not tail.endswith(end):
            data = self.socket.recv(1 << 20)
            if not data:
                sys.exit("the server closed the connection")
            is_start = not tail or tail.endswith(b"\r\n")
            if is_start and data.startswith(b"-") or b"\r\n-ERR" in data or b"\r\n-WRONG" in data:
                line = data[data.find(b"-"):].split(b"\r\n")[0]
                sys.exit(f"an error among the replies: {line.decode(errors='replace')}")
            tail = (tail + data)[-len(end):]

    def ask(self, *words):
        self.socket.sendall(encode(*words))
        data = self.socket.recv(1 << 20)
        if data.startswith(b"$"):
            header = data.index(b"\r\n")
            size = int(data[1:header])
            while len(data) < size + header + 4:
                data += self.socket.recv(1 << 20)
        return data


class Link:
    """One request at a time, with its reply taken apart; an error is a reply too."""

    def __init__(self, port):
        for _ in range(400):
            try:
                self.file = socket.create_connection(("127.0.0.1", port)).makefile("rwb")
                return
            except OSError:
                time.sleep(0.02)
        sys.exit("a server does not answer")

    def ask(self, *words):
        self.file.write(encode(*words))
        self.file.flush()
        return self.read()

    def must(self, *words):
        reply = self.ask(*words)
        if isinstance(reply, Exception):
            sys.exit(f"{words}: {reply}")
        return reply

    def read(self):
        line = self.file.readline()[:-2]
        mark, rest = line[:1], line[1:]
        if mark == b"+":
            return rest
        if mark == b"-":
            return Exception(rest.decode())
        if mark == b":":
            return int(rest)
        if mark == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if mark == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        sys.exit(f"no reply: {line[:60]!r}")


class Server:
    """One server on a port and in a folder of its own, ended with `with`."""

    def __init__(self, command, cpus=None):
        self.port, folder = free_port(), tempfile.mkdtemp()
        argv = shlex.split(command.format(port=self.port, dir=folder))
        if cpus:
            argv = ["taskset", "-c", cpus] + argv
        argv[0] = os.path.abspath(argv[0]) if os.path.exists(argv[0]) else argv[0]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.connection = Connection(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def used_memory(self):
        text = self.connection.ask("INFO", "memory")
        return next(int(line.split(b":")[1]) for line in text.split(b"\r\n") if line.startswith(b"used_memory:"))

    def resident(self):
        # Counted from the page tables; VmRSS lags behind by as much as 64 pages for each core and thread.
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Rss:"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
