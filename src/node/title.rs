//! The process title: what `ps` shows in place of the command line, as `proc-title-template` says.
//!
//! Promises  nothing but the bytes of the command line's own words is written over; a title that is longer is cut, and what is
//!           shorter is followed by zeros.
//! Source    proc_pid_stat(5): `arg_start` and `arg_end`; Redis's redis.conf, for the variables.
//! Tests     tests/node/title.rs; a real server in tests/server/config.rs.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use super::options::Options;

/// What the template's variables stand for.
pub struct Subject<'o> {
    /// The first word of the command line.
    pub program: &'o str,
    /// Empty for none.
    pub config_file: &'o str,
    /// Everything else.
    pub options: &'o Options,
}

/// The program's name, the configuration file, and where the command line's words are: as they were at the start.
static START: OnceLock<(String, String, std::ops::Range<u64>)> = OnceLock::new();

/// Remembers the start and shows the first title, where `set-proc-title` wants one. Once, before other threads are.
///
/// Errors: what the operating system says; then there is no title.
pub fn begin(options: &Options, config_file: &str) -> io::Result<()> {
    if !options.is_held("set-proc-title", "yes") {
        return Ok(());
    }
    let words = words_place(&fs::read_to_string("/proc/self/stat")?)
        .ok_or_else(|| io::Error::other("/proc/self/stat does not say where the words are"))?;
    let program = std::env::args_os().next().unwrap_or_default();
    let program = program.to_string_lossy().into_owned();
    START.get_or_init(|| (program, config_file.to_string(), words));
    show(options)
}

/// Shows the title of these options, where there is one at all.
///
/// Errors: what the operating system says.
pub fn show(options: &Options) -> io::Result<()> {
    let Some((program, config_file, words)) = START.get() else {
        return Ok(());
    };
    let subject = Subject {
        program,
        config_file,
        options,
    };
    let template = options.held_text("proc-title-template");
    let mut title = render(&template, &subject).unwrap_or_default().into_bytes();
    let Some(room) = (words.end - words.start).checked_sub(1) else {
        return Ok(());
    };
    // One zero at the end: whoever reads the words finds their end.
    title.resize(room as usize, 0);
    title.push(0);
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&title, words.start)
}

/// Where the words of the command line are, from the text of `/proc/self/stat`.
pub fn words_place(stat: &str) -> Option<std::ops::Range<u64>> {
    // The name, which is the second field, may have spaces and parentheses of its own.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(45);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (start < end).then_some(start..end)
}

/// The title, without spaces at its ends; `{{` is a brace. None where the template has an unknown variable or one without end.
pub fn render(template: &str, subject: &Subject<'_>) -> Option<String> {
    let options = subject.options;
    let mut title = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        title.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            title.push('{');
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}')?;
        rest = after;
        match name {
            "title" => title.push_str(subject.program),
            "listen-addr" => title.push_str(&listening_at(options)),
            // Neither a cluster's nor a sentinel.
            "server-mode" => {}
            "port" => title.push_str(&options.port.to_string()),
            "tls-port" => title.push_str(&options.held_text("tls-port")),
            "unixsocket" => title.push_str(&options.unixsocket),
            "config-file" if subject.config_file.is_empty() => title.push('-'),
            "config-file" => title.push_str(subject.config_file),
            _ => return None,
        }
    }
    title.push_str(rest);
    Some(title.trim_matches(' ').to_string())
}

/// Whether titles can be made of it that say something beside the program's name.
pub fn is_template(template: &str, options: &Options) -> bool {
    let subject = Subject {
        program: "",
        config_file: "",
        options,
    };
    render(template, &subject).is_some_and(|title| !title.is_empty())
}

fn listening_at(options: &Options) -> String {
    let port = match options.port {
        0 => options.held_number("tls-port"),
        port => port,
    };
    if port == 0 {
        return options.unixsocket.clone();
    }
    let address = options.bind.first().map_or("*", String::as_str);
    format!("{address}:{port}")
}
