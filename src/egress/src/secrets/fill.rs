//! Values in the place of placeholders in the head of a request.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use model::egress::SecretPlace;
use policy::Host;
use zeroize::Zeroizing;

use super::encode;
use super::pieces::Pieces;
use super::placeholder::{Named, Placeholder, find};
use super::table::{Misplaced, Place, SecretTable, Why, misplaced, readings};

/// Placeholders in one head, at most.
const MOST: usize = 32;
/// Bytes of values in one head, at most.
const MOST_BYTES: usize = 64 << 10;
/// Base64 as programs write it: with padding or without.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Headers that say where a request goes and where it ends, and those for the next hop alone.
const NEVER: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-connection",
];

/// Headers by which some servers take another host, path or method than that of the first line, on which all was decided.
pub const STEERING: &[&str] = &[
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// What was put into a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Filled {
    /// Names of the secrets, each once.
    pub secrets: Vec<String>,
}

impl Filled {
    /// Whether nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

/// Fills one request; changes nothing before all of it is allowed.
pub(super) struct Filling<'a> {
    table: &'a SecretTable,
    place: Place<'a>,
    /// Readings of the whole path.
    path: Result<Vec<String>, Why>,
    count: usize,
    bytes: usize,
    most: (usize, usize),
    filled: Filled,
}

impl SecretTable {
    /// Puts values into a head: header values (in `Authorization: Basic`, too), values of the query, the path. On an error the head
    /// is as it was, and must not be sent. Where something was filled, the server is asked not to compress, so that its answer can
    /// be searched. After [`SecretTable::body`], which needs the path as it came.
    pub fn fill(&self, place: Place<'_>, parts: &mut Parts) -> Result<Filled, Misplaced> {
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let mut filling = Filling::new(self, place, &target, (MOST, MOST_BYTES)).of(parts);
        nowhere(parts)?;
        let new_target = filling.target(&target)?;
        let mut values = Vec::new();
        for (name, value) in &parts.headers {
            values.push(filling.header(name, value)?);
        }
        if let Some(target) = new_target {
            let mut uri = std::mem::take(&mut parts.uri).into_parts();
            // What was allowed holds escapes and what stood there before; it parses.
            uri.path_and_query = PathAndQuery::try_from(target.as_slice()).ok();
            parts.uri = http::Uri::from_parts(uri).unwrap_or_default();
        }
        for (value, new) in parts.headers.values_mut().zip(values) {
            if let Some(new) = new {
                *value = new;
            }
        }
        if !filling.filled.is_empty() {
            straight(parts);
        }
        Ok(filling.filled)
    }
}

/// What a request with a secret says about itself: its answer can be searched, and nothing leads it elsewhere.
pub(super) fn straight(parts: &mut Parts) {
    parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for name in STEERING {
        parts.headers.remove(*name);
    }
}

/// Whether a head names no server but this one. One server may answer for many names by one certificate, so the name that was verified
/// is not yet the one that answers.
fn names_only(parts: &Parts, place: Place<'_>) -> bool {
    let Ok(own) = Host::parse(place.host) else { return false };
    let same = |text: &str| {
        let Ok(authority) = text.parse::<Authority>() else { return false };
        let port = authority.port_u16().unwrap_or(place.port);
        !text.contains('@')
            && Host::parse(authority.host()).is_ok_and(|host| host == own)
            && port == place.port
    };
    let mut hosts = parts.headers.get_all(HOST).iter();
    let one = hosts.next().is_none_or(|host| host.to_str().is_ok_and(same)) && hosts.next().is_none();
    one && parts.uri.authority().is_none_or(|authority| same(authority.as_str()))
}

/// What no placeholder may stand in. A header's name cannot hold one: it has no colon.
fn nowhere(parts: &Parts) -> Result<(), Misplaced> {
    let refuse = |text: &str, into| match find(text.as_bytes()).into_iter().next() {
        Some(Placeholder { named, .. }) => Err(misplaced(&named, into, Why::Never)),
        None => Ok(()),
    };
    refuse(parts.method.as_str(), "the method")?;
    refuse(parts.uri.authority().map_or("", |authority| authority.as_str()), "the host")
}

impl<'a> Filling<'a> {
    pub(super) fn new(table: &'a SecretTable, place: Place<'a>, target: &str, most: (usize, usize)) -> Self {
        Self { table, place, path: readings(target), count: 0, bytes: 0, most, filled: Filled::default() }
    }

    /// Of a request with this head, which must not name another server.
    pub(super) fn of(mut self, parts: &Parts) -> Self {
        if self.path.is_ok() && !names_only(parts, self.place) {
            self.path = Err(Why::Fronted);
        }
        self
    }

    pub(super) fn filled(self) -> Filled {
        self.filled
    }

    fn target(&mut self, target: &str) -> Result<Option<Vec<u8>>, Misplaced> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let new_path = self.encoded(path.as_bytes(), false, SecretPlace::Path)?;
        let new_query =
            query.map(|query| self.pairs(query.as_bytes(), SecretPlace::Query)).transpose()?.flatten();
        if new_path.is_none() && new_query.is_none() {
            return Ok(None);
        }
        let mut out = new_path.unwrap_or_else(|| path.as_bytes().to_vec());
        if let Some(query) = query {
            out.push(b'?');
            out.extend(new_query.unwrap_or_else(|| query.as_bytes().to_vec()));
        }
        if PathAndQuery::try_from(out.as_slice()).is_err() {
            let named = Named::Secret(self.filled.secrets.first().cloned().unwrap_or_default());
            return Err(misplaced(&named, "the path", Why::TooMany));
        }
        Ok(Some(out))
    }

    /// `name=value&…` of a query or a form.
    pub(super) fn pairs(&mut self, raw: &[u8], kind: SecretPlace) -> Result<Option<Vec<u8>>, Misplaced> {
        let (mut out, mut changed) = (Vec::with_capacity(raw.len()), false);
        for (index, pair) in raw.split(|byte| *byte == b'&').enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = pair.split_at(at.map_or(pair.len(), |at| at + 1));
            let in_name = find(Pieces::decode(name, true).decoded()).into_iter().next();
            if let Some(Placeholder { named, .. }) = in_name {
                return Err(misplaced(&named, "the name of a parameter", Why::Never));
            }
            out.extend_from_slice(name);
            match self.encoded(value, true, kind)? {
                Some(value) => {
                    changed = true;
                    out.extend(value);
                }
                None => out.extend_from_slice(value),
            }
        }
        Ok(changed.then_some(out))
    }

    fn encoded(&mut self, raw: &[u8], plus: bool, kind: SecretPlace) -> Result<Option<Vec<u8>>, Misplaced> {
        let pieces = Pieces::decode(raw, plus);
        let found = find(pieces.decoded());
        let (mut values, mut places) = (Vec::new(), Vec::new());
        for Placeholder { at, named } in found {
            let start = pieces.raw(&at).map_or(0, |place| place.start);
            let before = raw.get(..start).unwrap_or_default();
            let encode = if kind == SecretPlace::Body { encode::form } else { encode::percent };
            values.push(self.value(&named, kind, before, |value| Ok(encode(value)))?);
            places.push(at);
        }
        let with =
            |index| values.get(index).map(|value: &Zeroizing<Vec<u8>>| value.to_vec()).unwrap_or_default();
        Ok((!places.is_empty()).then(|| pieces.replace(raw, &places, with)))
    }

    /// Bytes that are as they mean.
    pub(super) fn plain(
        &mut self,
        raw: &[u8],
        kind: SecretPlace,
        encode: impl Fn(&[u8]) -> Result<Vec<u8>, &'static str>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Misplaced> {
        let (mut out, mut last) = (Zeroizing::new(Vec::with_capacity(raw.len())), 0);
        for Placeholder { at, named } in find(raw) {
            let value = self.value(&named, kind, b"", &encode)?;
            out.extend_from_slice(raw.get(last..at.start).unwrap_or_default());
            out.extend_from_slice(&value);
            last = at.end;
        }
        out.extend_from_slice(raw.get(last..).unwrap_or_default());
        Ok((last > 0).then_some(out))
    }

    fn header(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<Option<HeaderValue>, Misplaced> {
        if NEVER.contains(&name.as_str()) {
            return match find(value.as_bytes()).into_iter().next() {
                Some(Placeholder { named, .. }) => Err(misplaced(&named, "this header", Why::Never)),
                None => Ok(None),
            };
        }
        let basic = basic(name, value);
        let new = match &basic {
            Some(decoded) => self.plain(decoded, SecretPlace::Header, encode::header)?.map(|new| {
                let coded = Zeroizing::new(STANDARD.encode(new.as_slice()));
                Zeroizing::new([b"Basic ".as_slice(), coded.as_bytes()].concat())
            }),
            None => self.plain(value.as_bytes(), SecretPlace::Header, encode::header)?,
        };
        let Some(new) = new else { return Ok(None) };
        match HeaderValue::from_bytes(&new) {
            Ok(mut value) => {
                value.set_sensitive(true);
                Ok(Some(value))
            }
            Err(_) => {
                let named = Named::Secret(self.filled.secrets.last().cloned().unwrap_or_default());
                Err(misplaced(&named, "a header", Why::Unwritable("what results is no header")))
            }
        }
    }

    fn value(
        &mut self,
        named: &Named,
        kind: SecretPlace,
        before: &[u8],
        encode: impl Fn(&[u8]) -> Result<Vec<u8>, &'static str>,
    ) -> Result<Zeroizing<Vec<u8>>, Misplaced> {
        let whole = self.path.as_ref().map_err(|why| misplaced(named, "this request", *why))?;
        let before = match kind {
            SecretPlace::Path => {
                let text =
                    std::str::from_utf8(before).map_err(|_| misplaced(named, "the path", Why::Ambiguous))?;
                Some(readings(text).map_err(|why| misplaced(named, "the path", why))?)
            }
            SecretPlace::Header | SecretPlace::Query | SecretPlace::Body | SecretPlace::Websocket => None,
        };
        let (name, value) = self.table.allowed(named, self.place, kind, before.as_ref().unwrap_or(whole))?;
        let value = encode(value).map_err(|why| misplaced(named, "this place", Why::Unwritable(why)))?;
        let value = Zeroizing::new(value);
        (self.count, self.bytes) = (self.count + 1, self.bytes.saturating_add(value.len()));
        if self.count > self.most.0 || self.bytes > self.most.1 {
            return Err(misplaced(named, "this request", Why::TooMany));
        }
        if !self.filled.secrets.iter().any(|own| own == name) {
            self.filled.secrets.push(name.to_owned());
        }
        Ok(value)
    }
}

/// What `Authorization: Basic` holds, if it can be read.
fn basic(name: &HeaderName, value: &HeaderValue) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, coded) = value.as_bytes().split_at_checked(6).filter(|_| *name == AUTHORIZATION)?;
    let coded = coded.trim_ascii();
    let decoded = scheme.eq_ignore_ascii_case(b"basic ").then(|| BASIC.decode(coded).ok())?;
    decoded.map(Zeroizing::new)
}
