//! `egress check` and `egress explain`: policy documents, read and decided on here as the proxy would.

use std::path::{Path, PathBuf};

use model::Exit;
use policy::{
    Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Problem, Refused, Request, Target,
};
use serde::Serialize;

use crate::apply::read;
use crate::cli::{EgressVerb, QuestionArgs};
use crate::failure::{Ended, Failure};
use crate::output::clean_lines;
use crate::session::Session;

/// Carries one of the verbs out.
pub(crate) fn egress(session: &mut Session, verb: EgressVerb) -> Ended {
    match verb {
        EgressVerb::Check { files } => check(session, &files),
        EgressVerb::Explain(arguments) => explain(session, &arguments),
    }
}

/// One document and what was found.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    problems: Vec<Problem>,
    notices: Vec<Problem>,
}

fn check(session: &mut Session, files: &[PathBuf]) -> Ended {
    let mut report = Vec::new();
    for path in files {
        let (file, text) = read(session, path)?;
        // Hosts that presets take from a machine's configuration are another machine's matter.
        report.push(match Document::parse(&file, &text, &Hosts::Unknown) {
            Ok(document) => Checked { file, ok: true, problems: Vec::new(), notices: document.notices },
            Err(Refused(problems)) => Checked { file, ok: false, problems, notices: Vec::new() },
        });
    }
    session.print(&report, |_| clean_lines(&shown(&report)))?;
    let sound = report.iter().all(|checked| checked.ok);
    Ok(if sound { Exit::Ok } else { Exit::Data }.code())
}

fn shown(report: &[Checked]) -> String {
    let mut text = String::new();
    for checked in report {
        for problem in &checked.problems {
            text += &format!("{problem}\n");
        }
        for Problem { file, mark, what, .. } in &checked.notices {
            text += &format!("{file}:{}:{}: note: {what}\n", mark.line, mark.column);
        }
    }
    let sound = report.iter().filter(|checked| checked.ok).count();
    match (sound, report.len()) {
        (1, 1) => text + "1 document is sound.\n",
        (sound, all) if sound == all => text + &format!("{all} documents are sound.\n"),
        (sound, all) => text + &format!("{} of {all} documents are not sound.\n", all - sound),
    }
}

fn explain(session: &mut Session, arguments: &QuestionArgs) -> Ended {
    let mut layers = Vec::new();
    for path in &arguments.files {
        layers.push(Layer { level: Level::Tenant, document: document(session, path)? });
    }
    let policy =
        Policy::merge(layers, Vec::new()).map_err(|error| Failure::new(Exit::Data, error.to_string()))?;
    let wrong = |option: &str, value: &str, why: &str| {
        Failure::new(Exit::Data, format!("{option}: {value:?} is not usable: {why}"))
    };
    let host = Host::parse(&arguments.host).map_err(|why| wrong("--host", &arguments.host, why))?;
    let path = arguments.path.as_deref().unwrap_or("/");
    let target = Target::parse(path).map_err(|why| wrong("--path", path, why))?;
    let kind = match (arguments.method.as_deref(), arguments.upgrade) {
        (Some("WEBSOCKET_TEXT"), _) => Kind::Message,
        (_, true) => Kind::Upgrade,
        (_, false) => Kind::Request,
    };
    let method = arguments.method.as_deref();
    let binaries: Vec<&str> = arguments.binaries.iter().map(String::as_str).collect();
    let explanation = policy.explain(&Request {
        host: &host,
        port: arguments.port,
        address: arguments.address,
        binaries: &binaries,
        exchange: method.map(|method| Exchange { kind, method, target: &target }),
        now: session.now,
    });
    session.print(&explanation, |_| clean_lines(&format!("{explanation}\n")))?;
    Ok(Exit::Ok.code())
}

fn document(session: &mut Session, path: &Path) -> Result<Document, Failure> {
    let (file, text) = read(session, path)?;
    Document::parse(&file, &text, &Hosts::Unknown)
        .map_err(|refused| Failure::new(Exit::Data, refused.to_string()))
}
