//! Members drawn or shown a page at a time, where a reply comes in pieces: of what there was, each as likely, each once.

use super::told::{BEGIN_MS, Told, shard};
use crate::ds::chi_square;
use rondo::resp::Protocol;

/// The draws of a reply, without its head; each is `words` bulk strings.
fn draws(reply: &[u8], head: &str, words: usize) -> Vec<String> {
    let text = std::str::from_utf8(reply).expect("all is text");
    let rest = text.strip_prefix(head).expect(head);
    let lines: Vec<&str> = rest.split_terminator("\r\n").collect();
    assert!(lines.len().is_multiple_of(2 * words), "{head}");
    lines.chunks(2 * words).map(|it| it.join(" ")).collect()
}

/// Whoever changes the key does not wait, and what is drawn after that is of what there was before.
#[test]
fn draws_are_from_what_there_was() {
    let cases = [
        (
            "SRANDMEMBER set -3000",
            "*3000\r\n",
            1,
            "SADD set new",
            "SADD set back",
        ),
        (
            "HRANDFIELD hash -3000 WITHVALUES",
            "*6000\r\n",
            2,
            "HSET hash new 1",
            "HSET hash b 1",
        ),
        (
            "ZRANDMEMBER zset -3000",
            "*3000\r\n",
            1,
            "ZADD zset 1 new",
            "ZADD zset 1 back",
        ),
    ];
    for (request, head, width, change, renewal) in cases {
        let key = request.split(' ').nth(1).expect("a key");
        for members in [3, 500] {
            for end in ["DEL {}", "FLUSHALL", "RENAME {} other", "PEXPIRE {} 1"] {
                let mut told = Told::over(shard(), 50, 64);
                for index in 0..members {
                    told.say(
                        1_000 + index,
                        0,
                        Protocol::Resp2,
                        &format!("SADD set m:{index}"),
                    );
                    told.say(
                        2_000 + index,
                        0,
                        Protocol::Resp2,
                        &format!("HSET hash m:{index} v"),
                    );
                    told.say(
                        3_000 + index,
                        0,
                        Protocol::Resp2,
                        &format!("ZADD zset 5 m:{index}"),
                    );
                }
                let say = |told: &mut Told, sequence: u64, line: &str| {
                    told.say_on(sequence as u32, sequence, 0, Protocol::Resp2, line);
                    assert!(told.done.contains(&sequence), "{line} does not wait");
                };
                told.say_on(1, 1, 0, Protocol::Resp2, request);
                assert!(told.read_on());
                say(&mut told, 2, change);
                assert!(told.read_on());
                say(&mut told, 3, &end.replace("{}", key));
                told.shard.set_now(BEGIN_MS + 50);
                say(&mut told, 4, renewal);
                let mut pieces_count = 2;
                while told.read_on() {
                    pieces_count += 1;
                }
                assert!(told.done.contains(&1) && told.shard.is_quiet(), "{request}");
                let drawn = draws(told.reply(1), head, width);
                assert_eq!(drawn.len(), 3_000, "{request}");
                let known =
                    |it: &String| it.split(' ').nth(1).is_some_and(|it| it.starts_with("m:"));
                assert!(drawn.iter().all(known), "{request} {end}");
                // All of few are drawn, and the change did not make the rest at once.
                let different: std::collections::HashSet<_> = drawn.iter().collect();
                assert!(different.len() as u64 > members * 9 / 10, "{request}");
                assert!(pieces_count > 40, "{request}: {pieces_count}");
            }
        }
    }
}

/// Pages of a set that nothing sorts, of which the last ones are long enough to be read in pieces, are all of it.
#[test]
fn pages_of_a_set_show_each_member_once() {
    let mut told = Told::over(shard(), 50, 64);
    for number in 0..1000 {
        told.say(1, 0, Protocol::Resp2, &format!("SADD set m{number}"));
    }
    let mut shown = Vec::new();
    for page in 0..50 {
        let line = format!("SORT set BY nosort LIMIT {} 20", page * 20);
        let sequence = 2 + page;
        told.say(sequence, 0, Protocol::Resp2, &line);
        while told.read_on() {}
        assert!(told.done.contains(&sequence), "{line}");
        shown.extend(draws(told.reply(sequence), "*20\r\n", 1));
    }
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown.len(), 1000);
}

/// Chi-square of what is drawn, and of pairs of one and the next, over all pieces of replies from listpacks.
#[test]
fn draws_in_pieces_are_as_likely_whatever_was_drawn_before() {
    let mut told = Told::over(shard(), 50, 64);
    for number in 0..10 {
        told.say(1, 0, Protocol::Resp2, &format!("SADD set {number} x"));
        told.say(1, 0, Protocol::Resp2, &format!("HSET hash {number} v"));
        told.say(1, 0, Protocol::Resp2, &format!("ZADD zset 5 {number}"));
    }
    told.say(1, 0, Protocol::Resp2, "SREM set x");
    // One that is dead comes first, and is passed over.
    told.say(1, 0, Protocol::Resp2, "HSET hash dead v");
    told.say(1, 0, Protocol::Resp2, "HPEXPIRE hash 1 FIELDS 1 dead");
    told.shard.set_now(BEGIN_MS + 50);
    told.shard.keys.set_expiry_paused(true);
    let requests = ["SRANDMEMBER set", "HRANDFIELD hash", "ZRANDMEMBER zset"];
    for (sequence, request) in (2..).zip(requests) {
        let line = format!("{request} -20000");
        told.say(sequence, 0, Protocol::Resp2, &line);
        while told.read_on() {}
        assert!(told.done.contains(&sequence), "{request}");
        let drawn: Vec<usize> = draws(told.reply(sequence), "*20000\r\n", 1)
            .iter()
            .map(|it| it.strip_prefix("$1 ").expect("a digit"))
            .map(|digit| digit.parse().expect("a digit"))
            .collect();
        assert_eq!(drawn.len(), 20_000, "{request}");
        let (mut ones, mut pairs) = ([0_u32; 10], [0_u32; 100]);
        for pair in drawn.chunks(2) {
            ones[pair[0]] += 1;
            ones[pair[1]] += 1;
            pairs[10 * pair[0] + pair[1]] += 1;
        }
        // One in a million is above these, and the seed is fixed.
        assert!(chi_square(&ones) < 45.0, "{request}: {ones:?}");
        assert!(chi_square(&pairs) < 181.0, "{request}: {pairs:?}");
    }
}

/// Of a large positive count no member comes twice, and each comes in its turn.
#[test]
fn what_is_chosen_is_different() {
    let mut told = Told::over(shard(), 50, 64);
    for index in 0..1_000 {
        for line in ["SADD set m:{}", "HSET hash m:{} v", "ZADD zset {} m:{}"] {
            let line = line.replace("{}", &index.to_string());
            told.say(index, 0, Protocol::Resp2, &line);
        }
    }
    for (request, head, words) in [
        ("SRANDMEMBER set 300", "*300\r\n", 1),
        ("HRANDFIELD hash 300 WITHVALUES", "*600\r\n", 2),
        ("ZRANDMEMBER zset 300 WITHSCORES", "*600\r\n", 2),
    ] {
        let mut seen = std::collections::HashSet::new();
        for sequence in 2_000..2_100 {
            told.say(sequence, 0, Protocol::Resp2, request);
            assert!(!told.done.contains(&sequence), "{request}");
            while told.read_on() {}
            let mut chosen = draws(told.reply(sequence), head, words);
            assert_eq!(chosen.len(), 300, "{request}");
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 300, "{request}");
            seen.extend(chosen);
            told.done.clear();
        }
        // That one is missing has a chance of 1,000 times 0.7 to the 100th power.
        assert_eq!(seen.len(), 1_000, "{request}");
    }
}
