//! The decision about a connection or a request, and what it takes to come to it: the programs, the question, the rate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use policy::{Call, Content, Decision, Exchange, Host, Protocol, Reach, Reason, Request, Terms, Verdict};
use tokio::sync::OnceCell;

use crate::events::Event;
use crate::identity::{IdentityError, Owner};
use crate::live::{Snapshot, unix_now};
use crate::names::stands_in;
use crate::proxy::Proxy;
use crate::question::Subject;

/// Who opened a connection.
#[derive(Debug)]
pub struct Who {
    owner: Owner,
    programs: OnceCell<Vec<Vec<String>>>,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// What a program asks for on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What is decided.
    pub exchange: Exchange<'a>,
    /// Path and query as they stand in the request.
    pub raw: &'a str,
}

impl<'a> Seen<'a> {
    /// The calls in its body, where they were looked at.
    #[must_use]
    pub fn calls(&self) -> &'a [Call] {
        match self.exchange.content {
            Content::Calls(calls) => calls.list,
            Content::None | Content::Unknown => &[],
        }
    }
}

/// What was decided, apart from the policy.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Where the entry stands that decided.
    pub rule: Option<String>,
    /// Its terms.
    pub terms: Terms,
    /// Whether the client's messages on a WebSocket are decided, too.
    pub messages: bool,
    /// Whether secrets take the place of placeholders in bodies, too.
    pub rewrites_bodies: bool,
    /// And in messages on a WebSocket.
    pub rewrites_messages: bool,
    /// Whether the endpoint looks at calls.
    pub looks_at_calls: bool,
    /// The call that was decided about.
    pub call: Option<String>,
    /// The program whose decision it is.
    pub binary: Option<String>,
}

/// It may go on.
#[derive(Debug)]
pub struct Admitted {
    /// By what.
    pub ruling: Ruling,
    /// Whether somebody was asked: it then goes on as long as nothing refuses it.
    pub asked: Granted,
}

/// Somebody's yes to one question. It stands in for the policy until the policy says yes itself, by an approval that holds: from then on
/// the approval's end is the end of this, too.
#[derive(Clone, Debug, Default)]
pub struct Granted(Arc<AtomicBool>);

impl Granted {
    /// Somebody said yes, or nobody was asked.
    #[must_use]
    pub fn new(yes: bool) -> Self {
        Self(Arc::new(AtomicBool::new(yes)))
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The policy decides so now.
    fn seen(&self, verdict: Verdict) {
        if verdict == Verdict::Allow {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// Whether a request goes on that the policy decides so now.
    #[must_use]
    pub fn goes_on(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Allow => {
                self.seen(verdict);
                true
            }
            Verdict::Ask => self.holds(),
            // A request is never decided to be looked at.
            Verdict::Inspect | Verdict::Deny => false,
        }
    }
}

/// It may not.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// For the program, one sentence.
    pub message: String,
    /// By which entry.
    pub rule: Option<String>,
    /// Number of the question, if there was one.
    pub request: Option<u64>,
}

impl Refusal {
    /// For this reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), rule: None, request: None }
    }
}

impl Who {
    /// The owner of a socket.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        Self { owner, programs: OnceCell::new() }
    }

    /// Executables of each program, asked for once and only where the policy needs them.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Programs`].
    pub async fn programs(
        &self,
        proxy: &Proxy,
        snapshot: &Snapshot,
        host: &Host,
    ) -> Result<&[Vec<String>], IdentityError> {
        if !snapshot.policy.needs_binary(host) {
            return Ok(self.known());
        }
        self.identified(proxy).await
    }

    /// What was asked for so far.
    fn known(&self) -> &[Vec<String>] {
        self.programs.get().map_or(&[], Vec::as_slice)
    }

    async fn identified(&self, proxy: &Proxy) -> Result<&[Vec<String>], IdentityError> {
        let asked = self.programs.get_or_try_init(|| proxy.identity.programs(self.owner.inode)).await?;
        Ok(asked)
    }
}

/// Decides for each program that holds the connection; the worst counts.
#[must_use]
pub fn rule(
    snapshot: &Snapshot,
    programs: &[Vec<String>],
    place: &Place,
    address: Option<IpAddr>,
    exchange: Option<Exchange<'_>>,
) -> Ruling {
    let now = unix_now();
    let decide = |paths: &[&str], binary: Option<&String>| {
        let request =
            Request { host: &place.host, port: place.port, address, binaries: paths, exchange, now };
        own(snapshot.policy.decide(&request), binary)
    };
    let each = programs.iter().map(|paths| {
        let all: Vec<&str> = paths.iter().map(String::as_str).collect();
        decide(&all, paths.first())
    });
    each.min_by_key(|ruling| ruling.verdict).unwrap_or_else(|| decide(&[], None))
}

fn own(decision: Decision<'_>, binary: Option<&String>) -> Ruling {
    let inspection = decision.entry.and_then(|entry| entry.endpoint.inspection.as_ref());
    Ruling {
        verdict: decision.verdict,
        reason: decision.reason,
        rule: decision.entry.map(|entry| entry.origin.to_string()),
        terms: decision.entry.map(|entry| Terms::clone(&entry.terms)).unwrap_or_default(),
        messages: inspection.is_some_and(|inspection| inspection.protocol == Protocol::Websocket),
        rewrites_bodies: decision.entry.is_some_and(|entry| entry.endpoint.request_body_credential_rewrite),
        rewrites_messages: decision.entry.is_some_and(|entry| entry.endpoint.websocket_credential_rewrite),
        looks_at_calls: inspection.is_some_and(|inspection| inspection.calls.is_some()),
        call: decision.call.map(ToString::to_string),
        binary: binary.cloned(),
    }
}

impl Proxy {
    /// Whether a connection or request goes on; waits for an answer if somebody has to be asked and this was not `granted` before.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn admit(
        &self,
        who: &Who,
        place: &Place,
        address: Option<IpAddr>,
        seen: Option<Seen<'_>>,
        granted: &Granted,
    ) -> Result<Admitted, Refusal> {
        let address = address.filter(|address| !stands_in(*address));
        let snapshot =
            self.live.now().ok_or_else(|| Refusal::new("there is no policy, and nothing is allowed"))?;
        let ruling = self.ruled(who, &snapshot, place, address, seen.as_ref(), granted.holds()).await?;
        let event = |decision| Event { decision, place, seen: seen.as_ref(), ruling: &ruling };
        let subject =
            Subject { snapshot: &snapshot, programs: who.known(), place, address, seen: seen.as_ref() };
        // A rule that is learned is about a method and path: it would be for every call.
        if !ruling.looks_at_calls {
            self.learn(&subject, &ruling);
        }
        let admitted = match ruling.verdict {
            Verdict::Allow | Verdict::Inspect => {
                granted.seen(ruling.verdict);
                Ok(Granted::default())
            }
            Verdict::Deny => {
                Err(Refusal { message: sentence(place, &ruling), rule: ruling.rule.clone(), request: None })
            }
            Verdict::Ask if granted.holds() => Ok(granted.clone()),
            Verdict::Ask => {
                self.events.decided(&snapshot, &event("ask"));
                self.ask(&subject, &ruling).await
            }
        };
        let admitted = admitted.and_then(|asked| {
            let counts = seen.is_some() || ruling.verdict != Verdict::Inspect;
            // Several calls in one body are several.
            let more = seen.as_ref().map_or(1, |seen| seen.calls().len().max(1));
            if counts && !self.rates.enter(ruling.rule.as_deref(), ruling.terms.max_rate, more) {
                return Err(Refusal {
                    message: format!(
                        "more than {} a minute to {}",
                        ruling.terms.max_rate.unwrap_or(0),
                        place.host
                    ),
                    rule: ruling.rule.clone(),
                    request: None,
                });
            }
            Ok(asked)
        });
        self.events.decided(&snapshot, &event(if admitted.is_ok() { "allow" } else { "deny" }));
        admitted.map(|asked| Admitted { ruling, asked })
    }

    async fn ruled(
        &self,
        who: &Who,
        snapshot: &Snapshot,
        place: &Place,
        address: Option<IpAddr>,
        seen: Option<&Seen<'_>>,
        granted: bool,
    ) -> Result<Ruling, Refusal> {
        let programs = who.programs(self, snapshot, &place.host).await;
        let programs = programs.map_err(|error| {
            tracing::warn!("{error}");
            Refusal::new("which program connects cannot be told, and the policy depends on it")
        })?;
        let exchange = seen.map(|seen| seen.exchange);
        let ruling = rule(snapshot, programs, place, address, exchange);
        let learns = snapshot.learn_until.is_some_and(|end| unix_now() < end);
        let shown = ruling.verdict == Verdict::Ask && !granted || ruling.verdict == Verdict::Deny && learns;
        if !shown || !programs.is_empty() {
            return Ok(ruling);
        }
        // Whoever is asked sees which program it is, and approves for that one.
        match who.identified(self).await {
            Ok(programs) => Ok(rule(snapshot, programs, place, address, exchange)),
            Err(_) => Ok(ruling),
        }
    }

    /// How long the body of a request may be for its calls to be looked at; nothing: nobody looks at them. An endpoint does that for every
    /// program or for some, and more than one may hold the connection.
    pub(crate) async fn reads_calls(
        &self,
        who: &Who,
        place: &Place,
        address: Option<IpAddr>,
        exchange: Exchange<'_>,
    ) -> Option<usize> {
        let address = address.filter(|address| !stands_in(*address));
        let snapshot = self.live.now()?;
        // Who cannot be told is not admitted.
        let programs = who.programs(self, &snapshot, &place.host).await.ok()?;
        let reads = |binaries: &[&str]| {
            let (host, port, now, exchange) = (&place.host, place.port, unix_now(), Some(exchange));
            snapshot.policy.reads_calls(&Request { host, port, address, binaries, exchange, now })
        };
        let each = programs.iter().map(|paths| {
            let all: Vec<&str> = paths.iter().map(String::as_str).collect();
            reads(&all)
        });
        each.flatten().max().or_else(|| if programs.is_empty() { reads(&[]) } else { None })
    }

    /// Whether what was admitted may still go on under the newest policy.
    pub async fn still(
        &self,
        who: &Who,
        place: &Place,
        address: Option<IpAddr>,
        admitted: &Admitted,
    ) -> bool {
        let Some(snapshot) = self.live.now() else { return false };
        let Ok(programs) = who.programs(self, &snapshot, &place.host).await else { return false };
        match rule(&snapshot, programs, place, address, None).verdict {
            // What was passed through unseen cannot be looked at any more.
            Verdict::Inspect => admitted.ruling.verdict == Verdict::Inspect,
            verdict @ (Verdict::Allow | Verdict::Ask | Verdict::Deny) => admitted.asked.goes_on(verdict),
        }
    }

    /// The addresses at which a host may be reached, of those it has.
    pub async fn reachable(
        &self,
        who: &Who,
        place: &Place,
        admitted: &Admitted,
        all: &[IpAddr],
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let snapshot =
            self.live.now().ok_or_else(|| Refusal::new("there is no policy, and nothing is allowed"))?;
        let programs = who.programs(self, &snapshot, &place.host).await;
        let programs = programs.map_err(|_| Refusal::new("which program connects cannot be told"))?;
        let open = |address: &IpAddr| match rule(&snapshot, programs, place, Some(*address), None).verdict {
            Verdict::Allow => true,
            // Rules about this address are not passed by because the name has none.
            Verdict::Inspect => admitted.ruling.verdict == Verdict::Inspect,
            Verdict::Ask => admitted.asked.holds(),
            Verdict::Deny => false,
        };
        let found: Vec<_> =
            all.iter().filter(|address| open(address)).map(|ip| SocketAddr::new(*ip, place.port)).collect();
        if found.is_empty() {
            return Err(Refusal::new(format!("{} has no address that may be reached", place.host)));
        }
        Ok(found)
    }
}

fn sentence(place: &Place, ruling: &Ruling) -> String {
    let Place { host, port } = place;
    let this = ruling.call.as_deref().unwrap_or("this request");
    match ruling.reason {
        Reason::Unlisted | Reason::Listed | Reason::Audited => {
            format!("no rule of this tenant's policy allows {host}:{port}")
        }
        Reason::DenyRule => {
            let this = ruling.call.as_deref().unwrap_or("this");
            format!("a rule of this tenant's policy denies {this} at {host}:{port}")
        }
        Reason::NoRule => format!("the rules for {host}:{port} do not allow {this}"),
        Reason::EncodedSlash => format!("{host}:{port} takes no encoded slash in paths"),
        Reason::Address(Reach::Public) => {
            format!("{host}:{port} is not at one of the addresses listed for it")
        }
        Reason::Address(Reach::Listed(what) | Reach::Never(what)) => {
            format!("{host}:{port} is at an address that is {what}")
        }
    }
}
