//! An edge of two tenants for the tests of this module.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use model::edge::{
    EDGE_FORMAT, EdgeFile, EdgeLimits, Issuer, KEYS_FORMAT, Keys, REVOCATIONS_FORMAT, Revocation,
    Revocations, RevokedBy,
};
use model::{Role, TenantId};
use tempfile::TempDir;
use token::{Claims, Kind, SigningKey};

use super::{Authentication, Authenticator, Identity};
use crate::live::{Files, Live};

pub(crate) mod provider;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const DOMAIN: &str = "agents.example";
pub(crate) const SESSION: i64 = 43_200;

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn signer() -> SigningKey {
    SigningKey::from_pkcs8("k1", &[7; 32]).unwrap()
}

pub(crate) fn files(issuers: Vec<Issuer>) -> Files {
    let edge = EdgeFile {
        format: EDGE_FORMAT,
        domain: DOMAIN.to_owned(),
        public_port: 443,
        paths: false,
        session_sec: u32::try_from(SESSION).unwrap(),
        limits: EdgeLimits::default(),
        issuers,
        acme: None,
    };
    let key = model::edge::SigningKey { kid: "k1".to_owned(), x: signer().x(), retired: None };
    let keys = Keys { format: KEYS_FORMAT, issuer: token::issuer(DOMAIN), keys: vec![key] };
    Files::new(edge, keys, Revocations { format: REVOCATIONS_FORMAT, entries: Vec::new() }).unwrap()
}

/// An edge, and its state.
pub(crate) struct Edge {
    pub(crate) directory: TempDir,
    pub(crate) live: Arc<Live>,
    pub(crate) auth: Authenticator,
}

impl Edge {
    pub(crate) fn new(issuers: Vec<Issuer>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let live = Live::fixed(files(issuers));
        let auth = Authenticator::new(Arc::clone(&live), directory.path()).unwrap();
        Self { directory, live, auth }
    }

    /// After a restart.
    pub(crate) fn restarted(self) -> Self {
        let auth = Authenticator::new(Arc::clone(&self.live), self.directory.path()).unwrap();
        Self { auth, ..self }
    }

    /// Other files come into force.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Files)) {
        let mut files = (*self.live.now().unwrap()).clone();
        change(&mut files);
        let files = Files::new(files.edge, files.keys, files.revocations).unwrap();
        self.live.replace(Some(files));
    }

    pub(crate) fn revoke(&self, by: RevokedBy, value: &str, before: i64) {
        let entry = Revocation { by, value: value.to_owned(), before, until: before + 86_400 };
        self.change(|files| files.revocations.entries.push(entry));
    }

    pub(crate) fn ask(&self, at: &str, headers: &HeaderMap, now: i64) -> Authentication {
        self.auth.authenticate(&tenant(at), headers, now)
    }

    pub(crate) fn known(&self, at: &str, headers: &HeaderMap, now: i64) -> Arc<Identity> {
        let answer = self.ask(at, headers, now);
        let Authentication::Known(identity) = answer else { panic!("{answer:?}") };
        identity
    }
}

pub(crate) fn claims(at: &str) -> Claims {
    Claims {
        iss: token::issuer(DOMAIN),
        aud: token::audience(&tenant(at), DOMAIN),
        sub: "alice".to_owned(),
        role: Role::Operator,
        jti: "0123456789abcdef0123456789abcdef".to_owned(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 300,
    }
}

pub(crate) fn access(at: &str) -> String {
    signer().issue(&claims(at), Kind::Access).unwrap()
}

pub(crate) fn ticket(at: &str) -> String {
    signer().issue(&claims(at), Kind::Login).unwrap()
}

pub(crate) fn authorization(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

pub(crate) fn bearer(token: &str) -> HeaderMap {
    authorization(&format!("Bearer {token}"))
}

pub(crate) fn cookies(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(value).unwrap())])
}
