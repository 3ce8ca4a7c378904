//! Random bytes of the operating system.

use ring::rand::{SecureRandom as _, SystemRandom};

/// Fills an array; nothing if the operating system has no random bytes, upon which nothing may go on.
pub(crate) fn bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// A name that nobody can guess: 32 hexadecimal digits.
pub(super) fn jti() -> Option<String> {
    Some(hex(&bytes::<16>()?))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        if write!(text, "{byte:02x}").is_err() {
            text.clear();
        }
        text
    })
}
