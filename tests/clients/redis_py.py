"""redis-py against a running server: python redis_py.py PORT"""

import sys
import threading

import redis

port = int(sys.argv[1])


def check(protocol):
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    assert r.ping() is True
    r.flushall()

    # Values and deadlines.
    assert r.set("greeting", "hello", ex=60) is True
    assert r.get("greeting") == "hello"
    assert 55 < r.ttl("greeting") <= 60
    assert r.set("greeting", "no", nx=True) is None
    assert r.set("greeting", "again", xx=True, get=True, keepttl=True) == "hello"
    assert 0 < r.pttl("greeting") <= 60_000
    assert r.persist("greeting") is True and r.ttl("greeting") == -1
    assert r.expire("greeting", 100, nx=True) is True
    assert r.getdel("greeting") == "again" and r.get("greeting") is None
    assert r.incrbyfloat("float", 1.5) == 1.5
    assert r.append("text", "abc") == 3 and r.getrange("text", 1, -1) == "bc"

    # Several shards in one command.
    many = {f"key:{i}": str(i) for i in range(500)}
    assert r.mset(many) is True
    assert r.mget(list(many) + ["missing"]) == list(many.values()) + [None]
    assert r.exists(*many) == 500
    assert r.msetnx({"key:1": "x", "new": "x"}) is False and r.get("new") is None
    assert r.rename("key:0", "moved") is True and r.get("moved") == "0"
    assert r.copy("moved", "copied") is True and r.get("copied") == "0"
    assert set(r.scan_iter(match="key:*", count=50)) == set(many) - {"key:0"}
    assert len(r.keys("key:*")) == 499
    assert r.dbsize() == 499 + 4  # moved, copied, float, text
    assert r.delete(*many) == 499

    # Pipelines, long ones among them.
    pipe = r.pipeline(transaction=False)
    for i in range(5_000):
        pipe.set(f"pipe:{i % 100}", i)
        pipe.get(f"pipe:{i % 100}")
    replies = pipe.execute()
    assert len(replies) == 10_000
    assert replies[1::2] == [str(i) for i in range(5_000)]

    # Bytes as they are, and a large value.
    raw = redis.Redis(port=port, protocol=protocol)
    value = bytes(range(256)) * 20_000
    assert raw.set("raw", value) is True and raw.get("raw") == value

    # What redis-py itself asks.
    assert r.info("server")["redis_mode"] == "standalone"
    assert r.config_get("maxclients")["maxclients"] == "10000"
    assert r.client_setname("checker") is True and r.client_getname() == "checker"
    assert any(row["name"] == "checker" for row in r.client_list())
    assert r.object("encoding", "raw") in ("raw", b"raw")
    assert r.command_count() > 50
    other = redis.Redis(port=port, db=3, protocol=protocol, decode_responses=True)
    assert other.set("here", 1) is True and r.get("here") is None
    try:
        r.incr("text")
        raise SystemExit("INCR of a text did not fail")
    except redis.ResponseError as error:
        assert str(error) == "value is not an integer or out of range", error

    # Many threads on one pool.
    def count():
        for _ in range(100):
            r.incr("counter")

    threads = [threading.Thread(target=count) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("counter") == "2000"
    r.flushall()
    assert r.dbsize() == 0 and other.dbsize() == 0


for protocol in (2, 3):
    check(protocol)
print(f"redis-py {redis.__version__}: strings, deadlines, MGET/MSET over shards, pipelines, RESP2 and RESP3 are fine")
