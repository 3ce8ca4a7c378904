//! The first message of a TLS connection, as far as the proxy reads it: for whom it is, and whether it hides that.

/// What it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Name of the server (SNI).
    pub name: Option<String>,
    /// Whether the true name is encrypted (ECH; RFC 9849).
    pub encrypted: bool,
}

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole `ClientHello`.
    Hello(Hello),
    /// The beginning of one.
    More,
    /// Something else, or a malformed one.
    No(&'static str),
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ENCRYPTED: u16 = 0xfe0d;
/// Bytes of the message, at most.
const MOST: usize = 16 << 10;

/// Whether these may be the first bytes of TLS.
#[must_use]
pub fn is_tls(bytes: &[u8]) -> bool {
    match bytes {
        [] => false,
        [HANDSHAKE] => true,
        [HANDSHAKE, major, ..] => *major == 3,
        _ => false,
    }
}

/// Reads it. Strict: what two readers could understand differently is refused.
#[must_use]
pub fn read(mut bytes: &[u8]) -> Read {
    let mut message: Vec<u8> = Vec::new();
    loop {
        if let [CLIENT_HELLO, a, b, c, body @ ..] = message.as_slice() {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if length > MOST {
                return Read::No("its ClientHello is too long");
            }
            if body.len() > length {
                return Read::No("something follows its ClientHello in the same record");
            }
            if body.len() == length {
                return hello(body).map_or(Read::No("its ClientHello is malformed"), Read::Hello);
            }
        } else if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Read::No("it does not begin with a ClientHello");
        }
        let Some((head, rest)) = bytes.split_first_chunk::<5>() else {
            return if bytes.is_empty() || is_tls(bytes) { Read::More } else { Read::No("it is no TLS") };
        };
        let [kind, major, _, high, low] = *head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind != HANDSHAKE || major != 3 || length == 0 || length > MOST {
            return Read::No("it is no TLS handshake");
        }
        let Some((record, rest)) = rest.split_at_checked(length) else { return Read::More };
        message.extend_from_slice(record);
        bytes = rest;
    }
}

/// Goes over bytes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn short_vector(&mut self) -> Option<Input<'a>> {
        let length = self.short()?;
        self.take(length.into()).map(Input)
    }

    fn byte_vector(&mut self) -> Option<Input<'a>> {
        let length = self.byte()?;
        self.take(length.into()).map(Input)
    }
}

fn hello(body: &[u8]) -> Option<Hello> {
    let mut input = Input(body);
    input.take(34)?;
    if input.byte_vector()?.0.len() > 32 {
        return None;
    }
    let suites = input.short_vector()?.0.len();
    if suites < 2 || suites % 2 != 0 || input.byte_vector()?.0.is_empty() {
        return None;
    }
    let mut hello = Hello::default();
    if input.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = input.short_vector()?;
    if !input.0.is_empty() {
        return None;
    }
    let mut kinds = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.short()?;
        let content = extensions.short_vector()?;
        if kinds.contains(&kind) {
            return None;
        }
        kinds.push(kind);
        match kind {
            SERVER_NAME => hello.name = Some(server_name(content)?),
            ENCRYPTED => hello.encrypted = true,
            _ => {}
        }
    }
    Some(hello)
}

/// One name, of the only kind there is (RFC 6066, 3).
fn server_name(mut content: Input<'_>) -> Option<String> {
    let mut list = content.short_vector()?;
    let kind = list.byte()?;
    let name = list.short_vector()?.0;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let whole = content.0.is_empty() && list.0.is_empty() && kind == 0;
    if !whole || name.is_empty() || name.len() > 254 || !name.iter().all(plain) {
        return None;
    }
    String::from_utf8(name.to_vec()).ok()
}

/// A fatal alert `access_denied`.
pub const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn of_rustls(name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_name_is_read_and_every_beginning_waits() {
        let bytes = of_rustls("api.example.com");
        let wanted = Hello { name: Some("api.example.com".to_owned()), encrypted: false };
        assert_eq!(read(&bytes), Read::Hello(wanted.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), Read::More, "{cut}");
        }
        // In records of seven bytes each.
        let split: Vec<u8> = bytes[5..]
            .chunks(7)
            .flat_map(|part| [&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()], part].concat())
            .collect();
        assert_eq!(read(&split), Read::Hello(wanted));
        assert_eq!(read(&of_rustls("192.0.2.1")), Read::Hello(Hello::default()));
    }

    #[test]
    fn a_second_name_and_a_hidden_one_are_seen() {
        let mut body = vec![3, 3];
        body.extend([0; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        let name = [0, 0, 0, 8, 0, 6, 0, 0, 3, b'a', b'.', b'b'];
        let with = |extensions: &[u8]| {
            let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
            let body = [&body, &length[..], extensions].concat();
            let length = u16::try_from(body.len()).unwrap();
            let [high, low] = length.to_be_bytes();
            let message = [&[1, 0, high, low], &body[..]].concat();
            let [high, low] = u16::try_from(message.len()).unwrap().to_be_bytes();
            [&[22, 3, 1, high, low], &message[..]].concat()
        };
        assert_eq!(read(&with(&name)), Read::Hello(Hello { name: Some("a.b".to_owned()), encrypted: false }));
        assert!(matches!(read(&with(&[name, name].concat())), Read::No(_)));
        let hidden = [&name[..], &[0xfe, 0x0d, 0, 1, 0]].concat();
        assert_eq!(
            read(&with(&hidden)),
            Read::Hello(Hello { name: Some("a.b".to_owned()), encrypted: true })
        );
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), prefix in any::<bool>()) {
            let bytes = if prefix { [&[22, 3, 1, 0, 80, 1, 0, 0, 76], &bytes[..]].concat() } else { bytes };
            let _read = read(&bytes);
        }
    }
}
