//! Orders certificates, one after the other, for as long as the edge runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::edge::Acme;
use tokio::task::JoinSet;

use super::authority::{Authority, Fault, Trouble};
use super::names::Names;
use super::schedule::{Next, Schedule, renewal};
use super::store::{Held, Store};
use crate::auth::random;
use crate::edge::{Edge, unix_now};
use crate::host::{self, Place};
use crate::tenants::NoRoute;

/// For one order, from its beginning to its end.
const LONGEST: Duration = Duration::from_secs(600);
/// Between two looks at the clock: certificates expire, and clocks are set.
const LOOK: Duration = Duration::from_secs(60);
/// Names that are asked for are gathered for so long: strangers may send as many as they like, and each look costs a little.
const GATHER: Duration = Duration::from_millis(100);
const DAY: u64 = 24 * 3600;

/// Orders what is asked for and renews what is held.
pub async fn work(edge: Arc<Edge>) {
    let mut changes = edge.live.changes();
    let mut work = Work {
        names: Arc::clone(&edge.acme),
        edge,
        at: None,
        schedule: Schedule::default(),
        orders: JoinSet::new(),
        told: None,
        looked: 0,
    };
    loop {
        work.settle();
        let pause = work.step(now());
        let names = Arc::clone(&work.names);
        tokio::select! {
            // The sender lives in the edge.
            changed = changes.changed() => if changed.is_err() { return },
            () = names.asked() => tokio::time::sleep(GATHER).await,
            Some(done) = work.orders.join_next(), if !work.orders.is_empty() => {
                if let Ok(done) = done {
                    work.done(done);
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Certificates that lie on disk, in force before the first connection.
pub(crate) fn load(names: &Names, acme: Option<&Acme>, state: &std::path::Path) {
    let Some(acme) = acme else { return };
    match Store::open(state, &acme.directory).and_then(|store| held(&store, now())) {
        Ok(held) => names.replace(Some(held)),
        // The work begins with the same and tells.
        Err(_) => names.replace(Some(HashMap::new())),
    }
}

struct Work {
    edge: Arc<Edge>,
    names: Arc<Names>,
    at: Option<At>,
    schedule: Schedule,
    orders: JoinSet<Done>,
    /// What the journal knows to be wrong with the state directory.
    told: Option<String>,
    /// When it was last looked for expired certificates.
    looked: u64,
}

/// The authority in force.
#[derive(Clone)]
struct At {
    acme: Acme,
    store: Store,
    authority: Option<Arc<Authority>>,
}

/// An order that has ended.
struct Done {
    name: String,
    at: At,
    result: Result<Held, Trouble>,
}

impl Work {
    /// Takes over other settings.
    fn settle(&mut self) {
        // Until the settings were read once nothing is known about an authority.
        let Some(files) = self.edge.live.now() else { return };
        let wanted = files.edge.acme.as_ref();
        if self.at.as_ref().map(|at| &at.acme) == wanted {
            return;
        }
        let Some(acme) = wanted else {
            self.at = None;
            self.schedule = Schedule::default();
            return self.names.replace(None);
        };
        let opened = Store::open(&self.edge.options.state, &acme.directory);
        match opened.and_then(|store| Ok((held(&store, now())?, store))) {
            Ok((held, store)) => {
                self.schedule = Schedule::default();
                for (name, held) in &held {
                    self.schedule.renew(name, renewal(held.begin, held.end, chance()));
                }
                match store.waits() {
                    Ok(waits) => self.schedule.resume(waits, now()),
                    Err(error) => tracing::warn!("{error}"),
                }
                tracing::info!(held = held.len(), "certificates come from {}, by ACME", acme.directory);
                self.names.replace(Some(held));
                self.at = Some(At { acme: acme.clone(), store, authority: None });
                self.told = None;
            }
            Err(error) => {
                self.at = None;
                let text = error.to_string();
                if self.told.replace(text.clone()).as_ref() != Some(&text) {
                    tracing::error!("{text}; no certificate is ordered until that is mended");
                }
            }
        }
    }

    /// Looks at what was asked for and orders what is due. Returns how long there is nothing to do.
    fn step(&mut self, now: u64) -> Duration {
        let Some(at) = self.at.clone() else { return LOOK };
        self.expire(&at.store, now);
        for name in self.names.take_wanted() {
            if self.is_ours(&name) {
                self.schedule.want(&name, now);
            }
        }
        loop {
            match self.schedule.next(now) {
                Next::Idle => return LOOK,
                Next::Wait(until) => return Duration::from_secs(until.saturating_sub(now)).min(LOOK),
                Next::Order(_) if !self.orders.is_empty() => return LOOK,
                Next::Order(name) if self.is_ours(&name) => {
                    self.begin(name, at, now);
                    return LOOK;
                }
                // Its tenant is gone. What it has is good to the end, and the tenant may come back.
                Next::Order(name) if self.names.has(&name) => self.schedule.renew(&name, now + DAY),
                Next::Order(name) => self.schedule.forget(&name),
            }
        }
    }

    /// Lets go of what has expired.
    fn expire(&mut self, store: &Store, now: u64) {
        if now.abs_diff(self.looked) < LOOK.as_secs() {
            return;
        }
        self.looked = now;
        for name in self.names.expire(now) {
            tracing::warn!("the certificate of {name} has expired; it is served with the one that was given");
            if let Err(error) = store.remove(&name) {
                tracing::warn!("{error}");
            }
        }
    }

    fn begin(&mut self, name: String, at: At, now: u64) {
        self.schedule.begun(now);
        self.names.orders.up();
        self.orders.spawn(order(name, at, Arc::clone(&self.names)));
    }

    /// Whether the edge serves this name: its domain, or a tenant that has a route.
    fn is_ours(&self, name: &str) -> bool {
        let Some(files) = self.edge.live.now() else { return false };
        match host::place(name, &files.edge.domain) {
            Place::Domain => true,
            Place::Tenant(id) => self.edge.tenants.get(&id, Instant::now()).err() != Some(NoRoute::Unknown),
            Place::Elsewhere => false,
        }
    }

    fn done(&mut self, done: Done) {
        let Done { name, at, result } = done;
        let Some(now_at) = self.at.as_mut().filter(|now_at| now_at.acme == at.acme) else {
            // Other settings came into force meanwhile.
            return;
        };
        now_at.authority = at.authority;
        match result {
            Ok(held) => {
                let before = self.schedule.waits();
                let days = held.end.saturating_sub(now()) / DAY;
                if self.schedule.got(&name, renewal(held.begin, held.end, chance())) {
                    tracing::info!("{} gives certificates again", at.acme.directory);
                }
                self.names.insert(name.clone(), Arc::new(held));
                tracing::info!("{name} has a certificate of {}, for {days} days", at.acme.directory);
                if before != self.schedule.waits() {
                    self.remember(&at.store);
                }
            }
            Err(trouble) => {
                if trouble.is_forgotten() {
                    now_at.authority = None;
                    if let Err(error) = at.store.remove_account() {
                        tracing::warn!("{error}");
                    }
                }
                self.names.failures.up();
                self.failed(&name, &at.acme.directory, &trouble);
                self.remember(&at.store);
            }
        }
    }

    /// For the next start.
    fn remember(&self, store: &Store) {
        if let Err(error) = store.put_waits(&self.schedule.waits()) {
            tracing::warn!("{error}; after a restart names that were refused are ordered at once");
        }
    }

    /// Puts it off, and tells the journal what it does not know yet.
    fn failed(&mut self, name: &str, directory: &str, trouble: &Trouble) {
        let Trouble { fault, kind, why, wait } = trouble;
        let goes_on = if self.names.has(name) { "the one it has" } else { "the one that was given" };
        let (delay, text, remedy) = match fault {
            Fault::Name => (
                self.schedule.refused(name, kind, now(), *wait),
                format!("{directory} gives no certificate to {name}: {why}; it is served with {goes_on}"),
                format!("does http://{name}/ lead to port 80 of this host from everywhere?"),
            ),
            Fault::Authority => (
                self.schedule.closed(kind, now(), *wait, false),
                format!(
                    "cannot order the certificate of {name} from {directory}: {why}; it is served with {goes_on}"
                ),
                "can this host reach it, and does it know its authority (ca_file in /etc/tenantd/edge.toml)?"
                    .to_owned(),
            ),
            Fault::Account => (
                self.schedule.closed(kind, now(), *wait, true),
                format!("{directory} gives us no certificates: {why}; {name} is served with {goes_on}"),
                "see [acme] in /etc/tenantd/edge.toml, and the limits of the authority".to_owned(),
            ),
        };
        if !delay.known {
            tracing::warn!("{text}, and asked for again in {} s ({remedy})", delay.seconds);
        }
    }
}

/// From the account to the file.
async fn order(name: String, mut at: At, names: Arc<Names>) -> Done {
    let whole = async {
        let authority = match &at.authority {
            Some(authority) => Arc::clone(authority),
            None => Arc::new(Authority::open(&at.acme, &at.store).await?),
        };
        at.authority = Some(Arc::clone(&authority));
        let pem = authority.order(&name, &names).await?;
        let held = Held::parse(&name, &pem).map_err(|why| Trouble::useless(&why))?;
        if let Err(error) = at.store.put(&name, &pem) {
            // It is good all the same, until the edge is restarted.
            tracing::error!("{error}; after a restart the certificate of {name} is ordered anew");
        }
        Ok(held)
    };
    let result = tokio::time::timeout(LONGEST, whole).await.unwrap_or_else(|_| Err(Trouble::endless()));
    names.end_challenges(&name);
    Done { name, at, result }
}

/// What is on disk and not expired. What cannot be used is told.
fn held(store: &Store, now: u64) -> Result<HashMap<String, Arc<Held>>, super::store::StoreError> {
    let mut good = HashMap::new();
    for (name, held) in store.certificates()? {
        match held {
            Ok(held) if held.end > now => {
                good.insert(name, Arc::new(held));
            }
            Ok(_) => store.remove(&name)?,
            Err(error) => tracing::warn!("{error}; {name} is served with the certificate that was given"),
        }
    }
    Ok(good)
}

/// Any number; which one does not matter.
fn chance() -> u64 {
    random::bytes().map(u64::from_ne_bytes).unwrap_or_default()
}

fn now() -> u64 {
    u64::try_from(unix_now()).unwrap_or_default()
}
