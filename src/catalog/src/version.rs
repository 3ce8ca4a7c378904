//! Which runtime version a spec without one means: the same for `tenantd` and for `tenantctl plan`.

use model::{SpecFile, TenantId};

/// The version that an existing tenant keeps when a new spec names none: a tenant never changes version by itself.
/// Nothing for a tenant that is new or gets another runtime.
pub fn kept_version<'a>(written: &SpecFile, on_disk: Option<&'a SpecFile>) -> Option<&'a str> {
    on_disk.filter(|known| known.runtime == written.runtime)?.version.as_deref()
}

/// The spec's text with the version written down. In front, where a key is never inside a table; the operator's own lines
/// and comments stay as they are.
pub fn write_version(text: &str, version: &str) -> String {
    format!("version = \"{version}\"\n{text}")
}

/// The spec's text for another tenant. Everything else stays as it is, comments too.
pub fn write_id(text: &str, id: &TenantId) -> Option<String> {
    let is_id = |line: &str| {
        line.trim_start().strip_prefix("id").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut in_front = true;
    let lines = text.lines().map(|line| {
        // A key of the same name in a table is another one.
        in_front &= !line.trim_start().starts_with('[');
        if in_front && is_id(line) { format!("id = \"{id}\"\n") } else { format!("{line}\n") }
    });
    let after: String = lines.collect();
    SpecFile::parse("spec", &after).ok().filter(|spec| spec.id == *id).map(|_| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> SpecFile {
        SpecFile::parse("acme.toml", text).unwrap()
    }

    #[test]
    fn a_spec_without_a_version_keeps_the_one_the_tenant_runs() {
        let written = spec("id = \"acme\"\nruntime = \"openclaw\"\n");
        let on_disk = spec("version = \"2026.8.1\"\nid = \"acme\"\nruntime = \"openclaw\"\n");
        assert_eq!(kept_version(&written, Some(&on_disk)), Some("2026.8.1"));
        assert_eq!(kept_version(&written, None), None);
        let other = spec("version = \"1\"\nid = \"acme\"\nruntime = \"other\"\n");
        assert_eq!(kept_version(&written, Some(&other)), None);
    }

    #[test]
    fn a_version_written_down_is_read_back_and_the_text_stays() {
        let text = "# Acme\nid = \"acme\"\nruntime = \"openclaw\"\n[limits]\ntasks_max = 64\n";
        let after = write_version(text, "2026.8.1");
        assert!(after.ends_with(text));
        assert_eq!(spec(&after).version.as_deref(), Some("2026.8.1"));
    }

    #[test]
    fn a_spec_is_given_to_another_tenant_and_keeps_its_comments() {
        let other: TenantId = "beta".parse().unwrap();
        let text =
            "version = \"1\"\n# Acme\nid = \"acme\"\nruntime = \"openclaw\"\n[environment]\nid = \"kept\"\n";
        assert_eq!(write_id(text, &other).unwrap(), text.replace("\"acme\"", "\"beta\""));
        assert_eq!(write_id("runtime = \"openclaw\"\n", &other), None);
    }
}
