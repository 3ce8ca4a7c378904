//! Learning: what is tried while a tenant learns, and the narrowest document that allows it. Nothing is allowed by learning alone.

use api::Learned;
use model::egress::Destination;
use model::{Exit, TenantId};
use policy::{Host, Observed};

use super::destination::{kind, normal};
use super::now;
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

/// A week.
const LONGEST: u32 = 604_800;

impl Service {
    /// Notes for so many seconds what is tried; 0 ends it.
    pub fn learn(&self, id: &TenantId, seconds: u32) -> Result<Learned, Failure> {
        if seconds > LONGEST {
            return Err(Failure::new(
                Exit::Data,
                "a tenant learns for a week at the most: name a shorter time",
            ));
        }
        self.egress_file(id)?;
        {
            let _writing = lock(&self.egress.writing);
            let until = (seconds > 0).then(|| now().saturating_add(u64::from(seconds)));
            lock(&self.database).set_learning(id, until)?;
            self.write_approvals_held(id)?;
        }
        tracing::info!(tenant = %id, seconds, "learning");
        self.learned(id)
    }

    /// What was noted, and a document of it.
    pub fn learned(&self, id: &TenantId) -> Result<Learned, Failure> {
        let (_, policy) = self.policy_in_force(id)?;
        let (until, noted) = {
            let database = lock(&self.database);
            (database.learn_until(id)?, database.observed(id)?)
        };
        let observed: Vec<Observed> = noted.iter().filter_map(observed).collect();
        let proposal = policy::learn(&observed, &policy);
        Ok(Learned {
            until: until.filter(|until| now() < *until),
            noted: u64::try_from(noted.len()).unwrap_or(u64::MAX),
            document: proposal.document,
            left_out: proposal.left_out.into_iter().map(|left| (left.what, left.why)).collect(),
        })
    }

    /// Notes what a proxy saw, if its tenant learns.
    pub(super) fn note_tried(&self, id: &TenantId, seen: &Destination) -> Result<(), Failure> {
        let mut database = lock(&self.database);
        if database.learn_until(id)?.is_none_or(|until| until <= now()) {
            return Ok(());
        }
        match normal(seen) {
            // As it was asked for: the query is left out by the proposal.
            Ok(normal) => {
                let exchange = seen.exchange.clone().map(|mut exchange| {
                    exchange.target = exchange.target.split('?').next().unwrap_or_default().to_owned();
                    exchange
                });
                Ok(database.observe(id, &Destination { exchange, ..normal })?)
            }
            Err(_) => Ok(()),
        }
    }
}

fn observed(noted: &Destination) -> Option<Observed> {
    Some(Observed {
        host: Host::parse(&noted.host).ok()?,
        port: noted.port,
        address: noted.address,
        // One that is not known is left out by the proposal, which says so.
        binary: noted.binary.clone().unwrap_or_default(),
        exchange: noted
            .exchange
            .as_ref()
            .map(|exchange| (kind(exchange.kind), exchange.method.clone(), exchange.target.clone())),
    })
}
