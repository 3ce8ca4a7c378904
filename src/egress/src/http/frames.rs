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

    /// Goes over bytes: how many text messages begin in them.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<usize, &'static str> {
        let mut texts = 0;
        loop {
            let skip = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left = self.left.saturating_sub(u64::try_from(skip).unwrap_or(u64::MAX));
            let Some((first, rest)) = bytes.get(skip..).and_then(<[u8]>::split_first) else {
                return Ok(texts);
            };
            self.head.push(*first);
            bytes = rest;
            if let Some((text, length)) = self.whole()? {
                texts += usize::from(text);
                self.left = length;
                self.head.clear();
            }
        }
    }

    /// Whether a text message begins and how long the payload is, once the head is whole.
    fn whole(&mut self) -> Result<Option<(bool, u64)>, &'static str> {
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
        let text = match first & 0x0f {
            0 if self.open => {
                self.open = !last;
                false
            }
            kind @ (1 | 2) if !self.open => {
                self.open = !last;
                kind == 1
            }
            8..=10 if last && length <= 125 => false,
            _ => return Err("a frame is not in its place"),
        };
        if length > u64::MAX >> 1 {
            return Err("a frame is too long");
        }
        Ok(Some((text, length)))
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
    fn each_text_message_is_seen_once_however_it_is_cut() {
        // A text in two fragments with a ping between, a binary, a long text.
        let all = [frame(1, 5), frame(0x89, 2), frame(0x80, 200), frame(0x82, 9), frame(0x81, 300)].concat();
        for step in [1, 2, 3, 7, 1000] {
            let mut frames = Frames::new(true);
            let texts: usize = all.chunks(step).map(|part| frames.follow(part).unwrap()).sum();
            assert_eq!((texts, frames.between()), (2, true), "{step}");
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
