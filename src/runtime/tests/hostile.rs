//! Texts from a registry, from a download or from a file that somebody spoiled: read or refused, never a panic, and what is
//! passed on is bounded.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

use proptest::prelude::*;
use runtime::{Description, Integrity, Line, Manifest, Provenance, Template, TreeHash};

const SHIPPED: &str = include_str!("../../../policies/runtimes/openclaw/runtime.toml");

/// A shipped description with a piece of it taken out and something else put in.
fn spoiled() -> impl Strategy<Value = String> {
    (0..SHIPPED.len(), 0usize..40, ".{0,20}").prop_map(|(from, length, put)| {
        let bytes = SHIPPED.as_bytes();
        let (head, tail) = bytes.split_at(from);
        let tail = tail.get(length..).unwrap_or_default();
        String::from_utf8_lossy(&[head, put.as_bytes(), tail].concat()).into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_spoiled_description_is_read_or_refused(text in prop_oneof![spoiled(), ".{0,300}"]) {
        match Description::parse("runtime.toml", &text) {
            Ok(description) => prop_assert!(!description.name.contains(['/', '.'])),
            Err(error) => prop_assert!(error.to_string().starts_with("runtime.toml: ")),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        drop((Description::parse("x", &text), Manifest::parse(&text), Provenance::parse(&text)));
        drop((Template::parse(&text), Integrity::try_from(text.clone()), TreeHash::try_from(text)));
    }

    #[test]
    fn what_a_download_says_is_passed_on_in_bounded_words(
        line in prop_oneof![".{0,80}", "(progress|fact|error) [0-9a-z_]{0,50} .{0,2000}"],
    ) {
        match Line::parse(&line) {
            Ok(Line::Fact { key, value }) => prop_assert!(key.len() <= 40 && value.len() <= 200),
            Ok(Line::Progress { percent, text }) => prop_assert!(percent <= 100 && text.chars().count() <= 1000),
            Ok(Line::Error { text }) => prop_assert!(text.chars().count() <= 1000),
            Err(error) => prop_assert!(error.to_string().len() < 2000),
        }
    }

    #[test]
    fn a_spoiled_manifest_never_gives_a_path_that_leaves_the_tree(
        lines in prop::collection::vec(
            ("[dfl]", prop_oneof![Just("../x".to_owned()), Just("/etc".to_owned()), "[a-z./]{0,9}", ".{0,6}"], "[a-z./]{0,6}"),
            0..6,
        ),
    ) {
        let mut lines: Vec<String> = lines
            .into_iter()
            .map(|(kind, path, more)| match kind.as_str() {
                "d" => format!("d\t0555\t{path}\n"),
                "f" => format!("f\t0444\t1\t{}\t{path}\n", "a".repeat(64)),
                _ => format!("l\t{path}\t{more}\n"),
            })
            .collect();
        lines.sort();
        if let Ok(manifest) = Manifest::parse(&format!("tenantd-manifest 1\n{}", lines.concat())) {
            for entry in manifest.entries() {
                let plain = |part: &str| !matches!(part, "" | "." | "..");
                prop_assert!(entry.path.split('/').all(plain), "{}", entry.path);
            }
        }
    }
}
