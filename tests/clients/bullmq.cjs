// BullMQ against a running server: node bullmq.cjs PORT
//
// Its state is in scripts that build most of their keys' names: jobs, delays, priorities, retries, a flow, a repeated job.
"use strict";
const assert = require("node:assert");
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), maxRetriesPerRequest: null };

async function main() {
  const queue = new Queue("work", { connection });
  await queue.obliterate({ force: true });
  const events = new QueueEvents("work", { connection });
  await events.waitUntilReady();
  const order = [];
  const attempts = new Map();
  const worker = new Worker(
    "work",
    async (job) => {
      order.push(job.name);
      attempts.set(job.id, (attempts.get(job.id) || 0) + 1);
      if (job.name === "flaky" && attempts.get(job.id) < 3) throw new Error("not yet");
      if (job.name === "bad") throw new Error("never");
      if (job.name === "parent") {
        const values = Object.values(await job.getChildrenValues());
        return values.reduce((sum, value) => sum + value, 0);
      }
      return job.data.number * 2;
    },
    { connection, concurrency: 5, autorun: false },
  );

  // Waiting before anyone works: priorities decide.
  const low = await queue.add("low", { number: 1 }, { priority: 10 });
  const high = await queue.add("high", { number: 2 }, { priority: 1 });
  const many = await queue.addBulk(Array.from({ length: 100 }, (_, i) => ({ name: "plain", data: { number: i } })));
  worker.run();
  const results = await Promise.all(many.map((job) => job.waitUntilFinished(events, 60_000)));
  assert.deepEqual(results, Array.from({ length: 100 }, (_, i) => i * 2));
  assert.equal(await low.waitUntilFinished(events, 60_000), 2);
  assert.equal(await high.waitUntilFinished(events, 60_000), 4);
  assert.ok(order.indexOf("high") < order.indexOf("low"), "the higher priority goes first");

  const before = Date.now();
  const delayed = await queue.add("delayed", { number: 3 }, { delay: 500 });
  assert.equal(await delayed.waitUntilFinished(events, 60_000), 6);
  assert.ok(Date.now() - before >= 490, "it was delayed");

  const flaky = await queue.add("flaky", { number: 4 }, { attempts: 5, backoff: { type: "fixed", delay: 50 } });
  assert.equal(await flaky.waitUntilFinished(events, 60_000), 8);
  const bad = await queue.add("bad", {}, { attempts: 1 });
  await assert.rejects(bad.waitUntilFinished(events, 60_000), /never/);

  const flow = new FlowProducer({ connection });
  const tree = await flow.add({
    name: "parent",
    queueName: "work",
    data: {},
    children: Array.from({ length: 5 }, (_, i) => ({ name: "child", queueName: "work", data: { number: i } })),
  });
  assert.equal(await tree.job.waitUntilFinished(events, 60_000), 20);

  await queue.upsertJobScheduler("tick", { every: 200, limit: 3 }, { name: "tick", data: { number: 0 } });
  for (let i = 0; i < 100 && order.filter((name) => name === "tick").length < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(order.filter((name) => name === "tick").length >= 3, "it is repeated");
  await queue.removeJobScheduler("tick");

  const counts = await queue.getJobCounts("failed", "completed", "active", "waiting");
  assert.equal(counts.failed, 1);
  assert.ok(counts.completed >= 112, JSON.stringify(counts));
  await worker.close();
  await flow.close();
  await events.close();
  await queue.obliterate({ force: true });
  await queue.close();
  const { version } = require("bullmq/package.json");
  console.log(`BullMQ ${version}: jobs, priorities, delays, retries, flows and schedulers are fine`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
