//! A value that nobody prints or copies by accident.

use std::io::{ErrorKind, Read};

use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The value of a secret: 1 to 65,536 bytes of any kind. Wiped when dropped; has no `Debug`, `Display`, `Clone` or `PartialEq`.
#[expect(missing_debug_implementations, reason = "a value that can be printed is printed one day")]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why bytes are no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Nothing.
    #[error("the value is empty: give it on standard input or in a file")]
    Empty,
    /// Too much.
    #[error("the value has more than {max} bytes: a secret is a key, a token or a certificate, not data", max = Secret::MAX)]
    TooLarge,
    /// It could not be read.
    #[error("cannot read the value: {0}")]
    Read(#[source] std::io::Error),
}

impl Secret {
    /// Most bytes of a value.
    pub const MAX: usize = 65_536;

    /// Takes the bytes over; those that are no secret are wiped.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(SecretError::Empty),
            1..=Self::MAX => Ok(Self(bytes)),
            _ => Err(SecretError::TooLarge),
        }
    }

    /// Reads to the end of `source`, which is standard input or a file, and leaves no copy behind. Every byte counts, a
    /// newline at the end too.
    pub fn read(source: &mut impl Read) -> Result<Self, SecretError> {
        let mut buffer = Zeroizing::new(vec![0; Self::MAX + 1]);
        let length = fill(source, &mut buffer).map_err(SecretError::Read)?;
        Self::new(buffer.get(..length).unwrap_or_default().to_vec())
    }

    /// The value.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {}

/// Reads until `buffer` is full or `source` ends, and says how many bytes there were.
pub(crate) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::marker::PhantomData;

    use super::*;
    use crate::{BackupKey, Kek, Keks, Passphrase};

    /// Whether a type has a trait: the constant of the type itself, where its bound holds, comes before that of the trait.
    trait Lacks {
        const HAS: bool = false;
    }
    struct Prints<T>(PhantomData<T>);
    struct Shows<T>(PhantomData<T>);
    struct Copies<T>(PhantomData<T>);
    impl<T> Lacks for Prints<T> {}
    impl<T> Lacks for Shows<T> {}
    impl<T> Lacks for Copies<T> {}
    impl<T: Debug> Prints<T> {
        const HAS: bool = true;
    }
    impl<T: Display> Shows<T> {
        const HAS: bool = true;
    }
    impl<T: Clone> Copies<T> {
        const HAS: bool = true;
    }

    #[test]
    fn no_value_and_no_key_can_be_printed_or_copied() {
        assert_eq!((Prints::<u8>::HAS, Shows::<u8>::HAS, Copies::<u8>::HAS), (true, true, true));
        assert_eq!(
            (Prints::<Secret>::HAS, Shows::<Secret>::HAS, Copies::<Secret>::HAS),
            (false, false, false)
        );
        assert_eq!((Prints::<Kek>::HAS, Shows::<Kek>::HAS, Copies::<Kek>::HAS), (false, false, false));
        assert_eq!((Prints::<Keks>::HAS, Shows::<Keks>::HAS, Copies::<Keks>::HAS), (false, false, false));
        assert_eq!((Prints::<BackupKey>::HAS, Copies::<BackupKey>::HAS), (false, false));
        assert_eq!((Prints::<Passphrase>::HAS, Copies::<Passphrase>::HAS), (false, false));
    }

    #[test]
    fn values_and_keys_are_wiped_when_dropped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Secret>();
        wiped::<Kek>();
        wiped::<BackupKey>();
        wiped::<Passphrase>();
    }

    #[test]
    fn a_value_has_between_one_and_65536_bytes_of_any_kind() {
        assert!(matches!(Secret::new(Vec::new()), Err(SecretError::Empty)));
        assert!(matches!(Secret::new(vec![1; Secret::MAX + 1]), Err(SecretError::TooLarge)));
        assert_eq!(Secret::new(vec![0; Secret::MAX]).unwrap().expose().len(), Secret::MAX);
        assert!(matches!(Secret::read(&mut &[][..]), Err(SecretError::Empty)));
        assert_eq!(Secret::read(&mut &b"\0\xff\n"[..]).unwrap().expose(), b"\0\xff\n");
        assert_eq!(Secret::read(&mut &[1; Secret::MAX][..]).unwrap().expose().len(), Secret::MAX);
        assert!(matches!(Secret::read(&mut std::io::repeat(1)), Err(SecretError::TooLarge)));
    }

    #[test]
    fn a_source_that_fails_is_an_error_and_one_that_is_interrupted_is_read_on() {
        struct Odd(Vec<std::io::Result<u8>>);
        impl Read for Odd {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let Some(next) = self.0.pop() else { return Ok(0) };
                buffer[0] = next?;
                Ok(1)
            }
        }
        let mut interrupted = Odd(vec![Ok(b'b'), Err(ErrorKind::Interrupted.into()), Ok(b'a')]);
        assert_eq!(Secret::read(&mut interrupted).unwrap().expose(), b"ab");
        let mut broken = Odd(vec![Err(ErrorKind::BrokenPipe.into()), Ok(b'a')]);
        assert!(matches!(Secret::read(&mut broken), Err(SecretError::Read(_))));
    }
}
