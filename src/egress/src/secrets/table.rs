//! Where each secret may go.

use std::sync::Arc;

use model::egress::{AUTHORITY_SECRET, SecretPlace, SecretUse};
use policy::{Host, Target};
use thiserror::Error;

use super::automaton::Automaton;
use super::placeholder::Named;
use super::scanner::{self, Scanner};
use super::store::Secrets;

/// The server that a request goes to.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name or address, as the connection was made and, over TLS, verified.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// Whether over TLS whose certificate was verified for the host.
    pub tls: bool,
}

/// A placeholder where no value may go.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the secret {secret:?} cannot be put into {into}: {why}")]
pub struct Misplaced {
    /// What the placeholder names, cut to 64 bytes.
    pub secret: String,
    /// Part of the request, for people.
    pub into: &'static str,
    /// Why not.
    pub why: Why,
}

/// Why a value may not go somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// There is none of this name, or a variable stands for two.
    #[error("there is no such secret for this proxy (see \"tenantctl secret list\")")]
    Unknown,
    /// Nothing goes there, whatever is bound.
    #[error("no secret goes there")]
    Never,
    /// The connection is not TLS, or not verified.
    #[error("secrets go over verified TLS only")]
    Plain,
    /// No binding names this host and port.
    #[error("it is not bound to this host and port")]
    Elsewhere,
    /// A binding names the host and port, but not this place in a request.
    #[error("its binding does not name this place (header, query, path, body or websocket)")]
    WrongPlace,
    /// A binding names all that, but not this path.
    #[error("it is not bound to this path")]
    WrongPath,
    /// The request names another host than the one that it goes to.
    #[error("Host names another server than the connection leads to")]
    Fronted,
    /// The path could be read in two ways.
    #[error("the path has dot segments or two readings")]
    Ambiguous,
    /// It cannot be written there.
    #[error("{0}")]
    Unwritable(&'static str),
    /// Too many placeholders, or too much of what they stand for.
    #[error("the request holds too many placeholders")]
    TooMany,
    /// The endpoint does not have bodies or messages rewritten.
    #[error(
        "the policy's endpoint does not rewrite it (request_body_credential_rewrite, websocket_credential_rewrite)"
    )]
    NotRewritten,
    /// A body in which nothing can be replaced.
    #[error("it is larger than 1 MiB, compressed, or of a type in which nothing is replaced")]
    BodyForm,
}

struct Binding {
    name: String,
    host: Host,
    port: u16,
    path: String,
    places: Vec<SecretPlace>,
}

/// Secrets and where they may go; made anew when the policy is.
pub struct SecretTable {
    secrets: Arc<Secrets>,
    bindings: Vec<Binding>,
    echoes: Arc<Automaton>,
}

impl std::fmt::Debug for SecretTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretTable").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

impl SecretTable {
    /// Binds secrets. Bindings that cannot be used bind nothing; a sentence about each comes along, for the log.
    #[must_use]
    pub fn new(secrets: Arc<Secrets>, uses: &[SecretUse]) -> (Self, Vec<String>) {
        let (mut bindings, mut unusable) = (Vec::new(), Vec::new());
        for written in uses {
            match bind(&secrets, written) {
                Ok(binding) => bindings.push(binding),
                Err(why) => unusable.push(format!("secret {:?} for {:?}: {why}", written.name, written.host)),
            }
        }
        let bound = bindings.iter().filter_map(|binding| secrets.value(&binding.name));
        let echoes = Arc::new(scanner::automaton(bound));
        (Self { secrets, bindings, echoes }, unusable)
    }

    /// Searches one answer for every secret that is bound anywhere.
    #[must_use]
    pub fn scanner(&self) -> Scanner {
        Scanner::new(Arc::clone(&self.echoes))
    }

    /// Whether any secret may go to this host and port, wherever in a request.
    #[must_use]
    pub fn binds(&self, place: Place<'_>) -> bool {
        let host = Host::parse(place.host).ok();
        self.bindings.iter().any(|binding| Some(&binding.host) == host.as_ref() && binding.port == place.port)
    }

    /// The secret that a placeholder names.
    fn named(&self, named: &Named) -> Option<(&str, &[u8])> {
        match named {
            Named::Secret(name) => self.secrets.get(name),
            Named::Variable(variable) => self.secrets.get(self.secrets.name_of_variable(variable)?),
        }
    }

    /// The value for a placeholder, if it may go there. `readings` are all that the path may be, or what precedes the placeholder in it.
    pub(super) fn allowed(
        &self,
        named: &Named,
        place: Place<'_>,
        kind: SecretPlace,
        readings: &[String],
    ) -> Result<(&str, &[u8]), Misplaced> {
        let refuse = |why| Err(misplaced(named, into(kind), why));
        let Some((name, value)) = self.named(named) else { return refuse(Why::Unknown) };
        if !place.tls {
            return refuse(Why::Plain);
        }
        let Ok(host) = Host::parse(place.host) else { return refuse(Why::Elsewhere) };
        let here =
            |binding: &&Binding| binding.name == name && binding.host == host && binding.port == place.port;
        let mut why = Why::Elsewhere;
        for binding in self.bindings.iter().filter(here) {
            if !binding.places.contains(&kind) {
                why = if why == Why::Elsewhere { Why::WrongPlace } else { why };
            } else if readings.is_empty() || !readings.iter().all(|path| below(&binding.path, path)) {
                why = Why::WrongPath;
            } else {
                return Ok((name, value));
            }
        }
        refuse(why)
    }
}

fn bind(secrets: &Secrets, written: &SecretUse) -> Result<Binding, String> {
    if written.name == AUTHORITY_SECRET {
        return Err("the proxy's own key goes nowhere".to_owned());
    }
    if secrets.value(&written.name).is_none() {
        return Err(
            "the proxy was not given it: set it, of the kind proxy, and restart tenant-egress".to_owned()
        );
    }
    let host = Host::parse(&written.host).map_err(str::to_owned)?;
    let target = Target::parse(&written.path).map_err(str::to_owned)?;
    if target.path() != written.path || written.path.contains('?') {
        return Err(format!(
            "the path {:?} is written without escapes, dot segments and query",
            written.path
        ));
    }
    let path = written.path.strip_suffix('/').unwrap_or(&written.path).to_owned();
    Ok(Binding { name: written.name.clone(), host, port: written.port, path, places: written.places.clone() })
}

/// Whether a path is this one or below it, by whole segments.
fn below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All that the path of a request may be; refused if servers could disagree about more than that.
pub(super) fn readings(path_and_query: &str) -> Result<Vec<String>, Why> {
    let target = Target::parse(path_and_query).map_err(|_| Why::Ambiguous)?;
    let raw = path_and_query.split('?').next().unwrap_or_default();
    let decoded = super::pieces::Pieces::decode(raw.as_bytes(), false);
    let dots = |segment: &[u8]| segment == b"." || segment == b"..";
    if decoded.decoded().split(|byte| *byte == b'/').any(dots) {
        return Err(Why::Ambiguous);
    }
    Ok(target.readings().map(str::to_owned).collect())
}

pub(super) fn misplaced(named: &Named, into: &'static str, why: Why) -> Misplaced {
    let (Named::Secret(name) | Named::Variable(name)) = named;
    Misplaced { secret: name.chars().take(64).collect(), into, why }
}

fn into(kind: SecretPlace) -> &'static str {
    match kind {
        SecretPlace::Header => "a header",
        SecretPlace::Query => "the query",
        SecretPlace::Path => "the path",
        SecretPlace::Body => "the body",
        SecretPlace::Websocket => "a message",
    }
}
