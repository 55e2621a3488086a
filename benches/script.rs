//! Question: what does a script cost beside the commands it calls: start, switches of stacks, conversions, result?
//! Run:      cargo bench --bench script
//! Reads:    ns a run, calls answered at once with a fixed reply. The reply bytes are counted, so that no work can be left out.

use rondo::resp::OwnedArgs;
use rondo::script::{Answer, Context, Engine, Limits, Origin, ScriptId, Step};
use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The lock release of redis-py and Redlock.
const RELEASE: &str =
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

/// A sliding window of requests in a sorted set.
const LIMITER: &str = "local now = tonumber(ARGV[1]) local window = tonumber(ARGV[2]) local limit = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local count = redis.call('ZCARD', KEYS[1])
if count < limit then redis.call('ZADD', KEYS[1], now, ARGV[4]) redis.call('PEXPIRE', KEYS[1], window) return {1, limit - count - 1} end
return {0, 0}";

fn main() {
    let is_real = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_real { 1_000_000 } else { 100 };
    let cases: [(&str, &str, &[&str], &[&str]); 6] = [
        ("nothing", "return 1", &[], &[]),
        (
            "one call",
            "return redis.call('get', KEYS[1])",
            &["key"],
            &[],
        ),
        (
            "lock release",
            RELEASE,
            &["lock:resource"],
            &["token-0123456789"],
        ),
        (
            "sliding window",
            LIMITER,
            &["limit:user:1000"],
            &["1700000000000", "60000", "100", "1700000000000-1"],
        ),
        (
            "100 additions",
            "local s = 0 for i = 1, 100 do s = s + i end return s",
            &[],
            &[],
        ),
        (
            "json",
            "return cjson.encode(cjson.decode(ARGV[1]))",
            &[],
            &[r#"{"id":17,"name":"a name","tags":["x","y","z"],"score":1.5,"on":true}"#],
        ),
    ];
    let mut engine = Engine::new(Limits::default());
    for (name, script, keys, argv) in cases {
        let id = engine
            .load(script.as_bytes(), Origin::Load)
            .expect("a script");
        let keys: OwnedArgs = keys.iter().map(|word| word.as_bytes()).collect();
        let argv: OwnedArgs = argv.iter().map(|word| word.as_bytes()).collect();
        run(&mut engine, &id, &keys, &argv, rounds / 10);
        let start = Instant::now();
        let bytes = run(&mut engine, &id, &keys, &argv, rounds);
        let ns = start.elapsed().as_nanos() as f64 / rounds as f64;
        println!(
            "{name:<16} {ns:8.1} ns  {bytes} reply bytes  {} bytes of Lua",
            engine.lua_bytes()
        );
    }
}

fn run(
    engine: &mut Engine,
    id: &ScriptId,
    keys: &OwnedArgs,
    argv: &OwnedArgs,
    rounds: u64,
) -> usize {
    let mut bytes = 0;
    for _ in 0..rounds {
        let context = Context::default();
        let run = engine.start(id, &keys.as_args(), &argv.as_args(), context);
        let mut run = run.expect("it is loaded");
        let mut step = run.resume(Answer::Begin);
        loop {
            step = match step {
                Step::Done(reply) => {
                    bytes += black_box(reply).len();
                    break;
                }
                Step::Call { .. } => {
                    let reply: &[u8] = match black_box(run.words()).get(0) {
                        b"get" => b"$16\r\ntoken-0123456789\r\n",
                        _ => b":1\r\n",
                    };
                    run.resume(Answer::Reply(reply))
                }
                _ => run.resume(Answer::Begin),
            };
        }
    }
    bytes
}
