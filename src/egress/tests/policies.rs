//! The policies that confine the proxy are policies.

use std::path::Path;

use confine::landlock::Places;
use confine::{Sources, landlock, seccomp};

#[test]
fn the_policies_of_the_proxy_compile() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let places = Places { data: "/var/lib/tenant-egress", port: 443 };
    let files = Sources::read(&policies.join("landlock")).unwrap();
    assert!(landlock::compile(&files, "egress", 6, &places).is_ok());
    let calls = Sources::read(&policies.join("seccomp")).unwrap();
    assert!(!seccomp::compile(&calls, "egress").unwrap().is_empty());
}
