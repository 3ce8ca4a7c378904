//! What a client sends on a WebSocket, where secrets may be put into its messages: text messages whole, everything else as it is.

use super::frames::{Carries, FrameHead, Frames, Step};

/// Bytes of a text message, at most.
pub(super) const MOST: usize = 1 << 20;

/// Gathers text messages out of the frames of a client. What is not text goes on as it stands, also between the fragments of a text.
#[derive(Debug)]
pub(super) struct Texts {
    frames: Frames,
    /// The text of the message that has begun.
    text: Option<Vec<u8>>,
    /// The frame whose payload comes.
    frame: Option<FrameHead>,
    /// Bytes of its payload that came.
    seen: usize,
}

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent<'a> {
    /// A text message begins.
    Begun,
    /// It is whole.
    Text(String),
    /// The head of another frame.
    Head(Vec<u8>),
    /// Bytes of one.
    Payload(&'a [u8]),
}

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// These are no frames of a client.
    Frames(&'static str),
    /// A text message of more than 1 MiB.
    TooLarge,
    /// A text message that is no UTF-8.
    NotText,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self { frames: Frames::new(true), text: None, frame: None, seen: 0 }
    }

    /// What comes next, taken off the bytes; nothing when they are used up.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Sent<'a>>, Wrong> {
        // A text that ended with its head.
        if let Some(text) = self.whole()? {
            return Ok(Some(text));
        }
        while let Some(step) = self.frames.step(bytes).map_err(Wrong::Frames)? {
            let sent = match step {
                Step::Head(head) => self.head(head)?,
                Step::Payload(payload) => self.payload(payload),
            };
            match sent {
                Some(sent) => return Ok(Some(sent)),
                None => {
                    if let Some(text) = self.whole()? {
                        return Ok(Some(text));
                    }
                }
            }
        }
        Ok(None)
    }

    fn head(&mut self, head: FrameHead) -> Result<Option<Sent<'static>>, Wrong> {
        self.seen = 0;
        let begins = head.carries == Carries::Text;
        if begins {
            self.text = Some(Vec::new());
        }
        let own = begins || head.carries == Carries::More;
        let Some(text) = self.text.as_ref().filter(|_| own) else {
            let raw = head.raw.clone();
            self.frame = Some(head);
            return Ok(Some(Sent::Head(raw)));
        };
        let room = MOST.saturating_sub(text.len());
        if usize::try_from(head.length).map_or(true, |length| length > room) {
            return Err(Wrong::TooLarge);
        }
        self.frame = Some(head);
        Ok(begins.then_some(Sent::Begun))
    }

    fn payload<'a>(&mut self, payload: &'a [u8]) -> Option<Sent<'a>> {
        let frame = self.frame.as_ref()?;
        match self.text.as_mut().filter(|_| frame.carries != Carries::Control) {
            None => Some(Sent::Payload(payload)),
            Some(text) => {
                let mask = frame.mask.iter().cycle().skip(self.seen % 4);
                text.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
                self.seen = self.seen.saturating_add(payload.len());
                None
            }
        }
    }

    /// The text, if its last frame has ended.
    fn whole(&mut self) -> Result<Option<Sent<'static>>, Wrong> {
        let last = self.frame.as_ref().is_some_and(|frame| frame.last && frame.carries != Carries::Control);
        if !last || !self.frames.between() {
            return Ok(None);
        }
        let Some(text) = self.text.take() else { return Ok(None) };
        String::from_utf8(text).map(|text| Some(Sent::Text(text))).map_err(|_| Wrong::NotText)
    }
}
