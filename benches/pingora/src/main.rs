//! pingora-peer LISTEN CERTIFICATE KEY GATEWAY PUBLIC: relays HTTPS to GATEWAY for whoever has a token that PUBLIC (PEM, Ed25519) verifies.

use std::sync::Arc;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::server::configuration::{Opt, ServerConf};

struct Peer {
    gateway: String,
    key: DecodingKey,
    wanted: Validation,
}

#[async_trait]
impl ProxyHttp for Peer {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn request_filter(&self, session: &mut Session, _: &mut Self::CTX) -> Result<bool> {
        let header = session.req_header().headers.get("authorization");
        let token = header.and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
        let known = token.is_some_and(|token| jsonwebtoken::decode::<serde_json::Value>(token, &self.key, &self.wanted).is_ok());
        if !known {
            session.respond_error(401).await?;
        }
        Ok(!known)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.gateway.as_str(), false, String::new())))
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, listen, certificate, key, gateway, public] = words.as_slice() else {
        eprintln!("usage: pingora-peer LISTEN CERTIFICATE KEY GATEWAY PUBLIC");
        std::process::exit(64)
    };
    let pem = std::fs::read(public).expect("the public key");
    let mut wanted = Validation::new(Algorithm::EdDSA);
    wanted.validate_aud = false;
    let peer = Peer { gateway: gateway.clone(), key: DecodingKey::from_ed_pem(&pem).expect("a public key"), wanted };
    let conf = ServerConf { threads: 2, upstream_keepalive_pool_size: 256, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), peer);
    service.add_tls_with_settings(listen, None, TlsSettings::intermediate(certificate, key).expect("a certificate"));
    server.add_service(service);
    server.run_forever();
}
