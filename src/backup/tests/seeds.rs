//! The function that is fuzzed, over its seed and every part and changed byte of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

use std::path::Path;

#[path = "../../../tests/fuzz/src/backup_head.rs"]
mod backup_head;

#[test]
fn the_seed_of_the_fuzz_target_is_a_head_and_what_is_changed_in_it_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/backup_head/seed");
    let seed = std::fs::read(corpus).unwrap();
    assert!(backup::Head::read(&mut &seed[..]).is_ok());
    backup_head::heads(&seed);
    for at in 0..seed.len() {
        backup_head::heads(&seed[..at]);
        let mut changed = seed.clone();
        for byte in [0, 1, b'"', 0x7f, 0xff] {
            changed[at] = byte;
            backup_head::heads(&changed);
        }
    }
}
