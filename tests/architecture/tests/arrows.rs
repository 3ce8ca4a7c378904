//! Imports point down only, and what runs as root stays small (ARCHITECTURE.md).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

use std::collections::BTreeSet;

use architecture::{crates, tree};

/// Each crate of `src/` and the crates of the workspace it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("plan", &["model"]),
    ("policy", &["model"]),
    ("own-address", &[]),
    ("api", &["model"]),
    ("runtime", &["model"]),
    ("vault", &["model"]),
    ("vault-store", &["model", "vault"]),
    ("backup", &["model"]),
    ("token", &["model"]),
    ("confine", &["model"]),
    ("host", &["model", "plan", "api", "runtime", "confine"]),
    ("runtime-store", &["model", "runtime"]),
    ("catalog", &["model", "plan", "policy", "runtime", "confine"]),
    ("tenant-archive", &["model"]),
    ("tenant-exec", &["model", "confine"]),
    ("tenant-net", &["model"]),
    ("tenant-ready", &["model"]),
    ("tenant-credentials", &["model", "vault", "vault-store"]),
    ("tenant-edge", &["model", "token", "confine"]),
    ("tenant-egress", &["model", "policy", "own-address", "confine"]),
    ("tenant-identify", &["model"]),
    ("tenant-notify", &["model", "api"]),
    (
        "tenantd",
        &[
            "model",
            "plan",
            "policy",
            "tenant-identify",
            "api",
            "runtime",
            "runtime-store",
            "catalog",
            "host",
            "confine",
            "vault",
            "vault-store",
            "backup",
            "token",
        ],
    ),
    (
        "tenantctl",
        &["model", "plan", "policy", "own-address", "api", "runtime", "catalog", "host", "confine"],
    ),
];

/// Crates that speak HTTP or TLS. The daemon opens no inet socket. `ring` is not among them: it signs and verifies tokens.
const HTTP_AND_TLS: &[&str] = &[
    "reqwest",
    "hyper",
    "h2",
    "h3",
    "http",
    "httparse",
    "axum",
    "warp",
    "tonic",
    "actix-web",
    "ureq",
    "attohttpc",
    "isahc",
    "curl",
    "tungstenite",
    "quinn",
    "rustls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "boring",
    "s2n-tls",
    "aws-lc-rs",
];

/// Crates that bring threads or an async runtime.
const ASYNC: &[&str] =
    &["tokio", "async-std", "smol", "async-io", "async-executor", "futures-executor", "rayon", "mio", "zbus"];

/// Programs that run inside a cell, before it, or as root beside it.
const SMALL: &[&str] =
    &["tenant-archive", "tenant-exec", "tenant-net", "tenant-ready", "tenant-credentials", "tenant-identify"];

#[test]
fn every_crate_uses_only_crates_below_it() {
    let crates = crates().unwrap();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in ARROWS {
        let Some(used) = crates.get(*name) else { panic!("there is no crate {name}: take it out of ARROWS") };
        for other in used.iter().filter(|other| crates.contains_key(*other)) {
            assert!(allowed.contains(&other.as_str()), "{name} must not use {other}");
        }
    }
    let support = ["standin-gateway", "escape-probe", "architecture"];
    for name in crates.keys().filter(|name| !support.contains(&name.as_str())) {
        assert!(known.contains(name.as_str()), "the crate {name} has no line in ARROWS");
    }
}

#[test]
fn only_the_edge_the_egress_proxy_and_the_webhook_link_http_and_tls() {
    refuse("tenantd", HTTP_AND_TLS);
    refuse("tenantctl", HTTP_AND_TLS);
    for program in ["tenant-edge", "tenant-egress", "tenant-notify"] {
        refuse(program, &["openssl", "openssl-sys", "native-tls", "boring", "aws-lc-rs"]);
    }
}

#[test]
fn what_runs_inside_a_cell_or_before_it_links_no_http_and_no_tls() {
    for program in SMALL {
        refuse(program, HTTP_AND_TLS);
    }
}

/// `tenant-archive` has one thread beside its own: that of libzstd, which compresses.
#[test]
fn the_small_programs_have_no_thread_and_no_async_runtime() {
    for program in SMALL {
        refuse(program, ASYNC);
    }
    refuse("tenant-exec", &["seccompiler"]);
}

fn refuse(program: &str, crates: &[&str]) {
    let tree = tree(program).unwrap();
    assert!(tree.contains(program) && tree.contains("model"), "cargo tree answered nothing for {program}");
    let found: Vec<_> = crates.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "{program} links {found:?}");
}
