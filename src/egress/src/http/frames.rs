//! Frames of a WebSocket (RFC 6455, 5.2), as far as they are followed: where messages begin, and where frames end.

/// Follows one direction.
#[derive(Debug)]
pub struct Frames {
    /// Whether they are masked: those of a client are, those of a server are not.
    masked: bool,
    head: Vec<u8>,
    left: u64,
    /// A message has begun, and its last fragment is to come.
    open: bool,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// The beginning of a text message.
    Text,
    /// The beginning of a binary message.
    Binary,
    /// More of the message that has begun.
    More,
    /// Nothing of a message.
    Control,
}

/// The head of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What comes.
    pub carries: Carries,
    /// Whether it is the last of its message.
    pub last: bool,
    /// Bytes of its payload.
    pub length: u64,
    /// By what they are masked; zeroes, where they are not.
    pub mask: [u8; 4],
    /// As it stands.
    pub raw: Vec<u8>,
}

/// What comes next in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A head ended.
    Head(FrameHead),
    /// Bytes of a payload.
    Payload(&'a [u8]),
}

impl Frames {
    /// Of a client, or of a server.
    #[must_use]
    pub fn new(masked: bool) -> Self {
        Self { masked, head: Vec::new(), left: 0, open: false }
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn between(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }

    /// Goes over bytes: how many messages begin in them.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<usize, &'static str> {
        let mut messages = 0;
        while let Some(step) = self.step(&mut bytes)? {
            let begins = |carries| matches!(carries, Carries::Text | Carries::Binary);
            messages += usize::from(matches!(step, Step::Head(head) if begins(head.carries)));
        }
        Ok(messages)
    }

    /// The next step, taken off the bytes; nothing when they are used up. A frame without a payload has no [`Step::Payload`].
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn step<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Step<'a>>, &'static str> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (payload, rest) = bytes.split_at(length);
                self.left = self.left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                *bytes = rest;
                return Ok(Some(Step::Payload(payload)));
            }
            self.head.push(*first);
            *bytes = rest;
            if let Some(head) = self.whole()? {
                self.left = head.length;
                self.head.clear();
                return Ok(Some(Step::Head(head)));
            }
        }
        Ok(None)
    }

    /// The head, once it is whole.
    fn whole(&mut self) -> Result<Option<FrameHead>, &'static str> {
        let [first, second, rest @ ..] = self.head.as_slice() else { return Ok(None) };
        if second & 0x80 != u8::from(self.masked) << 7 {
            return Err("a frame is masked that should not be, or is not");
        }
        let mask = if self.masked { 4 } else { 0 };
        let (size, length) = match second & 0x7f {
            126 => (2, rest.first_chunk::<2>().map(|length| u64::from(u16::from_be_bytes(*length)))),
            127 => (8, rest.first_chunk::<8>().map(|length| u64::from_be_bytes(*length))),
            short => (0, Some(u64::from(short))),
        };
        let Some(length) = length.filter(|_| rest.len() == size + mask) else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err("a frame uses an extension that was not agreed on");
        }
        let last = first & 0x80 != 0;
        let carries = match first & 0x0f {
            0 if self.open => {
                self.open = !last;
                Carries::More
            }
            kind @ (1 | 2) if !self.open => {
                self.open = !last;
                if kind == 1 { Carries::Text } else { Carries::Binary }
            }
            8..=10 if last && length <= 125 => Carries::Control,
            _ => return Err("a frame is not in its place"),
        };
        if length > u64::MAX >> 1 {
            return Err("a frame is too long");
        }
        let mask = rest.last_chunk::<4>().filter(|_| self.masked).copied().unwrap_or_default();
        Ok(Some(FrameHead { carries, last, length, mask, raw: self.head.clone() }))
    }
}

/// Writes a frame: the opcode (zero: more of a message), whether it is the last of its message, and for a client by what it is masked.
pub(super) fn write(out: &mut Vec<u8>, opcode: u8, last: bool, mask: Option<[u8; 4]>, payload: &[u8]) {
    out.push(opcode | u8::from(last) << 7);
    let masked = u8::from(mask.is_some()) << 7;
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => out.push(masked | short),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(masked | 127);
            out.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    match mask {
        None => out.extend_from_slice(payload),
        Some(mask) => {
            out.extend_from_slice(&mask);
            out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut out = vec![first];
        match u8::try_from(length) {
            Ok(short) if short < 126 => out.push(0x80 | short),
            _ => {
                out.push(0xfe);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        out.extend([1, 2, 3, 4]);
        out.extend(vec![b'x'; length]);
        out
    }

    #[test]
    fn each_message_is_seen_once_however_it_is_cut() {
        // A text in two fragments with a ping between, a binary, a long text.
        let all = [frame(1, 5), frame(0x89, 2), frame(0x80, 200), frame(0x82, 9), frame(0x81, 300)].concat();
        for step in [1, 2, 3, 7, 1000] {
            let mut frames = Frames::new(true);
            let messages: usize = all.chunks(step).map(|part| frames.follow(part).unwrap()).sum();
            assert_eq!((messages, frames.between()), (3, true), "{step}");
        }
    }

    #[test]
    fn what_is_out_of_place_is_refused() {
        for wrong in [
            vec![0x81, 1, b'x'],
            frame(0xc1, 1),
            frame(0x80, 1),
            frame(0x09, 1),
            frame(0x89, 126),
            frame(0x83, 0),
            [frame(1, 1), frame(0x81, 1)].concat(),
        ] {
            assert!(Frames::new(true).follow(&wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_followed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), masked in any::<bool>()) {
            let _followed = Frames::new(masked).follow(&bytes);
        }
    }
}
