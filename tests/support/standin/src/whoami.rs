//! What the kernel says this process is: identity, capabilities, `no_new_privs`, seccomp, in JSON.

use std::fs;

use crate::http::quote;

/// The lines of `/proc/self/status` that describe confinement, as (JSON key, key in the file).
const FIELDS: [(&str, &str); 13] = [
    ("uids", "Uid"),
    ("gids", "Gid"),
    ("groups", "Groups"),
    ("pid", "Pid"),
    ("cap_inh", "CapInh"),
    ("cap_prm", "CapPrm"),
    ("cap_eff", "CapEff"),
    ("cap_bnd", "CapBnd"),
    ("cap_amb", "CapAmb"),
    ("no_new_privs", "NoNewPrivs"),
    ("seccomp", "Seccomp"),
    ("seccomp_filters", "Seccomp_filters"),
    ("threads", "Threads"),
];

/// The answer of `/whoami`; every value is a string as the kernel prints it, or null where it prints none.
pub fn json() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    describe(&status)
}

fn describe(status: &str) -> String {
    let mut parts = Vec::new();
    for (name, key) in [("uid", "Uid"), ("gid", "Gid")] {
        let real = field(status, key).and_then(|ids| ids.split_whitespace().next().map(str::to_owned));
        parts.push(format!("{}:{}", quote(name), real.map_or("null".into(), |id| quote(&id))));
    }
    for (name, key) in FIELDS {
        let value = field(status, key).map_or("null".into(), |text| quote(&text));
        parts.push(format!("{}:{value}", quote(name)));
    }
    format!("{{{}}}", parts.join(","))
}

fn field(status: &str, key: &str) -> Option<String> {
    let line = status.lines().find(|line| line.split(':').next() == Some(key))?;
    let (_, value) = line.split_once(':')?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_become_json() {
        let text = describe(
            "Uid:\t5\t6\t6\t6\nGid:\t7\t7\t7\t7\nGroups:\t7 \nCapEff:\t0000000000000000\nSeccomp:\t2\n",
        );
        assert!(text.starts_with("{\"uid\":\"5\",\"gid\":\"7\",\"uids\":\"5 6 6 6\""), "{text}");
        assert!(text.contains("\"groups\":\"7\"") && text.contains("\"seccomp\":\"2\""), "{text}");
        assert!(text.contains("\"cap_bnd\":null"), "{text}");
    }

    #[test]
    fn seccomp_is_not_mistaken_for_seccomp_filters() {
        assert_eq!(field("Seccomp_filters:\t9\nSeccomp:\t2\n", "Seccomp").as_deref(), Some("2"));
    }
}
