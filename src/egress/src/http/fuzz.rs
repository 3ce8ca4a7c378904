//! For fuzzing: messages on a WebSocket are the same however frames and reads cut them, and none brings a secret back.

use std::sync::LazyLock;

use super::echoes::{Echoes, Ended};
use super::frames::{self, Carries, Frames, Step};
use super::texts::{Sent, Texts, Wrong};
use crate::secrets::Scanner;

/// What is searched for.
const VALUE: &[u8] = b"sk-sksk-0";
static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::of(VALUE));

/// How a text comes in fragments and reads.
struct Cuts {
    reads: usize,
    fragments: [u8; 3],
    place: usize,
}

impl Cuts {
    fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[reads, place, fragments @ ..], rest) = bytes.split_first_chunk::<5>()?;
        Some((Self { reads: usize::from(reads) + 1, fragments, place: place.into() }, rest))
    }

    /// A message in these fragments, with a ping after each.
    fn message(&self, opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let (mut out, mut rest, mut opcode) = (Vec::new(), payload, opcode);
        for size in self.fragments {
            let (part, after) = rest.split_at(usize::from(size).min(rest.len()));
            frames::write(&mut out, opcode, false, mask, part);
            frames::write(&mut out, 9, true, mask, b"ping");
            (rest, opcode) = (after, 0);
        }
        frames::write(&mut out, opcode, true, mask, rest);
        out
    }
}

/// What goes on of the frames of a server.
#[derive(PartialEq, Eq)]
struct Passed {
    messages: Vec<Vec<u8>>,
    controls: Vec<Vec<u8>>,
    ended: Option<Ended>,
}

/// How it is cut, and what a server sends: as frames, and as a text. What goes on does not depend on cuts, consists of whole frames and
/// holds no secret; a secret that was put into it is always seen.
pub fn fuzz_echoes(bytes: &[u8]) {
    let Some((cuts, text)) = Cuts::take(bytes) else { return };
    same(text, &cuts);
    let (before, after) = text.split_at(cuts.place.min(text.len()));
    let ahead = cuts.message(1, None, b"one before");
    let with = cuts.message(2, None, &[before, VALUE, after].concat());
    let passed = same(&[&ahead[..], &with].concat(), &cuts);
    assert!(passed.ended == Some(Ended::Echoed), "a secret comes back");
    assert!(passed.messages.first().is_some_and(|first| first == b"one before"), "what came before passes");
    let without = same(&[ahead, cuts.message(2, None, text)].concat(), &cuts);
    if !contains(text, VALUE) && without.ended.is_none() {
        assert!(without.messages.get(1).is_some_and(|second| second == text), "all else passes as it came");
        assert!(without.controls.len() == 2 * cuts.fragments.len());
    }
}

fn same(bytes: &[u8], cuts: &Cuts) -> Passed {
    let (one, other) = (search(bytes, bytes.len()), search(bytes, cuts.reads));
    assert!(one == other, "it depends on the cuts");
    for part in one.messages.iter().chain(&one.controls) {
        assert!(!contains(part, VALUE), "a secret passes");
    }
    one
}

fn search(bytes: &[u8], size: usize) -> Passed {
    let (mut echoes, mut out) = (Echoes::new(SCANNER.again()), Vec::new());
    let ended = bytes.chunks(size.max(1)).find_map(|chunk| echoes.push(chunk, &mut out).err());
    let (mut frames, mut left) = (Frames::new(false), out.as_slice());
    let (mut messages, mut controls, mut control) = (Vec::new(), Vec::new(), false);
    loop {
        match frames.step(&mut left) {
            Err(wrong) => assert!(wrong.is_empty(), "{wrong}"),
            Ok(None) => break,
            Ok(Some(Step::Head(head))) => {
                control = head.carries == Carries::Control;
                match head.carries {
                    Carries::Control => controls.push(Vec::new()),
                    Carries::Text | Carries::Binary => messages.push(Vec::new()),
                    Carries::More => {}
                }
            }
            Ok(Some(Step::Payload(payload))) => {
                let all = if control { &mut controls } else { &mut messages };
                all.last_mut().into_iter().for_each(|last: &mut Vec<u8>| last.extend_from_slice(payload));
            }
        }
    }
    assert!(frames.between(), "a part of a frame passes");
    Passed { messages, controls, ended }
}

/// What comes out of the bytes of a client.
#[derive(PartialEq, Eq)]
enum Out {
    Begun,
    Text(String),
    Other(Vec<u8>),
}

/// How it is cut, and what a client sends: as frames, and as a text. What comes out does not depend on cuts; a text comes out as it was sent,
/// and what is none stays as it stands.
pub fn fuzz_texts(bytes: &[u8]) {
    let Some((cuts, text)) = Cuts::take(bytes) else { return };
    let mask = text.first_chunk::<4>().copied().unwrap_or_default();
    let own = |bytes: &[u8]| {
        let (one, other) = (gather(bytes, bytes.len()), gather(bytes, cuts.reads));
        assert!(one == other, "it depends on the cuts");
        one
    };
    own(text);
    let binary = cuts.message(2, Some(mask), text);
    assert!(own(&binary) == (vec![Out::Other(binary.clone())], None), "what is no text changes");
    let (out, wrong) = own(&cuts.message(1, Some(mask), text));
    match String::from_utf8(text.to_vec()) {
        Err(_) => assert!(wrong == Some(Wrong::NotText)),
        Ok(text) => {
            assert!(wrong.is_none() && matches!(out.first(), Some(Out::Begun)));
            assert!(matches!(out.last(), Some(Out::Text(last)) if *last == text), "a text changes");
            assert!(out.len() == 3, "the pings stand between");
        }
    }
}

fn gather(bytes: &[u8], size: usize) -> (Vec<Out>, Option<Wrong>) {
    let (mut texts, mut all) = (Texts::new(), Vec::new());
    for mut chunk in bytes.chunks(size.max(1)) {
        loop {
            let other = match texts.next(&mut chunk) {
                Err(wrong) => return (all, Some(wrong)),
                Ok(None) => break,
                Ok(Some(Sent::Begun)) => {
                    all.push(Out::Begun);
                    continue;
                }
                Ok(Some(Sent::Text(text))) => {
                    all.push(Out::Text(text));
                    continue;
                }
                Ok(Some(Sent::Head(head))) => head,
                Ok(Some(Sent::Payload(payload))) => payload.to_vec(),
            };
            match all.last_mut() {
                Some(Out::Other(before)) => before.extend_from_slice(&other),
                _ => all.push(Out::Other(other)),
            }
        }
    }
    (all, None)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
