//! Records: a known one, damage, strangers, bounds.

use proptest::prelude::*;

use super::*;
use crate::dek::WrappedDek;
use crate::testing::{damaged, kek, name, tenant, unhex};

/// Both made with Python's cryptography by the layout in docs/vault-formats.md: a change of the format must be deliberate.
const KNOWN: &str = "746e642d736563720102000000030000000000000008000102030405060708090a0b217d8c8eb43bbeea16bc56291c7f9f6529c9b6f42113f8";
const DEK: &str = "746e642d7764656b015be9c25717ea85370000000300000000000000070000000000000009000102030405060708090a0b20570775f91b97b27e47874875fc4f95bc5534ae0adf5ded6767c2dde3d77969d429175ccbe775b19c2b2abaf22224d9";

fn dek() -> Dek {
    WrappedDek::parse(&unhex(DEK)).unwrap().unwrap(&tenant("acme"), &kek(1)).unwrap()
}

fn open_as(dek: &Dek, as_name: &str, version: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, sealed) = parse(bytes).ok()?;
    open(dek, &name(as_name), version, header, sealed).map(|secret| secret.expose().to_vec())
}

#[test]
fn a_known_record_opens() {
    let known = unhex(KNOWN);
    let (header, _) = parse(&known).unwrap();
    assert_eq!(header, Header { kind: Kind::File, generation: 3, message: 8 });
    assert_eq!(open_as(&dek(), "telegram-token", 5, &known).unwrap(), b"hunter2");
    assert_eq!(header.bytes(), known[..22]);
}

#[test]
fn a_record_opens_for_its_tenant_name_version_kind_generation_and_number_only() {
    let known = unhex(KNOWN);
    let changed = |change: fn(&mut Dek)| {
        let mut dek = dek();
        change(&mut dek);
        open_as(&dek, "telegram-token", 5, &known)
    };
    assert!(changed(|_| ()).is_some());
    assert_eq!(changed(|dek| dek.tenant = tenant("beta")), None);
    assert_eq!(open_as(&dek(), "telegram-tokens", 5, &known), None);
    assert_eq!(open_as(&dek(), "telegram-token", 4, &known), None);
    assert_eq!(open_as(&dek(), "telegram-token", 6, &known), None);
    let (header, sealed) = parse(&known).unwrap();
    for header in [
        Header { kind: Kind::Proxy, ..header },
        Header { generation: 2, ..header },
        Header { message: 7, ..header },
    ] {
        assert!(open(&dek(), &name("telegram-token"), 5, header, sealed).is_none(), "{header:?}");
    }
    let other = Dek::make(tenant("acme"), 3, dek().given).unwrap();
    assert_eq!(open_as(&other, "telegram-token", 5, &known), None);
}

#[test]
fn a_record_with_any_bit_turned_or_cut_anywhere_does_not_open() {
    for bytes in damaged(&unhex(KNOWN)) {
        assert_eq!(open_as(&dek(), "telegram-token", 5, &bytes), None, "{bytes:02x?}");
    }
}

#[test]
fn what_is_no_record_is_called_by_its_name() {
    let with = |at: usize, bytes: &[u8]| {
        let mut file = unhex(KNOWN);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&file).unwrap_err()
    };
    assert_eq!(with(0, b"tnd-wdek"), FormError::Other("sealed secret"));
    assert_eq!(with(8, &[9]), FormError::Format { what: "sealed secret", found: 9 });
    assert_eq!(with(9, &[5]), FormError::Field("kind"));
    assert_eq!(with(10, &[0; 4]), FormError::Field("generation"));
    assert_eq!(with(14, &[0; 8]), FormError::Field("number"));
    assert_eq!(with(14, &[0xff; 8]), FormError::Field("number"));
    let long = [unhex(KNOWN), vec![0; Secret::MAX]].concat();
    assert_eq!(parse(&long).unwrap_err(), FormError::Length("sealed secret"));
    assert_eq!(parse(&unhex(KNOWN)[..50]).unwrap_err(), FormError::Length("sealed secret"));
}

proptest! {
    #[test]
    fn what_was_sealed_opens(value in prop::collection::vec(any::<u8>(), 1..2000), version: u64, message in 1..=MOST_MESSAGES) {
        let secret = Secret::new(value.clone()).unwrap();
        for kind in Kind::ALL {
            let bytes = seal(&dek(), &name("x"), version, (kind, message), &secret).unwrap();
            prop_assert_eq!(bytes.len(), 50 + value.len());
            prop_assert_eq!(parse(&bytes).unwrap().0, Header { kind, generation: 3, message });
            prop_assert_eq!(open_as(&dek(), "x", version, &bytes), Some(value.clone()));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, begins in 0usize..=22) {
        let bytes = [&unhex(KNOWN)[..begins], &bytes].concat();
        prop_assert_eq!(open_as(&dek(), "telegram-token", 5, &bytes), None);
    }
}

#[test]
fn the_largest_secret_fits() {
    let secret = Secret::new(vec![7; Secret::MAX]).unwrap();
    let bytes = seal(&dek(), &name("x"), 1, (Kind::Proxy, 1), &secret).unwrap();
    assert_eq!(open_as(&dek(), "x", 1, &bytes).unwrap(), secret.expose());
}
