//! Recovery copies: a known one, wrong passphrases, damage, hostile costs.

use proptest::prelude::*;

use super::*;
use crate::testing::{counting, damaged, kek, unhex};

/// Made with Python's argon2-cffi and cryptography by the layout in docs/vault-formats.md, at the least cost that is read.
const KNOWN: &str = "746e642d7265636f015be9c25717ea853700004c000000000100000001000102030405060708090a0b0c0d0e0f000102030405060708090a0b087190497be7476013727b95abb7903c4c59e2e305c2663adef555c69db09ee7d7597d752ab2b1e720d8d3e8451f2e08";

/// Where the fields are.
const MEMORY_AT: usize = 17;
const PASSES_AT: usize = 21;
const LANES_AT: usize = 25;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Secret::new(text.into()).unwrap()).unwrap()
}

fn refused(bytes: &[u8]) -> RecoveryError {
    let Err(error) = import_kek(bytes, &passphrase("correct horse battery")) else { panic!("it opened") };
    error
}

#[test]
fn a_known_recovery_copy_opens() {
    let opened = import_kek(&unhex(KNOWN), &passphrase("correct horse battery")).unwrap();
    assert_eq!(opened.expose(), kek(1).expose());
    let least = Cost { memory: MEMORY.0, passes: PASSES.0, lanes: LANES.0 };
    let again =
        export_with(&kek(1), &passphrase("correct horse battery"), least, counting(), counting()).unwrap();
    assert_eq!(again, unhex(KNOWN));
}

#[test]
fn a_copy_at_the_real_cost_opens_with_its_passphrase_and_no_other() {
    let copy = export_kek(&kek(1), &passphrase("six words of some length or other")).unwrap();
    let opened = import_kek(&copy, &passphrase("six words of some length or other")).unwrap();
    assert_eq!(opened.expose(), kek(1).expose());
    let wrong = import_kek(&copy, &passphrase("six words of some length or others"));
    assert!(matches!(wrong, Err(RecoveryError::Sealed(id)) if id == kek(1).id()));
    let second = export_kek(&kek(1), &passphrase("six words of some length or other")).unwrap();
    assert_ne!(copy, second);
}

#[test]
fn a_passphrase_has_12_to_1024_bytes() {
    for bytes in [vec![b'a'; 11], vec![b'a'; 1025]] {
        let found = bytes.len();
        let refused = Passphrase::new(Secret::new(bytes).unwrap());
        assert!(matches!(refused, Err(RecoveryError::Passphrase { found: n }) if n == found));
    }
    assert!(Passphrase::new(Secret::new(vec![b'a'; 12]).unwrap()).is_ok());
    assert!(Passphrase::new(Secret::new(vec![b'a'; 1024]).unwrap()).is_ok());
}

#[test]
fn a_copy_that_asks_for_too_much_or_too_little_is_refused_before_anything_is_spent() {
    for (at, name, numbers) in [
        (MEMORY_AT, "memory cost", [0, MEMORY.0 - 1, MEMORY.1 + 1, u32::MAX]),
        (PASSES_AT, "number of passes", [0, PASSES.1 + 1, 1 << 16, u32::MAX]),
        (LANES_AT, "number of lanes", [0, LANES.1 + 1, 1 << 16, u32::MAX]),
    ] {
        for number in numbers {
            let mut copy = unhex(KNOWN);
            copy[at..at + 4].copy_from_slice(&number.to_be_bytes());
            let error = refused(&copy);
            assert!(
                matches!(error, RecoveryError::Form(FormError::Field(field)) if field == name),
                "{error}"
            );
        }
    }
}

#[test]
fn a_copy_cut_anywhere_or_with_a_bit_turned_in_any_byte_does_not_open() {
    let known = unhex(KNOWN);
    // Of each byte one bit, because each try takes Argon2 its time. The bits of the costs are above.
    let turned = (0..known.len()).filter(|at| !(MEMORY_AT..LANES_AT + 4).contains(at)).map(|at| {
        let mut turned = known.clone();
        turned[at] ^= 1 << (at % 8);
        turned
    });
    let other_length = damaged(&known).filter(|bytes| bytes.len() != known.len());
    for bytes in turned.chain(other_length) {
        let error = refused(&bytes);
        assert!(matches!(error, RecoveryError::Form(_) | RecoveryError::Sealed(_)), "{error}");
    }
}

#[test]
fn a_copy_with_another_cost_within_bounds_does_not_open() {
    for (at, number) in [(MEMORY_AT, MEMORY.0 + 8), (PASSES_AT, 2), (LANES_AT, 2)] {
        let mut copy = unhex(KNOWN);
        copy[at..at + 4].copy_from_slice(&number.to_be_bytes());
        assert!(matches!(refused(&copy), RecoveryError::Sealed(_)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, begins in 0usize..=17) {
        refused(&[&unhex(KNOWN)[..begins], &bytes].concat());
    }
}
