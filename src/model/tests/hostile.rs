//! What arrives from outside as text, whatever it holds: it is read or refused in bounded words, never a panic, and what is
//! accepted keeps every limit.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

use model::{Settings, SpecFile, TenantId};
use proptest::prelude::*;

const KEYS: &[&str] = &[
    "description",
    "version",
    "port",
    "command",
    "origins",
    "accept_missing",
    "limits.memory_max",
    "limits.tasks_max",
    "limits.cpu_quota",
    "environment.A",
    "environment.\"\\u0000\"",
    "settings.a",
    "settings.a.b",
    "unknown",
];

/// Texts that come near a spec: its keys, with values of every kind.
fn spec_like() -> impl Strategy<Value = String> {
    let odd = vec!["true", "2024-01-01", "{}", "[{}]", "\"1G\"", "\"150%\"", "inf", "nan", "8080"];
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f32>().prop_map(|number| toml::Value::from(f64::from(number)).to_string()),
        ".{0,200}".prop_map(|text| toml::Value::from(text).to_string()),
        prop::collection::vec(".{0,9}", 0..3).prop_map(|texts| toml::Value::from(texts).to_string()),
        prop::sample::select(odd).prop_map(str::to_owned),
    ];
    prop::collection::vec((prop::sample::select(KEYS), value), 0..4).prop_map(|lines| {
        let lines = lines.into_iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("id = \"acme\"\nruntime = \"generic\"\n{}", lines.collect::<String>())
    })
}

/// Reads and checks; whatever is refused is refused in few words.
fn read(text: &str) -> Option<model::Spec> {
    match SpecFile::parse("acme.toml", text).and_then(|written| written.validate("acme.toml")) {
        Ok(spec) => Some(spec),
        Err(error) => {
            assert!(error.to_string().len() < 8192, "{error}");
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let text = String::from_utf8_lossy(&bytes);
        read(&text);
        drop(Settings::parse("tenantd.toml", &text));
    }

    #[test]
    fn a_spec_that_is_accepted_keeps_its_limits_and_reads_back(text in spec_like()) {
        let Some(spec) = read(&text) else { return Ok(()) };
        prop_assert!(spec.description.len() <= 120 && !spec.description.contains('\n'));
        prop_assert!(spec.port.is_none_or(|port| port >= 1024));
        prop_assert!(spec.command.iter().all(|word| !word.contains('\0')));
        prop_assert!(spec.command.first().is_none_or(|program| program.starts_with('/')));
        prop_assert!(spec.environment.iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0')));
        prop_assert!(spec.limits.check().is_ok());
        let again = SpecFile::parse("acme.toml", &spec.to_toml().unwrap()).unwrap();
        prop_assert_eq!(again, SpecFile::clone(&spec));
    }

    #[test]
    fn every_tenants_name_is_one_plain_path_component(text in prop_oneof![".{0,40}", "[a-z0-9_.-]{0,40}"]) {
        if let Ok(id) = TenantId::parse(&text) {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            for name in [id.to_string(), id.system_name()] {
                prop_assert!(!name.is_empty() && name.len() <= 24 && name.bytes().all(plain), "{}", name);
            }
            prop_assert_eq!(TenantId::from_system_name(&id.system_name()).unwrap(), id);
        }
    }
}

#[test]
fn a_spec_that_is_deep_or_long_is_refused_and_not_repeated() {
    let many = |text: &str| text.repeat(200_000);
    for tail in [
        format!("settings.{} = 1\n", vec!["a"; 200_000].join(".")),
        format!("[settings.{}]\n", vec!["a"; 200_000].join(".")),
        format!("settings.a = {}\n", many("[")),
        format!("settings.a = {}\n", many("{a=")),
        format!("{} = 1\n", many("x")),
        format!("description = \"{}\"\n", many("123456")),
    ] {
        assert!(read(&format!("id = \"acme\"\nruntime = \"generic\"\n{tail}")).is_none());
    }
}
