//! LOLWUT: a drawing, for nothing at all.

use super::CommandError;
use super::identity::{REDIS_VERSION, RONDO_VERSION};
use super::row::ROW;
use super::session::{Action, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::base::number::parse_i64;
use crate::resp::{Args, Reply};
use std::fmt::Write;

const WIDTH: i32 = 64;
const HEIGHT: i32 = 20;

/// `LOLWUT [VERSION version]`: dancers on rings, at another place each time.
fn lolwut(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    if args.len() >= 3 && args.is(1, "VERSION") {
        // Every version draws the same: there is only one dance.
        parse_i64(args.get(2)).ok_or(CommandError::NotInteger)?;
    }
    let mut text = draw(call.now_us);
    let _ = write!(
        text,
        "\nRound and round they go.\nRedis ver. {REDIS_VERSION} (rondo {RONDO_VERSION})\n"
    );
    reply.verbatim(b"txt", text.as_bytes());
    Ok(Action::Done)
}

/// Rings around the middle, with a few dancers at angles that `seed` decides.
fn draw(seed: i64) -> String {
    let turn = (seed % 6_283_185) as f64 / 1e6;
    let mut text = String::new();
    for row in 0..HEIGHT {
        let line: String = (0..WIDTH).map(|column| cell(column, row, turn)).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(column: i32, row: i32, turn: f64) -> char {
    let x = f64::from(column - WIDTH / 2) / 2.0;
    let y = f64::from(row - HEIGHT / 2);
    let radius = x.hypot(y);
    let ring = (radius / 3.0).round();
    if !(1.0..=3.0).contains(&ring) || (radius - ring * 3.0).abs() > 0.55 {
        return ' ';
    }
    // Each ring turns the other way, with as many dancers as its number times three.
    let direction = if ring as i32 % 2 == 0 { 1.0 } else { -1.0 };
    let step = std::f64::consts::TAU / (ring * 3.0);
    let phase = (y.atan2(x) + turn * direction).rem_euclid(step) / step;
    if phase < 0.25 { 'o' } else { '.' }
}

/// The row.
pub const COMMANDS: &[Command] = &[Command {
    name: "LOLWUT",
    since: "5.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.or(Flags::FAST),
    spread: Spread::AnyCore,
    args: "[VERSION version:integer]",
    summary: "Draws something.",
    cost: "",
    run: Run::Session(lolwut),
    ..ROW
}];
