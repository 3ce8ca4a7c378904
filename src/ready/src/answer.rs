//! Reading an HTTP answer, of which every byte may be hostile.

/// As much of an answer as is ever read.
pub const MAX_BYTES: usize = 64 * 1024;

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Status 200, and the body has what it must have.
    Ready,
    /// No more bytes can make this a good answer; why, in words that quote nothing from it but a number.
    NotReady(String),
    /// It may become one.
    More,
}

/// Judges the bytes received so far; `ended` if no more will come.
pub fn judge(received: &[u8], wanted: &str, ended: bool) -> Verdict {
    let Some(line_end) = find(received, b"\r\n") else {
        return if ended {
            NotReady("the connection closed before a status line")
        } else {
            undecided(received)
        };
    };
    let line = received.get(..line_end).unwrap_or_default();
    match status(line) {
        None => return NotReady("the answer is not HTTP/1"),
        Some(200) => (),
        Some(other) => return Verdict::NotReady(format!("status {other}")),
    }
    let Some(head_end) = find(received, b"\r\n\r\n") else {
        return if ended {
            NotReady("the connection closed within the headers")
        } else {
            undecided(received)
        };
    };
    let body = received.get(head_end + 4..).unwrap_or_default();
    if wanted.is_empty() || find(body, wanted.as_bytes()).is_some() {
        return Verdict::Ready;
    }
    if ended { NotReady("status 200, but the body is not the expected one") } else { undecided(received) }
}

#[allow(non_snake_case, reason = "reads as the variant it makes")]
fn NotReady(why: &str) -> Verdict {
    Verdict::NotReady(why.to_owned())
}

fn undecided(received: &[u8]) -> Verdict {
    if received.len() >= MAX_BYTES { NotReady("the answer is longer than 64 KiB") } else { Verdict::More }
}

/// The number in `HTTP/1.x NNN reason`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.0 ").or_else(|| line.strip_prefix(b"HTTP/1.1 "))?;
    let (digits, after) = rest.split_at_checked(3)?;
    let ends = after.first().is_none_or(|byte| *byte == b' ');
    if !ends || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn find(within: &[u8], wanted: &[u8]) -> Option<usize> {
    within.windows(wanted.len().max(1)).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"ok\":true}";

    #[test]
    fn a_200_is_ready() {
        assert_eq!(judge(GOOD, "", false), Verdict::Ready);
        assert_eq!(judge(GOOD, "\"ok\":true", true), Verdict::Ready);
    }

    #[test]
    fn a_page_for_any_path_is_not_ready() {
        let page = b"HTTP/1.1 200 OK\r\n\r\n<!doctype html>";
        assert!(matches!(judge(page, "\"ok\"", true), Verdict::NotReady(_)));
        assert_eq!(judge(page, "\"ok\"", false), Verdict::More);
    }

    #[test]
    fn other_answers_are_not_ready() {
        for bad in [
            &b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..],
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"\r\n\r\n",
            b" HTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(
                matches!(judge(bad, "", false), Verdict::NotReady(_)),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }

    #[test]
    fn an_endless_answer_is_given_up() {
        assert!(matches!(judge(&[b'a'; MAX_BYTES], "", false), Verdict::NotReady(_)));
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.resize(MAX_BYTES, b'x');
        assert!(matches!(judge(&endless, "ok", false), Verdict::NotReady(_)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_always_end(bytes in prop::collection::vec(any::<u8>(), 0..4096), wanted in ".{0,8}") {
            prop_assert_ne!(judge(&bytes, &wanted, true), Verdict::More);
        }

        #[test]
        fn a_verdict_does_not_change_with_more_bytes(
            head in prop::sample::select(vec![&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.0 404 No\r\n", b"HTTP/1.1 200\r\nA: b\r\n", b"x"]),
            tail in prop::collection::vec(any::<u8>(), 0..512), cut in 0usize..540, wanted in "[a-c]{0,2}",
        ) {
            let all = [head, &tail].concat();
            let early = judge(&all[..cut.min(all.len())], &wanted, false);
            if early != Verdict::More {
                let late = judge(&all, &wanted, true);
                prop_assert_eq!(std::mem::discriminant(&early), std::mem::discriminant(&late));
            }
        }
    }
}
