//! Layers put together: profile, presets, the tenant's own document, approvals. Each adds what it allows, a deny rule of any
//! of them wins, and every entry keeps where it came from.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use crate::document::{Binaries, Document, Endpoint, Terms, Unlisted};
use crate::{Cidr, Host, HostPattern, Mark};

/// Where a document stands among the others; later ones come after earlier ones in lists and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The base of the tenant's profile.
    Profile,
    /// A preset the tenant was given.
    Preset,
    /// The tenant's own document.
    Tenant,
    /// What somebody approved.
    Approval,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Profile => "profile",
            Level::Preset => "preset",
            Level::Tenant => "tenant",
            Level::Approval => "approval",
        })
    }
}

/// A document at its level.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Level.
    pub level: Level,
    /// Document.
    pub document: Document,
}

/// Where an entry came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Level.
    pub level: Level,
    /// Name of the document.
    pub document: String,
    /// Key of the policy in it.
    pub policy: String,
    /// Where the endpoint stands.
    #[serde(flatten)]
    pub mark: Mark,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { level, document, policy, mark } = self;
        write!(f, "{policy} ({level}, {document}:{}:{})", mark.line, mark.column)
    }
}

/// One endpoint with all that decides about it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it came from.
    pub origin: Origin,
    /// Destination.
    pub endpoint: Endpoint,
    /// Who.
    pub binaries: Arc<Binaries>,
    /// Terms.
    pub terms: Arc<Terms>,
}

/// Why layers do not go together.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A preset or an approval says what becomes of destinations it does not name.
    #[error(
        "{document}: default = {default:?} in a {level}: only a profile and a tenant's own document say what becomes of the rest; take it out"
    )]
    Default {
        /// The document.
        document: String,
        /// What it says.
        default: Unlisted,
        /// Its level.
        level: Level,
    },
}

/// How a host is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing<'p> {
    /// By itself.
    Exact,
    /// By a pattern with these labels at its end.
    Pattern(&'p str),
    /// Not.
    None,
}

/// A policy that decides: the entries of all layers, found by host.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    entries: Vec<Entry>,
    default: Unlisted,
    /// Blocks of this machine that nobody reaches, whatever `allowed_ips` says: its own addresses, the pools of tenants.
    closed: Vec<Cidr>,
    /// Whether an address is this machine's own, where that is known.
    own: Option<fn(IpAddr) -> bool>,
    names: HashMap<String, Vec<usize>>,
    addresses: HashMap<IpAddr, Vec<usize>>,
    suffixes: HashMap<String, Vec<usize>>,
    anywhere: Vec<usize>,
}

impl Policy {
    /// Puts layers together, in the order of their levels and, within one, as given. `closed` are blocks that stay closed.
    pub fn merge(mut layers: Vec<Layer>, closed: Vec<Cidr>) -> Result<Policy, MergeError> {
        layers.sort_by_key(|layer| layer.level);
        let mut policy = Policy { closed, ..Policy::default() };
        for Layer { level, document } in layers {
            match (document.default, level) {
                (None, _) => {}
                (Some(default), Level::Profile | Level::Tenant) => policy.default = default,
                (Some(default), Level::Preset | Level::Approval) => {
                    return Err(MergeError::Default { document: document.name, default, level });
                }
            }
            for network in document.policies {
                let (binaries, terms) = (Arc::new(network.binaries), Arc::new(network.terms));
                for endpoint in network.endpoints {
                    policy.add(Entry {
                        origin: Origin {
                            level,
                            document: document.name.clone(),
                            policy: network.key.clone(),
                            mark: endpoint.mark,
                        },
                        endpoint,
                        binaries: Arc::clone(&binaries),
                        terms: Arc::clone(&terms),
                    });
                }
            }
        }
        Ok(policy)
    }

    fn add(&mut self, entry: Entry) {
        let index = self.entries.len();
        match &entry.endpoint.host {
            HostPattern::Exact(Host::Name(name)) => self.names.entry(name.clone()).or_default().push(index),
            HostPattern::Exact(Host::Address(address)) => {
                self.addresses.entry(*address).or_default().push(index);
            }
            HostPattern::Names(pattern) => {
                self.suffixes.entry(pattern.suffix().to_owned()).or_default().push(index);
            }
            HostPattern::Anywhere => self.anywhere.push(index),
        }
        self.entries.push(entry);
    }

    /// Every entry, in the order of the layers.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What becomes of destinations that no entry names.
    pub fn default_for_unlisted(&self) -> Unlisted {
        self.default
    }

    /// Blocks that stay closed.
    pub fn closed(&self) -> &[Cidr] {
        &self.closed
    }

    /// The same policy on a machine that knows its own addresses: they need `allowed_ips`, as private ones do.
    #[must_use]
    pub fn with_own(mut self, own: fn(IpAddr) -> bool) -> Policy {
        self.own = Some(own);
        self
    }

    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        self.own.is_some_and(|own| own(ip))
    }

    /// Whether the name may be looked up at `now`, in seconds since 1970: some entry names it, or it could be asked about.
    pub fn resolves(&self, host: &Host, now: u64) -> bool {
        self.default == Unlisted::Ask || self.listing(host, now) != Listing::None
    }

    /// How the name is listed at `now`: by itself, below a pattern, or not at all. Entries that have ended list nothing.
    pub fn listing<'p>(&'p self, host: &'p Host, now: u64) -> Listing<'p> {
        let mut found = Listing::None;
        for (_, entry) in self.candidates(host) {
            if entry.terms.expires.is_some_and(|end| end <= now) {
                continue;
            }
            match &entry.endpoint.host {
                HostPattern::Exact(_) => return Listing::Exact,
                HostPattern::Names(pattern) => found = Listing::Pattern(pattern.suffix()),
                HostPattern::Anywhere => {}
            }
        }
        found
    }

    /// Whether what may be done at this host depends on the program that does it.
    pub fn needs_binary(&self, host: &Host) -> bool {
        self.candidates(host).any(|(_, entry)| *entry.binaries != Binaries::Any)
    }

    /// Entries whose hosts may include this one, each once, in no certain order.
    pub(crate) fn candidates<'p>(&'p self, host: &'p Host) -> impl Iterator<Item = (usize, &'p Entry)> {
        let (name, exact) = match host {
            Host::Name(name) => (Some(name.as_str()), self.names.get(name)),
            Host::Address(address) => (None, self.addresses.get(address)),
        };
        // A pattern lies below its suffix in the tree of names, so the suffixes of the name find every pattern that can match.
        let below = std::iter::successors(name, |name| name.split_once('.').map(|(_, rest)| rest));
        let patterns = below.skip(1).filter_map(|suffix| self.suffixes.get(suffix)).flatten();
        let found = exact.into_iter().flatten().chain(patterns).chain(&self.anywhere);
        found
            .filter_map(|index| self.entries.get(*index).map(|entry| (*index, entry)))
            .filter(move |(_, entry)| entry.endpoint.host.matches(host))
    }
}
