use proptest::prelude::*;

use super::*;

fn path(text: &str) -> Glob {
    Glob::parse(text, '/').unwrap()
}

#[test]
fn a_star_stays_in_its_segment_and_two_cross_it() {
    for (pattern, yes, no) in [
        ("/repos/**", vec!["/repos/a", "/repos/a/b", "/repos/"], vec!["/repos", "/repo/a"]),
        ("/**", vec!["/", "/a", "/a/b"], vec![""]),
        ("/bot*/**", vec!["/bot123:x/sendMessage"], vec!["/bot123", "/file/bot1/x"]),
        ("/a/**/b", vec!["/a/x/b", "/a/x/y/b"], vec!["/a/b", "/a/x"]),
        ("/**/info/refs*", vec!["/o/r/info/refs", "/o/info/refsx"], vec!["/info/refs", "/o/info/refs/x"]),
        ("**secret**", vec!["a-secret-b", "secret"], vec!["a/secret"]),
        ("/v[0-9]/?", vec!["/v1/x"], vec!["/vx/x", "/v1/", "/v1//"]),
        ("/[!a-c]", vec!["/d"], vec!["/a", "//"]),
        ("/*a*b/c", vec!["/xaxb/c", "/ab/c", "/aabab/c"], vec!["/a/b/c", "/ba/c"]),
    ] {
        for text in yes {
            assert!(path(pattern).matches(text), "{pattern} {text}");
        }
        for text in no {
            assert!(!path(pattern).matches(text), "{pattern} {text}");
        }
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    for text in ["", "/{a,b}", "/a\\*", "/[", "/[]", "/[b-a]", "/[/]", "/[+-9]", "a\nb"] {
        assert!(Glob::parse(text, '/').is_err(), "{text}");
    }
}

/// By the book: the first step against every way to go on.
fn slowly(steps: &[Step], text: &[char], glob: &Glob) -> bool {
    match (steps, text) {
        ([], []) => true,
        ([Step::Star, after @ ..], _) => {
            slowly(after, text, glob)
                || text
                    .split_first()
                    .is_some_and(|(c, rest)| *c != glob.separator && slowly(steps, rest, glob))
        }
        ([Step::Any, after @ ..], _) => {
            slowly(after, text, glob) || text.split_first().is_some_and(|(_, rest)| slowly(steps, rest, glob))
        }
        ([step, after @ ..], [c, rest @ ..]) => glob.takes(step, *c) && slowly(after, rest, glob),
        ([], _) | (_, []) => false,
    }
}

fn pattern() -> impl Strategy<Value = Glob> {
    let piece = prop::sample::select(vec!["a", "b", "/", "*", "**", "?", "[ab]", "[!a]", "/**/", "/*"]);
    prop::collection::vec(piece, 1..7).prop_map(|pieces| path(&pieces.concat()))
}

fn short() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!['a', 'b', 'c', '/']), 0..8)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn matching_is_what_the_book_says(glob in pattern(), text in short()) {
        let chars: Vec<char> = text.chars().collect();
        prop_assert_eq!(glob.matches(&text), slowly(&glob.steps, &chars, &glob));
    }

    #[test]
    fn covering_and_overlapping_err_on_the_safe_side(a in pattern(), b in pattern(), text in short()) {
        if a.covers(&b) && b.matches(&text) {
            prop_assert!(a.matches(&text), "{a} covers {b}");
        }
        if a.matches(&text) && b.matches(&text) {
            prop_assert!(a.may_overlap(&b), "{a} meets {b}");
        }
    }
}
