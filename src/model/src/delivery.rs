//! What `tenant-credentials` hands to `tenant-exec` or to an egress proxy through PID 1: the secrets of one tenant in one systemd
//! credential. PID 1 loads the credentials that a unit names, and a static template cannot name what each tenant has.

use thiserror::Error;

/// Name of the credential.
pub const CREDENTIAL: &str = "secrets";
/// Where `tenant-exec` puts secrets that the gateway reads as files, each under its name.
pub const DIRECTORY: &str = "/run/tenantd/secrets";
/// Where `tenant-exec` puts the gateway's configuration, with its secret in the place of [`MARK`]. No secret has a name with a dot.
pub const CONFIG: &str = "/run/tenantd/secrets/.config";
/// Where `tenant-exec` puts the certificate authorities that the tenant's programs believe: the host's, and its proxy's own.
pub const AUTHORITIES: &str = "/run/tenantd/secrets/.authorities.pem";
/// What stands in a rendered configuration where the gateway's own secret belongs.
pub const MARK: &str = "@gateway@";

const MAGIC: &[u8] = b"tnd-cred\x01";

/// As what a secret is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file of the gateway.
    File,
    /// An environment variable of the gateway.
    Variable,
    /// The gateway's own secret, which takes the place of [`MARK`] in its configuration.
    Gateway,
    /// For the egress proxy; no gateway's delivery holds one.
    Proxy,
}

impl Form {
    const ALL: [Form; 4] = [Form::File, Form::Variable, Form::Gateway, Form::Proxy];

    fn byte(self) -> u8 {
        match self {
            Form::File => 0,
            Form::Variable => 1,
            Form::Gateway => 2,
            Form::Proxy => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.byte() == byte)
    }
}

/// One secret on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "a value that can be printed is printed one day")]
pub struct Delivered<'a> {
    /// Its name.
    pub name: &'a str,
    /// As what it is delivered.
    pub form: Form,
    /// Its value.
    pub value: &'a [u8],
}

/// Why bytes are no delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DeliveryError {
    /// It does not begin as one: tenant-credentials had none to give.
    #[error("it is empty or of another format: see \"journalctl -u tenantd-credentials\"")]
    Magic,
    /// It ends in the midst of something, or holds what cannot be.
    #[error("it is cut short or malformed: see \"journalctl -u tenantd-credentials\"")]
    Malformed,
}

/// Begins a delivery.
pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
}

/// Adds a secret to it; fails if the name or the value is longer than the format holds.
pub fn add(out: &mut Vec<u8>, secret: Delivered<'_>) -> Result<(), DeliveryError> {
    let name = u8::try_from(secret.name.len()).map_err(|_| DeliveryError::Malformed)?;
    let value = u32::try_from(secret.value.len()).map_err(|_| DeliveryError::Malformed)?;
    out.push(secret.form.byte());
    out.push(name);
    out.extend_from_slice(&value.to_be_bytes());
    out.extend_from_slice(secret.name.as_bytes());
    out.extend_from_slice(secret.value);
    Ok(())
}

/// How many bytes a secret takes.
pub fn length(name: &str, value: &[u8]) -> usize {
    6 + name.len() + value.len()
}

/// Reads a delivery.
pub fn read(bytes: &[u8]) -> Result<Vec<Delivered<'_>>, DeliveryError> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(DeliveryError::Magic)?;
    let mut secrets = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest.split_first_chunk::<6>().ok_or(DeliveryError::Malformed)?;
        let [kind, name, size @ ..] = *head;
        let size = usize::try_from(u32::from_be_bytes(size)).map_err(|_| DeliveryError::Malformed)?;
        let (name, after) = after.split_at_checked(name.into()).ok_or(DeliveryError::Malformed)?;
        let (value, after) = after.split_at_checked(size).ok_or(DeliveryError::Malformed)?;
        let name = std::str::from_utf8(name).map_err(|_| DeliveryError::Malformed)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let form = Form::from_byte(kind).ok_or(DeliveryError::Malformed)?;
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(DeliveryError::Malformed);
        }
        secrets.push(Delivered { name, form, value });
        rest = after;
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(secrets in prop::collection::vec(("[a-z][a-z0-9_-]{0,63}", prop::sample::select(&Form::ALL[..]), prop::collection::vec(any::<u8>(), 0..300)), 0..8)) {
            let given: Vec<_> = secrets.iter().map(|(name, form, value)| Delivered { name, form: *form, value }).collect();
            let mut bytes = Vec::new();
            begin(&mut bytes);
            let start = bytes.len();
            for secret in &given { add(&mut bytes, *secret).unwrap(); }
            prop_assert_eq!(bytes.len() - start, given.iter().map(|s| length(s.name, s.value)).sum::<usize>());
            prop_assert!(read(&bytes).ok() == Some(given));
        }

        #[test]
        fn anything_else_is_refused_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..73) {
            let bytes = [MAGIC, &tail].concat();
            let cut = &bytes[..cut.min(bytes.len())];
            if let Ok(secrets) = read(cut) {
                prop_assert!(secrets.iter().all(|secret| !secret.name.contains(['/', '.', '\0'])));
            }
        }
    }

    #[test]
    fn nothing_is_not_a_delivery_of_nothing() {
        assert!(read(b"").err() == Some(DeliveryError::Magic));
        assert!(read(MAGIC).is_ok_and(|secrets| secrets.is_empty()));
    }

    #[test]
    fn a_form_that_nobody_knows_is_refused() {
        let one = |kind: u8| [MAGIC, &[kind, 1, 0, 0, 0, 1], b"a", b"x"].concat();
        assert!(read(&one(3)).is_ok_and(|secrets| secrets[0].form == Form::Proxy));
        assert!(read(&one(4)).err() == Some(DeliveryError::Malformed));
    }
}
