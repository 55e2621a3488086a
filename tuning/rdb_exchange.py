#!/usr/bin/env python3
"""Do rondo and a real Redis read each other's files? Every type and encoding, compared key by key.

    tuning/rdb_exchange.py --rondo target/release/rondo --redis redis-server [--redis another-redis-server ...]

For each redis-server: its RDB file loaded by rondo, rondo's by it, and its append-only directory brought over by `rondo import` ("aof"), and
by a start of rondo where Redis was ("in place", and "rdb in place" where there is nothing but its RDB file). What is
compared of a key: type, encoding, deadline, and all it holds, deadlines of fields, groups and pending entries included; and the libraries
of functions. A Redis before 7.2 reads no version 11, which is what rondo writes: that way is skipped, and said. It has no listpacks for
sets and short lists, and other digits for scores; and when a consumer was seen last is in no append-only file: those are not compared.
"""
import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

from servers import Link, encode, free_port

DATABASES = (0, 3, 15)
FAR_MS = 33_000_000_000_000


class Server:
    def __init__(self, binary, folder, more=""):
        self.port = free_port()
        line = f"{binary} --port {self.port} --bind 127.0.0.1 --dir {folder} --save '3600 1000000000' --list-compress-depth 1 {more}"
        if is_rondo(binary):
            line += " --threads 2"
        self.process = subprocess.Popen(shlex.split(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.link = Link(self.port)
        while b"\r\nloading:0\r\n" not in (self.link.ask("INFO", "persistence") or b""):
            time.sleep(0.01)

    def version(self):
        text = self.link.must("INFO", "server").decode()
        return next(line.split(":")[1] for line in text.splitlines() if line.startswith("redis_version:"))

    def stop(self):
        self.link.file.write(encode("SHUTDOWN", "NOSAVE"))
        self.link.file.flush()
        self.process.wait(30)


def is_rondo(binary):
    return os.path.basename(binary).startswith("rondo")


def fill(link, has_field_deadlines):
    must = link.must
    noise = bytes((index * 7919 + index // 256) % 256 for index in range(3000))
    for db in DATABASES:
        must("SELECT", db)
        for number in (0, 1, -1, 127, -128, 128, 32767, 32768, -2**31, 2**31, -2**63, 2**63 - 1):
            must("SET", f"int:{number}", number)
        for name, value in {"empty": b"", "embstr": b"x" * 44, "raw": b"y" * 45, "zeros": b"\0" * 20_000, "noise": noise,
                            "number-like": b"007", "large": b"abc" * 100_000}.items():
            must("SET", f"str:{name}", value)
        must("SET", "str:appended", "1")
        must("APPEND", "str:appended", "2")
        must("SET", b"", "of the empty key")
        must("SET", b"\xff\x00\r\n", "of a binary key")
        must("SET", "k" * 300, "of a long key")
        must("SETBIT", "bits", 100_001, 1)
        must("SET", "dated", "v", "PXAT", FAR_MS + db)
        must("RPUSH", "list:listpack", "a", "1", "-5", "", "x" * 60, 2**40)
        must("RPUSH", "list:quicklist", *[f"element:{index}:{'z' * 40}" for index in range(2000)])
        must("RPUSH", "list:plain", b"p" * 20_000, "small", noise * 4)
        for bits in (15, 31, 62):
            must("SADD", f"set:intset{bits}", *[(-1) ** index * ((1 << bits) - index) for index in range(40)])
        must("SADD", "set:listpack", "a", "b", "10", "c" * 50)
        must("SADD", "set:hashtable", *[f"member:{index}" for index in range(600)])
        must("SADD", "set:long", "m" * 100, "n")
        must("HSET", "hash:listpack", "f", "v", "n", 12345, "e", "")
        must("HSET", "hash:hashtable", *[word for index in range(700) for word in (f"field:{index}", f"value:{index}")])
        must("HSET", "hash:long", "f", "v" * 100)
        if has_field_deadlines:
            must("HSET", "hash:listpackex", "a", "1", "b", "2", "c", "3")
            must("HPEXPIREAT", "hash:listpackex", FAR_MS, "FIELDS", 2, "a", "c")
            must("HSET", "hash:dated", *[word for index in range(600) for word in (f"f{index}", index)])
            must("HPEXPIREAT", "hash:dated", FAR_MS + 5, "FIELDS", 3, "f1", "f300", "f599")
        must("ZADD", "zset:listpack", "1", "a", "2.5", "b", "-inf", "least", "+inf", "most", "0.1", "tenth", "1e300", "huge")
        must("ZADD", "zset:skiplist", *[word for index in range(500) for word in (index / 3, f"member:{index}")])
        must("ZADD", "zset:long", "1", "w" * 100)
        must("GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
        must("PFADD", "hll:sparse", *range(50))
        must("PFADD", "hll:dense", *[f"e{index}" for index in range(5000)])
        for index in range(1, 500):
            must("XADD", "stream", f"{index}-{index}", "field", f"value:{index}", "n", index)
        must("XADD", "stream", "1000-0", "other", "fields", "in", "it")
        must("XDEL", "stream", "5-5", "300-300")
        must("XGROUP", "CREATE", "stream", "group", "0")
        must("XGROUP", "CREATE", "stream", "late", "400-400", "ENTRIESREAD", "400")
        must("XREADGROUP", "GROUP", "group", "first", "COUNT", "20", "STREAMS", "stream", ">")
        must("XREADGROUP", "GROUP", "group", "second", "COUNT", "5", "STREAMS", "stream", ">")
        must("XGROUP", "CREATECONSUMER", "stream", "group", "idle")
        must("XACK", "stream", "group", "1-1", "2-2")
        must("XGROUP", "CREATE", "stream:empty", "group", "$", "MKSTREAM")
        must("XADD", "stream:trimmed", "MAXLEN", "0", "9-9", "f", "v")
    must("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('answer', function() return 42 end)")


def contents(link, key, kind, is_loose):
    if kind == b"string":
        return link.must("GET", key)
    if kind == b"list":
        return link.must("LRANGE", key, 0, -1)
    if kind == b"set":
        return sorted(link.must("SMEMBERS", key))
    if kind == b"zset":
        words = link.must("ZRANGE", key, 0, -1, "WITHSCORES")
        return list(zip(words[::2], map(float, words[1::2])))
    if kind == b"hash":
        words = link.must("HGETALL", key)
        fields = dict(zip(words[::2], words[1::2]))
        dated = link.ask("HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
        if isinstance(dated, Exception):
            dated = [-1] * len(fields)
        return sorted(zip(fields, fields.values(), dated))
    if kind == b"stream":
        full = pairs(link.must("XINFO", "STREAM", key, "FULL", "COUNT", 0))
        for name in (b"radix-tree-keys", b"radix-tree-nodes"):
            full.pop(name)  # How it is kept is each server's own.
        groups = []
        for group in full.pop(b"groups"):
            group = pairs(group)
            group[b"consumers"] = sorted(sorted(consumer_of(words, is_loose).items()) for words in group[b"consumers"])
            groups.append(sorted(group.items()))
        # Fields that only a newer server has are not in the other's file.
        known = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added", b"recorded-first-entry-id", b"entries")
        return sorted((name, full[name]) for name in known), sorted(groups)
    sys.exit(f"no such type: {kind}")


def consumer_of(words, is_loose):
    consumer = pairs(words)
    if is_loose:
        consumer.pop(b"seen-time")
        consumer.pop(b"active-time", None)
    return consumer


def pairs(words):
    return dict(zip(words[::2], words[1::2]))


def everything(link, is_loose):
    found = {}
    for db in DATABASES:
        link.must("SELECT", db)
        for key in link.must("KEYS", "*"):
            kind = link.must("TYPE", key)
            # What was changed in place gets the encoding of what is new, whoever reads it.
            is_left_out = key == b"str:appended" or is_loose and kind in (b"list", b"set")
            encoding = None if is_left_out else link.must("OBJECT", "ENCODING", key)
            found[db, key] = (kind, encoding, link.must("PEXPIRETIME", key), contents(link, key, kind, is_loose))
    return found, link.must("FUNCTION", "LIST", "WITHCODE")


def compare(what, mine, theirs):
    """Prints the differences; how many there were."""
    (keys, functions), (other_keys, other_functions) = mine, theirs
    count = 0
    for place in sorted(set(keys) | set(other_keys)):
        left, right = keys.get(place), other_keys.get(place)
        if left != right:
            count += 1
            for name, one, two in zip(("type", "encoding", "deadline", "contents"), left or [None] * 4, right or [None] * 4):
                if one != two:
                    one, two = str(one), str(two)
                    at = max(0, len(os.path.commonprefix([one, two])) - 60)
                    print(f"  {place}: {name}: {one[at:at + 200]} became {two[at:at + 200]}")
    if functions != other_functions:
        count += 1
        print(f"  functions: {functions} became {other_functions}")
    print(f"{what}: {len(keys)} keys, {count} differences", flush=True)
    return count


def exchange(args, source, target, how):
    """Fills `source`, has `target` load its files, and compares."""
    folder, other = tempfile.mkdtemp(), tempfile.mkdtemp()
    try:
        logged = "--appendonly yes"
        has_log = how in ("aof", "in place")
        server = Server(source, folder, logged if has_log else "")
        version = server.version()
        is_loose = has_log or tuple(int(part) for part in version.split(".")[:2]) < (7, 2)
        has_field_deadlines = int(version.split(".")[0]) >= 8 or is_rondo(source)
        fill(server.link, has_field_deadlines and not args.plain_hashes)
        before = everything(server.link, is_loose)
        if not has_log:
            server.link.must("SAVE")
        server.stop()
        if how == "rdb":
            shutil.copy(os.path.join(folder, "dump.rdb"), other)
        elif how == "aof":
            subprocess.run([target, "import", os.path.join(folder, "appendonlydir"), other], check=True, stdout=subprocess.DEVNULL)
        server = Server(target, folder if "in place" in how else other, "" if how == "rdb" else logged)
        after = everything(server.link, is_loose)
        names = [f"{os.path.basename(source)} {version}", f"{os.path.basename(target)} {server.version()}"]
        server.stop()
        return compare(f"{how}: {names[0]} -> {names[1]}", before, after)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(other, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondo", default="target/release/rondo")
    parser.add_argument("--redis", action="append", required=True)
    parser.add_argument("--plain-hashes", action="store_true", help="no deadlines of fields: then rondo's file is of version 11")
    args = parser.parse_args()
    args.rondo = os.path.abspath(args.rondo)
    count = exchange(args, args.rondo, args.rondo, "rdb")
    for redis in args.redis:
        text = subprocess.run([redis, "--version"], capture_output=True, text=True, check=True).stdout
        major, minor = text.split("v=")[1].split(".")[:2]
        count += exchange(args, redis, args.rondo, "rdb")
        for how in ("aof", "in place", "rdb in place"):
            count += exchange(args, redis, args.rondo, how)
        if (int(major), int(minor)) < (7, 2):
            print(f"rdb: rondo -> {redis} {major}.{minor}: skipped, it reads no version above 10")
        else:
            count += exchange(args, args.rondo, redis, "rdb")
    sys.exit(1 if count else 0)


main()
