//! Messages however they are cut and fragmented: the same comes out, and no value passes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::echoes::{Echoes, Ended};
use super::frames::{Carries, Frames, Step, write};
use super::texts::{MOST, Sent, Texts, Wrong};
use crate::secrets::Scanner;

const VALUE: &str = "sk-0123456789abcdef";
const MASK: [u8; 4] = [9, 8, 7, 6];

/// A message in fragments of these sizes, with a ping after the first one.
fn message(opcode: u8, mask: Option<[u8; 4]>, payload: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut rest, mut next) = (Vec::new(), payload, opcode);
    for size in sizes {
        let (part, after) = rest.split_at((*size).min(rest.len()));
        write(&mut out, next, false, mask, part);
        if next != 0 {
            write(&mut out, 9, true, mask, b"ping");
        }
        (rest, next) = (after, 0);
    }
    write(&mut out, next, true, mask, rest);
    out
}

/// What comes out of a client's bytes: texts, and the bytes of everything else.
fn gather(bytes: &[u8], step: usize) -> Result<(Vec<String>, Vec<u8>), Wrong> {
    let (mut texts, mut all, mut rest) = (Texts::new(), Vec::new(), Vec::new());
    let mut begun = 0;
    for mut chunk in bytes.chunks(step) {
        while let Some(sent) = texts.next(&mut chunk)? {
            match sent {
                Sent::Begun => begun += 1,
                Sent::Text(text) => all.push(text),
                Sent::Head(head) => rest.extend(head),
                Sent::Payload(payload) => rest.extend_from_slice(payload),
            }
        }
    }
    assert_eq!(begun, all.len());
    Ok((all, rest))
}

/// What comes out of a server's bytes: the payloads of messages and control frames; the last message may not be whole.
fn search(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Vec<u8>, Option<Ended>) {
    let (mut echoes, mut out) = (Echoes::new(Scanner::of(VALUE.as_bytes())), Vec::new());
    let ended = bytes.chunks(step).find_map(|chunk| echoes.push(chunk, &mut out).err());
    let (mut frames, mut left) = (Frames::new(false), &out[..]);
    let (mut messages, mut controls, mut control) = (Vec::<Vec<u8>>::new(), Vec::new(), false);
    while let Some(step) = frames.step(&mut left).unwrap() {
        match step {
            Step::Head(head) => {
                control = head.carries == Carries::Control;
                if matches!(head.carries, Carries::Text | Carries::Binary) {
                    messages.push(vec![head.raw[0] & 0x0f]);
                }
            }
            Step::Payload(payload) if control => controls.extend_from_slice(payload),
            Step::Payload(payload) => messages.last_mut().unwrap().extend_from_slice(payload),
        }
    }
    assert!(frames.between(), "only whole frames go on");
    (messages, controls, ended)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_text_of_1_mib_is_gathered_and_a_larger_one_is_not() {
    let text = vec![b'x'; MOST];
    for sizes in [&[][..], &[1000, 5, 70_000]] {
        let bytes = message(1, Some(MASK), &text, sizes);
        assert_eq!(gather(&bytes, 8192).unwrap().0[0].len(), MOST);
        let bytes = message(1, Some(MASK), &[&text[..], b"y"].concat(), sizes);
        assert_eq!(gather(&bytes, 8192), Err(Wrong::TooLarge));
        // A binary message may have any length.
        let bytes = message(2, Some(MASK), &[&text[..], b"y"].concat(), &[]);
        assert_eq!(gather(&bytes, 8192), Ok((Vec::new(), bytes)));
    }
    // Its head alone is enough.
    assert_eq!(gather(&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4], 1), Err(Wrong::TooLarge));
}

#[test]
fn a_text_that_is_no_utf8_is_not_taken() {
    assert_eq!(gather(&message(1, Some(MASK), b"\xff", &[]), 3), Err(Wrong::NotText));
    // In pieces it is none either, as a whole it is.
    let text = "wörd".as_bytes();
    assert_eq!(gather(&message(1, Some(MASK), text, &[2]), 3).unwrap().0, ["wörd"]);
    assert!(matches!(gather(&message(1, None, b"a", &[]), 3), Err(Wrong::Frames(_))));
}

#[test]
fn an_echo_is_found_in_control_frames_and_not_across_messages() {
    let mut close = Vec::new();
    write(&mut close, 8, true, None, &[b"\x03\xe8bad key ", VALUE.as_bytes()].concat());
    assert_eq!(search(&close, 1000), (Vec::new(), Vec::new(), Some(Ended::Echoed)));
    let (first, second) = VALUE.split_at(9);
    let two = [message(1, None, first.as_bytes(), &[]), message(1, None, second.as_bytes(), &[])].concat();
    let (messages, _, ended) = search(&two, 1000);
    assert_eq!((messages.len(), ended), (2, None));
    assert!(matches!(search(&message(1, Some(MASK), b"a", &[]), 3).2, Some(Ended::Frames(_))));
}

#[test]
fn a_message_is_passed_on_at_its_end_and_a_long_one_before() {
    let mut echoes = Echoes::new(Scanner::of(VALUE.as_bytes()));
    let mut out = Vec::new();
    // Its end begins a secret; it is passed on all the same.
    let short = message(1, None, b"sk-0123", &[]);
    echoes.push(&short, &mut out).unwrap();
    assert_eq!(out, short);
    out.clear();
    let mut long = vec![0x82, 127];
    long.extend_from_slice(&(3_u64 << 20).to_be_bytes());
    long.resize(1 << 20, b'x');
    echoes.push(&long, &mut out).unwrap();
    assert!(out.len() > (1 << 20) - (128 << 10), "{}", out.len());
    // A secret far inside: what came before has gone on, nothing of it does.
    let (before, mut after) = (out.len(), VALUE.as_bytes().to_vec());
    after.insert(0, b'x');
    assert_eq!(echoes.push(&after, &mut out), Err(Ended::Echoed));
    assert_eq!(out.len(), before);
    assert!(!contains(&out, b"sk-"));
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..30, 0..5)
}

proptest! {
    #[test]
    fn texts_are_the_same_however_they_are_cut(
        messages in prop::collection::vec(("[a-zö:]{0,300}", any::<bool>(), sizes()), 1..5), step in 1_usize..40,
    ) {
        let mut bytes = Vec::new();
        let mut wanted = Vec::new();
        for (text, is_text, sizes) in &messages {
            bytes.extend(message(if *is_text { 1 } else { 2 }, Some(MASK), text.as_bytes(), sizes));
            wanted.extend(is_text.then(|| text.clone()));
        }
        let (texts, rest) = gather(&bytes, step).unwrap();
        prop_assert_eq!(&texts, &wanted);
        prop_assert_eq!(gather(&bytes, bytes.len()).unwrap(), (texts, rest));
    }

    #[test]
    fn an_echo_never_passes_however_it_is_cut_and_all_else_does(
        before in "[sk0-9\\-]{0,40}", after in "[a-z]{0,10}", with in any::<bool>(), binary in any::<bool>(),
        sizes in sizes(), step in 1_usize..40,
    ) {
        let text = if with { format!("{before}{VALUE}{after}") } else { format!("{before}{after}") };
        let opcode = if binary { 2 } else { 1 };
        let ahead = message(1, None, b"one before", &[3]);
        let bytes = [ahead, message(opcode, None, text.as_bytes(), &sizes)].concat();
        let (messages, controls, ended) = search(&bytes, step);
        prop_assert_eq!(&messages[0], b"\x01one before");
        prop_assert_eq!(ended.is_some(), with);
        let passed = messages.get(1).cloned().unwrap_or_else(|| vec![opcode]);
        prop_assert_eq!(passed[0], opcode);
        if with {
            let at = text.find(VALUE).unwrap();
            prop_assert!(passed.len() - 1 <= at && text.as_bytes().starts_with(&passed[1..]));
        } else {
            prop_assert_eq!(&passed[1..], text.as_bytes());
            prop_assert_eq!(controls, b"ping".repeat(1 + usize::from(!sizes.is_empty())));
        }
    }

    #[test]
    fn anything_is_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..9) {
        let _texts = gather_any(&bytes, step);
        let _searched = search(&bytes, step);
    }
}

fn gather_any(bytes: &[u8], step: usize) -> Result<(), Wrong> {
    let mut texts = Texts::new();
    for mut chunk in bytes.chunks(step) {
        while texts.next(&mut chunk)?.is_some() {}
    }
    Ok(())
}
