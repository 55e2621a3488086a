//! rondo: flags to options, serve, exit.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use rondo::node::cli::{Stop, from_command_line};
use rondo::node::tools::READER_GONE;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.into_string());
    let words: Vec<String> = match words.collect() {
        Ok(words) => words,
        // A password, say, that nobody could spell.
        Err(word) => return fail(&format!("an argument is no UTF-8: {}", word.display())),
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match from_command_line(&words, environment, &mut std::io::stdin()) {
        Ok(start) => rondo::node::serve(start.options, &start.config_file),
        Err(Stop::Told(text)) => {
            // A reader that has gone (`rondo --help | head`) is no failure.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Found(text)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::FAILURE
        }
        Err(Stop::Tool(tool)) => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let done = tool.run(&mut out);
            let flushed = out
                .flush()
                .map_err(|error| format!("cannot write: {error}"));
            match done.and_then(|status| flushed.map(|()| status)) {
                Ok(status) => ExitCode::from(status),
                // `rondo dump DIR | head`.
                Err(text) if text == READER_GONE => ExitCode::FAILURE,
                Err(text) => fail(&text),
            }
        }
        Err(Stop::Failed(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("rondo: {text}");
    ExitCode::FAILURE
}
