//! For `bench policy`: how long one decision takes, over POLICIES policies (200 if not said) of three endpoints each, and what it allocates.
//! Parsing of host and path is counted as well, as a proxy does it for each request. Prints nanoseconds: the middle, the 99th percentile and
//! the most of 300,000 decisions, the allocations of one, and how long it takes to read and merge the documents.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints; one that fails has nothing to say"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use policy::{Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Request, Target, Verdict};

const DECISIONS: usize = 300_000;

fn main() {
    let policies: usize = std::env::args().nth(1).map_or(200, |text| text.parse().unwrap());
    let text = document(policies);
    let begun = Instant::now();
    let document = Document::parse("bench.yaml", &text, &Hosts::Unknown).unwrap();
    let policy = Policy::merge(vec![Layer { level: Level::Tenant, document }], Vec::new()).unwrap();
    println!("compiled {}", begun.elapsed().as_nanos());
    let hosts: Vec<String> = (0..policies).map(|n| format!("api{}.service{n}.example.com", n % 3)).collect();
    let ask = |n: usize| {
        let name = hosts.get(n % policies).unwrap();
        let (host, target) = (Host::parse(name).unwrap(), Target::parse("/v1/items/42?page=2").unwrap());
        let method = if n % 5 == 4 { "DELETE" } else { "GET" };
        let exchange = Some(Exchange::new(Kind::Request, method, &target));
        let binaries = &["/usr/bin/node", "/usr/bin/tenant-exec"];
        let request = Request { host: &host, port: 443, address: None, binaries, exchange, now: 1 };
        policy.decide(&request).verdict
    };
    // What is asked is decided both ways, or the figure would be of one of them.
    assert_eq!((ask(0), ask(4)), (Verdict::Allow, Verdict::Deny));
    let counted = allocation_counter::measure(|| {
        black_box(ask(0));
    });
    println!("allocations {}", counted.count_total);
    let mut took: Vec<u128> = Vec::with_capacity(DECISIONS);
    for n in 0..DECISIONS {
        let begun = Instant::now();
        black_box(ask(black_box(n)));
        took.push(begun.elapsed().as_nanos());
    }
    took.sort_unstable();
    for (what, at) in [("median", DECISIONS / 2), ("p99", DECISIONS * 99 / 100), ("most", DECISIONS - 1)] {
        println!("{what} {}", took.get(at).unwrap());
    }
}

fn document(policies: usize) -> String {
    let mut text = "version: 1\nnetwork_policies:\n".to_owned();
    for n in 0..policies {
        writeln!(text, "  service{n}:\n    endpoints:").unwrap();
        for host in [
            format!("api0.service{n}.example.com"),
            format!("api1.service{n}.example.com"),
            format!("*.service{n}.example.com"),
        ] {
            writeln!(
                text,
                "      - host: \"{host}\"\n        port: 443\n        protocol: rest\n        enforcement: enforce\n        rules:\n          \
                 - allow: {{ method: GET, path: \"/v1/**\" }}\n          - allow: {{ method: POST, path: \"/v1/items/*\" }}"
            )
            .unwrap();
        }
        writeln!(text, "    binaries:\n      - path: /usr/bin/node\n      - path: /usr/local/bin/*").unwrap();
    }
    text
}
