//! `approvals watch`: one block for each question as it comes, with the commands that answer it. Ends with the bus, or with ^C.

use std::collections::BTreeMap;
use std::io::Write;

use api::AskedRequest;
use futures_util::StreamExt;
use model::TenantId;

use super::{by, fetch, name, what};
use crate::failure::{Ended, Failure};
use crate::output::{Cell, fields, json, span};
use crate::session::Session;

/// Shows what waits now, then what comes.
pub(crate) async fn watch(session: &mut Session, tenant: Option<&TenantId>) -> Ended {
    // Before the list is read, so that nothing falls between.
    let mut changes = session.egress().await?.receive_requests_changed().await?;
    let mut shown: BTreeMap<String, bool> = BTreeMap::new();
    if !session.json && session.terminals.stderr {
        session.note("Waiting for questions; ^C ends this.")?;
    }
    loop {
        let requests = fetch(session, tenant).await?;
        update(session, &requests, &mut shown)?;
        if changes.next().await.is_none() {
            return Ok(0);
        }
    }
}

/// Prints what is new, and what nobody waits for any more.
fn update(
    session: &mut Session,
    requests: &[AskedRequest],
    shown: &mut BTreeMap<String, bool>,
) -> Result<(), Failure> {
    for request in requests {
        let (name, waits) = (name(request), request.state == "waiting");
        let known = shown.insert(name.clone(), waits);
        let text = match (known, waits, session.json) {
            (None | Some(false), true, _) | (Some(true), false, true) => block(request, session)?,
            (Some(true), false, false) => {
                format!("Nobody waits for request {name} any more; an answer counts for the next time.\n\n")
            }
            _ => continue,
        };
        session.out.write_all(text.as_bytes())?;
    }
    shown.retain(|known, _| requests.iter().any(|request| name(request) == *known));
    Ok(session.out.flush()?)
}

fn block(request: &AskedRequest, session: &Session) -> Result<String, Failure> {
    if session.json {
        return json(request);
    }
    let (name, destination) = (name(request), &request.destination);
    let first = format!("{} ago, {} times in all", span(now().saturating_sub(request.first)), request.count);
    let answer = |verb: &str, rest: &str| Cell::from(format!("tenantctl approvals {verb} {name}{rest}"));
    let mut lines = vec![
        ("request", Cell::from(&name)),
        ("tenant", Cell::from(&request.tenant)),
        ("wants", Cell::from(what(destination))),
        ("program", Cell::from(by(destination))),
    ];
    if let Some(address) = destination.address {
        lines.push(("address", Cell::from(address.to_string())));
    }
    lines.extend([
        ("asked", Cell::from(first)),
        ("allow", answer("approve", " --because REASON")),
        ("once", answer("approve", " --once")),
        ("deny", answer("deny", "")),
    ]);
    Ok(fields(&lines, session.width.max(100), session.palette) + "\n")
}

/// A watch lasts longer than what the session took for now.
fn now() -> u64 {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    passed.map_or(0, |passed| passed.as_secs())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;
    use std::rc::Rc;

    use super::*;
    use crate::output::Palette;
    use crate::session::{Bus, Terminals};

    #[derive(Clone, Default)]
    struct Sink(Rc<RefCell<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn request(state: &str) -> AskedRequest {
        let destination = model::egress::Destination {
            host: "a.example.org".into(),
            port: 443,
            address: None,
            binary: Some("/usr/bin/\u{202e}x".into()),
            exchange: None,
        };
        AskedRequest {
            number: 12,
            digest: "3f9a2b1c4d5e".into(),
            tenant: "acme".into(),
            destination,
            expires: 0,
            state: state.into(),
            first: 0,
            last: 0,
            count: 2,
            waiting: 1,
        }
    }

    #[test]
    fn a_question_is_shown_once_for_each_time_that_somebody_waits() {
        let out = Sink::default();
        let mut session = Session {
            out: Box::new(out.clone()),
            err: Box::new(io::sink()),
            input: Box::new(io::empty()),
            streams: None,
            terminals: Terminals::default(),
            width: 80,
            json: false,
            palette: Palette::default(),
            now: 0,
            paths: model::Paths::host(),
            bus: Bus::System,
        };
        let mut shown = BTreeMap::new();
        let mut said = |requests: &[AskedRequest]| {
            out.0.borrow_mut().clear();
            update(&mut session, requests, &mut shown).unwrap();
            String::from_utf8(out.0.borrow().clone()).unwrap()
        };
        let first = said(&[request("waiting")]);
        assert!(
            first.contains("  allow: tenantctl approvals approve 12-3f9a2b1c4d5e --because REASON\n"),
            "{first}"
        );
        assert!(first.contains("program: /usr/bin/\\u{202e}x\n"), "{first}");
        assert_eq!(said(&[request("waiting")]), "");
        assert!(said(&[request("expired")]).starts_with("Nobody waits for request 12-3f9a2b1c4d5e any more"));
        assert_eq!(said(&[request("expired")]), "");
        assert_eq!(said(&[request("waiting")]), first);
        assert_eq!(said(&[]), "");
        assert!(shown.is_empty());
    }
}
