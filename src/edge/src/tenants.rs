//! The tenants that have a route, as far as somebody asked for them.
//!
//! A route is opened by the name in a request, and looked at again at most once a second. No directory is ever listed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::edge::{ROUTE_FORMAT, RoleRights, Route};
use model::{Paths, Role, TenantId};

use crate::metrics::TenantNumbers;
use crate::proof::Proof;
use crate::upstream::Pool;
use crate::wake::Wake;

/// How long a route counts without being looked at again.
const FRESH: Duration = Duration::from_secs(1);
/// Bytes of a route, at most.
const MOST: u64 = 64 << 10;

/// All that are known.
#[derive(Debug)]
pub struct Tenants {
    paths: Paths,
    known: Mutex<HashMap<TenantId, Arc<Tenant>>>,
}

/// One of them.
#[derive(Debug)]
pub struct Tenant {
    /// Its identifier.
    pub id: TenantId,
    /// Connections to its gateway that wait for work.
    pub pool: Pool,
    /// Its gateway's proof header.
    pub proof: Proof,
    /// Its waking up.
    pub wake: Wake,
    /// What is counted of it.
    pub numbers: TenantNumbers,
    route: Mutex<Seen>,
    /// Grows whenever the route changes.
    pub changes: AtomicU64,
}

#[derive(Clone, Debug)]
struct Seen {
    route: Arc<Route>,
    stamp: Stamp,
    at: Instant,
}

type Stamp = (u64, u64, i64, i64);

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// There is no such tenant.
    Unknown,
    /// Its route cannot be read.
    Broken,
}

impl Tenant {
    /// The way to its gateway, as last seen.
    pub fn route(&self) -> Arc<Route> {
        Arc::clone(&self.seen().route)
    }

    /// What a role may do, if it may come in.
    #[must_use]
    pub fn rights(route: &Route, role: Role) -> Option<&RoleRights> {
        route.roles.iter().find(|rights| rights.role == role)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenants {
    /// None yet.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        Self { paths, known: Mutex::default() }
    }

    /// The tenant, if it has a route.
    ///
    /// # Errors
    ///
    /// [`NoRoute`].
    pub fn get(&self, id: &TenantId, now: Instant) -> Result<Arc<Tenant>, NoRoute> {
        let known = self.lock().get(id).cloned();
        if let Some(tenant) = &known {
            let seen = tenant.seen().clone();
            if now.duration_since(seen.at) < FRESH {
                return Ok(Arc::clone(tenant));
            }
            if self.stamp(id).is_ok_and(|stamp| stamp == seen.stamp) {
                tenant.seen().at = now;
                return Ok(Arc::clone(tenant));
            }
        }
        match (self.read(id), known) {
            (Ok((route, stamp)), Some(tenant)) => {
                *tenant.seen() = Seen { route: Arc::new(route), stamp, at: now };
                tenant.changes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tenant.pool.clear();
                Ok(tenant)
            }
            (Ok((route, stamp)), None) => {
                let route = Mutex::new(Seen { route: Arc::new(route), stamp, at: now });
                let tenant = Tenant {
                    id: id.clone(),
                    pool: Pool::default(),
                    proof: Proof::new(self.paths.proof_socket()),
                    wake: Wake::new(self.paths.wake_socket()),
                    numbers: TenantNumbers::default(),
                    route,
                    changes: AtomicU64::new(0),
                };
                Ok(Arc::clone(self.lock().entry(id.clone()).or_insert_with(|| Arc::new(tenant))))
            }
            (Err(error), known) if error.kind() == io::ErrorKind::NotFound => {
                if known.is_some() {
                    self.lock().remove(id);
                }
                Err(NoRoute::Unknown)
            }
            (Err(error), known) => {
                tracing::error!(tenant = %id, "cannot read the route of tenant {id}: {error} (run \"tenantctl repair {id}\"); what was in force stays in force");
                let Some(tenant) = known else { return Err(NoRoute::Broken) };
                tenant.seen().at = now;
                Ok(tenant)
            }
        }
    }

    /// Everybody known, for the metrics and for looking after open streams.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Tenant>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stamp(&self, id: &TenantId) -> io::Result<Stamp> {
        std::fs::metadata(self.paths.route(id)).map(|file| stamp(&file))
    }

    fn read(&self, id: &TenantId) -> io::Result<(Route, Stamp)> {
        let file = File::open(self.paths.route(id))?;
        let stamp = stamp(&file.metadata()?);
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text)?;
        let route: Route = serde_json::from_slice(&text)?;
        if route.format != ROUTE_FORMAT || route.tenant != *id {
            return Err(io::Error::other("it is of another format, or another tenant's"));
        }
        Ok((route, stamp))
    }
}

fn stamp(file: &std::fs::Metadata) -> Stamp {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec())
}
