//! The seeds of the fuzz target are read as it reads them.

#[path = "../../../tests/fuzz/src/egress.rs"]
#[allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]
mod egress;

#[test]
fn the_seeds_of_the_fuzz_target_hold() {
    egress::documents(include_bytes!("../../../tests/fuzz/corpus/policy/seed"));
    // Lines that end in a carriage return alone, which the fuzzer found counted in two ways.
    egress::documents(include_bytes!("../../../tests/fuzz/corpus/policy/carriage-returns"));
    for text in
        [include_bytes!("documents/quickstart.yaml").as_slice(), include_bytes!("documents/slack.yaml")]
    {
        egress::documents(text);
    }
}
