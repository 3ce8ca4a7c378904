//! Server-sent events, cut out of a stream that comes in any pieces (HTML standard, "Server-sent events"). Nothing is held that is not
//! bounded; nothing is believed of an event that is too long.

use bytes::{Bytes, BytesMut};

/// Bytes of the data of an event that is read, at most; a longer one passes unread.
const MOST: usize = 1 << 20;

/// A part of a stream: an event, or a part of one that is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// As it came, if the pieces are to be passed on one by one.
    pub(super) raw: Bytes,
    /// Its data; empty for comments and whatever else has none.
    pub(super) data: Vec<u8>,
    /// Bytes that were not read.
    pub(super) unread: u64,
}

/// Cuts a stream.
#[derive(Debug)]
pub(super) struct Events {
    keep: bool,
    raw: BytesMut,
    line: Vec<u8>,
    data: Vec<u8>,
    unread: u64,
    /// A line feed would belong to the line that is over.
    after_return: bool,
    lines: bool,
}

impl Events {
    /// `keep`: pieces hold what they were cut from.
    pub(super) fn new(keep: bool) -> Self {
        let (raw, line, data) = (BytesMut::new(), Vec::new(), Vec::new());
        Self { keep, raw, line, data, unread: 0, after_return: false, lines: false }
    }

    /// The next bytes, and what became whole with them.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                let between = self.raw.is_empty();
                self.keep(b"\n");
                bytes = bytes.get(1..).unwrap_or_default();
                if self.keep && between {
                    // It belongs to the event before, which may have been passed on already.
                    pieces.push(self.rest());
                }
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.keep(text);
            self.text(text);
            bytes = rest;
            if let Some((ending, rest)) = rest.split_first() {
                self.keep(&[*ending]);
                self.after_return = *ending == b'\r';
                bytes = rest;
                if self.line_ends() {
                    pieces.push(self.piece());
                }
            }
            if self.raw.len() > 2 * MOST {
                pieces.push(self.rest());
            }
        }
        pieces
    }

    /// What is left at the end of a stream.
    pub(super) fn finish(&mut self) -> Piece {
        self.line_ends();
        self.piece()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.keep {
            self.raw.extend_from_slice(bytes);
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.lines |= !text.is_empty();
        if self.line.len() + text.len() > MOST {
            self.unread = self.unread.saturating_add(count(text));
        } else {
            self.line.extend_from_slice(text);
        }
    }

    /// Whether the event is over, too.
    fn line_ends(&mut self) -> bool {
        if !std::mem::take(&mut self.lines) {
            return true;
        }
        let line = std::mem::take(&mut self.line);
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if self.data.len() + value.len() >= MOST {
                self.unread = self.unread.saturating_add(count(value));
            } else {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
        }
        false
    }

    fn piece(&mut self) -> Piece {
        let raw = self.raw.split().freeze();
        let data = std::mem::take(&mut self.data);
        match std::mem::take(&mut self.unread) {
            0 => Piece { raw, data, unread: 0 },
            unread => Piece { raw, data: Vec::new(), unread: unread.saturating_add(count(&data)) },
        }
    }

    fn rest(&mut self) -> Piece {
        Piece { raw: self.raw.split().freeze(), data: Vec::new(), unread: 0 }
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// For fuzzing: cuts anything in two ways, and checks that nothing is lost, nothing is unbounded and the events are the same.
pub fn fuzz_sse(bytes: &[u8]) {
    let cut = |size: usize| {
        let mut events = Events::new(true);
        let mut pieces = Vec::new();
        for chunk in bytes.chunks(size.max(1)) {
            pieces.extend(events.push(chunk));
            assert!(events.line.len() <= MOST && events.data.len() <= MOST);
        }
        pieces.push(events.finish());
        pieces
    };
    let (one, other) = (cut(bytes.len()), cut(bytes.first().map_or(1, |first| usize::from(*first) + 1)));
    for pieces in [&one, &other] {
        let raw: Vec<u8> = pieces.iter().flat_map(|piece| piece.raw.clone()).collect();
        assert!(raw == bytes, "what was cut is what came");
    }
    let data = |pieces: Vec<Piece>| {
        pieces.into_iter().map(|piece| piece.data).filter(|data| !data.is_empty()).collect::<Vec<_>>()
    };
    let (one, other) = (data(one), data(other));
    assert!(one == other, "the events do not depend on the cuts");
    let mut tally = super::tally::Tally::default();
    for event in &one {
        if let Ok(value) = serde_json::from_slice(event) {
            tally.event(&value);
        }
    }
}
