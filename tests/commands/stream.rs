//! Streams where the time of day matters, or what transcripts of Redis 8.0 do not have.

use super::runner::{Runner, START_MS};

/// Says each line's request and compares the reply after ` => `, or lets milliseconds pass.
fn check(runner: &mut Runner, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(ms) = line.strip_prefix("wait ") {
            runner.wait(ms.parse().expect("milliseconds"));
            continue;
        }
        let (request, reply) = line.split_once(" => ").expect("a request and its reply");
        assert_eq!(runner.say(request.trim()), reply.trim(), "{request}");
    }
}

#[test]
fn ids_are_made_from_the_time() {
    let mut runner = Runner::new(1);
    assert_eq!(START_MS, 1_700_000_000_000);
    check(
        &mut runner,
        r#"
        XADD s * a 1 => "1700000000000-0"
        XADD s * a 1 => "1700000000000-1"
        wait 5
        XADD s * a 1 => "1700000000005-0"
        XADD s 1800000000000-7 a 1 => "1800000000000-7"
        XADD s * a 1 => "1800000000000-8"
        XADD s 1800000000000-* a 1 => "1800000000000-9"
        "#,
    );
}

#[test]
fn pending_entries_grow_old() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g one COUNT 1 STREAMS s > => *1 *2 "s" *1 *2 "1-0" *2 "a" "1"
        wait 100
        XREADGROUP GROUP g two STREAMS s > => *1 *2 "s" *1 *2 "2-0" *2 "a" "2"
        wait 10
        XPENDING s g - + 10 => *2 *4 "1-0" "one" :110 :1 *4 "2-0" "two" :10 :1
        XPENDING s g IDLE 50 - + 10 => *1 *4 "1-0" "one" :110 :1
        XPENDING s g - + 1 => *1 *4 "1-0" "one" :110 :1
        XPENDING s g - + 10 two => *1 *4 "2-0" "two" :10 :1
        XCLAIM s g two 50 1-0 2-0 => *1 *2 "1-0" *2 "a" "1"
        XPENDING s g - + 10 => *2 *4 "1-0" "two" :0 :2 *4 "2-0" "two" :10 :1
        XCLAIM s g one 0 2-0 IDLE 500 RETRYCOUNT 9 JUSTID => *1 "2-0"
        XCLAIM s g one 0 1-0 TIME 1699999999000 JUSTID => *1 "1-0"
        XPENDING s g - + 10 => *2 *4 "1-0" "one" :1110 :2 *4 "2-0" "one" :500 :9
        XCLAIM s g one 0 1-0 TIME 1800000000000 JUSTID => *1 "1-0"
        XPENDING s g - + 1 => *1 *4 "1-0" "one" :0 :2
        wait 7
        XREADGROUP GROUP g one STREAMS s 0 => *1 *2 "s" *2 *2 "1-0" *2 "a" "1" *2 "2-0" *2 "a" "2"
        XPENDING s g - + 10 => *2 *4 "1-0" "one" :0 :3 *4 "2-0" "one" :0 :10
        XINFO CONSUMERS s g => *2 *8 "name" "one" "pending" :2 "idle" :0 "inactive" :7 *8 "name" "two" "pending" :0 "idle" :7 "inactive" :7
        wait 3
        XAUTOCLAIM s g two 3 - COUNT 1 JUSTID => *3 "2-0" *1 "1-0" *0
        XAUTOCLAIM s g two 4 - JUSTID => *3 "0-0" *0 *0
        XGROUP CREATECONSUMER s g three => :1
        wait 2
        XINFO CONSUMERS s g => *3 *8 "name" "one" "pending" :1 "idle" :5 "inactive" :12 *8 "name" "three" "pending" :0 "idle" :2 "inactive" :-1 *8 "name" "two" "pending" :1 "idle" :2 "inactive" :2
        XADD s 3-0 a 3 => "3-0"
        XCLAIM s g two 5000 3-0 FORCE => *1 *2 "3-0" *2 "a" "3"
        XPENDING s g 3-0 + 10 => *1 *4 "3-0" "two" :0 :2
        "#,
    );
}

/// As in Redis 8.6.3 after a RESTORE of entries that were delivered an hour ahead; but that lets XREADGROUP claim them with any idle
/// time.
#[test]
fn without_an_idle_time_what_was_delivered_in_the_future_is_claimed() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g one STREAMS s > => *1 *2 "s" *2 *2 "1-0" *2 "a" "1" *2 "2-0" *2 "a" "2"
        wait -3600000
        XCLAIM s g two 1 1-0 2-0 JUSTID => *0
        XAUTOCLAIM s g two 1 - JUSTID => *3 "0-0" *0 *0
        XREADGROUP GROUP g two CLAIM 1 STREAMS s > => *-1
        XCLAIM s g two 0 1-0 JUSTID => *1 "1-0"
        XAUTOCLAIM s g three 0 - JUSTID => *3 "0-0" *2 "1-0" "2-0" *0
        wait -3600000
        XREADGROUP GROUP g four CLAIM 0 STREAMS s > => *1 *2 "s" *2 *4 "1-0" *2 "a" "1" :-3600000 :1 *4 "2-0" *2 "a" "2" :-3600000 :1
        XPENDING s g - + 10 => *2 *4 "1-0" "four" :0 :2 *4 "2-0" "four" :0 :2
        "#,
    );
}

// From the documentation of Redis 8.4: what has been pending for long comes first, longest first.
#[test]
fn readgroup_claims_before_it_delivers() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g one CLAIM 10 COUNT 1 STREAMS s > => *1 *2 "s" *1 *4 "1-0" *2 "a" "1" :0 :0
        wait 1
        XREADGROUP GROUP g one COUNT 1 STREAMS s > => *1 *2 "s" *1 *2 "2-0" *2 "a" "2"
        XREADGROUP GROUP g two CLAIM 10 STREAMS s > => *-1
        wait 20
        XADD s 3-0 a 3 => "3-0"
        XCLAIM s g one 0 1-0 IDLE 15 JUSTID => *1 "1-0"
        XREADGROUP GROUP g two CLAIM 10 STREAMS s > => *1 *2 "s" *3 *4 "2-0" *2 "a" "2" :20 :1 *4 "1-0" *2 "a" "1" :15 :1 *4 "3-0" *2 "a" "3" :0 :0
        XPENDING s g - + 10 => *3 *4 "1-0" "two" :0 :2 *4 "2-0" "two" :0 :2 *4 "3-0" "two" :0 :1
        wait 30
        XDEL s 1-0 => :1
        XADD s 4-0 a 4 => "4-0"
        XREADGROUP GROUP g one CLAIM 30 COUNT 1 NOACK STREAMS s > => *1 *2 "s" *1 *4 "2-0" *2 "a" "2" :30 :2
        XREADGROUP GROUP g one CLAIM 31 NOACK STREAMS s > => *1 *2 "s" *1 *4 "4-0" *2 "a" "4" :0 :0
        XPENDING s g => *4 :3 "1-0" "3-0" *2 *2 "one" "1" *2 "two" "2"
        XREADGROUP GROUP g one CLAIM 5 STREAMS s 0 => *1 *2 "s" *1 *2 "2-0" *2 "a" "2"
        XREADGROUP GROUP g one CLAIM x STREAMS s > => -ERR min-idle-time is not an integer or out of range
        XREADGROUP GROUP g one CLAIM -1 STREAMS s > => -ERR min-idle-time must be a positive integer
        XREAD CLAIM 5 STREAMS s 0 => -ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.
        "#,
    );
}

// From the documentation of Redis 8.8.
#[test]
fn xnack_gives_entries_back() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XADD s 3-0 a 3 => "3-0"
        XADD s 4-0 a 4 => "4-0"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g one COUNT 3 STREAMS s > => *1 *2 "s" *3 *2 "1-0" *2 "a" "1" *2 "2-0" *2 "a" "2" *2 "3-0" *2 "a" "3"
        XNACK s g FAIL IDS 2 1-0 9-0 => :1
        XNACK s g FAIL IDS 1 1-0 => :1
        XNACK s g silent IDS 1 2-0 => :1
        XNACK s g FATAL IDS 1 3-0 => :1
        XPENDING s g - + 10 => *3 *4 "1-0" "" :-1 :1 *4 "2-0" "" :-1 :0 *4 "3-0" "" :-1 :9223372036854775807
        XPENDING s g => *4 :3 "1-0" "3-0" *0
        XNACK s g FAIL IDS 1 4-0 => :0
        XNACK s g FAIL IDS 1 4-0 FORCE => :1
        XACK s g 4-0 => :1
        XREADGROUP GROUP g two CLAIM 1000000 COUNT 1 STREAMS s > => *1 *2 "s" *1 *4 "1-0" *2 "a" "1" :1700000000000 :1
        XAUTOCLAIM s g two 5 - COUNT 1 JUSTID => *3 "3-0" *1 "2-0" *0
        XCLAIM s g two 5 3-0 JUSTID => *1 "3-0"
        XNACK s g FAIL IDS 1 3-0 RETRYCOUNT 5 => :1
        XPENDING s g - + 10 => *3 *4 "1-0" "two" :0 :2 *4 "2-0" "two" :0 :0 *4 "3-0" "" :-1 :5
        XNACK s g FATAL RETRYCOUNT 7 IDS 1 3-0 => :1
        XNACK s g FAIL FORCE IDS 1 4-0 => :1
        XPENDING s g 3-0 + 10 => *2 *4 "3-0" "" :-1 :7 *4 "4-0" "" :-1 :0
        XNACK missing g FOO IDS 0 x => -NOGROUP No such key 'missing' or consumer group 'g'
        XNACK s missing FOO IDS 0 x => -NOGROUP No such key 's' or consumer group 'missing'
        SET str x => +OK
        XNACK str g FOO IDS 0 x => -WRONGTYPE Operation against a key holding the wrong kind of value
        XNACK s g FOO IDS 1 3-0 => -ERR mode must be SILENT, FAIL, or FATAL
        XNACK s g FAIL IDS 0 3-0 => -ERR numids must be a positive integer
        XNACK s g FAIL IDS x 3-0 => -ERR numids must be a positive integer
        XNACK s g FAIL IDS 2147483648 3-0 => -ERR numids must be a positive integer
        XNACK s g FAIL IDS 2 3-0 => -ERR number of IDs doesn't match numids
        XNACK s g FAIL FORCE RETRYCOUNT 1 => -ERR syntax error, expected IDS keyword
        XNACK s g FAIL FORCE 1 IDS => -ERR Unrecognized XNACK option '1'
        XNACK s g FAIL FORCE FORCE IDS => -ERR Unrecognized XNACK option 'IDS'
        XNACK s g FAIL IDS 1 3-0 FOO => -ERR Unrecognized XNACK option 'FOO'
        XNACK s g FAIL IDS 1 3-0 RETRYCOUNT -1 => -ERR Invalid RETRYCOUNT value, must be >= 0
        XNACK s g FAIL IDS 1 x => -ERR Invalid stream ID specified as stream command argument
        "#,
    );
}

// From the documentation of Redis 8.8.
#[test]
fn what_was_given_back_is_claimed_first_in_that_order() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XADD s 3-0 a 3 => "3-0"
        XADD s 4-0 a 4 => "4-0"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g one COUNT 4 STREAMS s > => *1 *2 "s" *4 *2 "1-0" *2 "a" "1" *2 "2-0" *2 "a" "2" *2 "3-0" *2 "a" "3" *2 "4-0" *2 "a" "4"
        XNACK s g FAIL IDS 1 3-0 => :1
        XNACK s g FAIL IDS 2 4-0 1-0 => :2
        XINFO STREAM s FULL COUNT 1 => *18 "length" :4 "radix-tree-keys" :1 "radix-tree-nodes" :2 "last-generated-id" "4-0" "max-deleted-entry-id" "0-0" "entries-added" :4 "recorded-first-entry-id" "1-0" "entries" *1 *2 "1-0" *2 "a" "1" "groups" *1 *16 "name" "g" "last-delivered-id" "4-0" "entries-read" :4 "lag" :0 "pel-count" :4 "nacked-count" :3 "pending" *1 *4 "1-0" "" :0 :1 "consumers" *1 *10 "name" "one" "seen-time" :1700000000000 "active-time" :1700000000000 "pel-count" :1 "pending" *1 *3 "2-0" :1700000000000 :1
        XREADGROUP GROUP g two CLAIM 0 COUNT 2 STREAMS s > => *1 *2 "s" *2 *4 "3-0" *2 "a" "3" :1700000000000 :1 *4 "4-0" *2 "a" "4" :1700000000000 :1
        XNACK s g FAIL IDS 1 3-0 => :1
        XREADGROUP GROUP g two CLAIM 0 STREAMS s > => *1 *2 "s" *4 *4 "1-0" *2 "a" "1" :1700000000000 :1 *4 "3-0" *2 "a" "3" :1700000000000 :2 *4 "2-0" *2 "a" "2" :0 :1 *4 "4-0" *2 "a" "4" :0 :2
        "#,
    );
}

// From the documentation of Redis 8.2.
#[test]
fn references_decide_what_is_deleted() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XADD s 3-0 a 3 => "3-0"
        XADD s 4-0 a 4 => "4-0"
        XGROUP CREATE s g 0 => +OK
        XGROUP CREATE s h 0 => +OK
        XREADGROUP GROUP g c STREAMS s > => *1 *2 "s" *4 *2 "1-0" *2 "a" "1" *2 "2-0" *2 "a" "2" *2 "3-0" *2 "a" "3" *2 "4-0" *2 "a" "4"
        XDELEX s ACKED IDS 2 1-0 9-0 => *2 :2 :2
        XDELEX s IDS 2 1-0 1-0 => *2 :1 :-1
        XPENDING s g => *4 :4 "1-0" "4-0" *1 *2 "c" "4"
        XDELEX s DELREF IDS 2 1-0 2-0 => *2 :-1 :1
        XPENDING s g => *4 :2 "3-0" "4-0" *1 *2 "c" "2"
        XACKDEL s g ACKED IDS 2 3-0 9-0 => *2 :2 :-1
        XREADGROUP GROUP h d STREAMS s > => *1 *2 "s" *2 *2 "3-0" *2 "a" "3" *2 "4-0" *2 "a" "4"
        XACKDEL s h ACKED IDS 2 3-0 => -ERR The `numids` parameter must match the number of arguments
        XACKDEL s h ACKED IDS 1 3-0 => *1 :1
        XACKDEL s h KEEPREF IDS 1 4-0 => *1 :1
        XPENDING s g => *4 :1 "4-0" "4-0" *1 *2 "c" "1"
        XACKDEL s g DELREF IDS 1 4-0 => *1 :1
        XLEN s => :0
        XDELEX missing IDS 2 1-0 2-0 => *2 :-1 :-1
        XACKDEL s missing IDS 1 1-0 => *1 :-1
        XDELEX s IDS 0 1-0 => -ERR Number of IDs must be a positive integer
        XDELEX s FOO IDS 1 1-0 => -ERR syntax error
        XDELEX s IDS 1 x => -ERR Invalid stream ID specified as stream command argument
        SET str x => +OK
        XDELEX str IDS 1 1-0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn trims_heed_references() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s 1-0 a 1 => "1-0"
        XADD s 2-0 a 2 => "2-0"
        XADD s 3-0 a 3 => "3-0"
        XGROUP CREATE s g 0 => +OK
        XREADGROUP GROUP g c COUNT 2 STREAMS s > => *1 *2 "s" *2 *2 "1-0" *2 "a" "1" *2 "2-0" *2 "a" "2"
        XACK s g 2-0 => :1
        XTRIM s MAXLEN = 0 ACKED => :1
        XRANGE s - + => *2 *2 "1-0" *2 "a" "1" *2 "3-0" *2 "a" "3"
        XTRIM s ACKED MINID 9 => :0
        XTRIM s MAXLEN ~ 1 DELREF => :1
        XPENDING s g => *4 :0 $-1 $-1 *-1
        XADD s KEEPREF MAXLEN 1 4-0 a 4 => "4-0"
        XLEN s => :1
        XADD s MAXLEN ~ 0 ACKED 5-0 a 5 => "5-0"
        XLEN s => :2
        XADD new DELREF 5-0 a 5 => "5-0"
        "#,
    );
}

// From the documentation of Redis 8.6, and its error texts.
#[test]
fn a_request_sent_again_adds_nothing() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XADD s NOMKSTREAM IDMP p r1 * a 1 => $-1
        XADD s IDMP p r1 * a 1 => "1700000000000-0"
        wait 7
        XADD s IDMP p r1 * b 2 => "1700000000000-0"
        XADD s IDMP q r1 MAXLEN ~ 10 * a 1 => "1700000000007-0"
        XADD s NOMKSTREAM idmpauto q KEEPREF * a 1 b 2 => "1700000000007-1"
        XADD s IDMPAUTO q * b 2 a 1 => "1700000000007-1"
        XADD s IDMPAUTO q * a 1 b 3 => "1700000000007-2"
        XADD s IDMPAUTO q * ab 1 => "1700000000007-3"
        XADD s IDMPAUTO q * a b1 => "1700000000007-4"
        XADD s IDMPAUTO q * a 1 a 1 => "1700000000007-5"
        XADD s IDMPAUTO q * b 1 b 1 => "1700000000007-6"
        XLEN s => :8
        XINFO STREAM s => *32 "length" :8 "radix-tree-keys" :1 "radix-tree-nodes" :2 "last-generated-id" "1700000000007-6" "max-deleted-entry-id" "0-0" "entries-added" :8 "recorded-first-entry-id" "1700000000000-0" "idmp-duration" :100 "idmp-maxsize" :100 "pids-tracked" :2 "iids-tracked" :8 "iids-added" :8 "iids-duplicates" :2 "groups" :0 "first-entry" *2 "1700000000000-0" *2 "a" "1" "last-entry" *2 "1700000000007-6" *4 "b" "1" "b" "1"
        XCFGSET s IDMP-DURATION 100 idmp-maxsize 100 => +OK
        XADD s IDMP p r1 * b 2 => "1700000000000-0"
        wait 99993
        XADD s IDMP p r1 * b 2 => "1700000000000-0"
        wait 1
        XADD s IDMP p r1 * b 2 => "1700000100001-0"
        XADD s IDMP q r1 * b 2 => "1700000000007-0"
        XCFGSET s IDMP-MAXSIZE 1 => +OK
        XADD s IDMP q r1 * b 2 => "1700000100001-1"
        XADD s IDMP q r2 * b 2 => "1700000100001-2"
        XADD s IDMP q r2 * b 2 => "1700000100001-2"
        XADD s IDMP q r1 * b 2 => "1700000100001-3"
        XADD s IDMP p * f v => -ERR Invalid stream ID specified as stream command argument
        XADD s IDMP p i 1-1 f v => -ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
        XADD s IDMPAUTO p 1-* f v => -ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
        XADD s IDMPAUTO p IDMP p i * f v => -ERR syntax error, IDMP/IDMPAUTO specified multiple times
        XADD s IDMP "" i * f v => -ERR syntax error, IDMP requires a non-empty producer ID
        XADD s IDMP p "" * f v => -ERR syntax error, IDMP requires a non-empty idempotent ID
        XADD s IDMPAUTO "" * f v => -ERR syntax error, IDMPAUTO requires a non-empty producer ID
        XCFGSET s => -ERR At least one parameter must be specified
        XCFGSET none IDMP-DURATION 5 => -ERR no such key
        XCFGSET none => -ERR no such key
        XCFGSET none FOO => -ERR no such key
        XCFGSET none IDMP-DURATION 0 => -ERR no such key
        XCFGSET s IDMP-MAXSIZE 5 IDMP-MAXSIZE 6 => -ERR IDMP-MAXSIZE specified multiple times
        XCFGSET s IDMP-DURATION 5 IDMP-DURATION 6 => -ERR IDMP-DURATION specified multiple times
        XCFGSET s IDMP-DURATION => -ERR syntax error
        XCFGSET s IDMP-DURATION x => -ERR value is not an integer or out of range
        XCFGSET s IDMP-DURATION 86401 => -ERR IDMP-DURATION must be between 1 and 86400 seconds
        XCFGSET s IDMP-MAXSIZE 0 => -ERR IDMP-MAXSIZE must be between 1 and 10000 entries
        SET t x => +OK
        XCFGSET t FOO => -WRONGTYPE Operation against a key holding the wrong kind of value
        XCFGSET t IDMP-MAXSIZE 5 => -WRONGTYPE Operation against a key holding the wrong kind of value
        XTRIM s IDMP p i MAXLEN 1 => -ERR syntax error
        "#,
    );
}

// Recorded from Redis 8.6.3.
#[test]
fn a_request_is_recorded_for_an_entry() {
    let mut runner = Runner::new(1);
    check(
        &mut runner,
        r#"
        XIDMPRECORD s p i 1-1 => -ERR no such key
        XIDMPRECORD s p i => -ERR wrong number of arguments for 'xidmprecord' command
        SET str 1 => +OK
        XIDMPRECORD str p i 1-1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        XIDMPRECORD str p i foo => -ERR Invalid stream ID specified as stream command argument
        XIDMPRECORD none "" i 1-1 => -ERR producer ID must be non-empty
        XIDMPRECORD none p "" 1-1 => -ERR idempotent ID must be non-empty
        XIDMPRECORD s "" i foo => -ERR Invalid stream ID specified as stream command argument
        XADD s 1700000000000-5 a b => "1700000000000-5"
        XIDMPRECORD s p i 1-1 => -ERR No such message in stream
        XIDMPRECORD s p i 1700000000000-5 => +OK
        XIDMPRECORD s p i 1700000000000-5 => +OK
        XADD s 1700000000000-6 c d => "1700000000000-6"
        XIDMPRECORD s p i 1700000000000-6 => -ERR IID already exists for this producer with a different stream ID
        XIDMPRECORD s p j 1700000000000-6 => +OK
        XADD s IDMP p i * x y => "1700000000000-5"
        XADD s IDMP p j * x y => "1700000000000-6"
        XADD s IDMP p k * x y => "1700000000000-7"
        XLEN s => :3
        "#,
    );
}

/// What a log has was allowed when it was written, whatever is known by now, and by earlier builds.
#[test]
fn what_is_from_a_log_is_done_again() {
    let mut runner = Runner::new(1);
    runner.keys.set_replays(true);
    check(
        &mut runner,
        r#"
        XADD s IDMP p i 1700000000000-1 a b => "1700000000000-1"
        XADD s IDMP p i 1700000000000-2 a b => "1700000000000-2"
        XADD s KEEPREF DELREF 1700000000000-3 a b => "1700000000000-3"
        XIDMPRECORD s p i 1700000000000-3 => +OK
        XIDMPRECORD s p j 1-1 => +OK
        XTRIM s MAXLEN 3 DELREF KEEPREF => :0
        XCFGSET s IDMP-MAXSIZE 5 IDMP-MAXSIZE 6 => +OK
        "#,
    );
    runner.keys.set_replays(false);
    check(
        &mut runner,
        r#"
        XTRIM s MAXLEN 3 DELREF KEEPREF => -ERR syntax error
        XADD s KEEPREF DELREF * a b => -ERR Invalid stream ID specified as stream command argument
        XINFO STREAM s => *32 "length" :3 "radix-tree-keys" :1 "radix-tree-nodes" :2 "last-generated-id" "1700000000000-3" "max-deleted-entry-id" "0-0" "entries-added" :3 "recorded-first-entry-id" "1700000000000-1" "idmp-duration" :100 "idmp-maxsize" :6 "pids-tracked" :0 "iids-tracked" :0 "iids-added" :4 "iids-duplicates" :0 "groups" :0 "first-entry" *2 "1700000000000-1" *2 "a" "b" "last-entry" *2 "1700000000000-3" *2 "a" "b"
        "#,
    );
}
