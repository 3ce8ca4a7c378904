//! What programs and servers send to an egress proxy, where another reader is asked, too.

use rustls::server::Acceptor;
use tenant_egress::hello::{Read, read};

/// The first message of TLS: a server does not understand another name than the proxy decided on.
pub fn client_hello(bytes: &[u8]) {
    tenant_egress::fuzz::client_hello(bytes);
    let (mut acceptor, mut rest) = (Acceptor::default(), bytes);
    let accepted = loop {
        match acceptor.accept() {
            Ok(Some(accepted)) => break accepted,
            Ok(None) if !rest.is_empty() => {}
            Ok(None) | Err(_) => return,
        }
        if !matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
            return;
        }
    };
    let theirs = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
    match read(bytes) {
        Read::Hello(hello) => {
            // With the dot of the root or without, it is the same host to both.
            let ours = hello.name.map(|name| name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase());
            // A server that sees no name picks none.
            assert!(theirs.is_none() || theirs == ours, "{theirs:?} is read as {ours:?}");
        }
        Read::More => panic!("a server does not wait for more"),
        Read::No(_) => {}
    }
}
