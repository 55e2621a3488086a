//! Regular expressions: POSIX's extended ones over bytes, and whether a text has a match anywhere.
//!
//!     a|b  ab  a* a+ a? a{2,5}  (a)  .  [a-z[:digit:]]  ^ $  \w \W \d \D \s \S \b \B \< \>  \n \t \r \f \a \e  \*
//!
//! Promises  a text is walked once with the set of states it may be in (K. Thompson, 1968): the cost is its length times that
//!           of the program, whatever the expression; programs are bounded. No recursion deeper than [`DEPTH_MAX`] groups, each with
//!           [`QUANTIFIERS_MAX`] repetitions around it.
//! Not here  groups that are read back, references to them: the first is of no use here, the second is refused.
//! Source    POSIX.1-2017, 9.4; the documentation of TRE for what it adds.
//! Tests     tests/base/regex.rs; fuzz/fuzz_targets/regex.rs.

/// Groups within groups.
const DEPTH_MAX: usize = 100;
/// Repetitions of repetitions.
const QUANTIFIERS_MAX: usize = 16;
/// Steps of a program, and parts of an expression: those that say nothing make no step.
const STEPS_MAX: usize = 4096;
const TOO_LARGE: &str = "too large";
/// The highest number in a repetition.
const REPEATS_MAX: u32 = 255;

/// A set of bytes.
type Set = [u64; 4];

/// Where something must be, rather than what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    End,
    WordEdge,
    NoWordEdge,
    WordStart,
    WordEnd,
}

/// What an expression is made of.
enum Node {
    Empty,
    Byte(Set),
    Place(Place),
    All(Vec<Node>),
    Any(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
    },
}

/// A step of a program.
#[derive(Clone, Copy)]
enum Step {
    Byte(Set),
    Place(Place),
    Go(u32),
    Both(u32, u32),
    Done,
}

/// An expression, ready to be matched.
pub struct Regex {
    steps: Vec<Step>,
}

impl Regex {
    /// Reads an expression.
    ///
    /// - Errors: why it is none, in a few words.
    pub fn new(pattern: &[u8], ignore_case: bool) -> Result<Self, &'static str> {
        let mut parser = Parser {
            pattern,
            at: 0,
            parts_left: STEPS_MAX,
            ignore_case,
        };
        let node = parser.alternatives(0)?;
        let mut regex = Self { steps: Vec::new() };
        regex.compile(&node)?;
        regex.push(Step::Done)?;
        Ok(regex)
    }

    /// Whether a part of `text`, perhaps an empty one, is what the expression says.
    pub fn is_match(&self, text: &[u8]) -> bool {
        let mut walk = Walk {
            steps: &self.steps,
            text,
            states: Vec::with_capacity(self.steps.len()),
            seen: vec![usize::MAX; self.steps.len()],
            stack: Vec::new(),
        };
        let mut bytes_of_states: Vec<u32> = Vec::new();
        for at in 0..=text.len() {
            std::mem::swap(&mut bytes_of_states, &mut walk.states);
            walk.states.clear();
            if at > 0 {
                let byte = text[at - 1];
                for &state in &bytes_of_states {
                    if let Step::Byte(set) = &self.steps[state as usize]
                        && has(set, byte)
                        && walk.enter(state + 1, at)
                    {
                        return true;
                    }
                }
            }
            if walk.enter(0, at) {
                return true;
            }
        }
        false
    }

    fn push(&mut self, step: Step) -> Result<usize, &'static str> {
        if self.steps.len() == STEPS_MAX {
            return Err(TOO_LARGE);
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn here(&self) -> u32 {
        self.steps.len() as u32
    }

    fn compile(&mut self, node: &Node) -> Result<(), &'static str> {
        match node {
            Node::Empty => {}
            Node::Byte(set) => drop(self.push(Step::Byte(*set))?),
            Node::Place(place) => drop(self.push(Step::Place(*place))?),
            Node::All(nodes) => nodes.iter().try_for_each(|node| self.compile(node))?,
            Node::Any(nodes) => {
                let mut exits = Vec::new();
                for (index, node) in nodes.iter().enumerate() {
                    if index + 1 == nodes.len() {
                        self.compile(node)?;
                        break;
                    }
                    let fork = self.push(Step::Go(0))?;
                    self.compile(node)?;
                    exits.push(self.push(Step::Go(0))?);
                    self.steps[fork] = Step::Both(fork as u32 + 1, self.here());
                }
                let end = self.here();
                exits
                    .into_iter()
                    .for_each(|at| self.steps[at] = Step::Go(end));
            }
            Node::Repeat { node, min, max } => {
                for _ in 0..*min {
                    let before = self.here();
                    self.compile(node)?;
                    if self.here() == before {
                        break; // However often nothing is said, it says nothing.
                    }
                }
                match max {
                    None => {
                        let fork = self.push(Step::Go(0))?;
                        self.compile(node)?;
                        self.push(Step::Go(fork as u32))?;
                        self.steps[fork] = Step::Both(fork as u32 + 1, self.here());
                    }
                    Some(max) => {
                        let mut forks = Vec::new();
                        for _ in *min..*max {
                            forks.push(self.push(Step::Go(0))?);
                            self.compile(node)?;
                        }
                        let end = self.here();
                        for fork in forks {
                            self.steps[fork] = Step::Both(fork as u32 + 1, end);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// One text on its way through a program.
struct Walk<'a> {
    steps: &'a [Step],
    text: &'a [u8],
    /// Steps that wait for a byte.
    states: Vec<u32>,
    /// Where each step was entered last.
    seen: Vec<usize>,
    stack: Vec<u32>,
}

impl Walk<'_> {
    /// Enters a step, and all that follow without a byte; whether the end is among them.
    fn enter(&mut self, step: u32, at: usize) -> bool {
        self.stack.push(step);
        while let Some(step) = self.stack.pop() {
            if std::mem::replace(&mut self.seen[step as usize], at) == at {
                continue;
            }
            match self.steps[step as usize] {
                Step::Byte(_) => self.states.push(step),
                Step::Place(place) if is_at(place, self.text, at) => self.stack.push(step + 1),
                Step::Place(_) => {}
                Step::Go(to) => self.stack.push(to),
                Step::Both(one, other) => self.stack.extend([one, other]),
                Step::Done => return true,
            }
        }
        false
    }
}

fn is_at(place: Place, text: &[u8], at: usize) -> bool {
    let is_word = |index: usize| text.get(index).is_some_and(|byte| is_of_word(*byte));
    let (before, after) = (at > 0 && is_word(at - 1), is_word(at));
    match place {
        Place::Start => at == 0,
        Place::End => at == text.len(),
        Place::WordEdge => before != after,
        Place::NoWordEdge => before == after,
        Place::WordStart => !before && after,
        Place::WordEnd => before && !after,
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

fn set_of(is_in: impl Fn(u8) -> bool) -> Set {
    let mut set = [0; 4];
    (0..=255u8)
        .filter(|byte| is_in(*byte))
        .for_each(|byte| set[usize::from(byte >> 6)] |= 1 << (byte & 63));
    set
}

struct Parser<'p> {
    pattern: &'p [u8],
    at: usize,
    parts_left: usize,
    ignore_case: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn count_part(&mut self) -> Result<(), &'static str> {
        self.parts_left = self.parts_left.checked_sub(1).ok_or(TOO_LARGE)?;
        Ok(())
    }

    fn alternatives(&mut self, depth: usize) -> Result<Node, &'static str> {
        if depth > DEPTH_MAX {
            return Err("too many groups within groups");
        }
        let mut nodes = vec![self.sequence(depth)?];
        while self.takes(b'|') {
            self.count_part()?;
            nodes.push(self.sequence(depth)?);
        }
        Ok(Node::Any(nodes))
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, &'static str> {
        let mut nodes = Vec::new();
        loop {
            match self.peek() {
                None | Some(b'|') => break,
                Some(b')') if depth > 0 => break,
                _ => {}
            }
            let node = self.one(depth)?;
            nodes.push(self.repeated(node)?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self, depth: usize) -> Result<Node, &'static str> {
        let byte = self.take().ok_or("nothing where something must be")?;
        self.count_part()?;
        match byte {
            b'(' => {
                let node = self.alternatives(depth + 1)?;
                if !self.takes(b')') {
                    return Err("a parenthesis is not closed");
                }
                Ok(node)
            }
            b'*' | b'+' | b'?' | b'{' => Err("nothing to repeat"),
            b'.' => Ok(Node::Byte([u64::MAX; 4])),
            b'^' => Ok(Node::Place(Place::Start)),
            b'$' => Ok(Node::Place(Place::End)),
            b'[' => self.bracket().map(Node::Byte),
            b'\\' => self.escaped(),
            byte => Ok(self.byte(byte)),
        }
    }

    fn byte(&self, byte: u8) -> Node {
        Node::Byte(self.folded(set_of(|other| other == byte)))
    }

    fn folded(&self, set: Set) -> Set {
        match self.ignore_case {
            false => set,
            true => set_of(|byte| {
                has(&set, byte.to_ascii_lowercase()) || has(&set, byte.to_ascii_uppercase())
            }),
        }
    }

    fn escaped(&mut self) -> Result<Node, &'static str> {
        let byte = self.take().ok_or("a backslash at the end")?;
        let class = |is_in: fn(u8) -> bool| Ok(Node::Byte(set_of(is_in)));
        match byte {
            b'1'..=b'9' => Err("backreferences are not supported"),
            b'w' => class(is_of_word),
            b'W' => class(|byte| !is_of_word(byte)),
            b'd' => class(|byte| byte.is_ascii_digit()),
            b'D' => class(|byte| !byte.is_ascii_digit()),
            b's' => class(is_space),
            b'S' => class(|byte| !is_space(byte)),
            b'b' => Ok(Node::Place(Place::WordEdge)),
            b'B' => Ok(Node::Place(Place::NoWordEdge)),
            b'<' => Ok(Node::Place(Place::WordStart)),
            b'>' => Ok(Node::Place(Place::WordEnd)),
            b'n' => Ok(self.byte(b'\n')),
            b't' => Ok(self.byte(b'\t')),
            b'r' => Ok(self.byte(b'\r')),
            b'f' => Ok(self.byte(0x0c)),
            b'a' => Ok(self.byte(7)),
            b'e' => Ok(self.byte(0x1b)),
            byte if byte.is_ascii_alphanumeric() => Err("an escape that is not known"),
            byte => Ok(self.byte(byte)),
        }
    }

    fn repeated(&mut self, mut node: Node) -> Result<Node, &'static str> {
        for _ in 0..=QUANTIFIERS_MAX {
            let (min, max) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => {
                    self.at += 1;
                    let bounds = self.bounds()?;
                    // Left at the brace, as at the other signs.
                    self.at -= 1;
                    bounds
                }
                _ => return Ok(node),
            };
            self.at += 1;
            // "As few as possible" is the same question of yes or no.
            self.takes(b'?');
            node = match node {
                // However often nothing is said, it says nothing; and no loop without a byte is made.
                Node::Place(_) if min == 0 => Node::Empty,
                Node::Empty | Node::Place(_) => node,
                node => Node::Repeat {
                    node: Box::new(node),
                    min,
                    max,
                },
            };
        }
        Err("too many repetitions of repetitions")
    }

    /// `n}`, `n,}`, `,m}` or `n,m}`.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), &'static str> {
        let min = self.number()?;
        let max = match self.takes(b',') {
            true => self.number()?,
            false if min.is_none() => return Err("a repetition without a number"),
            false => min,
        };
        if !self.takes(b'}') {
            return Err("a repetition's brace is not closed");
        }
        let min = min.unwrap_or(0);
        match max {
            Some(max) if max < min => Err("a repetition that ends before it begins"),
            max => Ok((min, max)),
        }
    }

    fn number(&mut self) -> Result<Option<u32>, &'static str> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number * 10 + u32::from(digit - b'0');
            if number > REPEATS_MAX {
                return Err("a repetition above 255");
            }
            self.at += 1;
        }
        Ok((self.at > start).then_some(number))
    }

    /// What is between brackets; the first one is taken.
    fn bracket(&mut self) -> Result<Set, &'static str> {
        const OPEN: &str = "a bracket is not closed";
        let is_negated = self.takes(b'^');
        let mut set: Set = [0; 4];
        let mut is_first = true;
        loop {
            let byte = self.take().ok_or(OPEN)?;
            if byte == b']' && !is_first {
                break;
            }
            is_first = false;
            if byte == b'[' {
                match self.peek() {
                    Some(b':') => {
                        self.at += 1;
                        let class = self.class()?;
                        set.iter_mut()
                            .zip(class)
                            .for_each(|(own, other)| *own |= other);
                        continue;
                    }
                    Some(b'.' | b'=') => return Err("collating elements are not supported"),
                    _ => {}
                }
            }
            let is_range = self.peek() == Some(b'-')
                && self
                    .pattern
                    .get(self.at + 1)
                    .is_some_and(|next| *next != b']');
            let last = if is_range {
                self.at += 1;
                self.take().ok_or(OPEN)?
            } else {
                byte
            };
            if last < byte {
                return Err("a range that ends before it begins");
            }
            let range = set_of(|other| (byte..=last).contains(&other));
            set.iter_mut()
                .zip(range)
                .for_each(|(own, other)| *own |= other);
        }
        let set = self.folded(set);
        Ok(if is_negated {
            set.map(|bits| !bits)
        } else {
            set
        })
    }

    /// `name:]`
    fn class(&mut self) -> Result<Set, &'static str> {
        let rest = &self.pattern[self.at..];
        let end = rest.windows(2).position(|pair| pair == b":]");
        let name = &rest[..end.ok_or("a bracket is not closed")?];
        self.at += name.len() + 2;
        let is_in: fn(u8) -> bool = match name {
            b"alnum" => |byte| byte.is_ascii_alphanumeric(),
            b"alpha" => |byte| byte.is_ascii_alphabetic(),
            b"blank" => |byte| byte == b' ' || byte == b'\t',
            b"cntrl" => |byte| byte.is_ascii_control(),
            b"digit" => |byte| byte.is_ascii_digit(),
            b"graph" => |byte| byte.is_ascii_graphic(),
            b"lower" => |byte| byte.is_ascii_lowercase(),
            b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
            b"punct" => |byte| byte.is_ascii_punctuation(),
            b"space" => is_space,
            b"upper" => |byte| byte.is_ascii_uppercase(),
            b"xdigit" => |byte| byte.is_ascii_hexdigit(),
            _ => return Err("a class of characters that is not known"),
        };
        Ok(set_of(is_in))
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
