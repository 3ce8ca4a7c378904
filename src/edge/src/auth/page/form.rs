//! Fields of a query or of a posted form.

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;

/// The one value of the query's field `name`; nothing if it is missing, or there twice.
pub(super) fn query(request: &Request<Bytes>, name: &str) -> Option<String> {
    field(request.uri().query().unwrap_or_default().as_bytes(), name)
}

/// The one value of the field `name` in a posted form.
pub(super) fn posted(request: &Request<Bytes>, name: &str) -> Option<String> {
    let content_type = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        field(request.body(), name)
    } else {
        None
    }
}

/// Pairs as a query or a form.
pub(super) fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn field(text: &[u8], name: &str) -> Option<String> {
    let mut values =
        form_urlencoded::parse(text).filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value) }
}
