//! Wrapped DEKs: a known one, damage, strangers.

use proptest::prelude::*;

use super::*;
use crate::testing::{damaged, kek, tenant, unhex};

/// Made with Python's cryptography by the layout in docs/vault-formats.md: a change of the format must be deliberate.
const KNOWN: &str = "746e642d7764656b015be9c25717ea85370000000300000000000000070000000000000009000102030405060708090a0b20570775f91b97b27e47874875fc4f95bc5534ae0adf5ded6767c2dde3d77969d429175ccbe775b19c2b2abaf22224d9";

#[test]
fn a_known_wrapped_dek_opens() {
    let wrapped = WrappedDek::parse(&unhex(KNOWN)).unwrap();
    assert_eq!((wrapped.kek, wrapped.generation), (kek(1).id(), 3));
    let dek = wrapped.unwrap(&tenant("acme"), &kek(1)).unwrap();
    assert_eq!(dek.key().expose(), &[2; KEY]);
    assert_eq!((dek.generation, dek.given), (3, Given { message: 7, version: 9 }));
    let again = dek.wrap(&kek(1)).unwrap();
    assert_eq!((again.len(), &again[..37]), (unhex(KNOWN).len(), &unhex(KNOWN)[..37]));
}

#[test]
fn a_dek_opens_for_its_tenant_and_kek_only() {
    let wrapped = WrappedDek::parse(&unhex(KNOWN)).unwrap();
    assert!(wrapped.unwrap(&tenant("beta"), &kek(1)).is_none());
    assert!(wrapped.unwrap(&tenant("acme"), &kek(2)).is_none());
}

#[test]
fn a_wrapped_dek_with_any_bit_turned_or_cut_anywhere_does_not_open() {
    for bytes in damaged(&unhex(KNOWN)) {
        let opened = WrappedDek::parse(&bytes).ok().and_then(|dek| dek.unwrap(&tenant("acme"), &kek(1)));
        assert!(opened.is_none(), "{bytes:02x?}");
    }
}

#[test]
fn what_is_no_wrapped_dek_is_called_by_its_name() {
    let with = |at: usize, bytes: &[u8]| {
        let mut file = unhex(KNOWN);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        WrappedDek::parse(&file).unwrap_err()
    };
    assert_eq!(with(0, b"x"), FormError::Other("wrapped DEK"));
    assert_eq!(with(8, &[2]), FormError::Format { what: "wrapped DEK", found: 2 });
    assert_eq!(with(17, &[0; 4]), FormError::Field("generation"));
    assert_eq!(with(21, &(MOST_MESSAGES + 1).to_be_bytes()), FormError::Field("number of messages"));
    assert_eq!(WrappedDek::parse(b"tnd-wdek").unwrap_err(), FormError::Length("wrapped DEK"));
    assert_eq!(WrappedDek::parse(b"").unwrap_err(), FormError::Other("wrapped DEK"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, begins in 0usize..=37) {
        let bytes = [&unhex(KNOWN)[..begins], &bytes].concat();
        if let Ok(dek) = WrappedDek::parse(&bytes) {
            prop_assert!(dek.unwrap(&tenant("acme"), &kek(1)).is_none());
        }
    }
}
