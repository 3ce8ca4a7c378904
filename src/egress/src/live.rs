//! The policy in force: the two files of tenantd, looked at again as they change. What cannot be read changes nothing and is said
//! loudly; as long as nothing was read, there is no policy, and nothing is allowed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use model::egress::{APPROVALS_FORMAT, ApprovalsFile, EGRESS_FORMAT, EgressFile};
use policy::{Host, Listing, Policy};
use tokio::sync::watch;

use crate::notice::Notice;

/// Between two looks that somebody asks for.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks that nobody asks for, and where the kernel does not tell when there is something to see.
const TICK: Duration = Duration::from_millis(500);
const UNNOTICED: Duration = Duration::from_millis(100);
/// Bytes of a file, at most.
const MOST: u64 = 16 << 20;

/// What decides.
#[derive(Debug)]
pub struct Snapshot {
    /// As tenantd wrote it.
    pub file: EgressFile,
    /// The same, with what was approved, ready to decide.
    pub policy: Policy,
    /// Until when refusals are reported for learning.
    pub learn_until: Option<u64>,
}

impl Snapshot {
    /// How a host is listed, by an entry that has not ended: names that nobody allows any more are not looked up.
    #[must_use]
    pub fn listing<'a>(&'a self, host: &'a Host) -> Listing<'a> {
        self.policy.listing(host, unix_now())
    }

    /// Whether a name is answered: it is listed, or may be asked about.
    #[must_use]
    pub fn resolves(&self, host: &Host) -> bool {
        self.policy.resolves(host, unix_now())
    }
}

/// The newest that could be read.
#[derive(Debug)]
pub struct Live {
    directory: PathBuf,
    seen: Mutex<Seen>,
    current: watch::Sender<Option<Arc<Snapshot>>>,
}

#[derive(Debug)]
struct Seen {
    at: Option<Instant>,
    stamps: Option<[Stamp; 2]>,
    /// What could not be read, and was told.
    told: Option<[Stamp; 2]>,
    decided: u64,
}

/// Device, inode, size, time of change; nothing: no file.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

impl Live {
    /// Of the files in this directory.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        let seen = Mutex::new(Seen { at: None, stamps: None, told: None, decided: unix_now() });
        let live = Self { directory, seen, current: watch::Sender::new(None) };
        live.look(Duration::ZERO);
        live
    }

    /// What is in force.
    #[must_use]
    pub fn now(&self) -> Option<Arc<Snapshot>> {
        self.look(LOOK);
        self.current.borrow().clone()
    }

    /// Tells when something else is, or when an entry has ended.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.current.subscribe()
    }

    /// Looks when the kernel tells that a file was replaced, and again and again, for what ends by itself.
    pub async fn watch(&self) {
        let mut notice = Notice::of(&self.directory).map_err(|error| unnoticed(&error)).ok();
        loop {
            self.look(Duration::ZERO);
            self.expire();
            let told = async {
                match &notice {
                    Some(notice) => notice.changed().await,
                    None => std::future::pending().await,
                }
            };
            let pause = if notice.is_some() { TICK } else { UNNOTICED };
            let told = tokio::time::timeout(pause, told).await;
            if let Ok(Err(error)) = told {
                unnoticed(&error);
                notice = None;
            }
        }
    }

    fn look(&self, pause: Duration) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        seen.at = Some(Instant::now());
        let paths = [self.directory.join("egress.json"), self.directory.join("approvals.json")];
        let stamps = paths.each_ref().map(|path| stamp(path));
        if seen.stamps.as_ref() == Some(&stamps) {
            return;
        }
        seen.stamps = Some(stamps);
        let [egress, approvals] = &paths;
        match read(egress, approvals) {
            Ok(snapshot) => {
                tracing::info!(TENANT = %snapshot.file.tenant, "the policy in {} is in force", self.directory.display());
                self.current.send_replace(Some(Arc::new(snapshot)));
            }
            // Whoever makes this program run out of descriptors must not keep a policy in force by it. What is cut then frees some.
            Err(Unread::Now(why)) => {
                seen.stamps = None;
                if self.current.borrow().is_some() {
                    self.current.send_replace(None);
                }
                if seen.told.replace(stamps) != Some(stamps) {
                    tracing::error!("{why}; nothing is allowed until it can be read");
                }
            }
            Err(Unread::Damaged(why)) => {
                let rest = if self.current.borrow().is_some() {
                    "the last policy stays in force"
                } else {
                    "nothing is allowed"
                };
                tracing::error!("{why}; {rest} (run \"tenantctl repair\" for the tenant)");
            }
        }
    }

    /// Tells those who hold connections that an entry has ended.
    fn expire(&self) {
        let now = unix_now();
        let before = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut seen.decided, now)
        };
        let ended = self.current.borrow().as_ref().is_some_and(|snapshot| {
            let ends = snapshot.policy.entries().iter().filter_map(|entry| entry.terms.expires);
            // A clock that was set back decides anew, too.
            ends.into_iter().any(|end| (before < end) != (now < end))
        });
        if ended {
            self.current.send_modify(|_| ());
        }
    }
}

fn unnoticed(error: &std::io::Error) {
    tracing::warn!(
        "the kernel does not tell when the policy changes, it is looked at again and again: {error}"
    );
}

fn stamp(path: &Path) -> Stamp {
    let of = std::fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()))
}

/// Why a policy was not read.
enum Unread {
    /// There is none, or it cannot be read now.
    Now(String),
    /// It is none.
    Damaged(String),
}

fn read(egress: &Path, approvals: &Path) -> Result<Snapshot, Unread> {
    let none = || Unread::Now(format!("there is no {}", egress.display()));
    let text = bounded(egress).map_err(Unread::Now)?.ok_or_else(none)?;
    let approved = bounded(approvals).map_err(Unread::Now)?;
    understand((egress, &text), (approvals, approved.as_deref())).map_err(Unread::Damaged)
}

fn understand(
    (egress, text): (&Path, &str),
    (approvals, approved): (&Path, Option<&str>),
) -> Result<Snapshot, String> {
    let file: EgressFile = parse(egress, text)?;
    let approved = approved.map(|text| parse::<ApprovalsFile>(approvals, text)).transpose()?;
    if file.format != EGRESS_FORMAT || approved.as_ref().is_some_and(|file| file.format != APPROVALS_FORMAT) {
        return Err(format!("{} is of another format: is the package half upgraded?", egress.display()));
    }
    if approved.as_ref().is_some_and(|approved| approved.tenant != file.tenant) {
        return Err(format!("{} is another tenant's", approvals.display()));
    }
    let policy = policy::compile(&file, approved.as_ref())
        .map_err(|error| format!("{}: {error}", egress.display()))?
        .with_own(own_address::is_own);
    Ok(Snapshot { learn_until: approved.and_then(|approved| approved.learn_until), file, policy })
}

fn bounded(path: &Path) -> Result<Option<String>, String> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let opened = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut text = String::new();
    opened.take(MOST + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MOST) {
        Ok(Some(text))
    } else {
        Err(format!("{} is larger than {MOST} bytes", path.display()))
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Seconds since 1970.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
