//! What is asked about a destination: one question for each program that holds the connection and that somebody has to be asked about. All of
//! them have to be approved, so that nobody approves a program and lets in another one that holds the same socket.

use std::net::IpAddr;

use futures_util::future::try_join_all;
use model::egress::{AnswerVerdict, AskedExchange, AskedKind, Destination};
use policy::{Kind, Verdict};

use crate::gate::{self, Granted, Place, Refusal, Ruling, Seen};
use crate::live::{Snapshot, unix_now};
use crate::proxy::Proxy;

/// Bytes of a text in a question, at most (`model::egress::Destination`).
const TEXT: usize = 2048;
/// Programs of one connection that are asked about, at most.
const PROGRAMS: usize = 4;

/// What is decided about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// Executables of each program, as far as they were asked for.
    pub(crate) programs: &'a [Vec<String>],
    pub(crate) place: &'a Place,
    pub(crate) address: Option<IpAddr>,
    pub(crate) seen: Option<&'a Seen<'a>>,
}

impl Proxy {
    /// Asks about each program; the first that is not approved is the refusal, and the other questions are taken back.
    pub(crate) async fn ask(&self, subject: &Subject<'_>, ruling: &Ruling) -> Result<Granted, Refusal> {
        let place = subject.place;
        let refused = |why: &str, request| Refusal {
            message: format!("{}:{} was not approved: {why}", place.host, place.port),
            rule: ruling.rule.clone(),
            request,
        };
        let binaries = binaries(subject, ruling, &[Verdict::Ask]);
        if binaries.len() > PROGRAMS {
            return Err(refused("too many programs hold the connection to ask about each", None));
        }
        let each = binaries.into_iter().map(|binary| {
            let question = destination(subject, binary);
            async {
                let answer = self.asker.ask(question, &subject.snapshot.file.asking).await;
                match answer.verdict {
                    AnswerVerdict::Allow => Ok(()),
                    AnswerVerdict::Deny
                    | AnswerVerdict::Expired
                    | AnswerVerdict::Refused
                    | AnswerVerdict::Noted => Err(refused(&answer.why, answer.request)),
                }
            }
        });
        try_join_all(each).await.map(|_| Granted::new(true))
    }

    /// Says what was not allowed, while the tenant learns.
    pub(crate) fn learn(&self, subject: &Subject<'_>, ruling: &Ruling) {
        let learns = subject.snapshot.learn_until.is_some_and(|end| unix_now() < end);
        if !learns || !matches!(ruling.verdict, Verdict::Ask | Verdict::Deny) {
            return;
        }
        for binary in binaries(subject, ruling, &[Verdict::Ask, Verdict::Deny]).into_iter().take(PROGRAMS) {
            self.asker.observe(destination(subject, binary));
        }
    }
}

/// The programs about which it is decided so, each once; one that cannot be told is one, too.
fn binaries<'a>(subject: &Subject<'a>, ruling: &'a Ruling, verdicts: &[Verdict]) -> Vec<Option<&'a str>> {
    let Subject { snapshot, programs, place, address, seen } = *subject;
    let exchange = seen.map(|seen| seen.exchange);
    let mut all: Vec<Option<&str>> = Vec::new();
    for paths in programs {
        let own = paths.first().map(String::as_str);
        let verdict = gate::rule(snapshot, std::slice::from_ref(paths), place, address, exchange).verdict;
        if verdicts.contains(&verdict) && !all.contains(&own) {
            all.push(own);
        }
    }
    if all.is_empty() {
        all.push(ruling.binary.as_deref());
    }
    all
}

fn destination(subject: &Subject<'_>, binary: Option<&str>) -> Destination {
    let short = |text: &str| text.chars().take(TEXT / 4).collect::<String>();
    Destination {
        host: subject.place.host.to_string(),
        port: subject.place.port,
        address: subject.address,
        binary: binary.map(short),
        exchange: subject.seen.map(|seen| AskedExchange {
            kind: match seen.exchange.kind {
                Kind::Request => AskedKind::Request,
                Kind::Upgrade => AskedKind::Upgrade,
                Kind::Message => AskedKind::Message,
            },
            method: short(seen.exchange.method),
            target: seen.raw.chars().take(TEXT).collect(),
        }),
    }
}
