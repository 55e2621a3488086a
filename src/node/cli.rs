//! The command line: `rondo [FILE] [--option value ...]`, as redis-server reads it.
//!
//! ```text
//! rondo redis.conf --port 7777 --save "" --bind 10.0.0.1 ::1
//! echo 'port 7777' | rondo -
//! ```
//!
//! Options become lines after the file's, so the last word wins. A value ends at the next word that begins with `--`. In between
//! come variables of the environment: `RONDO_MAXCLIENTS=100` says `maxclients 100`, for containers that are configured that way.
//!
//! Promises  nothing is printed and nothing is opened here but the configuration files: the caller prints and exits.
//! Not here  what an option means: `node/options.rs`.
//! Tests     tests/node/cli.rs.

use super::config_file::{ConfigError, apply_text, read_files};
use super::option_values::{quote, split_words};
use super::options::{Options, Topic, find, specs};
use super::tools::{Tool, USAGE};
use crate::commands::identity::{REDIS_VERSION, RONDO_VERSION};
use std::io::Read;

/// What to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Every option, `threads` and `hz` resolved.
    pub options: Options,
    /// The configuration file as an absolute path, empty for none.
    pub config_file: String,
}

/// Why nothing is started.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// Print this to standard output and exit 0.
    Told(String),
    /// Print this to standard error and exit 1.
    Failed(String),
    /// Print this to standard output and exit 1: what was found is a problem.
    Found(String),
    /// Do this instead, printing to standard output.
    Tool(Tool),
}

/// Reads the command line, the file it names, the environment and, where a word is `-`, standard input.
///
/// - `words`: without the program's name.
/// - `environment`: all variables, by name.
pub fn from_command_line(
    words: &[String],
    environment: impl Iterator<Item = (String, String)>,
    input: &mut dyn Read,
) -> Result<Start, Stop> {
    match words.first().map(String::as_str) {
        Some("-v" | "--version") => return Err(Stop::Told(version())),
        Some("-h" | "--help") => return Err(Stop::Told(help())),
        Some(name) if asks_for_help(&words[1..]) => {
            if let Some(usage) = usage_of(name) {
                return Err(Stop::Told(usage.to_string()));
            }
        }
        Some("doctor") if words.len() > 2 => {
            return Err(Stop::Failed(USAGE_OF_DOCTOR.to_string()));
        }
        Some("doctor") => return Err(examine_host(words.get(1))),
        _ => {}
    }
    match Tool::from_words(words) {
        Some(Ok(tool)) => return Err(Stop::Tool(tool)),
        Some(Err(usage)) => return Err(Stop::Failed(usage)),
        None => {}
    }
    let check_only = words.iter().any(|word| word == CHECK_CONFIG);
    let mut words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != CHECK_CONFIG)
        .collect();
    let mut text = String::new();
    let mut config_file = String::new();
    if let Some(path) = words.first().copied().filter(|word| !word.starts_with('-')) {
        words.remove(0);
        text = read_files(path).map_err(failed)?;
        config_file = match std::path::absolute(path) {
            Ok(absolute) => absolute.display().to_string(),
            Err(_) => path.to_string(),
        };
    }
    let (lines, reads_input) = option_lines(&words);
    if reads_input {
        input
            .read_to_string(&mut text)
            .map_err(|error| Stop::Failed(format!("Can't read standard input: {error}")))?;
    }
    text.push('\n');
    text.push_str(&environment_lines(environment)?);
    text.push_str(&lines);
    let mut options = Options::default();
    apply_text(&mut options, &text).map_err(failed)?;
    if options.threads == 0 {
        options.threads = threads_unless_said(&options);
    }
    if reads_input && options.is_held("daemonize", "yes") {
        return Err(Stop::Failed(
            "daemonize needs its configuration in a file: standard input cannot be read twice"
                .to_string(),
        ));
    }
    if check_only {
        super::acl::users_at_start(&options).map_err(Stop::Failed)?;
        super::settings::enter_dir(&mut options)
            .map_err(|reason| Stop::Failed(format!("dir {}: {reason}", options.dir)))?;
        super::tls::config(&options).map_err(Stop::Failed)?;
        return Err(Stop::Told("The configuration is good.".to_string()));
    }
    Ok(Start {
        options,
        config_file,
    })
}

/// `rondo doctor [DIR]`.
fn examine_host(dir: Option<&String>) -> Stop {
    let dir = dir.map_or(".", String::as_str);
    match super::doctor::report(std::path::Path::new(dir)) {
        (text, true) => Stop::Told(text),
        (text, false) => Stop::Found(text),
    }
}

const USAGE_OF_DOCTOR: &str =
    "usage: rondo doctor [DIR]   what to change on this host, and on the disk of DIR, and why";
const CHECK_CONFIG: &str = "--check-config";

fn failed(error: ConfigError) -> Stop {
    Stop::Failed(error.to_string())
}

/// Shards where `threads` is not given: what `io-threads` says if that is more than one, else one for each core there is.
pub fn threads_unless_said(options: &Options) -> i64 {
    let cpus = options.server_cpus();
    match options.held_number("io-threads") {
        ..=1 if cpus.is_empty() => threads_available(),
        ..=1 => cpus.len() as i64,
        count => count,
    }
}

const VARIABLE_PREFIX: &str = "RONDO_";

/// Variables as configuration lines, in order of their names.
///
/// Errors: a variable with the prefix whose rest is no option's name.
fn environment_lines(environment: impl Iterator<Item = (String, String)>) -> Result<String, Stop> {
    let mut said: Vec<(String, String)> = environment
        .filter(|(name, value)| {
            let rest = name.strip_prefix(VARIABLE_PREFIX);
            rest.is_some_and(|rest| !is_of_service(rest, value))
        })
        .collect();
    said.sort();
    let mut lines = String::new();
    for (variable, value) in said {
        let name = variable[VARIABLE_PREFIX.len()..]
            .to_ascii_lowercase()
            .replace('_', "-");
        if find(name.as_bytes()).is_none() {
            return Err(Stop::Failed(format!(
                "{variable}: there is no option '{name}'"
            )));
        }
        lines.push_str(&format!("{name} {}\n", quoted(&value)));
    }
    Ok(lines)
}

/// Whether it tells of a service whose name begins with `rondo`: Kubernetes and Docker give such variables to whoever could ask that.
fn is_of_service(rest: &str, value: &str) -> bool {
    let ends_with = |word: &str| {
        let before = rest.strip_suffix(word);
        before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
    };
    // What a linked container is called, and its own variables.
    let is_link = ends_with("NAME") && value.starts_with('/')
        || rest.starts_with("ENV_")
        || rest.contains("_ENV_");
    let is_port = ends_with("PORT") && value.contains("://");
    let mut protocols = ["_TCP", "_UDP", "_SCTP"].into_iter();
    let is_of_port = rest.contains("PORT_") && protocols.any(|protocol| rest.contains(protocol));
    is_link || is_port || is_of_port || ends_with("SERVICE_HOST") || rest.contains("SERVICE_PORT")
}

/// Cores the process may run on, by affinity and by its control group's quota, at most 1,024.
pub fn threads_available() -> i64 {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(1024) as i64)
}

/// The options as configuration lines, and whether standard input is to be read.
fn option_lines(words: &[&str]) -> (String, bool) {
    let mut lines = String::new();
    let mut reads_input = false;
    // An option's first value may begin with `--`; after it such a word is the next option.
    let mut has_value = true;
    for (index, word) in words.iter().enumerate() {
        let is_last = index + 1 == words.len();
        if *word == "-" && (index == 0 || is_last) {
            reads_input = true;
        } else if let Some(option) = word.strip_prefix("--").filter(|_| has_value) {
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(option);
            lines.push(' ');
            has_value = split_words(word.as_bytes()).is_none_or(|parts| parts.len() != 1);
            let next_is_option = words
                .get(index + 1)
                .is_some_and(|next| next.starts_with("--"));
            if word.eq_ignore_ascii_case("--save") && (is_last || next_is_option) {
                // Scripts that build a command line from an empty list leave `--save` without a value.
                lines.push_str("\"\"");
                has_value = true;
            }
        } else {
            lines.push_str(&quoted(word));
            lines.push(' ');
            has_value = true;
        }
    }
    (lines, reads_input)
}

/// In double quotes always, as error messages of redis-server show it.
fn quoted(word: &str) -> String {
    let text = quote(word);
    if text.starts_with('"') {
        text
    } else {
        format!("\"{text}\"")
    }
}

/// As `redis-server -v` tells it: harnesses of clients take the release of Redis from behind `v=`, or the first number.
fn version() -> String {
    format!(
        "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits={} build={:x} rondo={RONDO_VERSION}",
        usize::BITS,
        super::report::build_id()
    )
}

fn asks_for_help(words: &[String]) -> bool {
    words.iter().any(|word| word == "-h" || word == "--help")
}

/// How a tool of that name is used.
fn usage_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "check" | "dump" | "import" => USAGE,
        "doctor" => USAGE_OF_DOCTOR,
        _ => return None,
    })
}

fn help() -> String {
    let mut command = clap::Command::new("rondo")
        .about("A Redis-compatible data structure server that uses every core")
        .override_usage(
            "rondo [FILE] [--option value ...]\n       rondo - [--option value ...]\n       rondo doctor [DIR]   what to change \
             on this host, and why\n       rondo check PATH [--fix] [--replay [--threads N]]   whether logs and RDB files are whole\n       \
             rondo dump PATH   a log's records, readable\n       rondo import FROM DIR   Redis's append-only or RDB file becomes \
             the log in DIR",
        )
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(
            clap::Arg::new("FILE")
                .help("configuration file in redis.conf's format; - reads standard input"),
        )
        .next_help_heading("Program")
        .arg(switch("help", "print this and exit").short('h'))
        .arg(switch("version", "print the version and exit").short('v'))
        .arg(switch(
            "check-config",
            "read the configuration, say whether it is good, and exit",
        ));
    for (topic, heading) in [
        (Topic::Network, "Network"),
        (Topic::Threads, "Threads"),
        (Topic::General, "General"),
        (Topic::Security, "Security"),
        (Topic::Limits, "Limits"),
        (Topic::Memory, "Memory"),
        (Topic::Persistence, "Persistence"),
    ] {
        command = command.next_help_heading(heading);
        for spec in specs().filter(|spec| spec.topic == topic && !spec.help.is_empty()) {
            let help = match spec.default {
                "" => spec.help.to_string(),
                default => format!("{} [{default}]", spec.help),
            };
            command = command.arg(
                clap::Arg::new(spec.name)
                    .long(spec.name)
                    .value_name("VALUE")
                    .help(help),
            );
        }
    }
    command
        .after_help(format!(
            "Every option of redis.conf may be given; CONFIG GET * lists them, but for lines of users (user) and of other names for \
             commands (rename-command). The environment may say the same: \
             RONDO_MAXCLIENTS=100 is --maxclients 100.\n\nTaken from redis.conf, and without effect:\n{}",
            idle_options()
        ))
        .render_help()
        .to_string()
}

/// The options without effect, together where the reason is the same.
fn idle_options() -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for spec in specs().filter(|spec| !spec.idle.is_empty() && !spec.hidden) {
        match groups.iter_mut().find(|(why, _)| *why == spec.idle) {
            Some((_, names)) => names.push(spec.name),
            None => groups.push((spec.idle, vec![spec.name])),
        }
    }
    let lines = groups
        .iter()
        .map(|(why, names)| format!("  {}\n          {why}\n", names.join(", ")));
    lines.collect()
}

fn switch(name: &'static str, help: &'static str) -> clap::Arg {
    clap::Arg::new(name)
        .long(name)
        .help(help)
        .action(clap::ArgAction::SetTrue)
}
