from measure import *
import statistics as st
R = HERE + "/rondo.exp"; S = HERE + "/redis-server"
LOG = "--appendonly yes --appendfsync {} --save '' --auto-aof-rewrite-percentage 0"
A = "--threads 1 " + LOG.format("always")
V = {"base": {}, "lw0": {"K_LW": "0"}, "lw0if2": {"K_LW": "0", "K_IF": "2"}, "lw0sp75": {"K_LW": "0", "K_SP": "75"}, "lw10": {"K_LW": "10"}}
got = {}
for rnd in range(3):
  for p in (16, 1):
    got.setdefault((p, "redis"), []).append(run("redis always", S, LOG.format("always"), p, seconds=4))
    for name, env in V.items():
        got.setdefault((p, name), []).append(run("always " + name, R, A, p, seconds=4, env=env))
for (p, name), v in got.items():
    m = st.median(v); print(p, name, round(m), f"{m/st.median(got[(p,'redis')]):.2f}", [round(x) for x in v])
for (n, more) in (("none", "--threads 1 --save ''"), ("everysec", "--threads 1 " + LOG.format("everysec"))) * 3:
    run(n, R, more, 16, seconds=4)
