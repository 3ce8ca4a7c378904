//! From the start to the end of the program.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use model::{Exit, Paths, Settings, WebhookAddress};
use rustls::RootCertStore;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use zeroize::Zeroizing;

use crate::deliver::{Patience, deliver};
use crate::post::Poster;
use crate::queue::Shared;
use crate::watch::watch;

type Ended = (Exit, String);

/// For one request.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Name of the credential with the secret that signs.
const SECRET: &str = "webhook-secret";
/// Bytes of it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;
/// Bytes of the settings, at most.
const MOST_SETTINGS: u64 = 1 << 20;

/// Runs until SIGTERM, or until the bus is gone.
#[must_use]
pub fn run() -> Exit {
    match serve() {
        Ok(()) => Exit::Ok,
        Err((exit, why)) => {
            tracing::error!("{why}");
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "{why}"));
            exit
        }
    }
}

fn serve() -> Result<(), Ended> {
    if std::env::args().len() > 1 {
        return Err((Exit::Usage, "usage: tenant-notify, started by tenantd-notify.service".to_owned()));
    }
    start_logging();
    let address = webhook(&Paths::host().settings())?;
    let place = address.authority.clone();
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let secret = secret(directory.as_deref())?;
    let poster =
        Poster::new(address, roots(), &secret, TIMEOUT).map_err(|error| (Exit::Config, error.to_string()))?;
    drop(secret);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| (Exit::Os, format!("cannot start: {error}")))?;
    let ended = runtime.block_on(until_the_end(&poster, &place));
    // A look-up of a name may still be under way.
    runtime.shutdown_background();
    ended
}

async fn until_the_end(poster: &Poster, place: &str) -> Result<(), Ended> {
    let gone = |error: zbus::Error| (Exit::Unavailable, format!("the system bus: {error}"));
    let mut end = signal(SignalKind::terminate())
        .map_err(|error| (Exit::Os, format!("cannot wait for SIGTERM: {error}")))?;
    let bus = zbus::Connection::system().await.map_err(gone)?;
    tracing::info!("questions of tenants are posted to {place}");
    let shared = Shared::default();
    tokio::select! {
        _ = end.recv() => Ok(()),
        watched = watch(&bus, &shared) => {
            watched.map_err(gone)?;
            Err((Exit::Unavailable, "the system bus closed the connection".to_owned()))
        }
        () = deliver(poster, &shared, Patience::default()) => Ok(()),
    }
}

/// The receiver that the settings name.
fn webhook(path: &Path) -> Result<WebhookAddress, Ended> {
    let file = path.display();
    let none = || {
        let text = format!(
            "{file}: no receiver is named: write [egress.webhook] with its url, then \"systemctl restart tenantd-notify\""
        );
        (Exit::Config, text)
    };
    let mut text = String::new();
    match std::fs::File::open(path) {
        Ok(opened) => opened
            .take(MOST_SETTINGS)
            .read_to_string(&mut text)
            .map_err(|error| (Exit::Io, format!("{file}: cannot be read: {error}")))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err((Exit::Io, format!("{file}: cannot be read: {error}"))),
    };
    let settings =
        Settings::parse(&file.to_string(), &text).map_err(|error| (Exit::Config, error.to_string()))?;
    let webhook = settings.egress.webhook.ok_or_else(none)?;
    webhook.address().map_err(|why| (Exit::Config, format!("{file}: egress.webhook.url: {why}")))
}

/// The secret that signs, without the line end that an editor leaves.
fn secret(directory: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Ended> {
    let wrong = |why: String| {
        (
            Exit::Config,
            format!(
                "the secret of the webhook (/etc/tenantd/webhook.secret, as the credential {SECRET}): {why}"
            ),
        )
    };
    let directory =
        directory.ok_or_else(|| wrong("it is not there: start tenantd-notify.service".to_owned()))?;
    let file = std::fs::File::open(directory.join(SECRET));
    let file = file.map_err(|error| wrong(format!("it cannot be opened: {error}")))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES.end() + 2));
    let most = u64::try_from(SECRET_BYTES.end() + 2).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    while bytes.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        bytes.pop();
    }
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(wrong(format!(
            "it has {} bytes, and has to have {} to {}: make one with \"openssl rand -hex 32\"",
            bytes.len(),
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        )));
    }
    Ok(bytes)
}

/// The authorities of the system.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!("cannot read a certificate authority of the system: {error}");
    }
    roots.add_parsable_certificates(system.certs);
    roots
}

fn start_logging() {
    let registry = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::INFO);
    match tracing_journald::layer() {
        Ok(journal) => registry.with(journal).init(),
        Err(_) => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrote(name: &str, text: &[u8]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::File::create(directory.path().join(name)).unwrap().write_all(text).unwrap();
        directory
    }

    #[test]
    fn a_receiver_has_to_be_named_and_to_be_one() {
        let of = |text: &str| webhook(&wrote("x.toml", text.as_bytes()).path().join("x.toml"));
        assert_eq!(of("egress.webhook.url = \"https://h.example.org/x\"").unwrap().host, "h.example.org");
        for (text, part) in [
            ("", "no receiver is named"),
            ("[egress]\n", "no receiver is named"),
            ("egress.webhook.url = \"http://h.example.org/\"", "neither https nor"),
            ("egress.webhook.urls = \"x\"", "unknown field"),
        ] {
            let (exit, why) = of(text).unwrap_err();
            assert!(exit == Exit::Config && why.contains(part), "{why}");
        }
        assert_eq!(webhook(Path::new("/nonexistent/x")).unwrap_err().0, Exit::Config);
    }

    #[test]
    fn the_secret_is_long_enough_and_has_no_line_end() {
        let of = |text: &[u8]| secret(Some(wrote(SECRET, text).path()));
        assert_eq!(of(b"0123456789abcdef\n").unwrap().as_slice(), b"0123456789abcdef");
        assert!(of(&[b'x'; 4096]).is_ok());
        for text in [b"".as_slice(), b"short\n", &[b'x'; 4097], &[b'x'; 9000]] {
            let (exit, why) = of(text).unwrap_err();
            assert!(
                exit == Exit::Config && why.contains("openssl rand -hex 32") && !why.contains("short"),
                "{why}"
            );
        }
        assert_eq!(secret(None).unwrap_err().0, Exit::Config);
    }
}
