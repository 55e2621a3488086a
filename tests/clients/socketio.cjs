// Socket.IO with two servers that meet in a running Redis: node socketio.cjs PORT
//
// The classic adapter (PSUBSCRIBE, SUBSCRIBE, PUBLISH, PUBSUB NUMSUB) and the sharded one (SSUBSCRIBE, SPUBLISH): rooms over both
// servers, what is asked of all of them, and sockets that are moved and cut from afar.
"use strict";
const assert = require("node:assert");
const { createServer } = require("node:http");
const { Server } = require("socket.io");
const connect = require("socket.io-client").io;
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

const url = `redis://127.0.0.1:${process.argv[2]}`;
const next = (socket, event) => new Promise((resolve) => socket.once(event, (...words) => resolve(words)));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function start(makeAdapter) {
  const [publisher, subscriber] = [createClient({ url }), createClient({ url })];
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer();
  const io = new Server(http, { adapter: makeAdapter(publisher, subscriber) });
  io.on("connection", (socket) => {
    socket.on("join", async (room, done) => {
      await socket.join(room);
      done();
    });
  });
  io.on("add", (number, done) => done(number + 1));
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  const end = async () => {
    await new Promise((resolve) => io.close(resolve));
    await Promise.all([publisher.quit(), subscriber.quit()]);
  };
  return { io, end, address: `http://127.0.0.1:${http.address().port}` };
}

async function check(name, makeAdapter) {
  const servers = [await start(makeAdapter), await start(makeAdapter)];
  const sockets = [];
  for (let index = 0; index < 8; index++) {
    const socket = connect(servers[index % 2].address, { transports: ["websocket"], forceNew: true });
    await next(socket, "connect");
    await socket.timeout(5000).emitWithAck("join", index < 4 ? "low" : "high");
    sockets.push(socket);
  }
  // A server hears of the other one's rooms once it has subscribed, which its clients do not wait for.
  await pause(300);
  for (const { io } of servers) {
    for (let round = 0; round < 50; round++) {
      const heard = sockets.slice(0, 4).map((socket) => next(socket, "news"));
      io.to("low").emit("news", round, Buffer.from([0, 255, round]));
      for (const [number, bytes] of await Promise.all(heard)) {
        assert.strictEqual(number, round);
        assert.deepStrictEqual([...bytes], [0, 255, round]);
      }
    }
    const all = sockets.map((socket) => next(socket, "all"));
    io.emit("all", 1);
    await Promise.all(all);
    assert.strictEqual((await io.fetchSockets()).length, 8);
    assert.strictEqual((await io.in("high").fetchSockets()).length, 4);
    assert.deepStrictEqual(await io.serverSideEmitWithAck("add", 41), [42]);
  }
  let wrong = 0;
  sockets[0].on("secret", () => wrong++);
  servers[0].io.in("high").socketsJoin("moved");
  await pause(200);
  const moved = sockets.slice(4).map((socket) => next(socket, "secret"));
  servers[1].io.to("moved").except("low").emit("secret");
  await Promise.all(moved);
  assert.strictEqual(wrong, 0);
  const cut = sockets.slice(4).map((socket) => next(socket, "disconnect"));
  servers[0].io.in("moved").disconnectSockets();
  await Promise.all(cut);
  sockets.forEach((socket) => socket.close());
  for (const { end } of servers) await end();
  console.log(`Socket.IO: ${name} is fine`);
}

async function main() {
  await check("the adapter", createAdapter);
  await check("the sharded adapter", createShardedAdapter);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
