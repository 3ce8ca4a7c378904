//! `egress …`: what tenants may reach, shown and changed.

pub(crate) mod change;
mod explain;
mod learn;
mod list;
pub(crate) mod preset;
pub(crate) mod spec;

use std::path::PathBuf;

use model::Exit;
use policy::{Document, Hosts, Problem, Refused};
use serde::Serialize;

use crate::apply::read;
use crate::cli::EgressVerb;
use crate::failure::Ended;
use crate::output::clean_lines;
use crate::session::Session;

/// Carries one of the verbs out.
pub(crate) async fn egress(session: &mut Session, verb: EgressVerb) -> Ended {
    match verb {
        EgressVerb::List { tenant } => list::list(session, &tenant).await,
        EgressVerb::Check { files } => check(session, &files),
        EgressVerb::Explain(arguments) => explain::explain(session, &arguments).await,
        EgressVerb::Preset(verb) => preset::preset(session, verb).await,
        EgressVerb::Set(arguments) => change::set(session, &arguments).await,
        EgressVerb::Learn(arguments) => learn::learn(session, &arguments).await,
        EgressVerb::Bind(arguments) => change::bind(session, &arguments).await,
        EgressVerb::Unbind(arguments) => change::unbind(session, &arguments).await,
    }
}

/// One document and what was found.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    problems: Vec<Problem>,
    notices: Vec<Problem>,
    /// Why it could not be read; null when it was.
    error: Option<String>,
}

fn check(session: &mut Session, files: &[PathBuf]) -> Ended {
    let (mut report, mut unread) = (Vec::new(), None);
    for path in files {
        let (file, text) = match read(session, path) {
            Ok(read) => read,
            Err(failure) => {
                unread = unread.or(Some(failure.code()));
                session.complain(&failure)?;
                let (file, error) = (path.display().to_string(), Some(failure.to_string()));
                report.push(Checked { file, error, ok: false, problems: Vec::new(), notices: Vec::new() });
                continue;
            }
        };
        // Hosts that presets take from a machine's configuration are another machine's matter.
        let (ok, problems, notices) = match Document::parse(&file, &text, &Hosts::Unknown) {
            Ok(document) => (true, Vec::new(), document.notices),
            Err(Refused(problems)) => (false, problems, Vec::new()),
        };
        report.push(Checked { file, ok, problems, notices, error: None });
    }
    session.print(&report, |_| clean_lines(&shown(&report)))?;
    let sound = report.iter().all(|checked| checked.ok);
    Ok(unread.unwrap_or(if sound { Exit::Ok } else { Exit::Data }.code()))
}

fn shown(report: &[Checked]) -> String {
    let mut text = String::new();
    for checked in report {
        for problem in &checked.problems {
            text += &format!("{problem}\n");
        }
        if report.len() > 1 && checked.error.is_none() {
            let word = if checked.ok { "sound" } else { "not sound" };
            text += &format!("{}: {word}\n", checked.file);
        }
        for Problem { file, mark, what, .. } in &checked.notices {
            text += &format!("{file}:{}:{}: note: {what}\n", mark.line, mark.column);
        }
    }
    let read = report.iter().filter(|checked| checked.error.is_none()).count();
    let sound = report.iter().filter(|checked| checked.ok).count();
    match (sound, read) {
        (_, 0) => text,
        (1, 1) => text + "1 document is sound.\n",
        (0, 1) => text + "The document is not sound.\n",
        (sound, all) if sound == all => text + &format!("{all} documents are sound.\n"),
        (sound, all) => text + &format!("{} of {all} documents are not sound.\n", all - sound),
    }
}
