//! rondo: flags to options, serve, exit.

use std::io::Write;
use std::process::ExitCode;

use rondo::node::cli::{Stop, from_command_line};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match from_command_line(&words, &mut std::io::stdin()) {
        Ok(start) => match rondo::node::serve(start.options, &start.config_file) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => fail(&text),
        },
        Err(Stop::Told(text)) => {
            // A reader that has gone (`rondo --help | head`) is no failure.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
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
