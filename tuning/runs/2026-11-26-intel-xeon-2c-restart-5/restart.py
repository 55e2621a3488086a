import os, shutil, socket, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../2026-11-26-intel-xeon-16c-durable"))
from measure import Conn, ticks, HZ
OPT = "--appendonly yes --appendfsync no --save '' --auto-aof-rewrite-percentage 0"
import shlex
def start(binary, threads, d, port):
    t = time.monotonic()
    p = subprocess.Popen(shlex.split(f"{binary} --port {port} --threads {threads} --bind 127.0.0.1 --dir {d} {OPT}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    c = Conn(port)
    while c.info().get("loading") != "0": time.sleep(0.01)
    return p, c, time.monotonic() - t
os.makedirs("src")
p, c, _ = start("./rondo-after", 4, "src", 7101)
N = int(sys.argv[1])
for _ in range(2):
    subprocess.run(f"redis-benchmark -p 7101 -t set -r {N} -n {N} -P 64 -c 8 -d 100 -q", shell=True, stdout=subprocess.DEVNULL)
keys = c.ask("DBSIZE"); print(keys)
c.s.sendall(b"SHUTDOWN NOSAVE\r\n"); p.wait()
port = 7102
for rnd in range(3):
    for threads in (4, 2, 1):
        for name in ("./rondo-before", "./rondo-after"):
            shutil.rmtree("d", ignore_errors=True); subprocess.run("cp -a --sparse=always src d", shell=True)
            port += 1
            p, c, secs = start(name, threads, "d", port)
            cpu = sum(ticks(p.pid)) / HZ
            assert c.ask("DBSIZE") == keys
            print(f"{threads} cores {name[-5:]:6} {cpu:.2f} s CPU, {secs:.2f} s", flush=True)
            c.s.sendall(b"SHUTDOWN NOSAVE\r\n"); p.wait()
