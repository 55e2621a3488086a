//! Random string and deadline commands against a plain model: a map from key to text and deadline.
//!
//! The model knows Redis's rules from the documentation, the keyspace from its code; where they part, one is wrong.

use super::runner::Runner;
use super::transcript::reply_lines;
use rondo::base::rng::Rng;
use std::collections::BTreeMap;

#[derive(Default)]
struct Model {
    keys: BTreeMap<String, (Vec<u8>, Option<i64>)>,
    now_ms: i64,
}

type Entry = (Vec<u8>, Option<i64>);

fn bulk(bytes: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(bytes))
}

fn number(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

impl Model {
    fn get(&mut self, key: &str) -> Option<&mut Entry> {
        let is_dead = |entry: &Entry| entry.1.is_some_and(|at_ms| self.now_ms > at_ms);
        if self.keys.get(key).is_some_and(is_dead) {
            self.keys.remove(key);
        }
        self.keys.get_mut(key)
    }

    fn text(&mut self, key: &str) -> Option<Vec<u8>> {
        self.get(key).map(|entry| entry.0.clone())
    }

    fn answer(&mut self, words: &[String]) -> String {
        let key = words[1].as_str();
        let word = |index: usize| words[index].as_str();
        let found = self.get(key).is_some();
        let null = "$-1".to_string();
        match word(0) {
            "GET" => self.text(key).map_or(null, |text| bulk(&text)),
            "SET" => {
                let option = words.get(3).map(String::as_str);
                if option == Some("NX") && found || option == Some("XX") && !found {
                    return null;
                }
                let deadline = match option {
                    Some("PX") => Some(self.now_ms + word(4).parse::<i64>().expect("a number")),
                    Some("KEEPTTL") => self.get(key).and_then(|entry| entry.1),
                    _ => None,
                };
                let text = word(2).as_bytes().to_vec();
                self.keys.insert(key.to_string(), (text, deadline));
                "+OK".to_string()
            }
            "GETSET" => {
                let old = self.text(key).map_or(null, |text| bulk(&text));
                let text = word(2).as_bytes().to_vec();
                self.keys.insert(key.to_string(), (text, None));
                old
            }
            "GETDEL" => {
                let old = self.text(key).map_or(null, |text| bulk(&text));
                self.keys.remove(key);
                old
            }
            "DEL" | "EXISTS" => {
                if word(0) == "DEL" {
                    self.keys.remove(key);
                }
                format!(":{}", i32::from(found))
            }
            "APPEND" => {
                let entry = self.keys.entry(key.to_string()).or_default();
                entry.0.extend_from_slice(word(2).as_bytes());
                format!(":{}", entry.0.len())
            }
            "STRLEN" => format!(":{}", self.text(key).unwrap_or_default().len()),
            "SETRANGE" => {
                let start: usize = word(2).parse().expect("a number");
                let part = word(3).as_bytes();
                if part.is_empty() {
                    return format!(":{}", self.text(key).unwrap_or_default().len());
                }
                let entry = self.keys.entry(key.to_string()).or_default();
                let end = start + part.len();
                if entry.0.len() < end {
                    entry.0.resize(end, 0);
                }
                entry.0[start..end].copy_from_slice(part);
                format!(":{}", entry.0.len())
            }
            "GETRANGE" => {
                let text = self.text(key).unwrap_or_default();
                let length = text.len() as i64;
                let index = |at: usize| {
                    let index: i64 = word(at).parse().expect("a number");
                    if index < 0 { index + length } else { index }
                };
                let (start, end) = (index(2).max(0), index(3).min(length - 1));
                let is_backwards =
                    word(2).starts_with('-') && word(3).starts_with('-') && index(2) > index(3);
                // An end before the first byte is the first byte, in Redis.
                let end = end.max(0).min(length - 1);
                if is_backwards || length == 0 || start > end {
                    return bulk(b"");
                }
                bulk(&text[start as usize..=end as usize])
            }
            "INCRBY" => {
                let old = match self.text(key) {
                    None => 0,
                    Some(text) => match number(&text) {
                        Some(number) => number,
                        None => return NOT_INTEGER.to_string(),
                    },
                };
                let Some(sum) = old.checked_add(word(2).parse().expect("a number")) else {
                    return "-ERR increment or decrement would overflow".to_string();
                };
                let entry = self.keys.entry(key.to_string()).or_default();
                entry.0 = sum.to_string().into_bytes();
                format!(":{sum}")
            }
            "PEXPIRE" => {
                let at_ms = self.now_ms + word(2).parse::<i64>().expect("a number");
                let now_ms = self.now_ms;
                let rule = words.get(3).map(String::as_str);
                let Some(entry) = self.get(key) else {
                    return ":0".to_string();
                };
                let is_allowed = match (rule, entry.1) {
                    (Some("NX"), old_ms) => old_ms.is_none(),
                    (Some("XX"), old_ms) => old_ms.is_some(),
                    (Some("GT"), old_ms) => old_ms.is_some_and(|old_ms| at_ms > old_ms),
                    (Some("LT"), old_ms) => old_ms.is_none_or(|old_ms| at_ms < old_ms),
                    _ => true,
                };
                if is_allowed {
                    entry.1 = Some(at_ms);
                    if at_ms <= now_ms {
                        self.keys.remove(key);
                    }
                }
                format!(":{}", i32::from(is_allowed))
            }
            "PTTL" => {
                let now_ms = self.now_ms;
                let entry = self.get(key).map(|entry| entry.1);
                match entry {
                    None => ":-2".to_string(),
                    Some(None) => ":-1".to_string(),
                    Some(Some(at_ms)) => format!(":{}", at_ms - now_ms),
                }
            }
            "PERSIST" => {
                let had = self.get(key).is_some_and(|entry| entry.1.take().is_some());
                format!(":{}", i32::from(had))
            }
            "RENAME" => {
                if !found {
                    return "-ERR no such key".to_string();
                }
                if let Some(entry) = self.keys.remove(key) {
                    self.keys.insert(word(2).to_string(), entry);
                }
                "+OK".to_string()
            }
            "COPY" => {
                let is_copied = found && key != word(2) && self.get(word(2)).is_none();
                if key == word(2) {
                    return "-ERR source and destination objects are the same".to_string();
                }
                if is_copied {
                    let entry = self.keys[key].clone();
                    self.keys.insert(word(2).to_string(), entry);
                }
                format!(":{}", i32::from(is_copied))
            }
            other => panic!("the model knows no {other}"),
        }
    }
}

fn random_text(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => String::new(),
        1 => rng.below(20).to_string(),
        2 => (rng.next_u64() as i64).to_string(),
        3 => "a".repeat(rng.below(44) as usize + 1),
        4 => "b".repeat(rng.below(400) as usize),
        _ => format!("0{}", rng.below(100)),
    }
}

fn random_request(rng: &mut Rng) -> Vec<String> {
    let key = |rng: &mut Rng| format!("key:{}", rng.below(40));
    let first = key(rng);
    let text = random_text(rng);
    let span = |rng: &mut Rng| (rng.below(80) as i64 - 10).to_string();
    let index = |rng: &mut Rng| (rng.below(60) as i64 - 30).to_string();
    match rng.below(20) {
        0..3 => vec!["GET".into(), first],
        3..5 => vec!["SET".into(), first, text],
        5 => vec![
            "SET".into(),
            first,
            text,
            "PX".into(),
            (rng.below(60) + 1).to_string(),
        ],
        6 => {
            let option = ["NX", "XX", "KEEPTTL"][rng.below(3) as usize];
            vec!["SET".into(), first, text, option.into()]
        }
        7 => vec!["GETSET".into(), first, text],
        8 => vec!["GETDEL".into(), first],
        9 => vec![["DEL", "EXISTS"][rng.below(2) as usize].into(), first],
        10 => vec!["APPEND".into(), first, text],
        11 => vec!["STRLEN".into(), first],
        12 => vec!["SETRANGE".into(), first, rng.below(100).to_string(), text],
        13 => vec!["GETRANGE".into(), first, index(rng), index(rng)],
        14 => vec!["INCRBY".into(), first, index(rng)],
        15 => vec!["PEXPIRE".into(), first, span(rng)],
        16 => {
            let rule = ["NX", "XX", "GT", "LT"][rng.below(4) as usize];
            vec!["PEXPIRE".into(), first, span(rng), rule.into()]
        }
        17 => vec![["PTTL", "PERSIST"][rng.below(2) as usize].into(), first],
        18 => vec!["RENAME".into(), first, key(rng)],
        _ => vec!["COPY".into(), first, key(rng)],
    }
}

/// 20 seeds of 5,000 requests, time moving in between; the expire cycle runs at random and must not be seen.
#[test]
fn random_commands_answer_as_the_model_does() {
    for seed in 0..20 {
        let mut runner = Runner::new(seed);
        let mut rng = Rng::with_seed(seed);
        let mut model = Model {
            now_ms: runner.keys.now_ms(),
            ..Model::default()
        };
        for step in 0..5000 {
            if rng.below(5) == 0 {
                runner.wait(rng.below(20) as i64);
                model.now_ms = runner.keys.now_ms();
            }
            if rng.below(10) == 0 {
                runner.keys.expire_cycle(rng.below(100) as usize);
            }
            let words = random_request(&mut rng);
            let got = reply_lines(&runner.run(&words))
                .join(" ")
                .replace("\\x00", "\0");
            let want = model.answer(&words);
            assert_eq!(got, want, "SEED={seed} step {step}: {words:?}");
        }
        let count = runner.keys.keys_count(0);
        let alive = model.keys.len();
        assert!(count <= 40 && alive <= 40, "SEED={seed}");
    }
}
