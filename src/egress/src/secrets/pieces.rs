//! Percent-encoded text, decoded once, with the place of every decoded byte.

use std::ops::Range;

/// Decoded bytes and where each of them stands.
pub(super) struct Pieces {
    decoded: Vec<u8>,
    ends: Vec<usize>,
}

impl Pieces {
    /// Decodes; what is no escape stands for itself. `plus` is a space in queries and forms.
    pub(super) fn decode(raw: &[u8], plus: bool) -> Self {
        let mut pieces = Self { decoded: Vec::with_capacity(raw.len()), ends: Vec::with_capacity(raw.len()) };
        let mut at = 0;
        while let Some(&byte) = raw.get(at) {
            let escape = match raw.get(at..at + 3) {
                Some([b'%', high, low]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
                Some(_) | None => None,
            };
            at += if escape.is_some() { 3 } else { 1 };
            pieces.decoded.push(escape.unwrap_or(if plus && byte == b'+' { b' ' } else { byte }));
            pieces.ends.push(at);
        }
        pieces
    }

    pub(super) fn decoded(&self) -> &[u8] {
        &self.decoded
    }

    /// Where a range of the decoded bytes stands in what was decoded.
    pub(super) fn raw(&self, at: &Range<usize>) -> Option<Range<usize>> {
        let start = match at.start.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        Some(start..*self.ends.get(at.end.checked_sub(1)?)?)
    }

    /// What was decoded, with other bytes in these places of the decoded.
    pub(super) fn replace(
        &self,
        raw: &[u8],
        places: &[Range<usize>],
        with: impl Fn(usize) -> Vec<u8>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(raw.len());
        let mut last = 0;
        for (index, place) in places.iter().enumerate() {
            let Some(place) = self.raw(place) else { continue };
            out.extend_from_slice(raw.get(last..place.start).unwrap_or_default());
            out.extend(with(index));
            last = place.end;
        }
        out.extend_from_slice(raw.get(last..).unwrap_or_default());
        out
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
