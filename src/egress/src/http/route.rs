//! For whom a request is: the connection says it, and the request has to say the same.

use http::{Request, StatusCode, header};
use policy::Target;

use crate::gate::{Place, Refusal};
use crate::head;

/// What a request is answered that goes nowhere.
pub(super) type Fault = (StatusCode, &'static str, Refusal);

/// Host and port of a request on a connection to `fixed`, or by the explicit proxy.
pub(super) fn place_of<B>(request: &Request<B>, fixed: Option<&Place>) -> Result<Place, Fault> {
    let bad = |why| (StatusCode::BAD_REQUEST, "malformed", Refusal::new(why));
    let elsewhere = || {
        (
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            Refusal::new("the request names another host than its connection"),
        )
    };
    let uri = request.uri();
    let default = fixed.map_or(80, |place| place.port);
    let mut named = Vec::new();
    if let Some(authority) = uri.authority() {
        named.push(
            head::host_and_port(authority.as_str(), default).ok_or_else(|| bad("its host is malformed"))?,
        );
    }
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    if let Some(host) = hosts.next() {
        let host = host.to_str().ok().and_then(|host| head::host_and_port(host, default));
        named.push(host.ok_or_else(|| bad("its Host is malformed"))?);
    }
    if hosts.next().is_some() {
        return Err(bad("it has more than one Host"));
    }
    let place = match (fixed, named.first()) {
        (_, None) => return Err(bad("it names no host")),
        (Some(place), Some(_)) => place.clone(),
        (None, Some(_)) if uri.scheme_str() != Some("http") => {
            return Err(bad(
                "this is a proxy: it takes CONNECT host:port, and requests for http://host/path",
            ));
        }
        (None, Some(place)) => place.clone(),
    };
    if named.iter().all(|named| *named == place) { Ok(place) } else { Err(elsewhere()) }
}

/// Path and query of a request, as they stand and as rules see them.
pub(super) fn target_of<B>(request: &Request<B>) -> Result<(String, Target), Fault> {
    let bad = |why| (StatusCode::BAD_REQUEST, "malformed", Refusal::new(why));
    let raw = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let raw = if raw.starts_with('?') { format!("/{raw}") } else { raw.to_owned() };
    let target = Target::parse(&raw).map_err(bad)?;
    Ok((raw, target))
}
