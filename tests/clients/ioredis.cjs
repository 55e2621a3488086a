// ioredis against a running server: node ioredis.cjs PORT
"use strict";

const assert = require("node:assert/strict");
const Redis = require("ioredis");
const version = require("ioredis/package.json").version;

const port = Number(process.argv[2]);

async function main() {
  const redis = new Redis(port, "127.0.0.1");
  assert.equal(await redis.ping(), "PONG");
  await redis.flushall();

  // Values and deadlines.
  assert.equal(await redis.set("greeting", "hello", "EX", 60), "OK");
  assert.equal(await redis.get("greeting"), "hello");
  const ttl = await redis.ttl("greeting");
  assert.ok(ttl > 55 && ttl <= 60, String(ttl));
  assert.equal(await redis.set("greeting", "no", "NX"), null);
  assert.equal(await redis.getex("greeting", "PERSIST"), "hello");
  assert.equal(await redis.pttl("greeting"), -1);

  // Several shards in one command.
  const many = {};
  for (let i = 0; i < 500; i++) many[`key:${i}`] = String(i);
  assert.equal(await redis.mset(many), "OK");
  assert.deepEqual(await redis.mget([...Object.keys(many), "missing"]), [...Object.values(many), null]);
  assert.equal(await redis.exists(...Object.keys(many)), 500);
  assert.equal(await redis.rename("key:0", "moved"), "OK");

  // A scan finds every key once.
  const found = new Set();
  for await (const keys of redis.scanStream({ match: "key:*", count: 40 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 499);

  // Pipelines: explicit, and automatic ones of many promises at once.
  const pipeline = redis.pipeline();
  for (let i = 0; i < 2000; i++) pipeline.set(`pipe:${i % 100}`, i).get(`pipe:${i % 100}`);
  const replies = await pipeline.exec();
  replies.forEach(([error, value], i) => {
    assert.equal(error, null);
    assert.equal(value, i % 2 === 0 ? "OK" : String((i - 1) / 2));
  });
  const automatic = new Redis(port, "127.0.0.1", { enableAutoPipelining: true });
  const counts = await Promise.all(Array.from({ length: 1000 }, () => automatic.incr("counter")));
  assert.deepEqual([...counts].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i + 1));

  // Bytes as they are.
  const bytes = Buffer.alloc(3_000_000, Buffer.from([...Array(256).keys()]));
  assert.equal(await redis.set("raw", bytes), "OK");
  assert.ok((await redis.getBuffer("raw")).equals(bytes));

  // Errors keep their text; databases are apart.
  await assert.rejects(redis.incr("greeting"), { message: "ERR value is not an integer or out of range" });
  const other = new Redis(port, "127.0.0.1", { db: 4 });
  await other.set("here", "1");
  assert.equal(await redis.get("here"), null);
  assert.equal(await other.dbsize(), 1);

  // RESP3 is what ioredis 6 speaks by itself: a map arrives as an object where it is asked for.
  const resp3 = new Redis(port, "127.0.0.1", { protocol: 3, replyMapping: "resp3" });
  const limits = await resp3.call("CONFIG", "GET", "maxclients");
  if (Number(version.split(".")[0]) >= 6) assert.deepEqual({ ...limits }, { maxclients: "10000" });
  const resp2 = new Redis(port, "127.0.0.1", { protocol: 2 });
  assert.deepEqual(await resp2.call("CONFIG", "GET", "maxclients"), ["maxclients", "10000"]);

  // Many connections at once.
  const clients = Array.from({ length: 50 }, () => new Redis(port, "127.0.0.1"));
  await Promise.all(clients.map((client, i) => client.set(`client:${i}`, i)));
  const values = await Promise.all(clients.map((client, i) => client.get(`client:${(i + 1) % 50}`)));
  assert.deepEqual(values, clients.map((_, i) => String((i + 1) % 50)));

  await redis.flushall();
  assert.equal(await redis.dbsize(), 0);
  for (const client of [redis, automatic, other, resp3, resp2, ...clients]) await client.quit();
  console.log(`ioredis ${version}: strings, deadlines, MGET/MSET over shards, pipelines, databases, RESP2 and RESP3 are fine`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
