//! `/etc/tenantd/edge.toml`: the operator's settings of the edge, with a shipped default for every field but the domain.
//! What is wrong is told with file, line and column, and a caret below it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use crate::edge::{Acme, ClaimRule, EDGE_FORMAT, EdgeFile, EdgeLimits, Issuer};
use crate::{Role, TenantId};

/// Seconds that a browser's session lasts, at most: a week.
pub const MAX_SESSION_SEC: u32 = 7 * 24 * 3600;
/// Where ACME certificates come from, if nothing else is said.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Bytes of the file, at most.
const MOST_BYTES: usize = 1 << 20;
/// Longest name of a host (RFC 1035, 2.3.4), less the longest tenant's name and a dot.
const DOMAIN_BYTES: usize = 253 - TenantId::MAX_BYTES - 1;

/// Why the settings are refused.
#[derive(Debug, Error)]
pub enum EdgeSettingsError {
    /// The text is wrong, at a place.
    #[error("{file}:{line}:{column}: {why}\n{shown}")]
    At {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// Cause and remedy.
        why: String,
        /// The line, and a caret below the place.
        shown: String,
    },
    /// The text is no settings at all.
    #[error("{file}: {why}")]
    Whole {
        /// Name of the file.
        file: String,
        /// Cause and remedy.
        why: String,
    },
}

/// The settings, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeSettings {
    /// All but what stands in other files.
    file: EdgeFile,
    /// For each issuer, the files that belong to it: with the client's secret, and with a certificate authority.
    beside: Vec<[Option<Beside>; 2]>,
    /// The file with the authority behind the ACME directory.
    acme_authority: Option<Beside>,
}

/// A file named in the settings, and where.
type Beside = (PathBuf, Range<usize>);

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    domain: Domain,
    #[serde(default)]
    public_port: Within<1, 65_535>,
    #[serde(default)]
    paths: bool,
    #[serde(default)]
    session_sec: Within<60, { MAX_SESSION_SEC as u64 }>,
    #[serde(default)]
    limits: LimitsWritten,
    #[serde(default)]
    issuers: Vec<IssuerWritten>,
    acme: Option<Spanned<AcmeWritten>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcmeWritten {
    directory: Option<DirectoryAddress>,
    contact: Mail,
    ca_file: Option<Spanned<Absolute>>,
    terms_agreed: Option<Spanned<bool>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsWritten {
    connections_per_ip: Within<1, 1_000_000>,
    requests_per_ip: Within<1, 1_000_000>,
    requests_per_subject: Within<1, 1_000_000>,
    requests_per_tenant: Within<1, 1_000_000>,
    connections_per_tenant: Within<1, 1_000_000>,
    sockets_per_subject: Within<1, 1_000_000>,
    body_bytes: Within<1024, { 1 << 40 }>,
    header_bytes: Within<4096, { 1 << 20 }>,
    connections: Within<1, 60_000>,
    failures_per_ip: Within<1, 1_000_000>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerWritten {
    name: Spanned<Word>,
    issuer: Spanned<IssuerAddress>,
    client_id: Line,
    client_secret_file: Option<Spanned<Absolute>>,
    audience: Option<Line>,
    ca_file: Option<Spanned<Absolute>>,
    #[serde(default)]
    rules: Vec<RuleWritten>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleWritten {
    claim: Line,
    value: Line,
    tenant: TenantId,
    role: Role,
}

/// A number with bounds; nothing where it is left out.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(try_from = "i64")]
struct Within<const LEAST: u64, const MOST: u64>(Option<u64>);

impl<const LEAST: u64, const MOST: u64> TryFrom<i64> for Within<LEAST, MOST> {
    type Error = String;
    fn try_from(number: i64) -> Result<Self, String> {
        let fits = u64::try_from(number).ok().filter(|number| (LEAST..=MOST).contains(number));
        fits.map(|number| Self(Some(number)))
            .ok_or_else(|| format!("{number} is out of range: write a number from {LEAST} to {MOST}"))
    }
}

impl<const LEAST: u64, const MOST: u64> Within<LEAST, MOST> {
    /// The number, or else the default; every bound of a field fits into its type.
    fn or<T: TryFrom<u64>>(self, default: T) -> T {
        self.0.and_then(|number| T::try_from(number).ok()).unwrap_or(default)
    }
}

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident: $check:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(try_from = "String")]
        struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> Option<&'static str> = $check;
                match check(&text) {
                    None => Ok(Self(text)),
                    Some(why) => Err(format!("{:?} {why}", text.chars().take(128).collect::<String>())),
                }
            }
        }
    )+};
}

text! {
    /// A domain of at least two labels, in lower case.
    Domain: |text| {
        let fits = text.len() <= DOMAIN_BYTES && text.split('.').count() >= 2 && text.split('.').all(is_label);
        let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        (!fits || numeric).then_some("is not a domain for tenants: write one like agents.example.org, in lower case, no address and no port")
    };
    /// Part of an address of the edge's own.
    Word: |text| (!is_label(text) || text.len() > 32)
        .then_some("is not a name for an issuer: use 1 to 32 lower-case letters, digits and dashes");
    /// A line of text.
    Line: |text| (text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control))
        .then_some("is empty, longer than 1024 bytes, or holds control characters");
    /// A path.
    Absolute: |text| (!text.starts_with('/') || text.contains('\0')).then_some("is not an absolute path");
    /// A mail address, as it stands in a mailto: address.
    Mail: |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".@_+-".contains(&byte);
        let fits = text.len() <= 254 && text.bytes().all(allowed) && text.bytes().filter(|byte| *byte == b'@').count() == 1;
        let named = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.split('.').all(|label| !label.is_empty()));
        (!(fits && named)).then_some("is not a mail address: write one like admin@example.org")
    };
    /// The address of an ACME directory.
    DirectoryAddress: |text| {
        let plain = text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'@');
        let named = text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']));
        (!(plain && named)).then_some("is not the address of an ACME directory: write an https:// address")
    };
    /// An issuer identifier (OpenID Connect Discovery, 2).
    IssuerAddress: |text| {
        let loopback = ["http://127.0.0.1", "http://[::1]", "http://localhost"].iter().any(|host| {
            text.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        });
        let address = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        let plain = text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#' && byte != b'@');
        let named = !address.is_empty() && !address.starts_with(['/', ':']);
        (!(plain && named && (loopback || text.starts_with("https://"))))
            .then_some("is not an issuer: write its https:// address as its tokens have it in \"iss\", without ? and #; http:// is for loopback addresses only")
    };
}

/// Letters, digits and inner dashes (RFC 1123, 2.1).
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl EdgeSettings {
    /// Reads TOML; what is left out has its shipped default. `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, EdgeSettingsError> {
        if text.len() > MOST_BYTES {
            let why = "larger than 1 MiB: these are no settings".to_owned();
            return Err(EdgeSettingsError::Whole { file: name.to_owned(), why });
        }
        let written: Written = toml::from_str(text).map_err(|error| {
            let why = match error.message() {
                "missing field `domain`" => {
                    "domain is missing: write domain = \"agents.example.org\" with your own"
                }
                other => other,
            };
            at((name, text), error.span(), why.trim_end().to_owned())
        })?;
        check_issuers(&written.issuers)
            .and_then(|()| written.acme.as_ref().map_or(Ok(()), check_terms))
            .map_err(|(span, why)| at((name, text), Some(span), why))?;
        Ok(compile(written))
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        &self.file.domain
    }

    /// All of it as one document. `read` gives the text of a file that the settings name.
    ///
    /// # Errors
    ///
    /// A file that `read` refuses, with the place where it is named.
    pub fn with_files(
        mut self,
        (name, text): (&str, &str),
        mut read: impl FnMut(&Path) -> Result<String, String>,
    ) -> Result<EdgeFile, EdgeSettingsError> {
        let mut fetch = |beside: Option<Beside>, check: fn(&str) -> Option<&'static str>| {
            let Some((path, span)) = beside else { return Ok(None) };
            let content = read(&path).and_then(|content| match check(&content) {
                None => Ok(content),
                Some(why) => Err(why.to_owned()),
            });
            let refuse = |why| at((name, text), Some(span), format!("{}: {why}", path.display()));
            content.map(Some).map_err(refuse)
        };
        for (issuer, [secret, authority]) in self.file.issuers.iter_mut().zip(self.beside) {
            let secret = fetch(secret, |text| {
                let line = text.trim_end_matches(['\r', '\n']);
                let wrong = line.is_empty() || line.len() > 1024 || line.chars().any(char::is_control);
                wrong.then_some("holds no client secret: write it there on one line")
            })?;
            issuer.client_secret = secret.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
            issuer.ca_pem = fetch(authority, is_authority)?;
        }
        if let Some(acme) = &mut self.file.acme {
            acme.ca_pem = fetch(self.acme_authority, is_authority)?;
        }
        Ok(self.file)
    }
}

fn is_authority(text: &str) -> Option<&'static str> {
    (!text.contains("-----BEGIN CERTIFICATE-----")).then_some("holds no certificate in PEM form")
}

/// An authority's terms are agreed to by its customer, never by a default.
fn check_terms(acme: &Spanned<AcmeWritten>) -> Result<(), (Range<usize>, String)> {
    let agreed = acme.as_ref().terms_agreed.as_ref();
    if agreed.is_some_and(|agreed| *agreed.as_ref()) {
        return Ok(());
    }
    let why = "the authority gives certificates to those who agree to its terms of service: read them, and write terms_agreed = true";
    Err((agreed.map_or_else(|| acme.span(), Spanned::span), why.to_owned()))
}

/// Names and identifiers stand once; an issuer without rules lets nobody in.
fn check_issuers(issuers: &[IssuerWritten]) -> Result<(), (Range<usize>, String)> {
    for (index, one) in issuers.iter().enumerate() {
        let others = || issuers.iter().take(index);
        if others().any(|other| other.name.as_ref().0 == one.name.as_ref().0) {
            return Err((one.name.span(), "another issuer has this name already".to_owned()));
        }
        if others().any(|other| other.issuer.as_ref().0 == one.issuer.as_ref().0) {
            let why = "this issuer stands above already: put the rules together".to_owned();
            return Err((one.issuer.span(), why));
        }
        if one.rules.is_empty() {
            let why = "this issuer has no rules and would let nobody in: add [[issuers.rules]] with claim, value, tenant and role";
            return Err((one.name.span(), why.to_owned()));
        }
    }
    Ok(())
}

fn compile(written: Written) -> EdgeSettings {
    let default = EdgeLimits::default();
    let limits = written.limits;
    let path =
        |file: Option<Spanned<Absolute>>| file.map(|file| (PathBuf::from(&file.as_ref().0), file.span()));
    let (mut beside, mut acme_authority) = (Vec::new(), None);
    let acme = written.acme.map(Spanned::into_inner).map(|acme| {
        acme_authority = path(acme.ca_file);
        let directory = acme.directory.map_or_else(|| LETS_ENCRYPT.to_owned(), |directory| directory.0);
        Acme { directory, contact: acme.contact.0, ca_pem: None }
    });
    let issuers = written.issuers.into_iter().map(|issuer| {
        beside.push([path(issuer.client_secret_file), path(issuer.ca_file)]);
        let rule = |rule: RuleWritten| ClaimRule {
            claim: rule.claim.0,
            value: rule.value.0,
            tenant: rule.tenant,
            role: rule.role,
        };
        Issuer {
            name: issuer.name.into_inner().0,
            issuer: issuer.issuer.into_inner().0,
            client_id: issuer.client_id.0,
            client_secret: None,
            audience: issuer.audience.map(|line| line.0),
            ca_pem: None,
            rules: issuer.rules.into_iter().map(rule).collect(),
        }
    });
    let file = EdgeFile {
        format: EDGE_FORMAT,
        domain: written.domain.0,
        public_port: written.public_port.or(443),
        paths: written.paths,
        session_sec: written.session_sec.or(12 * 3600),
        issuers: issuers.collect(),
        acme,
        limits: EdgeLimits {
            connections_per_ip: limits.connections_per_ip.or(default.connections_per_ip),
            requests_per_ip: limits.requests_per_ip.or(default.requests_per_ip),
            requests_per_subject: limits.requests_per_subject.or(default.requests_per_subject),
            requests_per_tenant: limits.requests_per_tenant.or(default.requests_per_tenant),
            connections_per_tenant: limits.connections_per_tenant.or(default.connections_per_tenant),
            sockets_per_subject: limits.sockets_per_subject.or(default.sockets_per_subject),
            body_bytes: limits.body_bytes.or(default.body_bytes),
            header_bytes: limits.header_bytes.or(default.header_bytes),
            connections: limits.connections.or(default.connections),
            failures_per_ip: limits.failures_per_ip.or(default.failures_per_ip),
        },
    };
    EdgeSettings { file, beside, acme_authority }
}

/// An error at a place of the text, as file, line, column and a caret.
fn at((name, text): (&str, &str), span: Option<Range<usize>>, why: String) -> EdgeSettingsError {
    let span = span.unwrap_or(0..0);
    let start = span.start.min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(begin..).unwrap_or_default().chars().count() + 1;
    let whole = text.get(begin..).unwrap_or_default().lines().next().unwrap_or_default();
    let marked = text.get(start..span.end.min(text.len())).unwrap_or_default();
    let width = marked.lines().next().unwrap_or_default().chars().count().max(1);
    let margin = " ".repeat(line.to_string().len());
    let shown =
        format!("{margin} |\n{line} | {whole}\n{margin} | {}{}", " ".repeat(column - 1), "^".repeat(width));
    EdgeSettingsError::At { file: name.to_owned(), line, column, why, shown }
}

#[cfg(test)]
#[path = "edge_settings_tests.rs"]
mod tests;
