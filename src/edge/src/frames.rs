//! Where WebSocket frames end (RFC 6455, 5.2), so that a last one can be put between two of them.

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes of a frame's head so far.
    head: [u8; 14],
    have: usize,
    /// Bytes of its payload to come.
    left: u64,
}

impl Frames {
    /// Goes over bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skip = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= u64::try_from(skip).unwrap_or(0);
            let Some((first, rest)) = bytes.get(skip..).and_then(<[u8]>::split_first) else { return };
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *first;
            }
            self.have += 1;
            bytes = rest;
            if let Some(left) = self.payload() {
                self.left = left;
                self.have = 0;
            }
        }
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Length of the payload, once the head is whole.
    fn payload(&self) -> Option<u64> {
        let [_, second, rest @ ..] = self.head;
        if self.have < 2 {
            return None;
        }
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let [a, b, c, d, e, f, g, h, ..] = rest;
        let (extended, length) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes([a, b]))),
            127 => (8, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            short => (0, u64::from(short)),
        };
        (self.have >= 2 + extended + mask).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_followed_however_they_are_cut() {
        let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        let longer = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[7; 65536]].concat();
        let masked = [&[0x81, 0x83, 1, 2, 3, 4][..], b"abc"].concat();
        let all = [&[0x81, 2, b'h', b'i'][..], &[0x89, 0], &long, &longer, &masked].concat();
        for step in [1, 2, 3, 7, 1000, 100_000] {
            let mut frames = Frames::default();
            for part in all.chunks(step) {
                frames.follow(part);
            }
            assert!(frames.between(), "{step}");
            frames.follow(&[0x81]);
            assert!(!frames.between());
            frames.follow(&[5, b'h']);
            assert!(!frames.between());
        }
    }
}
