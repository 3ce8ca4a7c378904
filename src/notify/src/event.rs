//! The document that is posted. Field names are stable; times are seconds since 1970.

use api::AskedRequest;
use serde::Serialize;

/// A question as it is when it is posted.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    /// `question`.
    kind: &'static str,
    /// The same for every attempt to post it.
    delivery: &'a str,
    /// What `tenantctl approvals approve` and `deny` take.
    id: &'a str,
    /// Who asks.
    tenant: &'a str,
    /// `waiting`, or `expired`: nobody waits any more, and an answer counts for the next time.
    state: &'a str,
    /// Programs that ask; empty where they are not known.
    binaries: Vec<&'a str>,
    host: &'a str,
    port: u16,
    /// Of a request that was looked at.
    method: Option<&'a str>,
    /// Without its query.
    path: Option<&'a str>,
    /// When it was asked first.
    first: u64,
    /// When it was asked last.
    last: u64,
    /// How often.
    count: u64,
    /// When the connection that asked last gives up.
    expires: u64,
    /// Questions that were not posted before this one, as too many waited or the receiver did not take them.
    left_out: u64,
}

/// The document about a question.
pub(crate) fn document(
    request: &AskedRequest,
    id: &str,
    delivery: &str,
    left_out: u64,
) -> Result<Vec<u8>, serde_json::Error> {
    let destination = &request.destination;
    let exchange = destination.exchange.as_ref();
    serde_json::to_vec(&Event {
        kind: "question",
        delivery,
        id,
        tenant: &request.tenant,
        state: &request.state,
        binaries: destination.binary.as_deref().into_iter().collect(),
        host: &destination.host,
        port: destination.port,
        method: exchange.map(|exchange| exchange.method.as_str()),
        // tenantd keeps none; what another version sends is not passed on either.
        path: exchange.map(|exchange| exchange.target.split('?').next().unwrap_or_default()),
        first: request.first,
        last: request.last,
        count: request.count,
        expires: request.expires,
        left_out,
    })
}
