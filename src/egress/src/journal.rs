//! The journal, off the path of connections: journald may be slow, and sending to it waits then. Lines wait for a thread of their own; what
//! finds no room there is lost, and how much is told.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that wait, at most.
const WAITING: usize = 1024;
/// Bytes of a field, at most: a line is one datagram.
const MOST: usize = 8 << 10;
/// How long the last lines may take.
const END: Duration = Duration::from_secs(1);
/// Bytes of the thread's stack.
const STACK: usize = 128 << 10;

enum Item {
    Line(Vec<u8>),
    End,
}

/// The layer that writes there.
#[derive(Debug)]
pub struct Journal {
    lines: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

/// The end of the journal.
#[derive(Debug)]
pub struct Finish {
    lines: SyncSender<Item>,
    ended: Receiver<()>,
}

/// Starts the thread that sends to journald's socket.
///
/// # Errors
///
/// If there is no such socket, or no thread.
pub fn start(socket: &Path) -> io::Result<(Journal, Finish)> {
    // Whether somebody listens; this does not wait.
    UnixDatagram::unbound()?.connect(socket)?;
    let (lines, waiting) = sync_channel(WAITING);
    let (ends, ended) = channel::<()>();
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer { own: UnixDatagram::unbound()?, socket: socket.to_owned(), lost: Arc::clone(&lost) };
    let thread = std::thread::Builder::new().name("journal".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        writer.write(&waiting);
        drop(ends);
    })?;
    Ok((Journal { lines: lines.clone(), lost }, Finish { lines, ended }))
}

impl Finish {
    /// Waits until what was said is written, for a second at most.
    pub fn wait(self) {
        const PAUSE: Duration = Duration::from_millis(10);
        let begun = Instant::now();
        while let Err(TrySendError::Full(_)) = self.lines.try_send(Item::End) {
            if begun.elapsed() > END {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        match self.ended.recv_timeout(END) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

struct Writer {
    own: UnixDatagram,
    socket: PathBuf,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn write(&self, waiting: &Receiver<Item>) {
        while let Ok(Item::Line(line)) = waiting.recv() {
            self.send(&line);
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let mut told = Line::default();
                told.put("PRIORITY", "4");
                told.put("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
                told.put(
                    "MESSAGE",
                    &format!("{lost} lines were lost, as the journal took no more: is the disk slow?"),
                );
                self.send(&told.bytes);
            }
        }
    }

    fn send(&self, line: &[u8]) {
        // Nobody else could be told.
        drop(self.own.send_to(line, &self.socket));
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::of(event.metadata());
        event.record(&mut line);
        if self.lines.try_send(Item::Line(line.bytes)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A line in journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

impl Line {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut line = Self::default();
        let priority = match *metadata.level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "5",
            Level::DEBUG => "6",
            Level::TRACE => "7",
        };
        line.put("PRIORITY", priority);
        line.put("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
        line.put("TARGET", metadata.target());
        line
    }

    /// The length goes before the value, so that a value cannot begin another field.
    fn put(&mut self, name: &str, value: &str) {
        let mut end = value.len().min(MOST);
        while !value.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let value = value.get(..end).unwrap_or_default().as_bytes();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend_from_slice(&u64::try_from(value.len()).unwrap_or(0).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.put("MESSAGE", value);
        }
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        self.put(&format!("F_{}", field.name().chars().map(word).collect::<String>()), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.record_str(field, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn fields(mut line: &[u8]) -> Vec<(String, String)> {
        let mut all = Vec::new();
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let name = String::from_utf8(line[..end].to_vec()).unwrap();
            let (length, rest) = line[end + 1..].split_first_chunk::<8>().unwrap();
            let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
            all.push((name, String::from_utf8(value.to_vec()).unwrap()));
            line = rest.strip_prefix(b"\n").unwrap();
        }
        all
    }

    #[test]
    fn a_line_arrives_with_its_fields_and_no_value_makes_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(start(&path).is_err());
        let journald = UnixDatagram::bind(&path).unwrap();
        let (journal, finish) = start(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            tracing::warn!(HOST = %"a\nPRIORITY=0\n", count = 7, "{}", "x".repeat(MOST + 10));
        });
        finish.wait();
        let mut buffer = vec![0; 64 << 10];
        let length = journald.recv(&mut buffer).unwrap();
        let fields = fields(&buffer[..length]);
        let of = |name: &str| -> Vec<&str> {
            fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(of("PRIORITY"), ["4"]);
        assert_eq!(of("F_HOST"), ["a\nPRIORITY=0\n"]);
        assert_eq!(of("F_COUNT"), ["7"]);
        assert_eq!(of("MESSAGE").iter().map(|text| text.len()).collect::<Vec<_>>(), [MOST]);
    }

    #[test]
    fn a_journal_that_takes_nothing_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let (journal, finish) = start(&path).unwrap();
        let lost = Arc::clone(&journal.lost);
        // More than wait here and in the kernel; without the thread, this would never end.
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            (0..100_000).for_each(|number| tracing::info!(number, "said"));
        });
        assert!(lost.load(Ordering::Relaxed) > 0);
        let reading = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            journald.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut told = false;
            while let (false, Ok(length)) = (told, journald.recv(&mut buffer)) {
                told = String::from_utf8_lossy(&buffer[..length]).contains("lines were lost");
            }
            told
        });
        assert!(reading.join().unwrap());
        finish.wait();
    }
}
