//! Documents and package say what the code says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

use std::collections::BTreeSet;

use architecture::{crates, files, read};

#[test]
fn every_dependency_has_its_sentence_in_contributing() {
    let crates = crates().unwrap();
    let text = read("CONTRIBUTING.md").unwrap();
    let explained: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- **`"))
        .filter_map(|line| line.split('`').next())
        .collect();
    let used: BTreeSet<&str> =
        crates.values().flatten().map(String::as_str).filter(|name| !crates.contains_key(*name)).collect();
    let silent: Vec<_> = used.difference(&explained).collect();
    assert!(silent.is_empty(), "CONTRIBUTING.md does not explain {silent:?}");
}

#[test]
fn every_polkit_action_of_the_interface_is_in_the_package_and_no_other() {
    let api = quoted(&read("src/api/src/lib.rs").unwrap(), "\"org.tenantd.", "\"");
    let shipped =
        quoted(&read("packaging/polkit-1/org.tenantd.policy").unwrap(), "<action id=\"org.tenantd.", "\"");
    let api: BTreeSet<_> = api.into_iter().filter(|name| name != "Manager1").collect();
    assert!(api.len() >= 7, "{api:?}");
    assert_eq!(api, shipped);
}

#[test]
fn every_unit_that_can_be_enabled_is_enabled_by_the_package() {
    let install = read("debian/tenantd.install").unwrap();
    assert!(install.contains("units/* usr/lib/systemd/system"));
    let postinst = read("debian/tenantd.postinst").unwrap();
    let postrm = read("debian/tenantd.postrm").unwrap();
    for file in files("units", "").unwrap() {
        let name = file.rsplit('/').next().unwrap_or_default();
        let wanted = read(&file).unwrap().contains("[Install]") && !name.contains('@');
        for script in [&postinst, &postrm] {
            assert!(
                !wanted || script.contains(name),
                "{name} has [Install] and no maintainer script enables it"
            );
        }
    }
}

#[test]
fn every_service_has_its_exposure_written_down_and_held_by_a_test() {
    let document = read("docs/unit-directives.md").unwrap();
    let test = read("tests/host/units.sh").unwrap();
    let (_, table) = document.split_once("| unit | score | at most | why |\n").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("| "))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect();
    // `tenant-exec-` has no file of its own: tenantd makes such units, and a drop-in is their cell.
    let mut units: BTreeSet<String> = ["tenant-exec-".to_owned()].into();
    for file in files("units", ".service").unwrap() {
        units.insert(file["units/".len()..].strip_suffix(".service").unwrap().to_owned());
    }
    assert!(units.len() >= 17, "{units:?}");
    let named: BTreeSet<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!((rows.len(), &named), (units.len(), &units));
    for row in rows {
        let (name, most) = (row[0].trim_matches('`'), row[2]);
        let instance = match name.chars().last() {
            Some('@') => "alpha",
            Some('-') => "99-alpha",
            _ => "",
        };
        let held = format!("at_most {name}{instance}.service {most}\n");
        assert!(test.contains(&held), "tests/host/units.sh does not say {held:?}");
        let number = |text: &str| text.trim_end_matches('*').parse::<f32>().unwrap();
        assert!(number(row[1]) <= number(most), "{row:?}");
    }
}

#[test]
fn a_purge_knows_the_accounts_by_the_service_that_the_host_writes() {
    let service = "org.tenantd";
    assert!(read("src/host/src/account.rs").unwrap().contains(&format!("\"{service}\".to_owned()")));
    assert!(read("debian/tenantd.postrm").unwrap().contains(&format!("\"service\" *: *\"{service}\"")));
}

#[test]
fn an_adr_has_at_most_60_lines() {
    for file in files("docs/adr", ".md").unwrap() {
        let lines = read(&file).unwrap().lines().count();
        assert!(lines <= 60, "{file} has {lines} lines");
    }
    assert!(read("ARCHITECTURE.md").unwrap().lines().count() <= 150);
}

#[test]
fn the_escape_table_of_security_md_is_that_of_the_tests() {
    const BEGIN: &str = "<!-- escape table: begin -->\n";
    const END: &str = "<!-- escape table: end -->";
    let document = read("SECURITY.md").unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let wanted = escape_table(&read("tests/host/escape.rows").unwrap());
    if std::env::var_os("BLESS").is_some() {
        let path = architecture::root().join("SECURITY.md");
        bless(&path, &format!("{before}{BEGIN}{wanted}{END}{after}"));
    } else {
        assert_eq!(table, wanted, "run BLESS=1 cargo test -p architecture");
    }
}

#[test]
fn security_md_and_the_threat_model_agree_on_what_is_not_defended() {
    let heads = |file: &str, section: &str| -> Vec<String> {
        let text = read(file).unwrap();
        let (_, rest) = text.split_once(section).unwrap();
        let list = rest.split("\n## ").next().unwrap();
        let heads = list.lines().filter_map(|line| line.strip_prefix("- **")?.split("**").next());
        heads.map(|head| head.trim_end_matches('.').to_owned()).collect()
    };
    let short = heads("SECURITY.md", "## What is not\n");
    assert!(short.len() > 6, "{short:?}");
    assert_eq!(short, heads("docs/threat-model.md", "## Not defended\n"));
}

/// The rows as Markdown, one table for each area.
fn escape_table(rows: &str) -> String {
    let mut text = String::new();
    let mut area = "";
    for row in rows.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [name, tried, by, ..] = row.split(" | ").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row:?} is no row of the escape list")
        };
        if name != area {
            area = name;
            text += &format!("\n### {area}\n\n| a tenant tries to | blocked by |\n|---|---|\n");
        }
        text += &format!("| {tried} | {} |\n", by.split_whitespace().collect::<Vec<_>>().join(", "));
    }
    text + "\n"
}

#[expect(clippy::disallowed_methods, reason = "a document in a checkout, written by a developer on demand")]
fn bless(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn quoted(text: &str, before: &str, after: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).map(str::to_owned).collect()
}
