//! From the start to the end of the program.

use std::io::Write as _;
use std::sync::Arc;

use confine::{Service, confine_service};
use model::{Exit, Paths, delivery, egress_cell};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use zeroize::Zeroizing;

use crate::authority::{self, Authority};
use crate::broker::Broker;
use crate::identity::Identity;
use crate::journal::{self, Finish};
use crate::lookups;
use crate::network;
use crate::proxy::{Parts, Patience, Proxy};
use crate::secrets::Secrets;
use crate::sockets::{self, Sockets};

type Ended = (Exit, String);

/// How long what runs beside may take at the end.
const END: std::time::Duration = std::time::Duration::from_secs(2);

const HOW: &str = "tenant-egress is started by its sockets only: systemctl start tenant-egress@TENANT.socket";

/// Runs until nothing goes on any more, or SIGTERM.
#[must_use]
pub fn run() -> Exit {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.as_slice() {
        [] => serve(),
        [verb, tenant] if verb == "new-authority" => new_authority(tenant),
        _ => Err((
            Exit::Usage,
            "usage: tenant-egress, started by its sockets, or tenant-egress new-authority TENANT".to_owned(),
        )),
    };
    match ended {
        Ok(()) => Exit::Ok,
        Err((exit, why)) => {
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "{why}"));
            exit
        }
    }
}

fn new_authority(tenant: &str) -> Result<(), Ended> {
    let tenant = model::TenantId::parse(tenant).map_err(|error| (Exit::Usage, error.to_string()))?;
    let pem =
        authority::new_authority(tenant.as_str()).map_err(|error| (Exit::Software, error.to_string()))?;
    let mut out = std::io::stdout();
    let written = out.write_all(pem.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| (Exit::Os, format!("cannot write the authority to standard output: {error}")))
}

fn serve() -> Result<(), Ended> {
    let (sockets, netlink) = sockets::take().map_err(|why| (Exit::Usage, why))?;
    let (authority, secrets) = read_secrets()?;
    let roots = roots();
    let paths = Paths::host();
    let state = std::env::var_os("STATE_DIRECTORY").map(std::path::PathBuf::from);
    let state = state.ok_or_else(|| (Exit::Usage, HOW.to_owned()))?;
    let (program, unit, policy) = ("tenant-egress", "tenant-egress@TENANT.socket", "egress");
    let service = Service { program, unit, policy, state: &state };
    let confined = confine_service(&paths, service);
    let confined = confined.map_err(|error| (error.exit(), error.to_string()))?;
    let journal = start_logging();
    tracing::info!("{confined}");
    let broker = Broker::new(secrets, &state);
    let parts = Parts {
        files: egress_cell::FILES.into(),
        ask: paths.ask_socket(),
        identity: Identity::new(netlink, paths.identify_socket()),
        network: Arc::new(network::Host),
        roots,
        authority,
        broker,
        patience: Patience::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Look-ups, and a few files.
        .max_blocking_threads(lookups::AT_ONCE + 4)
        .thread_stack_size(256 << 10)
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(work(sockets, parts));
            // A file that is being written is finished; a look-up that hangs would keep PID 1 from starting the next proxy.
            runtime.shutdown_timeout(END);
            done
        }
        Err(error) => Err((Exit::Os, format!("cannot start: {error}"))),
    };
    if let Err((_, why)) = &done {
        tracing::error!("{why}");
    }
    if let Some(journal) = journal {
        journal.wait();
    }
    done
}

async fn work(sockets: Sockets, parts: Parts) -> Result<(), Ended> {
    let proxy = Proxy::new(parts).map_err(|error| (Exit::Software, error.to_string()))?;
    let keeping = Arc::clone(&proxy);
    tokio::spawn(async move { keeping.broker.keep().await });
    let done = sockets.serve(&proxy).await.map_err(|error| (Exit::Os, format!("cannot serve: {error}")));
    proxy.events.numbers.write();
    if let Err(error) = proxy.broker.flush() {
        tracing::error!("{error}");
    }
    done
}

/// The tenant's authority and its secrets, from the credential.
fn read_secrets() -> Result<(Option<Authority>, Secrets), Ended> {
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Err((Exit::Usage, HOW.to_owned()));
    };
    let path = std::path::Path::new(&directory).join(delivery::CREDENTIAL);
    let read = std::fs::read(&path).map(Zeroizing::new);
    let bytes = read.map_err(|error| (Exit::OsFile, format!("cannot read {}: {error}", path.display())))?;
    let secrets = Secrets::read(&bytes)
        .map_err(|error| (Exit::OsFile, format!("the credential \"secrets\": {error}")))?;
    let authority = secrets.authority().map(Authority::read).transpose();
    Ok((authority.map_err(|error| (Exit::Config, error.to_string()))?, secrets))
}

/// Authorities of the system; without any, no server in TLS can be proven, and each is refused.
fn roots() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// To the journal, with fields; to standard error where there is no journal.
fn start_logging() -> Option<Finish> {
    const JOURNALD: &str = "/run/systemd/journal/socket";
    let registry = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::INFO);
    match journal::start(std::path::Path::new(JOURNALD)) {
        Ok((journal, finish)) => {
            registry.with(journal).init();
            Some(finish)
        }
        Err(_) => {
            registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init();
            None
        }
    }
}
