import ctypes, json, mmap, os, shlex, shutil, socket, subprocess, sys, tempfile, time
HERE = os.path.dirname(os.path.abspath(__file__))
os.environ["LD_LIBRARY_PATH"] = os.path.join(HERE, "lib")
DISK = os.environ.get("DISK", os.getcwd())
HZ = os.sysconf("SC_CLK_TCK")
def raw(kind, size=4096, count=2000):
    path = os.path.join(DISK, "rawfile")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, b"\0" * (size * count)); os.fsync(fd); os.close(fd)
    flags = os.O_RDWR | (os.O_DIRECT | os.O_DSYNC if kind == "direct" else 0)
    try:
        fd = os.open(path, flags)
        buf = mmap.mmap(-1, size); buf.write(b"x" * size)
        lat = []
        for i in range(count):
            t = time.perf_counter_ns(); os.pwrite(fd, buf, i * size)
            if kind != "direct": os.fdatasync(fd)
            lat.append(time.perf_counter_ns() - t)
        lat.sort()
        print(f"raw {kind} {size}: p50 {lat[count//2]/1000:.1f} us p99 {lat[count*99//100]/1000:.1f} us", flush=True)
    except OSError as e: print("raw", kind, e, flush=True)
    os.unlink(path)
class Conn:
    def __init__(self, port):
        for _ in range(200):
            try: self.s = socket.create_connection(("127.0.0.1", port)); break
            except OSError: time.sleep(0.05)
        self.f = self.s.makefile("rb")
    def ask(self, *w):
        self.s.sendall(b"*%d\r\n" % len(w) + b"".join(b"$%d\r\n%s\r\n" % (len(x), x) for x in (y.encode() for y in w)))
        line = self.f.readline()
        if line[:1] in b"$=":
            n = int(line[1:]); return self.f.read(n + 2)
        return line
    def info(self):
        t = self.ask("INFO", "everything").decode(errors="replace")
        return dict(l.split(":", 1) for l in t.splitlines() if ":" in l)
def ticks(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]), int(f[12]))
PORT = [7150]
def run(name, binary, more, pipeline, seconds=4, server_cpu="0", client_cpus="2-9", threads=4, clients=50, env=None):
    d = tempfile.mkdtemp(dir=DISK); PORT[0] += 1; port = PORT[0]
    line = f"taskset -c {server_cpu} {binary} --port {port} --bind 127.0.0.1 --dir {d} {more}"
    p = subprocess.Popen(shlex.split(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    c = Conn(port)
    while "0" != c.info().get("loading"): time.sleep(0.05)
    def load(secs):
        out = os.path.join(d, "o.json")
        per = clients // threads
        subprocess.run(shlex.split(f"taskset -c {client_cpus} {HERE}/memtier_benchmark -s 127.0.0.1 -p {port} --hide-histogram -t {threads} -c {per} --pipeline {pipeline} --ratio 1:0 -d 100 --key-minimum 1 --key-maximum 1000000 --key-pattern R:R --print-percentiles 50,99,99.9 --json-out-file {out} --test-time {secs}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.load(open(out))["ALL STATS"]["Sets"]
    import threading
    res = {}
    th = threading.Thread(target=lambda: res.update(load(seconds)))
    th.start(); time.sleep(1.0)
    i0, t0, w0 = c.info(), ticks(p.pid), time.monotonic()
    time.sleep(seconds - 1.5)
    w1, t1, i1 = time.monotonic(), ticks(p.pid), c.info()
    th.join(); s = res
    n = int(i1["total_commands_processed"]) - int(i0["total_commands_processed"])
    s["Ops/sec"] = n / (w1 - w0)
    cpu = (sum(t1) - sum(t0)) / HZ
    pc = s["Percentile Latencies"]
    syncs = ""
    for k in i1:
        if k.startswith("aof_") and ("sync" in k or "fsync" in k) : syncs += f" {k}={i1[k]}"
    print(f"{name:22} P{pipeline:<2} {s['Ops/sec']:9.0f}/s p50 {pc['p50.00']:.3f} p99 {pc['p99.00']:.3f} ms cpu {cpu/n*1e6:.2f} us/op ({(t1[1]-t0[1])/max(1,sum(t1)-sum(t0)):.0%} sys) busy {cpu/(w1-w0):.0%}{syncs[:400]}", flush=True)
    try:
        c.s.sendall(b"SHUTDOWN NOSAVE\r\n"); p.wait(20)
    except Exception: p.kill(); p.wait()
    shutil.rmtree(d, ignore_errors=True)
    return s["Ops/sec"]
