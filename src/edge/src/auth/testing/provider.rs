//! An OpenID Connect provider on a loopback address, which can be told to misbehave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::Role;
use model::edge::{ClaimRule, Issuer};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{NOW, tenant};

pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Mutex<State>,
}

pub(crate) struct State {
    key: EcdsaKeyPair,
    kid: String,
    /// The nonce and the PKCE challenge of the login that is under way.
    pub(crate) nonce: String,
    pub(crate) challenge: String,
    /// What is said instead of the honest answer, by path.
    pub(crate) instead: HashMap<&'static str, (StatusCode, String)>,
    /// Changes to discovery and to the claims of the next tokens.
    pub(crate) discovery: Value,
    pub(crate) claims: Value,
    /// Paths that were asked for, and the last request for tokens.
    pub(crate) asked: Vec<String>,
    pub(crate) form: HashMap<String, String>,
    pub(crate) authorization: Option<String>,
}

impl Provider {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            key: new_key(),
            kid: "p1".to_owned(),
            nonce: String::new(),
            challenge: String::new(),
            instead: HashMap::new(),
            discovery: json!({}),
            claims: json!({}),
            asked: Vec::new(),
            form: HashMap::new(),
            authorization: None,
        };
        let provider = Arc::new(Self { issuer, state: Mutex::new(state) });
        let serving = Arc::clone(&provider);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let provider = Arc::clone(&provider);
                    async move { Ok::<_, std::convert::Infallible>(provider.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        provider
    }

    /// As the edge's configuration names it. Members of "ops" operate acme; alice, by her address, owns it.
    pub(crate) fn configured(&self) -> Issuer {
        let rule = |claim: &str, value: &str, role| ClaimRule {
            claim: claim.to_owned(),
            value: value.to_owned(),
            tenant: tenant("acme"),
            role,
        };
        Issuer {
            name: "corp".to_owned(),
            issuer: self.issuer.clone(),
            client_id: "edge".to_owned(),
            client_secret: Some("s3cret&".to_owned()),
            audience: Some("tenantd".to_owned()),
            ca_pem: None,
            rules: vec![
                rule("groups", "ops", Role::Operator),
                rule("email", "alice@corp.example", Role::Owner),
            ],
        }
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// New keys, the old ones gone.
    pub(crate) fn rotate(&self, kid: &str) {
        self.with(|state| {
            state.key = new_key();
            state.kid = kid.to_owned();
        });
    }

    pub(crate) fn asked_for(&self, path: &str) -> usize {
        self.with(|state| state.asked.iter().filter(|asked| *asked == path).count())
    }

    /// An access token with `claims` on top of the usual ones.
    pub(crate) fn access_token(&self, claims: Value) -> String {
        self.with(|state| {
            let usual = json!({"iss": self.issuer, "aud": "tenantd", "sub": "u1", "iat": NOW, "exp": NOW + 300,
                "groups": ["staff", "ops"]});
            state.sign("at+jwt", &merged(usual, &claims))
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let authorization =
            request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (status, body) = self.with(|state| {
            state.asked.push(path.clone());
            if let Some(instead) = state.instead.get(path.as_str()) {
                return instead.clone();
            }
            match path.as_str() {
                "/.well-known/openid-configuration" => (StatusCode::OK, self.discovery(state).to_string()),
                "/keys" => (StatusCode::OK, json!({"keys": [state.jwk()]}).to_string()),
                "/token" => self.token(state, &body, authorization),
                _ => (StatusCode::NOT_FOUND, String::new()),
            }
        });
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        if status.is_redirection() {
            response.headers_mut().insert("location", format!("{}/keys", self.issuer).parse().unwrap());
        }
        response
    }

    fn discovery(&self, state: &State) -> Value {
        let address = |path: &str| format!("{}{path}", self.issuer);
        let usual = json!({
            "issuer": self.issuer,
            "authorization_endpoint": address("/authorize"),
            "token_endpoint": address("/token"),
            "jwks_uri": address("/keys"),
            "response_types_supported": ["code"],
        });
        merged(usual, &state.discovery)
    }

    fn token(&self, state: &mut State, body: &[u8], authorization: Option<String>) -> (StatusCode, String) {
        state.form = form_urlencoded::parse(body).into_owned().collect();
        state.authorization = authorization;
        let field = |name: &str| state.form.get(name).cloned().unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD
            .encode(ring::digest::digest(&ring::digest::SHA256, field("code_verifier").as_bytes()));
        let by_header =
            state.authorization.as_deref() == Some(&format!("Basic {}", STANDARD.encode("edge:s3cret%26")));
        let by_form = field("client_id") == "edge" && field("client_secret") == "s3cret&";
        let public = field("client_id") == "edge" && field("client_secret").is_empty();
        if field("code") != "c0de" || challenge != state.challenge || !(by_header || by_form || public) {
            return (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string());
        }
        let usual = json!({"iss": self.issuer, "aud": "edge", "sub": "u1", "iat": NOW, "exp": NOW + 300,
            "nonce": state.nonce, "groups": ["ops"]});
        let id_token = state.sign("JWT", &merged(usual, &state.claims));
        (
            StatusCode::OK,
            json!({"access_token": "x", "token_type": "Bearer", "id_token": id_token}).to_string(),
        )
    }
}

impl State {
    fn sign(&self, typ: &str, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.kid, "typ": typ}).to_string();
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": x, "y": y})
    }
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

/// `usual` with the members of `changes`; null takes one away.
fn merged(mut usual: Value, changes: &Value) -> Value {
    let object = usual.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    usual
}
