//! Any bytes as a value's payload, their checksum made right: refused, or dumped and taken again, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::base::crc64::crc64;
use rondo::commands::table::{Aside, Call, Caller};
use rondo::commands::{Run, table};
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::args::OwnedArgs;
use rondo::resp::{Protocol, Reply};

fn run(keys: &mut Keyspace, words: &[&[u8]]) -> Vec<u8> {
    let owned: OwnedArgs = words.iter().copied().collect();
    let args = owned.as_args();
    let Some(Run::Keys(run)) = table().find(words[0]).map(|entry| entry.command.run) else {
        unreachable!("the commands below have rows");
    };
    let mut call = Call { keys, db: 0, caller: &Caller::default(), patience: Default::default(), is_logged: false, aside: &mut Aside::default() };
    let mut out = Vec::new();
    match run(&mut call, &args, &mut Reply::new(&mut out, Protocol::Resp2)) {
        Ok(_) => out,
        Err(_) => b"-".to_vec(),
    }
}

fuzz_target!(|body: &[u8]| {
    let mut payload = [body, &[12, 0]].concat();
    let checksum = crc64(0, &payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(1));
    keys.set_now(1_700_000_000_000);
    if !run(&mut keys, &[b"RESTORE", b"key", b"0", &payload]).starts_with(b"+OK") {
        return;
    }
    if !run(&mut keys, &[b"EXISTS", b"key"]).starts_with(b":1") {
        return;
    }
    let reply = run(&mut keys, &[b"DUMP", b"key"]);
    let start = reply.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
    let again = &reply[start..reply.len() - 2];
    assert!(run(&mut keys, &[b"RESTORE", b"again", b"0", again]).starts_with(b"+OK"));
});
