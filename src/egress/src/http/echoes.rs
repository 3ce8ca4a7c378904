//! What a server sends on a WebSocket, searched for secrets that it sends back.
//!
//! A message goes on frame by frame, in frames of the proxy's own: held back is the frame that has not ended yet, up to 1 MiB of it, and at
//! the end of a fragment what may begin a secret that the next one completes. A secret in parts in several messages is not found.

use bytes::Bytes;

use super::frames::{self, Carries, FrameHead, Frames, Step};
use crate::secrets::{Echoed, Scanner};

/// Bytes of a frame that is held back until its end, at most.
const MOST: u64 = 1 << 20;
/// Of a longer one goes on so much at once.
const PIECE: usize = 64 << 10;

/// Searches the frames of a server.
#[derive(Debug)]
pub(super) struct Echoes {
    frames: Frames,
    scanner: Scanner,
    frame: Option<FrameHead>,
    /// What the next frame of the message that has begun is: zero, if one of it has gone on.
    opcode: u8,
    /// What may go on of it.
    ready: Vec<u8>,
    /// The payload of a control frame.
    control: Vec<u8>,
}

/// Why nothing more is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// These are no frames of a server.
    Frames(&'static str),
    /// They hold a secret.
    Echoed,
}

impl From<Echoed> for Ended {
    fn from(_: Echoed) -> Self {
        Self::Echoed
    }
}

impl Echoes {
    pub(super) fn new(scanner: Scanner) -> Self {
        let (ready, control) = (Vec::new(), Vec::new());
        Self { frames: Frames::new(false), scanner, frame: None, opcode: 0, ready, control }
    }

    /// Adds to `out` what may be passed on: whole frames, also before an error.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Ended> {
        while let Some(step) = self.frames.step(&mut bytes).map_err(Ended::Frames)? {
            match step {
                Step::Head(head) => self.head(head),
                Step::Payload(payload) => self.payload(payload, out)?,
            }
            if self.frames.between() {
                self.end(out)?;
            }
        }
        Ok(())
    }

    fn head(&mut self, head: FrameHead) {
        match head.carries {
            Carries::Text => self.opcode = 1,
            Carries::Binary => self.opcode = 2,
            Carries::More | Carries::Control => {}
        }
        if matches!(head.carries, Carries::Text | Carries::Binary) {
            self.scanner = self.scanner.again();
        }
        self.frame = Some(head);
    }

    fn payload(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Ended> {
        let Some(frame) = &self.frame else { return Ok(()) };
        if frame.carries == Carries::Control {
            self.control.extend_from_slice(payload);
            return Ok(());
        }
        let long = frame.length > MOST;
        self.ready.extend_from_slice(&self.scanner.push(Bytes::copy_from_slice(payload))?);
        if long && self.ready.len() >= PIECE {
            self.release(false, out);
        }
        Ok(())
    }

    /// At the end of a frame.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Ended> {
        let Some(frame) = self.frame.take() else { return Ok(()) };
        if frame.carries == Carries::Control {
            let control = std::mem::take(&mut self.control);
            self.scanner.whole(&control)?;
            out.extend_from_slice(&frame.raw);
            out.extend_from_slice(&control);
            return Ok(());
        }
        if frame.last {
            self.ready.extend_from_slice(&self.scanner.finish());
        }
        self.release(frame.last, out);
        Ok(())
    }

    fn release(&mut self, last: bool, out: &mut Vec<u8>) {
        frames::write(out, self.opcode, last, None, &self.ready);
        self.opcode = 0;
        self.ready.clear();
        self.ready.shrink_to(PIECE);
    }
}
