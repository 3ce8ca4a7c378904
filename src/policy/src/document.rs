//! A policy document: OpenShell's format, version 1, as far as it is enforced.
//!
//! A document that was read means what it says: a field that nothing here acts on is an error that names it. Where our reading is
//! stricter than OpenShell's, the document carries a notice (`docs/adr/0071`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::{Mark, Problem, Problems, Refused};
use crate::{CallLimits, CallPattern, Cidr, Glob, Host, HostPattern, Target, parse, yaml};

/// A document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name in messages: a path, or `preset slack`.
    pub name: String,
    /// What it says about itself, if it is a preset.
    pub preset: Option<Preset>,
    /// What becomes of a destination that no rule names; nothing if the document leaves it to others.
    pub default: Option<Unlisted>,
    /// What is said of files and accounts. Kept for those who show it: tenantd's own layers decide about both.
    pub startup: Startup,
    /// The rules, in the order of the text.
    pub policies: Vec<NetworkPolicy>,
    /// What should be known about this document and refuses nothing.
    pub notices: Vec<Problem>,
}

/// What a preset says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// One line.
    pub description: String,
    /// Which risk a tenant with this preset takes on; documents of others say nothing about it.
    pub risk: Option<Risk>,
    /// The same as a sentence.
    pub why: Option<String>,
}

/// Risks a preset may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Reads from a place where nobody else can leave code or take data.
    Low,
    /// Brings code or models of strangers into the tenant.
    SupplyChain,
    /// Data can be sent to accounts that the operator does not control.
    Exfiltration,
}

/// What becomes of a destination that no rule names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unlisted {
    /// Refused.
    #[default]
    Deny,
    /// Held until somebody has answered.
    Ask,
}

/// Sections of a document that OpenShell reads when a sandbox starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Startup {
    /// `filesystem_policy.read_only`.
    pub read_only: Vec<String>,
    /// `filesystem_policy.read_write`.
    pub read_write: Vec<String>,
    /// `filesystem_policy.include_workdir`.
    pub include_workdir: Option<bool>,
}

/// One entry of `network_policies`: each of these binaries may reach each of these endpoints.
#[derive(Clone, Debug)]
pub struct NetworkPolicy {
    /// Its key.
    pub key: String,
    /// Its name in messages; the key where none is given.
    pub name: String,
    /// Where it stands.
    pub mark: Mark,
    /// Destinations.
    pub endpoints: Vec<Endpoint>,
    /// Who.
    pub binaries: Binaries,
    /// Our own terms.
    pub terms: Terms,
}

/// Programs a policy is about: one matches by its own executable or that of an ancestor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binaries {
    /// Every program: the document has no `binaries`.
    Any,
    /// Executables by path. An empty list is nobody.
    These(Vec<Glob>),
}

impl Binaries {
    /// Whether one of these paths is meant: the executable that connects, and those of its ancestors.
    pub fn match_any(&self, paths: &[&str]) -> bool {
        match self {
            Binaries::Any => true,
            Binaries::These(globs) => globs.iter().any(|glob| paths.iter().any(|path| glob.matches(path))),
        }
    }
}

/// Keys under `x-tenantd` of an entry of `network_policies`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Ask instead of allowing.
    pub ask: bool,
    /// When the entry ends, in seconds since 1970.
    pub expires: Option<u64>,
    /// Most bytes that one connection may send.
    pub max_bytes: Option<u64>,
    /// Most requests (or connections that are not inspected) a minute.
    pub max_rate: Option<u64>,
    /// For people.
    pub why: Option<String>,
}

/// A destination.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it stands.
    pub mark: Mark,
    /// Hosts.
    pub host: HostPattern,
    /// TCP ports, sorted.
    pub ports: Vec<u16>,
    /// Addresses it may have; empty: public ones.
    pub allowed_ips: Vec<Cidr>,
    /// Whether a path may hold `%2F`.
    pub allow_encoded_slash: bool,
    /// Whether the proxy puts secrets into bodies here.
    pub request_body_credential_rewrite: bool,
    /// Whether the proxy puts secrets into text messages of WebSockets here.
    pub websocket_credential_rewrite: bool,
    /// What is looked at in each request; nothing: bytes pass as they are.
    pub inspection: Option<Inspection>,
}

/// How requests to an endpoint are looked at.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What is spoken.
    pub protocol: Protocol,
    /// Which paths this endpoint is about.
    pub path: PathSelector,
    /// What happens to a request that breaks the rules.
    pub enforcement: Enforcement,
    /// What is allowed.
    pub allow: Vec<Rule>,
    /// What is not, whoever allows it.
    pub deny: Vec<Rule>,
    /// Where calls are looked at: which are taken at all.
    pub calls: Option<CallLimits>,
}

/// Protocols whose requests are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP requests.
    Rest,
    /// The upgrade to a WebSocket, and the text messages that the client sends on it.
    Websocket,
    /// Calls of JSON-RPC, in the bodies of POST.
    JsonRpc,
    /// Calls of the Model Context Protocol over HTTP, and its streams of events.
    Mcp,
}

/// What happens to a request that breaks the rules of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// It is refused.
    Enforce,
    /// It is noted, and goes on.
    Audit,
}

/// The `path` of an endpoint: it selects among endpoints of one host and port, by rules of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSelector {
    /// Every path.
    All,
    /// This path and those below it.
    Below(String),
    /// Paths of this form, where `*` crosses slashes too.
    Like(Glob),
}

/// What a request is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub mark: Mark,
    /// Method in capitals; nothing for any.
    pub method: Option<String>,
    /// Path.
    pub path: Glob,
    /// Parameters of the query: name, and the patterns one of which a value has to match.
    pub query: Vec<(String, Vec<Glob>)>,
    /// Where calls are looked at: the call; nothing: a request without any.
    pub call: Option<CallPattern>,
}

/// Hosts that presets take from this machine's own configuration (`host_of: npm-registry`), so that mirrors work and none is
/// assumed.
#[derive(Clone, Debug)]
pub enum Hosts {
    /// Those of this machine.
    Known(BTreeMap<String, (Host, u16)>),
    /// For reading a document apart from any machine: each becomes a name under `.invalid`.
    Unknown,
}

impl Document {
    /// Reads a document. Everything wrong with it is said at once.
    pub fn parse(name: &str, text: &str, hosts: &Hosts) -> Result<Document, Refused> {
        let mut problems = Problems::new(name, text);
        let root = yaml::read(text, &mut problems);
        let mut document = root.and_then(|root| parse::document(name, &root, hosts, &mut problems));
        let notices = problems.finish()?;
        match &mut document {
            Some(document) => document.notices = notices,
            None => return Err(Refused(notices)),
        }
        document.ok_or(Refused(Vec::new()))
    }
}

impl Inspection {
    /// What decides among endpoints about one request: the narrowest path, and of equal ones those that look at calls.
    pub fn rank(&self) -> (usize, bool) {
        (self.path.specificity(), self.calls.is_some())
    }

    /// Whether it is about a request to this. What looks at calls is also about paths that the server may take for its own: who spells
    /// one differently is not to get round it.
    pub(crate) fn is_about(&self, target: &Target) -> bool {
        match self.calls {
            Some(_) => target.alike().any(|path| self.path.matches(&path)),
            None => self.path.matches(target.path()),
        }
    }

    /// Whether it may be, in any reading of the path.
    pub(crate) fn may_be_about(&self, target: &Target) -> bool {
        self.is_about(target) || target.readings().any(|path| self.path.matches(path))
    }
}

impl PathSelector {
    /// Whether the endpoint is about this path.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathSelector::All => true,
            PathSelector::Below(own) => {
                path.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            PathSelector::Like(glob) => glob.matches(path),
        }
    }

    /// How narrow it is: the characters it prescribes. The narrowest endpoint is the one whose rules allow.
    pub fn specificity(&self) -> usize {
        match self {
            PathSelector::All => 0,
            PathSelector::Below(own) => own.len(),
            PathSelector::Like(glob) => glob.as_str().bytes().filter(|b| !b"*?".contains(b)).count(),
        }
    }
}
