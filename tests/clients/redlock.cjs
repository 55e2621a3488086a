// Redlock against a running server: node redlock.cjs PORT
"use strict";
const assert = require("node:assert");
const Redis = require("ioredis");
const Redlock = require("redlock");

async function main() {
  const redis = new Redis(Number(process.argv[2]), "127.0.0.1");
  const redlock = new Redlock([redis], { retryCount: 2000, retryDelay: 5 });
  let counter = 0;
  const add = async () => {
    // Two keys, on whatever cores.
    const lock = await redlock.lock(["redlock:a", "redlock:b"], 10_000);
    const seen = counter;
    await new Promise((resolve) => setImmediate(resolve));
    counter = seen + 1;
    await lock.unlock();
  };
  await Promise.all(Array.from({ length: 20 }, add));
  assert.equal(counter, 20);
  let lock = await redlock.lock("redlock:a", 1000);
  lock = await lock.extend(5000);
  assert.ok((await redis.pttl("redlock:a")) > 1500);
  await lock.unlock();
  assert.equal(await redis.exists("redlock:a", "redlock:b"), 0);
  await redis.quit();
  console.log("redlock: lock, extend and unlock over keys of several cores are fine");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
