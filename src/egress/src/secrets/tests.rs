use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use model::delivery::{self, Delivered, Form};
use model::egress::{SecretPlace, SecretUse};
use proptest::prelude::*;

use super::*;
use crate::body::{Body, BodyError, full};

mod bodies;
mod heads;
mod scanning;

const TOKEN: &str = "123456:AA-very/secret+value";
const KEY: &str = "sk-0123456789abcdef";

fn secrets(values: &[(&str, Form, &str)]) -> Arc<Secrets> {
    let mut bytes = Vec::new();
    delivery::begin(&mut bytes);
    for (name, form, value) in values {
        delivery::add(&mut bytes, Delivered { name, form: *form, value: value.as_bytes() }).unwrap();
    }
    Arc::new(Secrets::read(&bytes).unwrap())
}

fn bound(name: &str, host: &str, path: &str, places: &[SecretPlace]) -> SecretUse {
    SecretUse { name: name.into(), host: host.into(), port: 443, path: path.into(), places: places.to_vec() }
}

fn table() -> SecretTable {
    use SecretPlace::{Body, Header, Path, Query, Websocket};
    let secrets = secrets(&[
        ("telegram-token", Form::Proxy, TOKEN),
        ("api-key", Form::Proxy, KEY),
        ("broken", Form::Proxy, "line\nbreak-and-more"),
        ("a-b", Form::Proxy, "ambiguous-1"),
        ("a_b", Form::Proxy, "ambiguous-2"),
        ("gateways-own", Form::File, "not-for-the-proxy"),
        ("egress-authority", Form::Proxy, "-----BEGIN PRIVATE KEY-----"),
    ]);
    let (table, unusable) = SecretTable::new(
        secrets,
        &[
            bound("telegram-token", "API.telegram.org.", "/bot", &[Path]),
            bound("telegram-token", "api.telegram.org", "/file/bot", &[Path]),
            bound("api-key", "api.example.com", "/v1", &[Header, Query, Body, Websocket]),
            bound("broken", "api.example.com", "/", &[Header, Query]),
            bound("a-b", "api.example.com", "/", &[Header]),
            bound("a_b", "api.example.com", "/", &[Header]),
        ],
    );
    assert_eq!(unusable, Vec::<String>::new());
    table
}

const TELEGRAM: Place<'_> = Place { host: "api.telegram.org", port: 443, tls: true };
const EXAMPLE: Place<'_> = Place { host: "api.example.com", port: 443, tls: true };

fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn chunked(chunks: Vec<Vec<u8>>) -> Body {
    let frames = chunks.into_iter().map(|chunk| Ok::<_, BodyError>(Frame::data(Bytes::from(chunk))));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}
