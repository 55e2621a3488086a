#!/usr/bin/env python3
"""Is what a restart gives back what was there?

    tuning/equivalence.py --binary target/release/rondo [--seconds 60] [--seed 1] [--seeds N] [--threads 1,2,3,4,7]
                          [--redis redis-server] [--ports 7150-7199] [--dir DIR] [--only PART,PART] [--replay FILE] [--shrink FILE]

Method: each seed starts a server with `appendonly yes`, a random policy and a random number of cores, and drives it over one to four
connections with random commands of every kind on few keys: types and encodings change, deadlines of keys and fields come soon, blocks,
scripts and functions write on several cores and fail half-way, consumers read and claim, blocked clients are served by others, keys are
evicted, databases swapped and emptied, the log is rewritten, turned off and on. Then a picture is taken: of every key of every database its
type, deadline and all it holds (fields' deadlines, groups, consumers and pending entries included), and the libraries of functions. The
server is ended (SHUTDOWN, SIGTERM, SIGKILL after WAITAOF; or only its RDB file is kept; or it is told to load again), `check` looks at what
it left, it starts with another number of cores, and the second picture must be the first. With `--redis` every fourth seed also lets
Redis load the RDB file, and every other fourth has Redis driven by the same commands and its files loaded here.

How to read it: a line for each difference: seed, round, how the server was ended, database and key, and where the two pictures part; the
folder with log files, the data directory before the last start (`before`) and the commands sent (`commands.json`) is kept for such a
seed, and named. `--replay commands.json` sends them again over one connection, `--shrink commands.json` leaves out what is not needed for
a difference and prints what is left. What has come to its deadline between the pictures is not compared, nor when a consumer was last
seen (in no log, Redis's neither), nor the sign of a score of zero (a listpack has none; a skiplist that becomes one, with a start, loses it; Redis does the same), nor
what a consumer's reading of its own history did to counts (in no log, Redis's neither: it is not sent).
Exit status 1: there was a difference.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

START_MAX_S = 30
REPLY_MAX_S = 20
#: Deadlines up to so long after the second picture are not compared.
SLACK_MS = 100
DATABASES = 16

# What is sent. [a|b|] is one of these; R(...) is repeated, N(...) with how often before it, V(...) at times very often; $x is drawn by
# `Draw.word`. The letters of keys say of what type they mostly are: s h l t (set) z x (stream) g (places) p (sketch) a (array); k is any.
COMMANDS = {
    "string": """
        SET $s $v
        SET $s $v [EX $sec|PX $ms|PXAT $at|KEEPTTL|] [NX|XX|GET|]
        SET $s $num
        SETEX $s $sec $v
        PSETEX $s $ms $v
        SETNX $s $v
        GETSET $s $v
        GETDEL $s
        GETEX $s [EX $sec|PX $ms|PXAT $at|PERSIST]
        APPEND $s $v
        SETRANGE $s $small $v
        INCR $s
        DECRBY $s $num
        INCRBY $s $num
        INCRBYFLOAT $s $score
        MSET R($s $v)
        MSETNX R($s $v)
        MSETEX N($s $v) [EX $sec|PX $ms|KEEPTTL|] [NX|XX|]
        SETBIT $s $small [0|1]
        BITFIELD $s [SET|INCRBY] [u8|i16|i5] $small $num [OVERFLOW SAT|OVERFLOW FAIL|] INCRBY u4 $small $num
        BITOP [AND|OR|XOR|DIFF|DIFF1|ANDOR|ONE] $s R($s)
        BITOP NOT $s $s
        DELEX $s IFEQ $v
        DELIFEQ $s $v
        INCREX $s [BYINT $num|BYFLOAT $score] [UBOUND 50|LBOUND -5|] [SATURATE|] [EX $sec|PX $ms|]
        PFADD $p R($v)
        PFADD $p V($m)
        PFMERGE $p R($p)
        PFCOUNT R($p)
        GET $s
        LCS $s $s""",
    "hash": """
        HSET $h R($f $v)
        HSET $h V($f $v)
        HSETNX $h $f $v
        HDEL $h R($f)
        HINCRBY $h $f $num
        HINCRBYFLOAT $h $f $score
        HEXPIRE $h $sec [NX|XX|GT|LT|] FIELDS N($f)
        HPEXPIRE $h $ms [NX|XX|GT|LT|] FIELDS N($f)
        HPEXPIRE $h $short FIELDS N($f)
        HPEXPIREAT $h $at [NX|XX|GT|LT|] FIELDS N($f)
        HPERSIST $h FIELDS N($f)
        HGETEX $h [EX $sec|PX $ms|PXAT $at|PERSIST] FIELDS N($f)
        HSETEX $h [FNX|FXX|] [EX $sec|PX $ms|PXAT $at|KEEPTTL|] FIELDS N($f $v)
        HSETEX $h PX $short FIELDS N($f $v)
        HGETDEL $h FIELDS N($f)
        HRANDFIELD $h 3
        HIMPORT PREPARE set $f $f
        HIMPORT SET $h set $v $v
        HGETALL $h
        HMGET $h R($f)
        HLEN $h
        HSCAN $h 0""",
    "list": """
        RPUSH $l R($v)
        LPUSH $l R($v)
        RPUSH $l V($v)
        LPUSHX $l $v
        LPOP $l [$count|]
        RPOP $l [$count|]
        LSET $l $index $v
        LINSERT $l [BEFORE|AFTER] $v $v
        LREM $l $index $v
        LTRIM $l $index $index
        LMOVE $l $l [LEFT|RIGHT] [LEFT|RIGHT]
        LMOVE $l $l [LEFT|RIGHT] [LEFT|RIGHT]
        RPOPLPUSH $l $l
        LMPOP N($l) [LEFT|RIGHT] COUNT $count
        LMOVEM $l $l [LEFT|RIGHT] [LEFT|RIGHT] [COUNT|EXACTLY] $count [OBO|BULK]
        SORT [$l|$t|$z] [ALPHA|] [DESC|] [LIMIT $count $count|] STORE $l
        SORT [$l|$t|$z] BY [nosort|$t*|h*->f1] [GET #|GET s*|GET h*->f1 GET #|] [ALPHA|] STORE $l
        LRANGE $l 0 -1""",
    "waiting": """
        BLPOP R($l) 0.01
        BRPOP R($l) 0.01
        BLMOVE $l $l [LEFT|RIGHT] [LEFT|RIGHT] 0.01
        BLMOVE $l $l [LEFT|RIGHT] [LEFT|RIGHT] 0.01
        BRPOPLPUSH $l $l 0.01
        BLMPOP 0.01 N($l) [LEFT|RIGHT] COUNT $count
        BLMOVEM $l $l [LEFT|RIGHT] [LEFT|RIGHT] 0.01 COUNT $count OBO
        BZPOPMIN R($z) 0.01
        BZPOPMAX R($z) 0.01
        BZMPOP 0.01 N($z) [MIN|MAX] COUNT $count
        XREAD BLOCK 10 STREAMS $x $$
        XREADGROUP GROUP $group $consumer COUNT $count BLOCK 10 STREAMS $x >""",
    "set": """
        SADD $t R($m)
        SADD $t R($num)
        SADD $t V($num)
        SADD $t V($m)
        SREM $t R($m)
        SPOP $t
        SPOP $t $count
        SMOVE $t $t [$m|$num]
        SUNIONSTORE $t R($t)
        SINTERSTORE $t R($t)
        SDIFFSTORE $t R($t)
        SRANDMEMBER $t $count
        SSCAN $t 0""",
    "zset": """
        ZADD $z R($score $m)
        ZADD $z V($score $m)
        ZADD $z [NX|XX|GT|LT|] [CH|] R($score $m)
        ZADD $z INCR $score $m
        ZINCRBY $z $score $m
        ZREM $z R($m)
        ZPOPMIN $z [$count|]
        ZPOPMAX $z [$count|]
        ZMPOP N($z) [MIN|MAX] COUNT $count
        ZREMRANGEBYRANK $z $index $index
        ZREMRANGEBYSCORE $z $score $score
        ZRANGESTORE $z $z $index $index [REV|]
        ZRANGESTORE $z $z $score +inf BYSCORE LIMIT 0 $count
        ZUNIONSTORE $z 3 $z $z $t [WEIGHTS 1 -1 0.5|] [AGGREGATE SUM|AGGREGATE MIN|AGGREGATE COUNT|]
        ZINTERSTORE $z 2 $z $z [WEIGHTS 2 0.1|] [AGGREGATE MAX|]
        ZDIFFSTORE $z N($z)
        GEOADD $g [NX|XX|] [CH|] R($lon $lat $m)
        GEOADD $g V($lon $lat $m)
        GEOSEARCHSTORE $g $g FROMLONLAT $lon $lat BYRADIUS $num2 km [ASC|DESC|] [COUNT $count|COUNT $count ANY|] [STOREDIST|]
        GEOSEARCHSTORE $z $g FROMMEMBER $m BYBOX 4000 4000 km [COUNT $count|]
        GEORADIUS $g $lon $lat 3000 km [STORE $z|STOREDIST $z]
        ZRANGE $z 0 -1 WITHSCORES""",
    "stream": """
        XADD $x * $f $v
        XADD $x * R($f $v)
        XADD $x * $f $v
        XADD $x $id $f $v
        XADD $x [MAXLEN ~ $trim|MAXLEN = $trim|MINID ~ $id|MAXLEN ~ $trim LIMIT $trim] [KEEPREF|DELREF|ACKED|] * $f $v
        XADD $x NOMKSTREAM * $f $v
        XADD $x IDMP pid $m * $f $v
        XADD $x IDMPAUTO pid * $f $v
        XCFGSET $x IDMP-DURATION $sec IDMP-MAXSIZE $trim
        XTRIM $x [MAXLEN ~ $trim|MAXLEN $trim|MINID ~ $id|MINID $id] [KEEPREF|DELREF|ACKED|]
        XTRIM $x MAXLEN ~ $trim LIMIT $count
        XDEL $x R($id)
        XDELEX $x [KEEPREF|DELREF|ACKED|] IDS N($id)
        XACKDEL $x $group [KEEPREF|DELREF|ACKED|] IDS N($id)
        XSETID $x $id [ENTRIESADDED $big MAXDELETEDID $id|]
        XGROUP CREATE $x $group [0|$$|$id] [MKSTREAM|] [ENTRIESREAD $count|]
        XGROUP CREATE $x $group 0 MKSTREAM
        XGROUP CREATE $x $group 0 MKSTREAM
        XGROUP CREATE $x $group 0 MKSTREAM
        XGROUP SETID $x $group [0|$$|$id] [ENTRIESREAD $count|]
        XGROUP DESTROY $x $group
        XGROUP CREATECONSUMER $x $group $consumer
        XGROUP DELCONSUMER $x $group $consumer
        XREADGROUP GROUP $group $consumer [COUNT $count|] [NOACK|] STREAMS $x >
        XREADGROUP GROUP $group $consumer COUNT $count STREAMS $x >
        XREADGROUP GROUP $group $consumer COUNT $count STREAMS $x $x > >
        XREADGROUP GROUP $group $consumer COUNT $count CLAIM [0|10|100] STREAMS $x >
        XCLAIM $x $group $consumer [0|10|100] R($id) [IDLE $ms|TIME $at|] [RETRYCOUNT $count|] [FORCE|] [JUSTID|] [LASTID $id|]
        XCLAIM $x $group $consumer 0 R($id)
        XAUTOCLAIM $x $group $consumer [0|10|100] [0|$id] [COUNT $count|] [JUSTID|]
        XACK $x $group R($id)
        XNACK $x $group [SILENT|FAIL|FATAL] IDS N($id) [RETRYCOUNT $count|] [FORCE|]""",
    "array": """
        ARSET $a $small R($v)
        ARMSET $a R($small $v)
        ARDEL $a R($small)
        ARDELRANGE $a $small $small
        ARINSERT $a R($v)
        ARRING $a $count R($v)
        ARSEEK $a $small""",
    "keys": """
        DEL R($k)
        UNLINK R($k)
        EXPIRE $k $sec [NX|XX|GT|LT|]
        PEXPIRE $k $ms [NX|XX|GT|LT|]
        PEXPIREAT $k $at
        PEXPIRE $k $short
        PERSIST $k
        RENAME $k $k
        RENAME $k $k
        RENAMENX $k $k
        COPY $k $k [DB $db|] [REPLACE|]
        COPY $k $k REPLACE
        MOVE $k $db
        TOUCH R($k)
        RESTORE $k [0|$ms] $payload [REPLACE|]
        RESTORE $k $at $payload REPLACE ABSTTL
        DUMP $k
        DUMP $k
        SCAN 0 COUNT 20
        RANDOMKEY
        OBJECT ENCODING $k""",
    "node": """
        SELECT $db
        SELECT 0
        SWAPDB $db $db
        FLUSHDB [ASYNC|SYNC|]
        [FLUSHALL|FLUSHDB|PING|PING|PING]
        BGREWRITEAOF
        BGSAVE
        DEBUG SET-ACTIVE-EXPIRE [0|1]
        CONFIG SET hash-max-listpack-entries [0|3|8|512]
        CONFIG SET hash-max-listpack-value [0|5|64]
        CONFIG SET zset-max-listpack-entries [0|3|8|128]
        CONFIG SET zset-max-listpack-value [0|5|64]
        CONFIG SET set-max-intset-entries [0|3|8|512]
        CONFIG SET set-max-listpack-entries [0|3|8|128]
        CONFIG SET list-max-listpack-size [1|3|-1|-2]
        CONFIG SET list-compress-depth [0|1|2]
        CONFIG SET stream-node-max-entries [1|3|8|100]
        CONFIG SET stream-node-max-bytes [64|200|4096]
        CONFIG SET appendfsync [always|everysec|no]
        CONFIG SET maxmemory-policy [allkeys-random|allkeys-lru|allkeys-lfu|volatile-ttl|noeviction]
        FUNCTION DELETE lib$count
        FUNCTION DUMP
        FUNCTION RESTORE $libraries [FLUSH|APPEND|REPLACE]
        FUNCTION FLUSH
        SCRIPT FLUSH""",
}
#: Collections that are walked bit by bit, and what walks them.
LARGE = {
    "t": "local t = {} for i = 1, 6000 do t[i] = ARGV[1] .. (i + ARGV[2]) end redis.call('SADD', KEYS[1], unpack(t))",
    "z": "local t = {} for i = 1, 6000 do t[2*i-1] = i % 50; t[2*i] = ARGV[1] .. (i + ARGV[2]) end "
         "for i = 1, 12000, 6000 do redis.call('ZADD', KEYS[1], unpack(t, i, i + 5999)) end",
    "h": "local t = {} for i = 1, 6000 do t[2*i-1] = ARGV[1] .. (i + ARGV[2]); t[2*i] = i end "
         "for i = 1, 12000, 6000 do redis.call('HSET', KEYS[1], unpack(t, i, i + 5999)) end",
    "l": "local t = {} for i = 1, 6000 do t[i] = ARGV[1] .. (i + ARGV[2]) end redis.call('RPUSH', KEYS[1], unpack(t))",
    "g": "local t = {} for i = 1, 2000 do t[3*i-2] = i % 20 / 3; t[3*i-1] = i % 17 / 3; t[3*i] = ARGV[1] .. (i + ARGV[2]) end "
         "redis.call('GEOADD', KEYS[1], unpack(t))",
}
WALKS = """
    SUNIONSTORE $t $t $t $t
    SINTERSTORE $t $t $t
    SDIFFSTORE $t $t $t
    ZUNIONSTORE $z 3 $z $z $t [WEIGHTS 1 2 3|] [AGGREGATE MIN|]
    ZINTERSTORE $z 2 $z $t
    ZDIFFSTORE $z 2 $z $z
    ZRANGESTORE $z $z 0 -1
    ZRANGESTORE $z $z 10 40 BYSCORE LIMIT 5 9000
    GEOSEARCHSTORE $g $g FROMLONLAT 3 3 BYRADIUS 900 km [STOREDIST|]
    SORT [$l|$t|$z] ALPHA STORE $l
    SORT [$l|$t|$z] BY nosort STORE $l
    COPY [$h $h|$t $t|$z $z|$l $l] REPLACE
    COPY [$h $h|$t $t|$z $z|$l $l] DB $db REPLACE
    RENAME [$h $h|$t $t|$z $z|$l $l]
    SMEMBERS $t
    SUNION $t $t
    HGETALL $h
    ZRANGE $z 0 -1 WITHSCORES
    LRANGE $l 0 -1
    SRANDMEMBER $t -12000
    SPOP $t 4000
    ZPOPMIN $z 3000
    LTRIM $l 100 4000
    LMOVEM $l $l LEFT RIGHT COUNT 3000 BULK
    KEYS *
    HPEXPIRE $h [3|10|100000000] FIELDS 3 m1 m2 m3
    PEXPIRE [$t|$z|$h|$l|$g] [1|3|10|30|300]
    PEXPIRE [$t|$z|$h|$l|$g] [1|3|10|30|300]
    SELECT $db
    SWAPDB $db $db
    FLUSHDB
    [DEL|UNLINK] [$t|$z|$h|$l|$g]
    MOVE [$t|$z|$h|$l|$g] $db
    BGREWRITEAOF
    BGSAVE"""
COMMANDS["walks"] = WALKS
#: How often each part is drawn.
WEIGHTS = {"string": 14, "hash": 16, "list": 13, "waiting": 2, "set": 10, "zset": 13, "stream": 24, "array": 3, "keys": 14, "node": 3,
           "script": 5, "function": 3, "evict": 1, "large": 6, "walks": 30}
#: Parts of seeds without large collections.
SMALL = [part for part in WEIGHTS if part not in ("large", "walks")]
TYPES = "shltzxgpa"
#: What Redis 8.0 does not know, and what of its log is not loaded (`XTRIM ~ LIMIT`, `FUNCTION RESTORE`).
NEWER = re.compile(r"^(AR\w+|HIMPORT|XCFGSET|XNACK) |IDMP|~ .*LIMIT|FUNCTION RESTORE")
#: Not in blocks or scripts.
ALONE = {"BGSAVE", "BGREWRITEAOF", "DEBUG", "CONFIG", "FUNCTION", "SCRIPT", "SELECT"}


class Broken(Exception):
    """The server said something it should not, or nothing."""


class Failed(str):
    """An error as a reply."""


class Link:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=REPLY_MAX_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, requests):
        out = []
        for words in requests:
            out.append(b"*%d\r\n" % len(words))
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(out))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Failed(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            data = self.file.read(int(rest) + 2)
            if len(data) < int(rest) + 2:
                raise ConnectionError("closed")
            return data[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise Broken(f"no reply: {line[:60]!r}")

    def many(self, requests):
        self.send(requests)
        return [self.read() for _ in requests]

    def ask(self, *words):
        return self.many([words])[0]

    def must(self, *words):
        reply = self.ask(*words)
        if isinstance(reply, Failed):
            raise Broken(f"{words}: {reply}")
        return reply

    def info(self, section, name):
        text = self.must("INFO", section).decode()
        return next(line.split(":", 1)[1] for line in text.splitlines() if line.startswith(name + ":"))


class Server:
    """One start of a server; `end` says how it ends."""

    def __init__(self, binary, port, folder, log, more):
        is_rondo = os.path.basename(binary).startswith("rondo")
        argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--enable-debug-command", "yes"]
        argv += ["--pin-threads", "no"] if is_rondo else []
        self.argv, self.port, self.log = argv + more, port, log
        tries = 10
        while True:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log, start_new_session=True)
            begin = time.monotonic()
            while time.monotonic() - begin < START_MAX_S and self.process.poll() is None:
                try:
                    self.link = Link(port)
                    if self.link.info("server", "process_id") != str(self.process.pid):
                        raise Broken(f"another server has port {port}")
                    if self.link.info("persistence", "loading") == "0":
                        return
                    self.link.close()
                except (OSError, ConnectionError):
                    pass
                time.sleep(0.005)
            tries -= 1
            if self.process.poll() is None or not tries:
                self.kill()
                raise Broken("it does not start")
            time.sleep(0.2)  # The port of the one before may not be free yet.

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self, how):
        """Its exit status must be that of an orderly end."""
        if how == "KILL":
            return self.kill()
        if how == "TERM":
            self.process.send_signal(signal.SIGTERM)
        else:
            self.link.send([("SHUTDOWN", *how.split()[1:])])
        try:
            code = self.process.wait(REPLY_MAX_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Broken(f"it does not end: {how}") from None
        if code:
            raise Broken(f"it ended with {code}: {how}")


class Draw:
    """Random words and commands."""

    def __init__(self, rng, parts, leave_out, mood):
        """`mood`: what the connections of a seed have in common."""
        self.rng, self.mood = rng, mood
        lines = {part: [line.strip() for line in text.strip().splitlines()] for part, text in COMMANDS.items()}
        self.templates = {part: [line for line in of if not leave_out or not leave_out.search(line)] for part, of in lines.items()}
        self.parts = {part: weight for part, weight in WEIGHTS.items() if (not parts or part in parts) and self.templates.get(part, [0])}
        self.payloads, self.ids, self.libraries = [], [], b"none"

    def note(self, words, reply):
        """Learns from a reply what later commands need."""
        if words[0] == "DUMP" and isinstance(reply, bytes):
            self.payloads = self.payloads[-20:] + [reply]
        elif words == ["FUNCTION", "DUMP"]:
            self.libraries = reply
        elif words[0] == "XADD" and isinstance(reply, bytes):
            self.ids = self.ids[-12:] + [reply]

    def value(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            return rng.choice("abcdefgh")
        if kind < 0.65:
            return self.number()
        if kind < 0.8:
            return "v" * rng.choice((1, 6, 20, 44, 45, 63, 64, 65))
        if kind < 0.86:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(12)))
        if kind < 0.9:
            return rng.choice((b"", b"007", b"-0", b" 1", b"1e5", b"0.1", b"inf"))
        if kind < 0.93:
            return bytes([rng.randrange(97, 123)]) * rng.choice((300, 5000, 20000))
        return f"value:{rng.randrange(30)}"

    def number(self):
        rng = self.rng
        return rng.choice((rng.randrange(-3, 20), rng.randrange(-3, 20), rng.randrange(-200, 40000), 1 << 40, -(1 << 33)))

    def score(self):
        rng = self.rng
        return rng.choice((rng.randrange(-3, 9), rng.randrange(-3, 9), round(rng.uniform(-10, 10), 2), rng.uniform(-1, 1), "0.1", "1e20",
                           "3.0000000000000004", "-0", "inf" if rng.random() < 0.3 else 5, 1 << 53))

    def word(self, name):
        rng = self.rng
        if name in TYPES or name == "k":
            letter = name if name in TYPES and rng.random() > self.mood["mixed"] else rng.choice(self.mood["types"])
            tag = "{q}" if rng.random() < 0.15 else ""
            return f"{tag}{letter}{rng.randrange(self.mood['keys'])}"
        now_ms = int(time.time() * 1000)
        return {
            "v": self.value, "num": self.number, "score": self.score,
            "m": lambda: rng.choice((f"m{rng.randrange(12)}", f"m{rng.randrange(12)}", f"member:{rng.randrange(60)}", "m" * 70, self.number())),
            "f": lambda: rng.choice((f"f{rng.randrange(6)}", f"f{rng.randrange(6)}", f"field:{rng.randrange(40)}", "f" * 66, 7)),
            "small": lambda: rng.choice((0, 1, 2, 5, 9, 17, 33, 70, 300, 1100)),
            "num2": lambda: rng.choice((10, 500, 2000, 9000)),
            "big": lambda: rng.choice((5, 50, 500)),
            "index": lambda: rng.choice((0, 1, 2, 3, 5, -1, -1, -2, -4, 10)),
            "count": lambda: rng.choice((1, 1, 2, 3, 5)),
            "trim": lambda: rng.choice((0, 1, 2, 3, 5, 9, 20)),
            "ms": lambda: rng.choice((1, 5, 30, 200, 1000, 10_000_000, 20_000_000, 30_000_000)),
            "short": lambda: rng.choice((1, 2, 5, 10, 30)),
            "sec": lambda: rng.choice((1, 10_000, 20_000, 30_000)),
            "at": lambda: now_ms + rng.choice((-5000, 0, 3, 20, 200, 10_000_000, 20_000_000)),
            "db": lambda: rng.choice((0, 0, 1, 2, 9)[:self.mood["databases"] + 1]),
            "id": self.id,
            "group": lambda: rng.choice(("G0", "G0", "G1")),
            "consumer": lambda: rng.choice("ABC"),
            "lon": lambda: round(rng.uniform(-20, 20), 4), "lat": lambda: round(rng.uniform(-20, 20), 4),
            "payload": lambda: rng.choice(self.payloads) if self.payloads else b"none",
            "libraries": lambda: self.libraries,
            "$": lambda: "$",
        }[name]()

    def id(self):
        rng = self.rng
        if self.ids and rng.random() < 0.7:
            return rng.choice(self.ids)
        return rng.choice((f"{rng.randrange(1, 30)}-{rng.randrange(3)}", f"{rng.randrange(1, 9)}-*", "0", "1-1"))

    def expand(self, template):
        rng = self.rng

        def often(found):
            kind, inner = found.groups()
            count = rng.choice((9, 15, 40, 140)) if kind == "V" and rng.random() < 0.5 else rng.choice((1, 1, 2, 3, 5))
            return (f"{count} " if kind == "N" else "") + " ".join([inner] * count)

        text = re.sub(r"\[([^\[\]]*)\]", lambda found: rng.choice(found[1].split("|")), template)
        text = re.sub(r"([NRV])\(([^()]*)\)", often, text)
        words = []
        for word in text.split():
            found = re.fullmatch(r"(.*?)\$(\w+|\$)(.*)", word)
            if found and (found[1] or found[3]):
                words.append(f"{found[1]}{self.word(found[2])}{found[3]}")
            else:
                words.append(self.word(found[2]) if found else word)
        return words

    def plain(self):
        """A command that may stand in a block or a script."""
        while True:
            part = self.rng.choices(list(self.parts), list(self.parts.values()))[0]
            if part in self.templates:
                words = self.expand(self.rng.choice(self.templates[part]))
                if words[0] not in ALONE and (part != "walks" or self.rng.random() < 0.3):
                    return words

    def body(self):
        rng = self.rng
        lines = []
        for _ in range(rng.choice((1, 2, 3, 4, 6))):
            words = self.plain()
            while words[0].startswith("B") and words[0] not in ("BITOP", "BITFIELD") or len(words) > 60:
                words = self.plain()
            call = "redis.pcall" if rng.random() < 0.8 else "redis.call"
            lines.append(f"{call}({','.join(lua_text(word) for word in words)})")
        if rng.random() < 0.15:
            lines.insert(rng.randrange(len(lines) + 1), "error('half-way')" if rng.random() < 0.5 else "redis.call('INCR')")
        if rng.random() < 0.2:
            lines.insert(0, f"redis.call('SELECT', '{rng.randrange(3)}')")
        if rng.random() < 0.3:
            lines.insert(0, "if #KEYS > 0 then redis.pcall('SET', KEYS[1], ARGV[1]) redis.pcall('PEXPIRE', KEYS[1], ARGV[2]) end")
        return lines

    def script(self):
        keys = [self.word("k") for _ in range(self.rng.randrange(4))]
        text = "\n".join(self.body()).replace("\nerror(", "\nif true then error(").replace("half-way')", "half-way') end")
        if text.startswith("error"):
            text = "if true then " + text
        return ["EVAL", text, len(keys), *keys, self.value(), self.word("ms")]

    def function(self):
        number = self.rng.randrange(4)
        if self.rng.random() < 0.4:
            text = "\n".join(f"  {line}" for line in self.body() if not line.startswith("error"))
            text = text.replace("KEYS", "keys").replace("ARGV", "args")
            return ["FUNCTION", "LOAD", "REPLACE",
                    f"#!lua name=lib{number}\nredis.register_function('f{number}', function(keys, args)\n{text}\nend)"]
        return ["FCALL", f"f{number}", 1, self.word("k"), self.value(), self.word("ms")]

    def batch(self):
        """What is sent at once: a command, a pipeline, a block."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.2:
            block = [self.plain() for _ in range(rng.choice((1, 2, 3, 6)))]
            if rng.random() < 0.2:
                block.insert(rng.randrange(len(block)), ["SELECT", self.word("db")])
            if rng.random() < 0.15:
                block.append(self.script())
            watch = [["WATCH", self.word("k"), self.word("k")], self.plain()] if rng.random() < 0.2 else []
            return watch + [["MULTI"]] + block + [[rng.choice(("EXEC",) * 12 + ("DISCARD",))]]
        return [self.one() for _ in range(1 if kind < 0.6 else rng.randrange(2, 12))]

    def one(self):
        part = self.rng.choices(list(self.parts), list(self.parts.values()))[0]
        if part == "script":
            return self.script()
        if part == "function":
            return self.function()
        if part == "large":
            kind = self.rng.choice(list(LARGE))
            return ["EVAL", LARGE[kind], 1, self.word(kind), self.rng.choice(("m", "member:", "")), self.rng.choice((0, 3000, 6000))]
        if part == "evict":
            return ["CONFIG", "SET", "maxmemory", self.rng.choice((0, "tight", "tight"))]
        return self.expand(self.rng.choice(self.templates[part]))


def lua_text(word):
    word = word if isinstance(word, bytes) else str(word).encode()
    return "'" + "".join(chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\{byte:03d}" for byte in word) + "'"


class Driver(threading.Thread):
    """One connection that sends batches."""

    def __init__(self, port, draw, batches, tally):
        super().__init__(daemon=True)
        self.port, self.draw, self.count, self.tally = port, draw, batches, tally
        self.sent, self.trouble, self.had_tight = [], None, False

    def run(self):
        try:
            link = Link(self.port)
            for _ in range(self.count):
                batch = self.draw.batch()
                for words in batch:
                    if words[-1] == "tight":
                        words[-1] = int(link.info("memory", "used_memory")) + 4000
                        self.had_tight = True
                self.sent.append(batch)
                if self.draw.rng.random() < 0.1:
                    time.sleep(self.draw.rng.choice((0.001, 0.003, 0.01)))
                for words, reply in zip(batch, link.many(batch)):
                    self.draw.note(words, reply)
                    self.tally[words[0], isinstance(reply, Failed)] += 1
                    if isinstance(reply, Failed) and reply.startswith(("MISCONF", "LOADING", "BUSY ")):
                        raise Broken(f"{words[:3]}: {reply}")
            link.close()
        except Broken as trouble:
            self.trouble = trouble
        except (OSError, ConnectionError) as trouble:
            self.trouble = Broken(f"{trouble!r} after {[[str(word)[:40] for word in words] for words in self.sent[-1]]}")


def wait_for_disk(link):
    if link.must("CONFIG", "GET", "appendfsync")[1] == b"no":
        link.must("CONFIG", "SET", "appendfsync", "everysec")  # Nobody would sync otherwise, in Redis neither.
    if link.must("CONFIG", "GET", "appendonly")[1] == b"yes" and link.must("WAITAOF", 1, 0, 10_000)[0] != 1:
        raise Broken("WAITAOF has waited for 10 s")


def pairs(words):
    return dict(zip(words[::2], words[1::2]))


def zero(score):
    return b"0" if score == b"-0" else score


def contents(link, key, kind, is_plain):
    """What a key holds; none: it has gone meanwhile. `is_plain`: only what Redis 8.0 has."""
    if kind == b"string":
        return link.ask("GET", key)
    if kind == b"list":
        return link.ask("LRANGE", key, 0, -1)
    if kind == b"set":
        return sorted(link.ask("SMEMBERS", key))
    if kind == b"zset":
        words = link.ask("ZRANGE", key, 0, -1, "WITHSCORES")
        return [(member, zero(score)) for member, score in zip(words[::2], words[1::2])]
    if kind == b"hash":
        words = link.ask("HGETALL", key)
        fields = words[::2]
        dated = link.ask("HPEXPIRETIME", key, "FIELDS", len(fields), *fields) if fields else []
        if isinstance(dated, Failed):
            return None
        return sorted((field, value, at) for field, value, at in zip(fields, words[1::2], dated) if at != -2)
    if kind == b"stream":
        full = link.ask("XINFO", "STREAM", key, "FULL", "COUNT", 0)
        if isinstance(full, Failed):
            return None
        full = pairs(full)
        for name in (b"radix-tree-keys", b"radix-tree-nodes"):
            full.pop(name)  # How it is kept is each server's own.
        groups = []
        for group in map(pairs, full.pop(b"groups")):
            consumers = []
            for consumer in map(pairs, group.pop(b"consumers")):
                consumer.pop(b"seen-time")
                consumers.append(sorted(consumer.items(), key=str))
            groups.append(sorted(group.items(), key=str) + [("consumers", sorted(consumers, key=str))])
        # How often an entry came twice is in no log, and what is remembered for that has deadlines.
        for name in (b"pids-tracked", b"iids-tracked", b"iids-duplicates"):
            full.pop(name, None)
        if is_plain:
            names = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added", b"recorded-first-entry-id", b"entries")
            full = {name: full[name] for name in names}
        return sorted(full.items(), key=str) + [("groups", sorted(groups, key=str))]
    if kind == b"array":
        last = (1 << 64) - 2
        return [link.ask("ARSCAN", key, 0, last), link.ask("ARNEXT", key), link.ask("ARLEN", key), link.ask("ARCOUNT", key)]
    raise Broken(f"no such type: {kind} of {key}")


def picture(link, is_plain=False):
    found = {}
    for db in range(DATABASES):
        link.must("SELECT", db)
        keys = link.must("KEYS", "*")
        for key, kind, at in zip(keys, link.many([("TYPE", key) for key in keys]), link.many([("PEXPIRETIME", key) for key in keys])):
            if kind == b"none" or at == -2 or key == b"written:last":
                continue
            try:
                held = contents(link, key, kind, is_plain)
            except (TypeError, AttributeError, KeyError) as trouble:
                held, why = None, repr(trouble)
            if held is None:
                if link.ask("EXISTS", key) == 0:
                    continue
                raise Broken(f"{key} of database {db} cannot be read: {kind} {why}")
            found[db, key] = (kind, at, held)
    return found, sorted(map(str, link.must("FUNCTION", "LIST", "WITHCODE")))


def living(keys, now_ms):
    """Without what has come to its deadline by then."""
    left = {}
    for place, (kind, at, held) in keys.items():
        if 0 <= at <= now_ms:
            continue
        if kind == b"hash":
            held = [(field, value, at) for field, value, at in held if not 0 <= at <= now_ms]
        if held or kind not in (b"hash",):
            left[place] = (kind, at, held)
    return left


def differences(before, after):
    (keys, functions), (other_keys, other_functions) = before, after
    now_ms = int(time.time() * 1000) + SLACK_MS
    keys, other_keys = living(keys, now_ms), living(other_keys, now_ms)
    lines = []
    for place in sorted(set(keys) | set(other_keys)):
        left, right = keys.get(place), other_keys.get(place)
        if left is None or right is None:
            there = left or right
            lines.append(f"{place}: {'came back from nowhere' if right else 'is missing'}: {str(there)[:300]}")
            continue
        for name, one, two in zip(("type", "deadline", "contents"), left, right):
            if one != two:
                one, two = str(one), str(two)
                at = max(0, len(os.path.commonprefix([one, two])) - 100)
                lines.append(f"{place}: {name}: {one[at:at + 240]} BECAME {two[at:at + 240]}")
    if functions != other_functions:
        lines.append(f"functions: {str(functions)[:300]} BECAME {str(other_functions)[:300]}")
    return lines


def wait_for(link, name, value="0"):
    end = time.monotonic() + START_MAX_S
    while link.info("persistence", name) != value:
        if time.monotonic() > end:
            raise Broken(f"{name} stays")
        time.sleep(0.01)


def quiet(link):
    """Until no snapshot and no rewriting is under way."""
    wait_for(link, "aof_rewrite_in_progress")
    wait_for(link, "aof_rewrite_scheduled")
    wait_for(link, "rdb_bgsave_in_progress")


class Run:
    """One seed."""

    def __init__(self, args, seed, batches=None):
        self.args, self.seed, self.given = args, seed, batches
        self.rng = random.Random(seed)
        self.folder = os.path.join(args.dir, f"seed-{seed}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.data = os.path.join(self.folder, "data")
        os.makedirs(self.data)
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.found, self.sent, self.server, self.what = [], [], None, ""
        self.tally = collections.Counter()

    def port(self):
        self.args.next_port = self.args.ports[0] + (self.args.next_port + 1 - self.args.ports[0]) % (self.args.ports[1] - self.args.ports[0])
        return self.args.next_port

    def start(self, binary=None, appendonly="yes", folder=None, threads=None):
        more = ["--appendonly", appendonly]
        binary = binary or self.args.binary
        if os.path.basename(binary).startswith("rondo"):
            self.cores = threads or self.rng.choice([count for count in self.args.threads if count != getattr(self, "cores", 0)] or self.args.threads)
            more += ["--threads", str(self.cores), "--appendfsync", self.policy]
            more += self.rng.choice(([], [], ["--key-groups", "s* h* x*"], ["--key-groups", "{q}* z*"], ["--key-groups", "l t z"]))
        self.server = Server(binary, self.port(), folder or self.data, self.log, more)
        return self.server.link

    def drive(self, link, batches):
        count = 1 if self.given is not None else self.connections
        drivers = []
        for index in range(count):
            rng = random.Random(f"{self.seed}-{len(self.sent)}-{index}")
            draw = Given(self.given) if self.given is not None else Draw(rng, self.args.only or self.parts, self.leave_out, self.mood)
            drivers.append(Driver(self.server.port, draw, len(self.given) if self.given is not None else batches, self.tally))
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join()
            self.sent.append(driver.sent)
        for driver in drivers:
            if driver.trouble:
                raise driver.trouble
        # No key may go for want of memory after the picture.
        link.must("CONFIG", "SET", "maxmemory", 0)
        link.must("CONFIG", "SET", "maxmemory-policy", "noeviction")

    def between(self, link):
        """Something that concerns all of the server while nobody writes."""
        what = self.rng.choice(("", "", "", "rewrite", "snapshot", "off and on"))
        if what == "rewrite":
            quiet(link)
            link.ask("BGREWRITEAOF")
        elif what == "snapshot":
            quiet(link)
            link.ask("BGSAVE")
        elif what == "off and on":
            link.must("CONFIG", "SET", "appendonly", "no")
            if self.rng.random() < 0.5:
                link.must("FLUSHALL")
            link.must("CONFIG", "SET", "appendonly", "yes")
        return what

    def compare(self, what, before, after):
        for line in differences(before, after):
            self.found.append(f"seed {self.seed}, {what}: {line}")

    def restart(self, number):
        link = self.server.link
        how = self.args.how or self.rng.choice(("SHUTDOWN", "SHUTDOWN SAVE", "TERM", "KILL", "KILL", "KILL", "RDB", "DEBUG RELOAD", "DEBUG LOADAOF"))
        self.what = f"round {number}, {self.cores} cores, {self.policy}, {self.connections} connections, {how}"
        before = picture(link)
        if how != "KILL":
            quiet(link)  # SHUTDOWN is refused while logs that were turned on have no base.
        if how.startswith("DEBUG"):
            link.must(*how.split())
            return self.compare(self.what, before, picture(link))
        if how == "KILL":
            link.must("SET", "written:last", "x")
            wait_for_disk(link)
        elif how == "RDB":
            quiet(link)
            if self.rng.random() < 0.5:
                link.must("SAVE")
            else:
                link.must("BGSAVE")
                quiet(link)
                if link.info("persistence", "rdb_last_bgsave_status") != "ok":
                    raise Broken("BGSAVE failed")
            link.must("CONFIG", "SET", "appendonly", "no")
        self.server.end("KILL" if how == "RDB" else how)
        kept = os.path.join(self.folder, "before")
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.data, kept)
        if how != "RDB" and self.rng.random() < 0.5:
            done = subprocess.run([self.args.binary, "check", self.data], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
            # 2: nothing is wrong but a torn end, as a kill leaves it.
            if done.returncode not in (0, 2):
                self.found.append(f"seed {self.seed}, {self.what}: check says {done.returncode}: {done.stdout.decode(errors='replace')[-400:]}")
        link = self.start(appendonly="no" if how == "RDB" else "yes")
        self.what += f", then {self.cores}"
        after = picture(link)
        self.compare(self.what, before, after)
        if how == "RDB":
            link.must("CONFIG", "SET", "appendonly", "yes")

    def to_redis(self):
        """Redis loads the RDB file."""
        self.what = "Redis loads the file"
        link = self.server.link
        quiet(link)
        before, _ = picture(link, True)
        for (db, key), (kind, _, _) in list(before.items()):
            if kind == b"array":
                link.must("SELECT", db)
                link.must("DEL", key)
                del before[db, key]
        link.must("SAVE")
        other = os.path.join(self.folder, "redis")
        os.makedirs(other)
        shutil.copy(os.path.join(self.data, "dump.rdb"), other)
        self.server.kill()
        link = self.start(self.args.redis, "no", other)
        self.compare(self.what, (before, picture_functions(link)), picture(link, True))
        self.server.kill()

    def from_redis(self):
        """Redis is driven, and its files are loaded here."""
        appendonly = self.rng.choice(("yes", "no"))
        self.what = f"Redis's files, appendonly {appendonly}"
        link = self.start(self.args.redis, appendonly)
        self.drive(link, self.rng.choice((30, 100, 300)))
        quiet(link)
        before = picture(link, True)
        if appendonly == "no":
            link.must("SAVE")
        else:
            wait_for_disk(link)
        self.server.end("SHUTDOWN NOSAVE")
        kept = os.path.join(self.folder, "before")
        shutil.copytree(self.data, kept)
        other = None
        if appendonly == "yes":
            # What Redis makes of its own log lacks consumers that read nothing, and fields whose deadline was taken away; either will do.
            again = os.path.join(self.folder, "redis")
            shutil.copytree(self.data, again)
            other = picture(self.start(self.args.redis, appendonly, again), True)
            self.server.kill()
        link = self.start(appendonly=appendonly)
        after = picture(link, True)
        if appendonly == "yes":
            # When a consumer was active is in no log of Redis's.
            before, other, after = map(without_active, (before, other, after))
            for place in set(other[0]) | set(after[0]):
                if after[0].get(place) == other[0].get(place):
                    before[0].pop(place, None)
                    if place in after[0]:
                        before[0][place] = after[0][place]
        self.compare(self.what, before, after)
        self.server.kill()

    def whole(self):
        try:
            self.policy = self.rng.choice(("always", "everysec", "no"))
            self.connections = self.rng.choice((1, 1, 2, 3, 4))
            self.parts = list(WEIGHTS) if self.seed % 5 == 0 else [part for part in WEIGHTS if part not in ("large", "walks")]
            if self.rng.random() < 0.7:
                # What is rare among everything is frequent among little.
                self.parts = self.rng.sample(self.parts, self.rng.choice((2, 3, 4, 6))) + ["keys", "node"]
            letters = [letter for letter in TYPES if any(f"${letter}" in COMMANDS.get(part, "") for part in self.parts)]
            self.mood = {"keys": self.rng.choice((1, 2, 3)), "databases": self.rng.choice((1, 1, 2, 4)),
                         "types": letters or TYPES, "mixed": self.rng.choice((0.02, 0.06, 0.3))}
            self.leave_out = NEWER if self.args.redis and self.seed % 2 else None
            if self.args.redis and self.seed % 4 == 3:
                self.from_redis()
                return self.found
            link = self.start()
            for number in range(1 if self.given is not None else self.rng.choice((1, 2, 3))):
                link = self.server.link
                for _ in range(1 if self.given is not None else self.rng.choice((1, 2))):
                    self.what = f"round {number}, {self.cores} cores, {self.policy}, {self.connections} connections, driving"
                    self.drive(link, self.rng.choice((15, 40, 100, 200)))
                    if self.given is None:
                        self.what += ", " + self.between(link)
                self.restart(number)
            if self.args.redis and self.seed % 4 == 1:
                self.to_redis()
        except Broken as trouble:
            self.found.append(f"seed {self.seed}, {self.what}: {trouble}")
        except (OSError, ConnectionError) as trouble:
            self.found.append(f"seed {self.seed}, {self.what}: {trouble!r}")
        finally:
            if self.server:
                self.server.kill()
            self.log.close()
            if self.found:
                with open(os.path.join(self.folder, "commands.json"), "w") as file:
                    json.dump(self.sent, file, default=lambda word: {"bytes": word.hex()}, indent=0)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
        return self.found


class Given:
    """Batches that were drawn before."""

    def __init__(self, batches):
        self.batches = iter(batches)

    def batch(self):
        return next(self.batches)

    def note(self, words, reply):
        pass

    rng = random.Random(1)


def picture_functions(link):
    return sorted(map(str, link.must("FUNCTION", "LIST", "WITHCODE")))


def without_active(both):
    keys, functions = both
    text = lambda held: re.sub(r"\(b'active-time', -?\d+\)", "", str(held))
    return {place: (kind, at, text(held) if kind == b"stream" else held) for place, (kind, at, held) in keys.items()}, functions


def load(path):
    """All connections' batches, one after the other."""
    with open(path) as file:
        sent = json.load(file, object_hook=lambda word: bytes.fromhex(word["bytes"]))
    return [batch for batches in sent for batch in batches]


def shrink(args, batches):
    """Fewer batches, then fewer commands, with which there is a difference still."""
    end = time.monotonic() + args.seconds

    def fails(some):
        args.tries += 1
        return any(Run(args, args.seed, some).whole() for _ in range(args.repeat))

    if not fails(batches):
        sys.exit("there is no difference")
    for level in ("batches", "commands"):
        if level == "commands":
            batches = [[words] for batch in batches for words in batch] if not any(b[0][0] == "MULTI" for b in batches) else batches
        size = max(1, len(batches) // 2)
        while size and time.monotonic() < end:
            at = 0
            while at < len(batches) and time.monotonic() < end:
                fewer = batches[:at] + batches[at + size:]
                if fewer and fails(fewer):
                    batches = fewer
                else:
                    at += size
            size //= 2
    return batches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1 << 60)
    parser.add_argument("--threads", default="1,2,3,4,7")
    parser.add_argument("--redis")
    parser.add_argument("--ports", default="7150-7199")
    parser.add_argument("--dir")
    parser.add_argument("--only", help="parts of the commands, with commas: " + " ".join(WEIGHTS))
    parser.add_argument("--how", help="how servers are ended, always")
    parser.add_argument("--replay")
    parser.add_argument("--shrink")
    parser.add_argument("--repeat", type=int, default=1, help="how often a shrunk list is tried")
    parser.add_argument("--lines", type=int, default=4, help="differences told of each seed")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    args.threads = [int(count) for count in args.threads.split(",")]
    args.ports = [int(port) for port in args.ports.split("-")]
    args.only = args.only and args.only.split(",")
    args.next_port, args.tries = args.ports[0], 0
    args.dir = args.dir or tempfile.mkdtemp(prefix="equivalence-")
    if args.shrink:
        batches = shrink(args, load(args.shrink))
        for batch in batches:
            for words in batch:
                print(" ".join(repr(word) if isinstance(word, bytes) or " " in str(word) or word == "" else str(word) for word in words))
            print()
        print("\n".join(Run(args, args.seed, batches).whole()))
        return
    if args.replay:
        print("\n".join(Run(args, args.seed, load(args.replay)).whole()) or "no difference")
        return
    begin, seeds, bad, tally = time.monotonic(), 0, 0, collections.Counter()
    while time.monotonic() - begin < args.seconds and seeds < args.seeds:
        start = time.monotonic()
        run = Run(args, args.seed + seeds)
        found = run.whole()
        seeds += 1
        bad += bool(found)
        tally += run.tally
        for line in found[:args.lines]:
            print(line, flush=True)
        if len(found) > args.lines:
            print(f"  and {len(found) - args.lines} more")
        if args.verbose:
            print(f"seed {run.seed}: {run.what}: {time.monotonic() - start:.1f} s", flush=True)
        if found:
            print(f"  kept: {run.folder}", flush=True)
    if args.verbose:
        for name in sorted({name for name, _ in tally}):
            print(f"{name}: {tally[name, False]} done, {tally[name, True]} refused")
    print(f"{seeds} seeds from {args.seed}, {sum(tally.values())} commands, {bad} seeds with differences, {time.monotonic() - begin:.0f} s")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
