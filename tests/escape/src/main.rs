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

use report::Report;

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
        "batch" => batch(),
        id => run(id, &rest),
    }
}

fn run(id: &str, args: &[String]) -> ExitCode {
    match attempt(id, args) {
        Ok(report) => {
            print(&format!("{}\n", report.json(id)));
            ExitCode::from(report.exit_code())
        }
        Err(message) => usage(&message),
    }
}

/// Lines of `ACT ARGS...` separated by tabs on standard input; a report for each, in their order. One start of the
/// program (and so one entry into a cell) then serves many acts.
fn batch() -> ExitCode {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let Some((id, args)) = words.split_first() else { continue };
        let report = attempt(id, args).unwrap_or_else(Report::error);
        print(&format!("{}\n", report.json(id)));
    }
    ExitCode::SUCCESS
}

/// The act's report, or what was wrong with the words.
fn attempt(id: &str, args: &[String]) -> Result<Report, String> {
    let act = table::find(id).ok_or_else(|| format!("no act {id:?}; {USAGE}"))?;
    if !act.takes(args.len()) {
        return Err(format!("usage: escape-probe {} {}", act.id, act.args));
    }
    Ok(supervise::run(act, args))
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
