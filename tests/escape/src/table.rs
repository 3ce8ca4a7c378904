//! All acts, found by name and printed for whoever wants to know what is tried.

use std::fmt::Write as _;

use serde_json::json;

use crate::act::Act;
use crate::acts;
use crate::hold::KINDS;

/// Every area, in the order in which `list` prints them.
const AREAS: [(&str, &[Act]); 19] = [
    ("files", acts::files::ACTS),
    ("walls", acts::walls::ACTS),
    ("modes", acts::modes::ACTS),
    ("exec", acts::exec::ACTS),
    ("names", acts::names::ACTS),
    ("processes", acts::processes::ACTS),
    ("tracing", acts::tracing::ACTS),
    ("identity", acts::identity::ACTS),
    ("network", acts::network::ACTS),
    ("sockets", acts::sockets::ACTS),
    ("forge", acts::forge::ACTS),
    ("ipc", acts::ipc::ACTS),
    ("mounts", acts::mounts::ACTS),
    ("namespaces", acts::namespaces::ACTS),
    ("descriptors", acts::descriptors::ACTS),
    ("kernel", acts::kernel::ACTS),
    ("abi", acts::abi::ACTS),
    ("resources", acts::resources::ACTS),
    ("load", acts::load::ACTS),
];

/// The act of that name.
pub fn find(id: &str) -> Option<&'static Act> {
    all().map(|(_, act)| act).find(|act| act.id == id)
}

fn all() -> impl Iterator<Item = (&'static str, &'static Act)> {
    AREAS.into_iter().flat_map(|(area, acts)| acts.iter().map(move |act| (area, act)))
}

/// One line an act: area, id and arguments, sentence, layers, control; or the same as JSON lines.
pub fn list(as_json: bool) -> String {
    let mut text = String::new();
    for (area, act) in all() {
        let (id, args, about, layers, control) = (act.id, act.args, act.about, act.layers, act.control);
        let line = if as_json {
            json!({"area": area, "act": id, "args": args, "about": about,
                "layers": layers.split_whitespace().collect::<Vec<_>>(), "control": control.to_string()})
            .to_string()
        } else {
            format!("{area:<12}{:<42}{about}  [{layers}]  control: {control}", format!("{id} {args}"))
        };
        writeln!(text, "{line}").unwrap_or_default();
    }
    if !as_json {
        for (kind, args, _) in KINDS {
            writeln!(text, "{:<12}hold {kind} {args}", "targets").unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words an act may name as the layer that stops it.
    const LAYERS: [&str; 17] = [
        "account",
        "capabilities",
        "daemon",
        "devices",
        "firewall",
        "ipc-namespace",
        "keyring",
        "landlock",
        "limits",
        "mounts",
        "network",
        "no-new-privs",
        "pid-namespace",
        "proc",
        "seccomp",
        "unit",
        "uts-namespace",
    ];

    #[test]
    fn no_two_acts_share_a_name() {
        let names: BTreeSet<_> = all().map(|(_, act)| act.id).collect();
        assert_eq!(names.len(), all().count());
        for reserved in ["batch", "hold", "list"] {
            assert!(!names.contains(reserved));
        }
    }

    #[test]
    fn every_act_says_what_it_wants_and_which_known_layer_stops_it() {
        for (area, act) in all() {
            assert!(act.about.len() > 10 && !act.about.ends_with('.'), "{area} {}", act.id);
            assert!(!act.layers.is_empty(), "{}", act.id);
            for layer in act.layers.split_whitespace() {
                assert!(LAYERS.contains(&layer), "{}: unknown layer {layer}", act.id);
            }
            assert!(
                act.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
        }
    }

    #[test]
    fn every_act_is_found_by_its_name() {
        assert!(all().all(|(_, act)| find(act.id).is_some_and(|found| found.about == act.about)));
        assert!(find("no-such-act").is_none());
    }

    #[test]
    fn the_list_as_json_is_one_object_a_line() {
        for line in list(true).lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["control"].is_string() && value["layers"].is_array());
        }
    }
}
