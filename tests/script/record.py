#!/usr/bin/env python3
"""Records what a real server's EVAL replies to scripts, for tests/script/golden.rs.

Usage: record.py PORT      rewrites golden/*.txt; starts nothing, and runs SCRIPT FLUSH before each script.

A line is `script TAB reply`, both with what is not printable ASCII as \\xHH, tab and backslash included; `@` at the start stands
for golden/show.lua. The scripts are made
here from fixed seeds: libraries with random arguments, good and bad, and by hand what random ones do not find.
"""
import random
import socket
import sys
from pathlib import Path


def escape(data):
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in data)


class Server:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.buffer = b""

    def line(self):
        while b"\r\n" not in self.buffer:
            self.buffer += self.receive()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line + b"\r\n"

    def receive(self):
        data = self.socket.recv(1 << 20)
        assert data, "the server hung up"
        return data

    def reply(self):
        line = self.line()
        if line[:1] in b"*%~":
            count = int(line[1:]) * (2 if line[:1] == b"%" else 1)
            return line + b"".join(self.reply() for _ in range(count))
        if line[:1] in b"$=" and line != b"$-1\r\n":
            size = int(line[1:]) + 2
            while len(self.buffer) < size:
                self.buffer += self.receive()
            data, self.buffer = self.buffer[:size], self.buffer[size:]
            return line + data
        return line

    def run(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.reply()


def quoted(data):
    """Bytes as a Lua string."""
    return b'"' + b"".join(b"\\%03d" % b for b in data) + b'"'


def number(rng):
    return rng.choice([
        lambda: rng.randrange(-5, 6),
        lambda: rng.randrange(-(1 << 33), 1 << 33),
        lambda: rng.randrange(-(1 << 62), 1 << 62),
        lambda: rng.random() * 10 ** rng.randrange(-5, 25),
        lambda: rng.choice(["0/0", "1/0", "-1/0", "-0", "2^31", "2^32", "2^53", "2^63", "-2^63", "2^64", "1e300", "0.1", "127", "128",
                            "255", "256", "65535", "65536", "-32", "-33", "-128", "-129", "-32768", "-32769", "-2147483649"]),
    ])()


def text(rng, length=None):
    length = rng.choice([0, 1, 2, 5, 31, 32, 40]) if length is None else length
    if rng.random() < 0.3:
        return bytes(rng.choice([0, 34, 92, 47, 10, 13, 9, 8, 12, 127, 31, 200]) for _ in range(length))
    return bytes(rng.choice([rng.randrange(256), rng.randrange(32, 127)]) for _ in range(length))


def value(rng, depth=0):
    """A Lua expression. Tables have at most one key in their hash part, whose order would differ otherwise."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 2:
        return str(number(rng)).encode()
    if kind < 4:
        return quoted(text(rng))
    if kind == 4:
        return rng.choice([b"true", b"false", b"nil", b"cjson.null"])
    if kind == 5:
        return rng.choice([b"{}", b"tostring", b"'5'", b"'0x10'", b"' 7 '"])
    if kind < 8:
        return b"{" + b",".join(value(rng, depth + 1) for _ in range(rng.randrange(5))) + b"}"
    key = rng.choice([lambda: b"[" + quoted(text(rng)) + b"]", lambda: b"[" + str(number(rng)).replace("0/0", "1").encode() + b"]",
                      lambda: b"[true]", lambda: b"a"])()
    return b"{" + key + b"=" + value(rng, depth + 1) + b"}"


def json_text(rng, depth=0):
    kind = rng.randrange(12 if depth < 5 else 8)
    space = rng.choice([b"", b"", b"", b" ", b"\n\t"])
    if kind < 3:
        return space + rng.choice([str(number(rng)).encode(), b"1e5", b"-1.5E-3", b"0x1F", b"01", b"+1", b"-", b"1.", b".5", b"inf", b"-Infinity",
                                   b"nan", b"NaN", b"1e999", b"12345678901234567890123456789012345678901234567890123456789012345678901234567890"])
    if kind < 6:
        body = b"".join(rng.choice([b"a", b"\\n", b"\\\"", b"\\\\", b"\\/", b"\\b\\f\\r\\t", b"\\u00e9", b"\\u20AC", b"\\ud83d\\ude00", b"\\ud83d", b"\\ude00",
                                    b"\\u12", b"\\x", b"\xc3\xa9", b"\x01", b"\\u0000", b"/"]) for _ in range(rng.randrange(6)))
        return space + b'"' + body + b'"'
    if kind < 8:
        return space + rng.choice([b"true", b"false", b"null", b"nul", b"tru", b"True", b"x", b"", b"\x00", b"}", b"]", b",", b":"])
    if kind < 10:
        return space + b"[" + b",".join(json_text(rng, depth + 1) for _ in range(rng.randrange(4))) + space + rng.choice([b"]"] * 9 + [b"", b"}", b",]"])
    pairs = [b'"k"' + rng.choice([b":"] * 9 + [b"", b"::", b"="]) + json_text(rng, depth + 1) for _ in range(rng.randrange(2))]
    return space + b"{" + b",".join(pairs) + rng.choice([b"}"] * 9 + [b"", b"]", b",}"])


SHOW = (Path(__file__).parent / "golden/show.lua").read_bytes()


def caught(call):
    """Results of a call, or its error."""
    return SHOW + b"return all(pcall(function() return " + call + b" end))"


def counted(call):
    """How many results a call has, or its error: for what is too much to show."""
    return caught(b"select('#', " + call + b")")


def jsons(rng):
    yield b"return cjson._VERSION .. cjson._NAME"
    options = [b"cjson.encode_sparse_array(true)", b"cjson.encode_sparse_array(false, 0)", b"cjson.encode_sparse_array(true, 1, 2)", b"cjson.encode_max_depth(3)",
               b"cjson.encode_number_precision(3)", b"cjson.encode_invalid_numbers(true)", b"cjson.encode_invalid_numbers('null')", b"cjson.encode_keep_buffer(false)"]
    for _ in range(600):
        option = rng.choice(options) if rng.random() < 0.3 else b""
        yield caught(b"cjson.encode(" + value(rng) + b")").replace(b"return all", option + b" return all")
    for _ in range(900):
        option = rng.choice([b"cjson.decode_invalid_numbers(false)", b"cjson.decode_max_depth(2)"]) if rng.random() < 0.3 else b""
        yield caught(b"cjson.decode(" + quoted(json_text(rng)) + b")").replace(b"return all", option + b" return all")
    for name in ["encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer", "encode_invalid_numbers",
                 "decode_invalid_numbers", "encode", "decode"]:
        for _ in range(25):
            args = b", ".join(rng.choice([b"true", b"false", b"nil", b"'on'", b"'off'", b"'null'", b"'x'", b"0", b"1", b"14", b"15", b"-1", b"1.7", b"'3'", b"{}"])
                              for _ in range(rng.randrange(5)))
            yield caught(b"cjson." + name.encode() + b"(" + args + b")")
    for text in [b"[" * 1001 + b"]" * 1001, b"[" * 1000 + b"]" * 1000, b'{"a":' * 1001 + b"1" + b"}" * 1001]:
        yield caught(b"#show(cjson.decode(" + quoted(text) + b"))")
    for depth in [b"1000", b"1001"]:
        yield caught(b"(function() local t = {} for i = 2, " + depth + b" do t = {t} end return #cjson.encode(t) end)()")
    # Where Lua's stack ends.
    for depth in [b"3999", b"4000", b"7996", b"7997", b"7998", b"7999", b"20000"]:
        for left, right in [(b"[", b"]"), (b"[", b""), (b"[", b"x"), (b'{"a":', b"}"), (b'{"a":', b"")]:
            text = b"string.rep('" + left + b"', " + depth + b") .. 1 .. string.rep('" + right + b"', " + depth + b")"
            yield counted(b"cjson.decode(" + text + b")").replace(b"return all", b"cjson.decode_max_depth(100000) return all")
        for table in [b"{t}", b"{a = t}", b"{a = 1, b = t}"]:
            for innermost in [b"{}", b"{print}", b"{[print] = 1}"]:
                text = b"(function() local t = " + innermost + b" for i = 2, " + depth + b" do t = " + table + b" end return #cjson.encode(t) end)()"
                yield caught(text).replace(b"return all", b"cjson.encode_max_depth(100000) return all")
    yield caught(b"(function() local t = {} t[1] = t return cjson.encode(t) end)()")
    yield caught(b"cjson.encode({[1]=1, [2]=2, [100]=3})")
    yield caught(b"cjson.encode({[10000000000]=1})")
    yield caught(b"cjson.encode({[1.5]=1})")
    yield caught(b"cjson.encode({[true]=1})")
    yield caught(b"cjson.encode({1, 2, nil, 4})")
    yield caught(b"cjson.new().encode({1})")
    yield caught(b"(function() local a = cjson.new() a.encode_max_depth(1) return a.encode_max_depth(), cjson.encode_max_depth() end)()")
    yield b"cjson.encode = 1"
    yield b"local c = cjson.new() c.encode = 1 return c.encode"


def msgpacks(rng):
    yield b"return {cmsgpack._NAME, cmsgpack._VERSION, cmsgpack._COPYRIGHT, cmsgpack._DESCRIPTION}"
    for _ in range(800):
        yield caught(b"cmsgpack.pack(" + b", ".join(value(rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))) + b")")
    for _ in range(900):
        data = bytearray()
        for _ in range(rng.randrange(1, 6)):
            data.append(rng.choice([rng.randrange(256), rng.randrange(0xc0, 0xe0), rng.choice([0x81, 0x91, 0x92, 0xa2, 0xcb, 0xd9])]))
            data += text(rng, rng.choice([0, 0, 1, 2, 4, 8])) if rng.random() < 0.7 else bytes(rng.choice([1, 2, 4]))
        call = rng.choice([b"unpack(%s)", b"unpack(%s)", b"unpack_one(%s)", b"unpack_one(%s, " + str(rng.randrange(-1, 12)).encode() + b")",
                           b"unpack_limit(%s, " + str(rng.randrange(-1, 4)).encode() + b")", b"unpack_limit(%s, 2, " + str(rng.randrange(-1, 12)).encode() + b")"])
        yield caught(b"cmsgpack." + call.replace(b"%s", quoted(bytes(data))))
    for call in [b"unpack()", b"unpack({})", b"unpack(5)", b"unpack_one('')", b"unpack_limit('a')", b"unpack_limit('a', 'x')", b"unpack_limit('a', {})", b"unpack_one('a', 'x')",
                 b"unpack(string.rep('\\145', 20) .. '\\1')", b"unpack('')", b"unpack('\\221\\255\\255\\255\\255')", b"unpack('\\129\\192\\1')", b"unpack('\\129\\203\\127\\248\\0\\0\\0\\0\\0\\0\\1')"]:
        yield caught(b"cmsgpack." + call)
    # Where Lua's stack ends.
    for head in [b"\\145", b"\\146\\1", b"\\129\\1", b"\\129", b"\\1", b"\\145\\129\\1", b"\\129\\1\\145"]:
        for count in [b"1999", b"2000", b"2666", b"3998", b"3999", b"4000", b"7997", b"7998", b"7999", b"8000", b"1000000"]:
            for tail in [b"", b"\\1", b"\\144", b"\\128", b"\\193", b"\\165a"]:
                yield counted(b"cmsgpack.unpack(string.rep('" + head + b"', " + count + b") .. '" + tail + b"')")
            yield counted(b"cmsgpack.unpack('\\1' .. string.rep('" + head + b"', " + count + b"), 1, 2)")
    for count in [b"7996", b"7997", b"7999", b"8000"]:
        yield counted(b"cmsgpack.unpack_limit(string.rep('\\1', " + count + b"), 10000)")
    # Later arguments are off the stack by then, whatever they are.
    for rest in [b"'a'", b"'a', {}, true", b"nil, 'a', 1"]:
        for count in [b"7997", b"7998", b"7999"]:
            yield counted(b"cmsgpack.unpack_limit(string.rep('\\1', " + count + b"), '10000', '0', " + rest + b")")
        for count in [b"3998", b"3999", b"4000"]:
            yield counted(b"cmsgpack.unpack_one(string.rep('\\145', " + count + b") .. '\\1', '0', " + rest + b")")
    many = b"unpack((function() local t = {} for i = 1, 7990 do t[i] = 'a' end return t end)())"
    for call in [b"unpack_one('\\145\\1', 0, ", b"unpack_limit(string.rep('\\1', 7998), 7998, 0, ", b"unpack_limit('\\1', 1, 'x', ", b"unpack_one({}, 0, "]:
        yield counted(b"cmsgpack." + call + many + b")")
    # The last of many arguments, or of as many more as fill the stack: what is packed stays on it.
    for table in [b"{}", b"{1}", b"{{}}", b"{{{1}}}", b"{a = 1}", b"{a = {}}", b"{[{}] = 1}", b"{a = {b = {{}}}}"]:
        for count in range(3991, 4002):
            arguments = b"(function() local t = {} for i = 1, 4000 do t[i] = i == %d and %s or 1 end return unpack(t) end)()" % (count, table)
            yield caught(b"#cmsgpack.pack(" + arguments + b")")
    yield caught(b"(function() local t = {} t[1] = t return cmsgpack.pack(t) end)()")
    yield caught(b"(function() local t = {} t.x = t return cmsgpack.pack(t) end)()")
    yield caught(b"cmsgpack.pack(string.rep('x', 255)) .. cmsgpack.pack(string.rep('x', 256)) .. cmsgpack.pack(string.rep('x', 70000)):sub(1, 9)")
    yield caught(b"(function() local t = {} for i = 1, 70000 do t[i] = 1 end return cmsgpack.pack(t):sub(1, 9) end)()")


def structs(rng):
    options = b"<>!bBhHlLTiIcsfdx 0123456789z'\0%"
    for _ in range(1500):
        form = b""
        for _ in range(rng.randrange(6)):
            form += rng.choice([bytes([rng.choice(options)]), bytes([rng.choice(b"bBhHlLTfdxs><")]), rng.choice([b"i", b"I", b"c", b"!"]) + str(rng.choice([0, 1, 2, 3, 4, 7, 8, 9, 16, 31, 32, 33, 99999999999])).encode()])
        name = rng.choice([b"pack", b"pack", b"unpack", b"unpack", b"size"])
        if name == b"pack":
            args = b"".join(b", " + rng.choice([str(number(rng)).encode(), quoted(text(rng)), b"nil", b"{}"][: rng.choice([2, 2, 2, 4])]) for _ in range(rng.randrange(7)))
        elif name == b"unpack":
            args = b", " + quoted(text(rng, rng.choice([0, 1, 4, 8, 20, 40]))) + rng.choice([b"", b"", b", " + str(rng.randrange(-2, 12)).encode(), b", nil", b", 'x'"])
        else:
            args = b""
        yield caught(b"struct." + name + b"(" + quoted(form) + args + b")")
    for call in [b"pack()", b"pack(1)", b"unpack('b')", b"size()", b"unpack('c0', 'abc')", b"unpack('bc0', '\\3abcd')", b"unpack('sc0', '3\\0abcd')", b"unpack('bc0', '\\9abcd')",
                 b"unpack('b', 'abc', 2^53)", b"pack('i', 2^63)", b"pack('I8', 2^64)", b"pack('I8', 0/0)", b"pack('I8', -1e30)", b"unpack(string.rep('b', 7990), string.rep('a', 7990))"]:
        yield SHOW + b"return all(pcall(function() return select(1, struct." + call + b") end))[1]" if b"7990" in call else caught(b"struct." + call)
    for count in [b"7996", b"7997", b"7998"]:
        yield counted(b"struct.unpack(string.rep('b', " + count + b"), string.rep('a', " + count + b"))")


def bits(rng):
    for name in [b"tobit", b"bnot", b"band", b"bor", b"bxor", b"lshift", b"rshift", b"arshift", b"rol", b"ror", b"bswap", b"tohex"]:
        for _ in range(60):
            args = b", ".join(rng.choice([str(number(rng)).encode(), str(rng.randrange(-40, 40)).encode(), b"'12'", b"'x'", b"nil"][: rng.choice([2, 2, 2, 2, 5])]) for _ in range(rng.randrange(5)))
            yield caught(b"bit." + name + b"(" + args + b")")


def language(rng):
    yield from [line.encode() for line in (Path(__file__).parent / "language.txt").read_text().splitlines() if line and not line.startswith("##")]
    shebangs = [b"#!lua", b"#!lua flags=no-writes", b"#!lua flags=", b"#!lua flags=no-writes,allow-stale,allow-oom,no-cluster,allow-cross-slot-keys", b"#!lua flags=no-writes,", b"#!lua flags=x",
                b"#!lua name=x", b"#!lua  flags=no-writes  flags=allow-oom", b"#!", b"#!/bin/sh", b"#!LUA", b"#!lua \"", b"#!lua 'flags=no-writes'", b"#!lua\r", b"#!lua \0", b"#"]
    for shebang in shebangs:
        yield shebang
        yield shebang + b"\nreturn 1"
        yield shebang + b"\nreturn x"
    for _ in range(300):
        yield b"return " + value(rng)
    for _ in range(200):
        yield caught(rng.choice([b"math.random()", b"math.random(%d)" % rng.randrange(-2, 100), b"math.random(%d, %d)" % (rng.randrange(-9, 9), rng.randrange(-9, 99)),
                                 b"math.randomseed(%d)" % rng.randrange(-9, 9), b"math.random(1, 2, 3)", b"math.random({})"])).replace(b"return all", b"math.randomseed(%d) return all" % rng.randrange(1 << 31))
    for _ in range(300):
        yield caught(b"redis.sha1hex(" + value(rng) + b")") if rng.random() < 0.2 else caught(b"redis." + rng.choice([b"error_reply", b"status_reply"]) + b"(" + value(rng) + b")")
    for _ in range(300):
        yield caught(b"redis.pcall(" + b", ".join([b"'echo'"] + [value(rng)] * rng.randrange(3)) + b")")


def main():
    server = Server(int(sys.argv[1]))
    folder = Path(__file__).parent / "golden"
    for name, make in [("json", jsons), ("msgpack", msgpacks), ("struct", structs), ("bit", bits), ("language", language)]:
        lines = []
        for script in make(random.Random(7)):
            # Options of cjson and the random numbers start anew with each Lua state.
            assert server.run("SCRIPT", "FLUSH", "SYNC") == b"+OK\r\n"
            short = "@" + escape(script[len(SHOW):]) if script.startswith(SHOW) else escape(script)
            lines.append(short + "\t" + escape(server.run("EVAL", script, "2", "key1", "key2", "arg1")) + "\n")
        (folder / f"{name}.txt").write_text("".join(lines))
        print(name, len(lines))


main()
