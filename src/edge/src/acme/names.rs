//! Certificates by name, and the answers to challenges: what connections look up, at a cost that does not grow with the tenants.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use super::store::Held;
use crate::metrics::Counter;
use crate::tls::Certificate;

/// Where the answers to challenges are (RFC 8555, 8.3).
pub const CHALLENGES: &str = "/.well-known/acme-challenge/";
/// Names that wait to be looked at; with more, strangers are sending names, and the next connection asks again.
const MOST_WANTED: usize = 256;

/// All of it.
#[derive(Debug, Default)]
pub struct Names {
    certificates: RwLock<HashMap<String, Arc<Held>>>,
    challenges: RwLock<HashMap<String, Answer>>,
    wanted: Mutex<BTreeSet<String>>,
    asked: Notify,
    on: AtomicBool,
    /// Orders that were begun.
    pub orders: Counter,
    /// Orders that failed, and attempts to reach the authority.
    pub failures: Counter,
}

/// To one challenge.
#[derive(Debug)]
struct Answer {
    name: String,
    text: String,
}

/// For the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Certificates in force.
    pub certificates: u64,
    /// When the first of them expires, Unix seconds; 0 without any.
    pub first_expiry: u64,
}

impl Names {
    /// The certificate of this name. A name that has none is remembered as one that somebody asked for.
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let known = self.certificates.read().unwrap_or_else(PoisonError::into_inner);
        let key = known.get(name).map(|held| Arc::clone(&held.key));
        drop(known);
        if key.is_none() {
            self.want(name);
        }
        key
    }

    /// Somebody asked for this name. Whether it is one of ours is found out later.
    pub fn want(&self, name: &str) {
        if !self.on.load(Ordering::Relaxed) || self.has(name) {
            return;
        }
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.len() < MOST_WANTED && wanted.insert(name.to_owned()) {
            drop(wanted);
            self.asked.notify_one();
        }
    }

    /// What is answered to a challenge for this name; nothing if it is none that is being ordered.
    pub fn challenge(&self, name: &str, token: &str) -> Option<String> {
        let answers = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
        answers.get(token).filter(|answer| answer.name == name).map(|answer| answer.text.clone())
    }

    /// For the metrics.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let known = self.certificates.read().unwrap_or_else(PoisonError::into_inner);
        let first = known.values().map(|held| held.end).min().unwrap_or_default();
        Summary { certificates: u64::try_from(known.len()).unwrap_or(u64::MAX), first_expiry: first }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.certificates.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// These and no others from now on. Nothing: there is no authority.
    pub(super) fn replace(&self, certificates: Option<HashMap<String, Arc<Held>>>) {
        self.on.store(certificates.is_some(), Ordering::Relaxed);
        *self.certificates.write().unwrap_or_else(PoisonError::into_inner) = certificates.unwrap_or_default();
    }

    pub(super) fn insert(&self, name: String, held: Arc<Held>) {
        self.certificates.write().unwrap_or_else(PoisonError::into_inner).insert(name, held);
    }

    /// Takes out what has expired: the certificate that was given may still be good. Returns the names.
    pub(super) fn expire(&self, now: u64) -> Vec<String> {
        let mut known = self.certificates.write().unwrap_or_else(PoisonError::into_inner);
        let (gone, left) = std::mem::take(&mut *known).into_iter().partition(|(_, held)| held.end <= now);
        *known = left;
        let gone: HashMap<String, Arc<Held>> = gone;
        gone.into_keys().collect()
    }

    pub(super) fn answer(&self, name: &str, token: &str, text: &str) {
        let answer = Answer { name: name.to_owned(), text: text.to_owned() };
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), answer);
    }

    /// No challenge for this name any more.
    pub(super) fn end_challenges(&self, name: &str) {
        let mut answers = self.challenges.write().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, answer| answer.name != name);
    }

    /// Waits until names were asked for.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Those names.
    pub(super) fn take_wanted(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The certificate of the name that a client asks for, or else the one that was given.
#[derive(Debug)]
pub struct ByName {
    /// Those by name.
    pub names: Arc<Names>,
    /// For all other names, and for clients that send none.
    pub otherwise: Arc<Certificate>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives names in lower case.
        let own = hello.server_name().and_then(|name| self.names.certificate(name));
        own.or_else(|| self.otherwise.resolve(hello))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::store::tests::held;

    #[test]
    fn only_tokens_that_are_being_ordered_are_answered_at_their_own_name() {
        let names = Names::default();
        names.answer("acme.a.example", "token", "token.thumb");
        assert_eq!(names.challenge("acme.a.example", "token").as_deref(), Some("token.thumb"));
        for (name, token) in [
            ("beta.a.example", "token"),
            ("acme.a.example", ""),
            ("acme.a.example", "toke"),
            ("acme.a.example", "token/"),
            ("acme.a.example", "../token"),
            ("acme.a.example", "x/../token"),
        ] {
            assert_eq!(names.challenge(name, token), None, "{name} {token}");
        }
        names.end_challenges("beta.a.example");
        assert!(names.challenge("acme.a.example", "token").is_some());
        names.end_challenges("acme.a.example");
        assert_eq!(names.challenge("acme.a.example", "token"), None);
    }

    #[test]
    fn names_are_remembered_only_while_there_is_an_authority_and_up_to_a_bound() {
        let names = Names::default();
        names.want("acme.a.example");
        assert!(names.take_wanted().is_empty());
        names.replace(Some(HashMap::new()));
        for number in 0..2 * MOST_WANTED {
            names.want(&format!("{number}.a.example"));
        }
        assert_eq!(names.take_wanted().len(), MOST_WANTED);
        names.insert("acme.a.example".to_owned(), Arc::new(held("acme.a.example", 0, 100)));
        names.want("acme.a.example");
        assert!(names.take_wanted().is_empty());
    }

    #[test]
    fn what_has_expired_is_served_no_longer() {
        let names = Names::default();
        names.replace(Some(HashMap::new()));
        names.insert("a.example".to_owned(), Arc::new(held("a.example", 0, 1_000_000)));
        names.insert("b.example".to_owned(), Arc::new(held("b.example", 0, 2_000_000)));
        assert_eq!(names.summary(), Summary { certificates: 2, first_expiry: 1_000_000 });
        assert_eq!(names.expire(1_500_000), ["a.example"]);
        assert!(names.certificate("a.example").is_none());
        assert!(names.certificate("b.example").is_some());
        names.replace(None);
        assert_eq!(names.summary(), Summary { certificates: 0, first_expiry: 0 });
    }
}
