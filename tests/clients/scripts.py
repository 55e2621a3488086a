"""Applications that live on scripts, against a running server: python scripts.py PORT

redis-py's Lock, registered scripts and pipelines of them; RQ: jobs, dependencies, a worker's round trip; Celery: tasks, a chord,
with the results in the server.
"""

import sys
import threading

import redis
import rq
from rq.job import JobStatus

port = int(sys.argv[1])


def locks():
    r = redis.Redis(port=port)
    r.flushall()
    counter = {"value": 0}

    def add():
        own = redis.Redis(port=port)
        for _ in range(20):
            with own.lock("counter-lock", timeout=30, blocking_timeout=60, sleep=0.002):
                counter["value"] += 1

    threads = [threading.Thread(target=add) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert counter["value"] == 120, counter
    lock = r.lock("other-lock", timeout=5)
    assert lock.acquire() and lock.owned() and not r.lock("other-lock").acquire(blocking=False)
    assert lock.extend(10) and lock.reacquire() and r.ttl("other-lock") <= 5
    lock.release()
    try:
        lock.release()
        raise AssertionError("a lock that was released is nobody's")
    except redis.exceptions.LockError:
        pass
    print("redis-py: Lock is fine")


def scripts():
    r = redis.Redis(port=port, decode_responses=True)
    r.flushall()
    # A sliding window: at most 5 in a minute.
    limiter = r.register_script(
        """
        local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - window)
        if redis.call('ZCARD', KEYS[1]) >= limit then return 0 end
        redis.call('ZADD', KEYS[1], now, ARGV[4])
        redis.call('PEXPIRE', KEYS[1], window)
        return 1
        """
    )
    for user in range(20):
        taken = [limiter(keys=[f"limit:{user}"], args=[1000 + i, 60_000, 5, i]) for i in range(8)]
        assert taken == [1] * 5 + [0] * 3, taken
    # A name that no key declares, as many applications build them.
    moved = r.register_script(
        """
        local id = redis.call('RPOPLPUSH', 'queue:' .. ARGV[1], 'running:' .. ARGV[1])
        if not id then return nil end
        redis.call('HINCRBY', 'stats:' .. ARGV[1], 'taken', 1)
        redis.call('SET', 'owner:' .. id, ARGV[2])
        return id
        """
    )
    names = [f"n{i}" for i in range(10)]
    for name in names:
        r.rpush(f"queue:{name}", *[f"{name}-{i}" for i in range(30)])
    got = []

    def take(worker):
        own = redis.Redis(port=port, decode_responses=True)
        for name in names * 8:
            got.append(moved(args=[name, worker], client=own))

    threads = [threading.Thread(target=take, args=(worker,)) for worker in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    taken = [one for one in got if one]
    assert len(taken) == len(set(taken)) == 300, len(taken)
    for name in names:
        assert r.llen(f"queue:{name}") == 0 and r.llen(f"running:{name}") == 30
        assert r.hget(f"stats:{name}", "taken") == "30"
    pipe = r.pipeline()
    for i in range(50):
        limiter(keys=[f"piped:{i % 7}"], args=[i, 60_000, 5, i], client=pipe)
    assert sum(pipe.execute()) == 35
    print("redis-py: registered scripts are fine")


def double(number):
    return 2 * number


def fail():
    raise ValueError("as told")


def rq_round_trip():
    r = redis.Redis(port=port)
    r.flushall()
    queue = rq.Queue("work", connection=r)
    jobs = [queue.enqueue("operator.mul", i, 2) for i in range(40)]
    late = queue.enqueue("operator.mul", 7, 3, depends_on=jobs[:5])
    bad = queue.enqueue("operator.truediv", 1, 0)
    worker = rq.SimpleWorker([queue], connection=r)
    worker.work(burst=True, logging_level="ERROR")
    assert [job.return_value(refresh=True) for job in jobs] == [2 * i for i in range(40)]
    assert late.return_value(refresh=True) == 21
    assert bad.get_status(refresh=True) == JobStatus.FAILED
    assert len(queue.failed_job_registry) == 1 and len(queue.finished_job_registry) == 41
    print(f"RQ {rq.VERSION}: jobs, dependencies, failures are fine")


def celery_round_trip():
    import celery
    from celery.contrib.testing.worker import start_worker

    url = f"redis://127.0.0.1:{port}/5"
    app = celery.Celery("checks", broker=url, backend=url)
    app.conf.worker_hijack_root_logger = False
    app.conf.broker_connection_retry_on_startup = True

    @app.task(name="checks.double")
    def task_double(number):
        return 2 * number

    @app.task(name="checks.total")
    def task_total(numbers):
        return sum(numbers)

    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, loglevel="ERROR"):
        results = [task_double.delay(i) for i in range(20)]
        assert [result.get(timeout=60) for result in results] == [2 * i for i in range(20)]
        chord = celery.chord((task_double.s(i) for i in range(10)), task_total.s())
        assert chord().get(timeout=60) == 90
    print(f"Celery {celery.__version__}: tasks, results and a chord are fine")


locks()
scripts()
rq_round_trip()
celery_round_trip()
