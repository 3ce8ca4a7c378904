//! What a decision and a refusal cost in allocations.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use policy::{Exchange, Host, Kind, Target};
use support::{World, policy};
use tenant_egress::gate::{self, Place};

/// 200 policies of three endpoints each.
fn many() -> String {
    let mut text = String::from("version: 1\nx-tenantd: {default: deny}\nnetwork_policies:\n");
    for number in 0..200 {
        text += &format!("  p{number}:\n    name: p{number}\n    endpoints:\n");
        for host in ["a", "b", "*.c"] {
            text += &format!(
                "      - {{host: \"{host}{number}.example.com\", port: 443, protocol: rest, access: read-only, enforcement: enforce}}\n"
            );
        }
        text += "    binaries: [{path: /usr/bin/curl}, {path: /usr/bin/git}]\n";
    }
    text.replace("*.c", "*.c.x")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_decision_takes_fewer_than_twenty() {
    let runtime = runtime();
    let world = runtime.block_on(World::new(&many(), None));
    let snapshot = world.proxy.live.now().unwrap();
    assert_eq!(snapshot.policy.entries().len(), 600);
    let place = Place { host: Host::parse("a77.example.com").unwrap(), port: 443 };
    let programs = [vec!["/usr/bin/curl".to_owned(), "/usr/bin/node".to_owned()]];
    let target = Target::parse("/v1/things?x=1").unwrap();
    let exchange = Some(Exchange::new(Kind::Request, "GET", &target));
    let address = Some([93, 184, 215, 14].into());
    let mut ruling = None;
    let counted = allocation_counter::measure(|| {
        ruling = Some(gate::rule(&snapshot, &programs, &place, address, exchange));
    });
    assert_eq!(ruling.unwrap().verdict, policy::Verdict::Allow);
    assert!(counted.count_total < 20, "{counted:?}");
}

#[test]
fn a_denied_tunnel_takes_fewer_than_two_hundred() {
    let runtime = runtime();
    let world = runtime.block_on(World::new(&policy("deny", ""), None));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    // Twice, as the first one finds empty tables.
    let counted = [(); 2].map(|()| {
        let client = std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(to).unwrap();
            stream.write_all(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let (stream, from) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let proxy = Arc::clone(&world.proxy);
        let counted = allocation_counter::measure(|| {
            runtime.block_on(async {
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                tenant_egress::explicit::serve(proxy, stream, from).await;
            });
        });
        let answer = client.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        counted
    });
    let last = counted.last().unwrap();
    assert!(last.count_total < 200, "{counted:?}");
}
