//! A tenantd that answers from a script, on a bus of its own, and a tenantctl that talks to it.
#![allow(dead_code, reason = "each test program uses its own part of the fake")]
#![allow(clippy::unwrap_used, reason = "a fake that cannot be made is a failed test")]

mod objects;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use api::Error;
use clap::Parser;
use ctl::cli::Cli;
use ctl::{Bus, Palette, Session, Streams, Terminals};
use model::{Exit, Paths};
use objects::{FakeBackup, FakeEdge, FakeEgress, FakeVault};
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedFd;

/// What the fake daemon does.
#[derive(Clone, Default)]
pub struct Fake {
    answers: BTreeMap<&'static str, Vec<String>>,
    failures: BTreeMap<&'static str, (Exit, String)>,
    progress: Vec<(u32, String)>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers a method; several answers to one method are given in turn, the last one for ever.
    pub fn answer(mut self, method: &'static str, text: impl Into<String>) -> Self {
        self.answers.entry(method).or_default().push(text.into());
        self
    }

    /// Fails a method.
    pub fn fail(mut self, method: &'static str, exit: Exit, text: &str) -> Self {
        self.failures.insert(method, (exit, text.to_owned()));
        self
    }

    /// Says this during every long work.
    pub fn say(mut self, percent: u32, text: &str) -> Self {
        self.progress.push((percent, text.to_owned()));
        self
    }

    fn take(&mut self, method: &'static str, call: String) -> Result<String, Error> {
        self.calls.lock().unwrap().push(call);
        if let Some((exit, text)) = self.failures.get(method) {
            return Err(Error::new(*exit, text.clone()));
        }
        let answers = self.answers.entry(method).or_default();
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers.first().cloned().unwrap_or_default() })
    }

    async fn tell(&self, emitter: &SignalEmitter<'_>, subject: &str) {
        emitter.progress("another".into(), 1, "someone else's work".into()).await.unwrap();
        for (percent, text) in &self.progress {
            emitter.progress(subject.to_owned(), *percent, text.clone()).await.unwrap();
        }
    }
}

#[zbus::interface(name = "org.tenantd.Manager1")]
impl Fake {
    fn list_tenants(&mut self) -> Result<String, Error> {
        self.take("list", "list".into())
    }
    fn get_status(&mut self, id: &str) -> Result<String, Error> {
        self.take("status", format!("status {id}"))
    }
    fn get_spec(&mut self, id: &str) -> Result<String, Error> {
        self.take("spec", format!("spec {id}"))
    }
    async fn create_tenant(
        &mut self,
        spec: &str,
        start: bool,
        dry_run: bool,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.tell(&emitter, "acme").await;
        self.take("create", format!("create start={start} dry_run={dry_run}\n{spec}"))
    }
    fn create_shown(
        &mut self,
        spec: &str,
        digest: &str,
        start: bool,
        dry_run: bool,
    ) -> Result<String, Error> {
        self.take("create", format!("create {digest} start={start} dry_run={dry_run}\n{spec}"))
    }
    async fn apply_spec(
        &mut self,
        spec: &str,
        dry_run: bool,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.tell(&emitter, "acme").await;
        self.take("apply", format!("apply dry_run={dry_run}\n{spec}"))
    }
    fn apply_shown(&mut self, spec: &str, digest: &str, dry_run: bool) -> Result<String, Error> {
        self.take("apply", format!("apply {digest} dry_run={dry_run}\n{spec}"))
    }
    fn start_tenant(&mut self, id: &str) -> Result<(), Error> {
        self.take("start", format!("start {id}")).map(drop)
    }
    fn stop_tenant(&mut self, id: &str, now: bool) -> Result<(), Error> {
        self.take("stop", format!("stop {id} now={now}")).map(drop)
    }
    fn sleep_tenant(&mut self, id: &str) -> Result<(), Error> {
        self.take("sleep", format!("sleep {id}")).map(drop)
    }
    fn restart_tenant(&mut self, id: &str) -> Result<(), Error> {
        self.take("restart", format!("restart {id}")).map(drop)
    }
    fn enable_tenant(&mut self, id: &str, enable: bool) -> Result<(), Error> {
        self.take("enable", format!("enable {id} {enable}")).map(drop)
    }
    fn repair_tenant(&mut self, id: &str, dry_run: bool) -> Result<String, Error> {
        self.take("repair", format!("repair {id} dry_run={dry_run}"))
    }
    fn repair_shown(&mut self, id: &str, digest: &str, dry_run: bool) -> Result<String, Error> {
        self.take("repair", format!("repair {id} {digest} dry_run={dry_run}"))
    }
    fn delete_tenant(
        &mut self,
        id: &str,
        keep_data: bool,
        _destroy: bool,
        dry_run: bool,
    ) -> Result<String, Error> {
        self.take("delete", format!("delete {id} keep_data={keep_data} dry_run={dry_run}"))
    }
    /// Echoes its input in upper case, says on standard error which streams are terminals, and ends with 7.
    async fn exec_tenant(
        &mut self,
        id: &str,
        argv: Vec<String>,
        environment: HashMap<String, String>,
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Result<u32, Error> {
        self.take("exec", format!("exec {id} {argv:?} {}", environment.len()))?;
        let work = move || {
            let terminals = [&stdin, &stdout, &stderr].map(|fd| rustix::termios::isatty(fd.as_fd()));
            let [mut stdin, mut stdout, mut stderr] =
                [stdin, stdout, stderr].map(|fd| std::fs::File::from(std::os::fd::OwnedFd::from(fd)));
            writeln!(stderr, "{terminals:?}").unwrap();
            let mut text = String::new();
            stdin.read_to_string(&mut text).unwrap();
            stdout.write_all(text.to_uppercase().as_bytes()).unwrap();
        };
        tokio::task::spawn_blocking(work).await.unwrap();
        Ok(7)
    }
    fn explain_tenant(&mut self, id: &str) -> Result<String, Error> {
        self.take("explain", format!("explain {id}"))
    }
    fn list_runtimes(&mut self) -> Result<String, Error> {
        self.take("runtimes", "runtimes".into())
    }
    async fn install_runtime(
        &mut self,
        name: &str,
        version: &str,
        untested: bool,
        use_from: bool,
        from: OwnedFd,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.tell(&emitter, name).await;
        let mut bytes = String::new();
        std::fs::File::from(std::os::fd::OwnedFd::from(from)).read_to_string(&mut bytes).unwrap();
        let call = format!("install {name} {version:?} untested={untested} use_from={use_from} {bytes:?}");
        self.take("install", call)
    }
    fn verify_runtime(&mut self, name: &str, version: &str) -> Result<String, Error> {
        self.take("verify", format!("verify {name} {version}"))
    }
    fn remove_runtime(&mut self, name: &str, version: &str) -> Result<(), Error> {
        self.take("remove", format!("remove {name} {version}")).map(drop)
    }
    fn pin_runtime(&mut self, name: &str, version: &str) -> Result<(), Error> {
        self.take("pin", format!("pin {name} {version}")).map(drop)
    }
    #[zbus(signal)]
    async fn progress(
        emitter: &SignalEmitter<'_>,
        subject: String,
        percent: u32,
        text: String,
    ) -> zbus::Result<()>;
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status.
    pub code: u8,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// What the daemon was asked.
    pub calls: Vec<String>,
}

/// What surrounds a run.
#[derive(Default)]
pub struct Around {
    /// Standard input.
    pub input: &'static str,
    /// Which streams are terminals.
    pub terminals: Terminals,
    /// Places of the host; none that exists by default.
    pub paths: Option<Paths>,
    /// Streams for `exec`.
    pub streams: Option<Streams>,
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// Runs `tenantctl LINE` against the fake.
pub fn tenantctl(fake: Fake, line: &str) -> Ended {
    run(fake, Around::default(), &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs tenantctl with these words and surroundings.
pub fn run(fake: Fake, around: Around, words: &[&str]) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        let calls = fake.calls.clone();
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let server = zbus::connection::Builder::unix_stream(theirs)
            .server(zbus::Guid::generate())
            .unwrap()
            .p2p()
            .serve_at(api::OBJECT_PATH, fake.clone())
            .unwrap()
            .serve_at(api::OBJECT_PATH, FakeVault(fake.clone()))
            .unwrap()
            .serve_at(api::OBJECT_PATH, FakeEdge(fake.clone()))
            .unwrap()
            .serve_at(api::OBJECT_PATH, FakeEgress(fake.clone()))
            .unwrap()
            .serve_at(api::OBJECT_PATH, FakeBackup(fake))
            .unwrap()
            .build();
        let client = zbus::connection::Builder::unix_stream(ours).p2p().build();
        let (_server, client) = tokio::try_join!(server, client).unwrap();
        let cli = Cli::try_parse_from(std::iter::once(&"tenantctl").chain(words)).unwrap();
        let (out, err) = (Sink::default(), Sink::default());
        let mut session = Session {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            input: Box::new(Cursor::new(around.input)),
            streams: around.streams,
            terminals: around.terminals,
            width: 80,
            json: cli.json,
            palette: Palette { on: false },
            now: 10_000,
            paths: around.paths.unwrap_or_else(|| Paths::below("/nonexistent")),
            bus: Bus::Connected(client, None),
        };
        let ended = ctl::run(cli.verb, &mut session).await;
        let code = session.close(ended);
        let calls = calls.lock().unwrap().clone();
        Ended { code, out: out.text(), err: err.text(), calls }
    });
    runtime.shutdown_background();
    ended
}
