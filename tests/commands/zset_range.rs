//! Random ranges of scores and bytes against a vector, in both encodings, however they are asked for.

use super::runner::Runner;
use crate::ds::{Random, size};
use rondo::resp::Protocol;

/// A member, its score, and how that is told.
struct Row {
    score: f64,
    told: &'static str,
    member: String,
}

/// Few enough to be shared. A listpack has no -0, so there is none.
const SCORES: [(f64, &str); 9] = [
    (f64::NEG_INFINITY, "-inf"),
    (-3.0, "-3"),
    (-0.5, "-0.5"),
    (0.0, "0"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.25, "2.25"),
    (7.0, "7"),
    (f64::INFINITY, "inf"),
];

const BOUNDS: [(f64, &str); 13] = [
    (f64::NEG_INFINITY, "-inf"),
    (-4.0, "-4"),
    (-3.0, "-3"),
    (-0.5, "-.5"),
    (0.0, "-0"),
    (0.0, ""),
    (0.5, "0.5"),
    (2.0, "2"),
    (2.25, "2.25"),
    (7.0, "+7"),
    (9.0, "9"),
    (f64::INFINITY, "inf"),
    (f64::INFINITY, "+inf"),
];

/// Integers, which a listpack keeps apart, and other texts.
fn member(random: &mut Random) -> String {
    let number = random.below(60);
    match number % 3 {
        0 => number.to_string(),
        1 => format!("-{number}"),
        _ => format!("m{number}"),
    }
}

/// A range, and which of the rows, by place, are beyond either end.
struct Range {
    by: &'static str,
    low: String,
    high: String,
    is_too_low: Vec<bool>,
    is_too_high: Vec<bool>,
}

impl Range {
    fn of_scores(rows: &[Row], random: &mut Random) -> Self {
        let [low, high] = [(), ()].map(|()| {
            let (score, text) = BOUNDS[random.below(BOUNDS.len())];
            let is_excluded = random.below(3) == 0;
            let word = format!("{}{text}", if is_excluded { "(" } else { "" });
            (score, is_excluded, word)
        });
        let is_too_low = |row: &Row| row.score < low.0 || (low.1 && row.score == low.0);
        let is_too_high = |row: &Row| row.score > high.0 || (high.1 && row.score == high.0);
        Self {
            by: "SCORE",
            is_too_low: rows.iter().map(is_too_low).collect(),
            is_too_high: rows.iter().map(is_too_high).collect(),
            low: low.2,
            high: high.2,
        }
    }

    fn of_members(rows: &[Row], random: &mut Random) -> Self {
        let [low, high] = [(), ()].map(|()| match random.below(8) {
            0 => "-".to_owned(),
            1 => "+".to_owned(),
            2 => "[".to_owned(),
            kind => format!("{}{}", ["[", "("][kind % 2], member(random)),
        });
        let is_too_low = |row: &Row| match low.split_at(1) {
            ("-", _) => false,
            ("+", _) => true,
            ("[", bound) => row.member.as_str() < bound,
            (_, bound) => row.member.as_str() <= bound,
        };
        let is_too_high = |row: &Row| match high.split_at(1) {
            ("-", _) => true,
            ("+", _) => false,
            ("[", bound) => row.member.as_str() > bound,
            (_, bound) => row.member.as_str() >= bound,
        };
        Self {
            by: "LEX",
            is_too_low: rows.iter().map(is_too_low).collect(),
            is_too_high: rows.iter().map(is_too_high).collect(),
            low,
            high,
        }
    }

    /// The places of what is in it, in the order of a reply.
    fn places(&self, reversed: bool) -> Vec<usize> {
        let len = self.is_too_low.len();
        // Where scores differ bytes have no order, and whoever walks meets this; else it is all there is between the ends.
        if self.by == "LEX" && (self.is_too_low[len - 1] || self.is_too_high[0]) {
            return Vec::new();
        }
        let mut places: Vec<usize> = (0..len).collect();
        let (mut is_before, mut is_after) = (&self.is_too_low, &self.is_too_high);
        if reversed {
            places.reverse();
            (is_before, is_after) = (is_after, is_before);
        }
        places
            .into_iter()
            .skip_while(|place| is_before[*place])
            .take_while(|place| !is_after[*place])
            .collect()
    }

    /// Whatever the order.
    fn between(&self) -> Vec<usize> {
        let is_in = |place: &usize| !self.is_too_low[*place] && !self.is_too_high[*place];
        (0..self.is_too_low.len()).filter(is_in).collect()
    }
}

/// What LIMIT leaves. An offset below 0 passes over a listpack; in a tree it counts from the other end.
fn limited(places: Vec<usize>, limit: Option<(i64, i64)>, is_packed: bool) -> Vec<usize> {
    let Some((offset, count)) = limit else {
        return places;
    };
    let before_end = |distance: u64| places.len().checked_sub(usize::try_from(distance).ok()?);
    let offset = match usize::try_from(offset) {
        Ok(offset) => Some(offset),
        Err(_) if is_packed => None,
        Err(_) => before_end(offset.unsigned_abs()),
    };
    let Some(offset) = offset else {
        return Vec::new();
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    places.into_iter().skip(offset).take(count).collect()
}

fn limit(len: usize, random: &mut Random) -> Option<(i64, i64)> {
    let mut number = || match random.below(20) {
        0 => i64::MAX,
        1 => i64::MIN,
        _ => random.below(len + 6) as i64 - 3,
    };
    let limit = (number(), number());
    (random.below(3) > 0).then_some(limit)
}

fn told(rows: &[Row], places: &[usize], with_scores: bool, protocol: Protocol) -> String {
    let is_flat = with_scores && protocol == Protocol::Resp2;
    let mut text = format!("*{}\r\n", places.len() * (1 + usize::from(is_flat)));
    for place in places {
        let Row { told, member, .. } = &rows[*place];
        let length = member.len();
        text += &match (with_scores, protocol) {
            (false, _) => format!("${length}\r\n{member}\r\n"),
            (true, Protocol::Resp2) => {
                format!("${length}\r\n{member}\r\n${}\r\n{told}\r\n", told.len())
            }
            (true, Protocol::Resp3) => format!("*2\r\n${length}\r\n{member}\r\n,{told}\r\n"),
        };
    }
    text
}

fn ask(runner: &mut Runner, words: &[&str]) -> String {
    String::from_utf8(runner.run(words)).expect("text")
}

fn check(
    runner: &mut Runner,
    rows: &[Row],
    range: &Range,
    is_packed: bool,
    random: &mut Random,
    context: &str,
) {
    let reversed = random.below(2) == 1;
    let (first, second) = match reversed {
        true => (range.high.as_str(), range.low.as_str()),
        false => (range.low.as_str(), range.high.as_str()),
    };
    let with_scores = range.by == "SCORE" && random.below(2) == 1;
    let limit = limit(rows.len(), random);
    let by = format!("BY{}", range.by);
    let name = match reversed {
        true => format!("ZREVRANGE{by}"),
        false => format!("ZRANGE{by}"),
    };
    let mut named = vec![name.as_str(), "z", first, second];
    let mut general = vec!["ZRANGE", "z", first, second, by.as_str()];
    let mut storing = vec!["ZRANGESTORE", "to", "z", first, second, by.as_str()];
    if reversed {
        general.push("REV");
        storing.push("REV");
    }
    let limit_words = limit.map(|(offset, count)| (offset.to_string(), count.to_string()));
    if let Some((offset, count)) = &limit_words {
        for words in [&mut named, &mut general, &mut storing] {
            words.extend(["LIMIT", offset.as_str(), count.as_str()]);
        }
    }
    if with_scores {
        named.push("WITHSCORES");
        general.push("WITHSCORES");
    }

    let mut places = limited(range.places(reversed), limit, is_packed);
    let expected = told(rows, &places, with_scores, runner.protocol);
    assert_eq!(ask(runner, &named), expected, "{context} {named:?}");
    assert_eq!(ask(runner, &general), expected, "{context} {general:?}");
    let expected = format!(":{}\r\n", places.len());
    assert_eq!(ask(runner, &storing), expected, "{context} {storing:?}");
    places.sort_unstable();
    let expected = told(rows, &places, true, runner.protocol);
    let stored = ask(runner, &["ZRANGE", "to", "0", "-1", "WITHSCORES"]);
    assert_eq!(stored, expected, "{context} {storing:?}");

    let inside = range.places(false);
    let count_name = match range.by {
        "SCORE" => "ZCOUNT",
        _ => "ZLEXCOUNT",
    };
    let remove_name = format!("ZREMRANGE{by}");
    let expected = format!(":{}\r\n", inside.len());
    ask(runner, &["COPY", "z", "copy", "REPLACE"]);
    let (low, high) = (range.low.as_str(), range.high.as_str());
    for words in [
        [count_name, "z", low, high],
        [remove_name.as_str(), "copy", low, high],
    ] {
        assert_eq!(ask(runner, &words), expected, "{context} {words:?}");
    }
    let outside: Vec<usize> = (0..rows.len())
        .filter(|place| !inside.contains(place))
        .collect();
    let rest = ask(runner, &["ZRANGE", "copy", "0", "-1"]);
    let expected = told(rows, &outside, false, runner.protocol);
    assert_eq!(rest, expected, "{context} {remove_name} {low} {high}");
}

#[test]
fn every_range_is_what_it_is_of_a_vector() {
    for seed in 0..size(4, 40) as u64 {
        let mut random = Random(seed);
        let (is_packed, has_one_score) = (seed % 4 < 2, seed.is_multiple_of(2));
        let mut runner = Runner::new(seed);
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..1 + random.below(size(10, 70)) {
            let member = member(&mut random);
            let (score, told) = SCORES[random.below(SCORES.len())];
            let (score, told) = match has_one_score {
                true => (1.0, "1"),
                false => (score, told),
            };
            if rows.iter().all(|row| row.member != member) {
                ask(&mut runner, &["ZADD", "z", told, &member]);
                rows.push(Row {
                    score,
                    told,
                    member,
                });
            }
        }
        rows.sort_by(|one, other| {
            let scores = one.score.total_cmp(&other.score);
            scores.then_with(|| one.member.cmp(&other.member))
        });
        if !is_packed {
            // Too long for a listpack.
            let long = "x".repeat(65);
            ask(&mut runner, &["ZADD", "z", "1", &long]);
            ask(&mut runner, &["ZREM", "z", &long]);
        }
        let encoding = match is_packed {
            true => "\"listpack\"",
            false => "\"skiplist\"",
        };
        assert_eq!(runner.say("OBJECT ENCODING z"), encoding);
        for step in 0..size(10, 100) {
            let context = format!("SEED={seed} step {step}");
            runner.protocol = [Protocol::Resp2, Protocol::Resp3][random.below(2)];
            let range = Range::of_scores(&rows, &mut random);
            assert_eq!(range.places(false), range.between(), "{context}");
            check(&mut runner, &rows, &range, is_packed, &mut random, &context);
            // A tree whose scores differ is searched, which comes to nothing that could be foretold.
            if is_packed || has_one_score {
                let range = Range::of_members(&rows, &mut random);
                if has_one_score {
                    assert_eq!(range.places(false), range.between(), "{context}");
                }
                check(&mut runner, &rows, &range, is_packed, &mut random, &context);
            }
        }
    }
}
