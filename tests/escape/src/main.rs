//! `escape-probe ACT [ARGS]` tries one forbidden act for real and says in one line of JSON how it ended.
//!
//! Run inside a cell the act must be blocked; run outside, or on a target of its own, it must succeed, which shows
//! that it can be told apart. Everything is bounded: no act runs longer than a minute or leaves anything behind
//! unless its sentence says so. Exit status: 0 the act SUCCEEDED, 10 blocked, 2 usage, 3 could not be tried.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the ways a child can end are the kernel's list: those an act does not name are told alike, as not tried"
)]

mod act;
mod acts;
mod bytes;
mod hold;
mod report;
mod supervise;
mod sys;
mod table;

use std::io::Write as _;
use std::process::ExitCode;

const USAGE: &str =
    "usage: escape-probe ACT [ARGS...] | list [--json] | hold KIND ARGS... (escape-probe list shows all)";
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(word) = args.next() else { return usage(USAGE) };
    let rest: Vec<String> = args.collect();
    match word.as_str() {
        "list" => print(&table::list(rest.first().is_some_and(|flag| flag == "--json"))),
        "hold" => match hold::hold(&rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => usage(&message),
        },
        id => run(id, &rest),
    }
}

fn run(id: &str, args: &[String]) -> ExitCode {
    let Some(act) = table::find(id) else { return usage(&format!("no act {id:?}; {USAGE}")) };
    if !act.takes(args.len()) {
        return usage(&format!("usage: escape-probe {} {}", act.id, act.args));
    }
    let report = supervise::run(act, args);
    print(&format!("{}\n", report.json(act.id)));
    ExitCode::from(report.exit_code())
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(3),
    }
}

fn usage(message: &str) -> ExitCode {
    writeln!(std::io::stderr(), "escape-probe: {message}").unwrap_or_default();
    ExitCode::from(EXIT_USAGE)
}
