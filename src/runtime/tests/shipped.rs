//! The descriptions that the package ships, as they are.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends at its first surprise"
)]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use model::{ByteSize, GatewaySettings, TenantId, delivery};
use runtime::{Access, Description, Install, Origin, Values};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/runtimes").join(name)
}

fn shipped(name: &str) -> Description {
    let text = std::fs::read_to_string(directory(name).join("runtime.toml")).unwrap();
    Description::parse("runtime.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn with_acme(access: &[Access], test: impl FnOnce(&Values<'_>)) {
    let tenant: TenantId = "acme".parse().unwrap();
    test(&Values {
        tenant: &tenant,
        address: Ipv4Addr::new(10, 210, 0, 2),
        bridge: Ipv4Addr::new(10, 210, 0, 1),
        port: 18789,
        origins: &["https://acme.example.org".to_owned()],
        access,
        memory_max: Some(ByteSize(1536 << 20)),
    });
}

fn openclaw_config(values: &Values<'_>) -> serde_json::Value {
    let template = std::fs::read_to_string(directory("openclaw").join("config.toml")).unwrap();
    let file = shipped("openclaw")
        .config_file(("config.toml", &template), values, &GatewaySettings::default())
        .unwrap()
        .unwrap();
    assert_eq!(file.name, "openclaw.json");
    serde_json::from_str(&file.text).unwrap()
}

#[test]
fn a_tenants_settings_are_added_and_cannot_reach_what_is_sealed() {
    let template = std::fs::read_to_string(directory("openclaw").join("config.toml")).unwrap();
    let with = |settings: &str| {
        let settings = GatewaySettings::try_from(settings.parse::<toml::Table>().unwrap()).unwrap();
        let mut made = None;
        with_acme(&[], |values| {
            let source = ("config.toml", template.as_str());
            made = Some(shipped("openclaw").config_file(source, values, &settings).map(Option::unwrap));
        });
        made.unwrap()
    };
    let text = with("models.mode = \"merge\"\nagents.defaults.model.primary = \"a/b\"\n").unwrap().text;
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["models"], serde_json::json!({"mode": "merge", "catalogRefresh": {"enabled": false}}));
    assert_eq!(config["agents"]["defaults"]["model"]["primary"], "a/b");
    // A table that a placeholder makes is sealed as a whole, although the tenant's own is empty.
    for sealed in ["gateway.auth.identityScopes.eve = [\"operator.admin\"]", "gateway.port = 18789"] {
        let message = with(sealed).unwrap_err().to_string();
        let key = sealed.split(" =").next().unwrap().trim_end_matches(".eve");
        let expected = format!("settings.{key} is sealed by the runtime, in config.toml: ");
        assert!(message.starts_with(&expected), "{message}");
    }
    let settings = GatewaySettings::try_from("a = 1".parse::<toml::Table>().unwrap()).unwrap();
    let message = shipped("generic").check_settings(("", ""), &settings).unwrap_err().to_string();
    assert!(message.contains("runtime generic has no config file"), "{message}");
}

#[test]
fn every_description_reads_and_bears_the_name_of_its_directory() {
    for entry in std::fs::read_dir(directory("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let description = shipped(&name);
        assert_eq!(description.name, name);
        if let Some(config) = &description.config {
            let template = std::fs::read_to_string(directory(&name).join(&config.template)).unwrap();
            description.check_config(&template).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn every_setting_has_a_reason() {
    for name in ["openclaw", "generic"] {
        let description = shipped(name);
        let reasons = description
            .environment
            .iter()
            .map(|variable| &variable.why)
            .chain(description.sealed.iter().map(|sealed| &sealed.why));
        assert!(reasons.into_iter().all(|why| why.len() > 10 && why.ends_with('.')), "{name}");
    }
}

#[test]
fn the_secret_header_is_in_the_config_and_nowhere_else() {
    with_acme(&[], |values| {
        let description = shipped("openclaw");
        let proof = format!("x-tenantd-{}", delivery::MARK);
        assert_eq!(openclaw_config(values)["gateway"]["auth"]["trustedProxy"]["requiredHeaders"][2], proof);
        let said = format!(
            "{:?}{:?}",
            description.argv(values, &[]).unwrap(),
            description.environment(values, &Default::default())
        );
        assert!(!said.contains(delivery::MARK));
        // What holds the secret is what the gateway reads.
        assert!(said.contains("/run/tenantd/secrets/.config/openclaw.json"));
    });
}

#[test]
fn without_named_subjects_the_gateway_lets_nobody_in() {
    with_acme(&[], |values| {
        let auth = &openclaw_config(values)["gateway"]["auth"];
        assert_eq!(auth["trustedProxy"]["allowUsers"], serde_json::json!(["nobody.invalid"]));
        assert_eq!(auth["identityScopes"], serde_json::json!({}));
    });
}

#[test]
fn a_named_subject_gets_its_scopes() {
    let alice = Access { subject: "alice".into(), scopes: vec!["operator.read".into()] };
    with_acme(&[alice], |values| {
        let auth = &openclaw_config(values)["gateway"]["auth"];
        assert_eq!(auth["trustedProxy"]["allowUsers"], serde_json::json!(["alice"]));
        assert_eq!(auth["identityScopes"], serde_json::json!({"alice": ["operator.read"]}));
    });
}

/// A viewer's frames are read by OpenClaw alone, so it must hold what the role promises: nobody who only looks has another scope.
#[test]
fn a_role_has_no_more_scopes_than_the_next_and_a_viewer_only_reads() {
    for name in ["openclaw", "generic"] {
        let access = shipped(name).access();
        let named: Vec<&str> = access.iter().map(|of| of.subject.as_str()).collect();
        assert_eq!(named, ["viewer", "operator", "owner"], "{name}");
        for pair in access.windows(2) {
            assert!(pair[0].scopes.iter().all(|scope| pair[1].scopes.contains(scope)), "{name}");
        }
    }
    let openclaw = shipped("openclaw").access();
    assert_eq!(openclaw[0].scopes, ["operator.read"]);
    assert!(openclaw[1].scopes.iter().all(|scope| scope != "operator.admin" && scope != "operator.pairing"));
}

#[test]
fn no_path_that_is_sealed_lies_beneath_one_that_may_be_written() {
    with_acme(&[], |values| {
        for name in ["openclaw", "generic"] {
            let description = shipped(name);
            let writable = ["{home}", "{state}", "{workspace}", "/tmp", "/var/tmp"];
            let writable = writable.map(|path| path.replace('{', "/var/lib/tenants/acme/").replace('}', ""));
            for (sealed, _) in description.sealed_paths(values) {
                assert!(!writable.iter().any(|path| Path::new(&sealed).starts_with(path)), "{sealed}");
            }
        }
    });
}

#[test]
fn every_tested_version_has_a_lockfile_whose_packages_are_all_pinned() {
    let Some(Install::Npm(npm)) = shipped("openclaw").install else { panic!("no installation") };
    assert!(npm.request("openclaw", None, Origin::Registry, false).is_ok());
    for tested in &npm.tested {
        let text = std::fs::read_to_string(directory("openclaw").join(&tested.lockfile)).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (path, package) in lock["packages"].as_object().unwrap() {
            if path.is_empty() {
                assert_eq!(package["dependencies"]["openclaw"], tested.version.as_str());
                continue;
            }
            // A bundled package is covered by the integrity of the one that bundles it.
            let pinned = package["integrity"].as_str().is_some_and(|text| text.starts_with("sha512-"));
            assert!(pinned || package["inBundle"] == true, "{path}");
            assert!(package.get("resolved").is_none(), "{path}: a lockfile names no registry");
        }
    }
}

#[test]
fn the_unit_that_runs_every_runtime_waits_long_enough_and_knows_the_codes_that_end_for_good() {
    let unit = std::fs::read_to_string(directory("../../units/tenant@.service")).unwrap();
    let setting = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name}= is missing")).to_owned()
    };
    let timeout: u32 = setting("TimeoutStopSec").parse().unwrap();
    let ends: Vec<u8> =
        setting("RestartPreventExitStatus").split(' ').map(|code| code.parse().unwrap()).collect();
    for name in ["openclaw", "generic"] {
        let stop = shipped(name).stop;
        assert!(timeout >= stop.timeout_sec, "{name}: {timeout}");
        assert!(stop.no_restart_exit_codes.iter().all(|code| ends.contains(code)), "{name}: {ends:?}");
    }
}
