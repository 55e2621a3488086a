//! What exporters and dashboards ask, with the shape of each answer as they take it apart: `dashboards.txt`.

use super::client::{Value, ok};
use super::harness::Server;

/// What an answer is to be; see the head of `dashboards.txt`.
#[derive(Debug)]
enum Shape {
    Integer,
    Text(Option<String>),
    Nothing,
    Error,
    Items(Vec<Shape>),
    List(Box<Shape>),
    Pairs(Box<Shape>),
    Lines(Vec<String>),
    Fields(Vec<String>),
    Either(Box<Shape>, Box<Shape>),
}

impl Shape {
    /// The shape a line ends with.
    fn parse(text: &str) -> Self {
        let text = text.replace('[', "[ ").replace(']', " ]");
        let mut words: Vec<&str> = text.split(' ').collect();
        let names = |words: &[&str]| words[1..].iter().map(|word| word.to_string()).collect();
        match words[..] {
            ["lines", ..] => return Self::Lines(names(&words)),
            ["fields", ..] => return Self::Fields(names(&words)),
            ["text", word] => return Self::Text(Some(word.to_string())),
            _ => words.reverse(),
        }
        let shape = Self::take(&mut words);
        assert!(words.is_empty(), "{text}: {words:?} is left");
        shape
    }

    /// Takes one shape from words that end with their first.
    fn take(words: &mut Vec<&str>) -> Self {
        match words.pop().expect("a shape") {
            "integer" => Self::Integer,
            "text" => Self::Text(None),
            "nothing" => Self::Nothing,
            "error" => Self::Error,
            "[" => {
                let mut items = Vec::new();
                while words.last() != Some(&"]") {
                    items.push(Self::take(words));
                }
                words.pop();
                Self::Items(items)
            }
            word @ ("list" | "pairs") => {
                assert_eq!(words.pop(), Some("of"));
                let of = Box::new(Self::take(words));
                match word {
                    "list" => Self::List(of),
                    _ => Self::Pairs(of),
                }
            }
            "either" => {
                let one = Box::new(Self::take(words));
                assert_eq!(words.pop(), Some("or"));
                Self::Either(one, Box::new(Self::take(words)))
            }
            word => panic!("no shape: {word}"),
        }
    }

    /// What is not as it must be in this answer; none where all of it is.
    fn mistake(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Integer, Value::Integer(_))
            | (Self::Nothing, Value::Null)
            | (Self::Error, Value::Error(_))
            | (Self::Text(None), Value::Simple(_) | Value::Bulk(_)) => None,
            (Self::Text(Some(text)), Value::Simple(_) | Value::Bulk(_))
                if value.text() == *text =>
            {
                None
            }
            (Self::Items(shapes), Value::Array(items)) if shapes.len() == items.len() => {
                let mut pairs = shapes.iter().zip(items);
                pairs.find_map(|(shape, item)| shape.mistake(item))
            }
            (Self::List(of), Value::Array(items)) => items.iter().find_map(|item| of.mistake(item)),
            (Self::Pairs(of), Value::Array(items)) if items.len() % 2 == 0 && !items.is_empty() => {
                let mut pairs = items.chunks(2);
                pairs.find_map(|pair| {
                    Self::Text(None)
                        .mistake(&pair[0])
                        .or_else(|| of.mistake(&pair[1]))
                })
            }
            (Self::Lines(names), Value::Bulk(_)) => {
                let text = value.text();
                let has = |name: &String| {
                    let start = match name.contains(':') {
                        true => name.clone(),
                        false => format!("{name}:"),
                    };
                    text.split("\r\n").any(|line| line.starts_with(&start))
                };
                let missing = names.iter().find(|name| !has(name));
                missing.map(|name| format!("no line {name}"))
            }
            (Self::Fields(names), Value::Bulk(_)) => {
                let text = value.text();
                text.lines().find_map(|line| {
                    let has = |name: &&String| {
                        let start = format!("{name}=");
                        line.split(' ').any(|field| field.starts_with(&start))
                    };
                    let missing = names.iter().find(|name| !has(name));
                    missing.map(|name| format!("no {name} in {line}"))
                })
            }
            (Self::Either(one, other), _) => one.mistake(value).and(other.mistake(value)),
            _ => Some(format!("{value:?} is not {self:?}")),
        }
    }
}

/// Keys of all types, a slow call and an error, then everything that is asked.
#[test]
fn answers_have_the_shape_that_is_taken_apart() {
    for threads in [1, 4] {
        let server = Server::start(threads, &["--latency-monitor-threshold", "1"]);
        let mut client = server.client();
        for line in [
            "SET string value",
            "RPUSH list a b",
            "SADD set a b",
            "ZADD zset 1 a",
            "HSET hash f v",
            "PFADD hyperloglog a",
            "XADD stream 1-1 f v",
            "XGROUP CREATE stream group 0",
            "XREADGROUP GROUP group one STREAMS stream >",
            "CONFIG SET slowlog-log-slower-than 0",
            "GET string",
        ] {
            let reply = client.ask(line);
            assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        }
        assert!(matches!(client.ask("GET list"), Value::Error(_)));
        assert_eq!(client.ask("CONFIG SET slowlog-log-slower-than 10000"), ok());
        let lines = include_str!("dashboards.txt").lines();
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut asked_count = 0;
        for line in lines {
            let (request, wanted) = line.split_once(" -> ").expect("a request and a shape");
            let mistake = Shape::parse(wanted).mistake(&client.ask(request));
            assert_eq!(mistake, None, "{request}, {threads} threads");
            asked_count += 1;
        }
        assert!(asked_count > 60, "{asked_count}");
    }
}
