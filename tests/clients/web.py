"""What web applications lean on, against a running server: python web.py PORT

Dramatiq: tasks, retries, delays, priorities, a group and a pipeline with results, all in scripts that build their keys' names;
django-redis: the cache's methods, its locks and patterns, sessions.
"""

import logging
import sys
import threading
import time

import django
import dramatiq
import redis
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

port = int(sys.argv[1])
# Tasks fail on purpose.
logging.disable(logging.CRITICAL)


def tasks():
    redis.Redis(port=port).flushall()
    broker = RedisBroker(port=port)
    broker.add_middleware(Results(backend=RedisBackend(port=port)))
    dramatiq.set_broker(broker)
    lock, seen, attempts = threading.Lock(), [], {}

    @dramatiq.actor(store_results=True)
    def double(number):
        with lock:
            seen.append(number)
        return number * 2

    @dramatiq.actor(store_results=True, max_retries=5, min_backoff=10, max_backoff=50)
    def flaky(name):
        with lock:
            attempts[name] = attempts.get(name, 0) + 1
            count = attempts[name]
        if count < 3:
            raise RuntimeError("not yet")
        return count

    @dramatiq.actor(max_retries=0)
    def bad():
        raise RuntimeError("never")

    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=50)
    worker.start()
    try:
        messages = [double.send(number) for number in range(200)]
        results = [message.get_result(block=True, timeout=30_000) for message in messages]
        assert results == [number * 2 for number in range(200)], results
        assert sorted(seen) == list(range(200)), "each ran once"
        assert flaky.send("a").get_result(block=True, timeout=30_000) == 3
        began = time.monotonic()
        assert double.send_with_options(args=(21,), delay=300).get_result(block=True, timeout=30_000) == 42
        assert time.monotonic() - began >= 0.3, "a delay is kept"
        group = dramatiq.group(double.message(number) for number in range(20)).run()
        assert list(group.get_results(block=True, timeout=30_000)) == [number * 2 for number in range(20)]
        chain = (double.message(3) | double.message() | double.message()).run()
        assert chain.get_result(block=True, timeout=30_000) == 24
        bad.send()
        broker.join(double.queue_name, timeout=30_000)
        worker.join()
    finally:
        worker.stop()
    left = redis.Redis(port=port)
    dead = left.zcard("dramatiq:default.XQ")
    assert dead == 1, dead
    assert left.llen("dramatiq:default") == 0 and left.hlen("dramatiq:default.msgs") == 0
    print("Dramatiq: tasks, retries, delays, groups and pipelines are fine")


def cache():
    redis.Redis(port=port).flushall()
    settings.configure(
        CACHES={
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{port}/1",
                "KEY_PREFIX": "site",
            }
        },
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        SECRET_KEY="a test",
    )
    django.setup()
    from django.contrib.sessions.backends.cache import SessionStore
    from django.core.cache import cache as c

    assert c.set("a", {"b": [1, 2]}, timeout=60) and c.get("a") == {"b": [1, 2]}
    assert 50 < c.ttl("a") <= 60 and c.persist("a") and c.ttl("a") is None
    assert c.expire("a", 5) and 0 < c.pttl("a") <= 5000
    assert c.set("once", 1, nx=True) and not c.set("once", 2, nx=True) and c.add("twice", 1)
    assert c.incr("once", 5) == 6 and c.decr("once") == 5
    c.set_many({f"many:{index}": index for index in range(300)}, timeout=60)
    assert c.get_many([f"many:{index}" for index in range(300)])["many:299"] == 299
    assert len(c.keys("many:*")) == 300 and len(list(c.iter_keys("many:*", itersize=50))) == 300
    assert c.delete_pattern("many:1*", itersize=50) == 111 and len(c.keys("many:*")) == 189
    assert c.get_or_set("made", lambda: "here", 10) == "here" and c.touch("made", 20) and c.ttl("made") > 10
    assert c.has_key("made") and c.delete("made") and not c.has_key("made")
    assert c.delete_many(["once", "twice", "never"]) == 2
    counter = {"value": 0}

    def add():
        for _ in range(20):
            with c.lock("counter", timeout=30, sleep=0.002):
                counter["value"] += 1

    threads = [threading.Thread(target=add) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert counter["value"] == 100, counter
    session = SessionStore()
    session["user"] = 7
    session.save()
    assert SessionStore(session.session_key)["user"] == 7
    session.cycle_key()
    assert SessionStore(session.session_key)["user"] == 7
    session.flush()
    assert SessionStore(session.session_key).get("user") is None
    c.clear()
    assert c.get("a") is None
    print("django-redis: the cache, its locks and sessions are fine")


tasks()
cache()
