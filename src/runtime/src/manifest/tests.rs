//! Manifests: hashes, differences, form.

use super::*;
use proptest::prelude::*;

fn file(path: &str, content: &str) -> Entry {
    let sha256 = hex(&Sha256::digest(content));
    Entry {
        path: path.to_owned(),
        kind: Kind::File { executable: false, size: content.len() as u64, sha256 },
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(Kind::Directory),
        (any::<bool>(), any::<u64>(), "[0-9a-f]{64}").prop_map(|(executable, size, sha256)| Kind::File {
            executable,
            size,
            sha256
        }),
        "[^\\p{Cc}]{1,12}".prop_map(|target| Kind::Link { target }),
    ];
    ("[^\\p{Cc}/.]{1,6}(/[^\\p{Cc}/.]{1,6}){0,3}", kind).prop_map(|(path, kind)| Entry { path, kind })
}

#[test]
fn two_trees_with_one_content_have_one_hash_whatever_the_order_and_the_place() {
    let one = Manifest::new([file("app/a", "1"), file("app/b", "2")]).unwrap();
    let other = Manifest::new([file("app/b", "2"), file("app/a", "1")]).unwrap();
    assert_eq!(one.tree_hash(), other.tree_hash());
    let moved = Manifest::new([file("x/b", "2"), file("x/a", "1")]).unwrap();
    assert_ne!(one.tree_hash(), moved.tree_hash());
    assert_eq!(one.subtree_hash("app"), moved.subtree_hash("x"));
    assert_ne!(one.subtree_hash("app"), one.subtree_hash("ap"));
}

#[test]
fn every_kind_of_difference_is_found() {
    let sealed = Manifest::new([file("a", "1"), file("b", "2")]).unwrap();
    let found = Manifest::new([file("b", "3"), file("c", "4")]).unwrap();
    let said: Vec<String> = sealed.compare(&found).iter().map(ToString::to_string).collect();
    assert_eq!(said, ["a is missing", "b was changed", "c does not belong there"]);
}

#[test]
fn paths_that_leave_the_tree_or_forge_a_line_are_refused() {
    for path in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\nf", "a\tb"] {
        assert!(Manifest::new([file(path, "")]).is_err(), "{path:?}");
    }
    let link = Entry { path: "a".into(), kind: Kind::Link { target: "b\nd\t0555\tc".into() } };
    assert!(Manifest::new([link]).is_err());
}

#[test]
fn a_link_must_stay_in_the_tree_and_pass_no_other_link() {
    let with = |path: &str, target: &str| {
        let directory = |path: &str| Entry { path: path.into(), kind: Kind::Directory };
        let link = |path: &str, target: &str| Entry {
            path: path.into(),
            kind: Kind::Link { target: target.into() },
        };
        Manifest::new([
            directory("a"),
            directory("a/b"),
            file("a/b/f", ""),
            link("c", "a/b"),
            link(path, target),
        ])
        .unwrap()
        .check_links()
    };
    for target in ["b/f", "../a/b/f", "./b", "b//f"] {
        assert!(with("a/l", target).is_ok(), "{target}");
    }
    for target in ["/a/b/f", "../../a", "..", "missing", "../c", "../c/f", "../c/../b", "l"] {
        assert!(with("a/l", target).is_err(), "{target}");
    }
}

#[test]
fn a_text_out_of_form_is_refused_with_its_line() {
    for (text, needle) in [
        ("", "does not begin"),
        ("tenantd-manifest 2\n", "does not begin"),
        ("tenantd-manifest 1\nd\t0755\ta\n", "line 2"),
        ("tenantd-manifest 1\nd\t0555\tb\nd\t0555\ta\n", "line 3: path \"a\" is out of order"),
        ("tenantd-manifest 1\nd\t0555\ta\nd\t0555\ta\n", "line 3"),
        ("tenantd-manifest 1\nd\t0555\t../a\n", "line 2"),
    ] {
        let message = Manifest::parse(text).unwrap_err().to_string();
        assert!(message.contains(needle), "{text:?}: {message}");
    }
}

proptest! {
    #[test]
    fn a_manifest_reads_back_as_written(entries in prop::collection::btree_map("[a-z]{1,3}", entry(), 0..12)) {
        let entries: BTreeMap<String, Entry> = entries.into_values().map(|e| (e.path.clone(), e)).collect();
        let manifest = Manifest::new(entries.into_values()).unwrap();
        let again = Manifest::parse(&manifest.to_text()).unwrap();
        prop_assert_eq!(&again, &manifest);
        prop_assert!(manifest.compare(&again).is_empty());
    }

    #[test]
    fn no_text_makes_it_panic(text in "(tenantd-manifest 1\n)?([dfl]\t[^\n]{0,30}\n){0,4}") {
        drop(Manifest::parse(&text));
    }
}
