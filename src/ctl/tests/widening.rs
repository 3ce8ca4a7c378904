//! What a change allows is shown before it is made, asked about on a terminal, and refused where that was wanted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod fake;

use std::io::Write;

use ctl::Terminals;
use fake::{Around, Ended, Fake, run};
use model::Exit;

const DONE: &str = r#"{"id":"acme","steps":["~ file x"],"dry_run":false,"missing":[],"state":"active"}"#;
const SPEC: &str =
    "id = \"acme\"\nruntime = \"generic\"\ncommand = [\"/bin/x\"]\n\n[egress]\nprofile = \"team\"\n";
const WIDER: &str = r#"{"tenant":"acme","digest":"d1","widens":[{"what":"a.example.org:443 by any program is allowed","by":"x (tenant, policy of acme:4:9)","example":"DELETE a.example.org:443/x by /usr/bin/node","proven":true}],"risks":[{"risk":"exfiltration","by":"preset github","why":"a push goes anywhere"}]}"#;
const NO_WIDER: &str = r#"{"tenant":"acme","digest":"d0","widens":[],"risks":[]}"#;
const THERE: &str = r#"[{"id":"acme","state":"active","enabled":true,"runtime":"generic","version":"","address":"10.210.0.2","uid":500000,"memory_bytes":null,"missing":[]}]"#;

fn fake(change: &str) -> Fake {
    Fake::default()
        .answer("list", THERE)
        .answer("spec", SPEC)
        .answer("check-change", change)
        .answer("apply", DONE)
        .answer("repair", DONE)
}

fn here(fake: Fake, input: &'static str, line: &str) -> Ended {
    let terminals = Terminals { stdin: true, stdout: true, stderr: true };
    run(fake, Around { input, terminals, ..Around::default() }, &line.split(' ').collect::<Vec<_>>())
}

fn elsewhere(fake: Fake, line: &str) -> Ended {
    run(fake, Around::default(), &line.split(' ').collect::<Vec<_>>())
}

fn changed(ended: &Ended) -> bool {
    ended
        .calls
        .iter()
        .any(|call| call.starts_with("apply") || call.starts_with("repair") || call.starts_with("create"))
}

struct Specs(tempfile::TempDir);

impl Specs {
    fn of(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let mut file = std::fs::File::create(directory.path().join(format!("{name}.toml"))).unwrap();
            file.write_all(SPEC.replace("acme", name).as_bytes()).unwrap();
        }
        Specs(directory)
    }

    fn apply(&self, rest: &str) -> String {
        format!("apply -f {}{rest}", self.0.path().display())
    }
}

/// Every verb that may change what a tenant reaches.
fn verbs(specs: &Specs) -> Vec<String> {
    [
        &specs.apply(""),
        "set acme limits.memory_max=2G",
        "repair acme",
        "egress set acme --default ask",
        "egress preset remove acme npm",
        "egress bind acme token --to https://a.example.org/",
        "egress unbind acme other",
        "inference add acme --provider anthropic --model claude-*",
        "inference remove acme --provider known",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn whole() -> String {
    format!(
        "{SPEC}presets = [\"npm\"]\n\n[[egress.secret]]\nname = \"other\"\nhost = \"b.example.org\"\nin = [\"header\"]\n\n[[egress.provider]]\nname = \"known\"\nmodels = [\"x\"]\n"
    )
}

#[test]
fn on_a_terminal_every_verb_shows_what_it_allows_and_asks() {
    let specs = Specs::of(&["acme"]);
    for verb in verbs(&specs) {
        let world =
            || Fake::default().answer("spec", whole()).answer("list", THERE).answer("check-change", WIDER);
        let fake = || world().answer("apply", DONE).answer("repair", DONE);
        for (input, code, made) in [("y\n", 0, true), ("n\n", 64, false), ("", 64, false)] {
            let ended = here(fake(), input, &verb);
            assert_eq!((ended.code, changed(&ended)), (code, made), "{verb}: {}", ended.err);
            assert!(
                ended.err.contains("Tenant acme may do more than before:\n+ a.example.org:443"),
                "{}",
                ended.err
            );
            assert!(
                ended.err.contains("for example: DELETE a.example.org:443/x by /usr/bin/node\n"),
                "{}",
                ended.err
            );
            assert!(
                ended.err.contains("! new risk exfiltration, by preset github: a push goes"),
                "{}",
                ended.err
            );
            assert!(
                ended.err.contains("This allows tenant acme what is listed above. Go on? [y/N]"),
                "{}",
                ended.err
            );
        }
        let ended = here(fake(), "", &format!("{verb} --yes"));
        assert!(ended.code == 0 && changed(&ended) && !ended.err.contains("[y/N]"), "{verb}: {}", ended.err);
        assert!(ended.err.contains("+ a.example.org:443"), "{}", ended.err);
        let ended = here(fake(), "y\n", &format!("{verb} --no-widening"));
        assert!(ended.code == 65 && !changed(&ended), "{verb}: {}", ended.err);
    }
}

#[test]
fn elsewhere_it_is_shown_and_made_or_refused_with_65() {
    let specs = Specs::of(&["acme"]);
    let ended = elsewhere(fake(WIDER), &specs.apply(""));
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("+ a.example.org:443 by any program is allowed"), "{}", ended.err);
    assert_eq!(ended.calls[2], format!("apply d1 dry_run=false\n{SPEC}"), "what was shown is what is made");
    let ended = elsewhere(fake(WIDER), &specs.apply(" --no-widening"));
    assert_eq!((ended.code, changed(&ended)), (65, false));
    assert!(
        ended.err.contains("tenant acme would be allowed more than before, and --no-widening"),
        "{}",
        ended.err
    );
    let ended = elsewhere(fake(NO_WIDER), &specs.apply(" --no-widening"));
    assert_eq!((ended.code, changed(&ended), ended.err.as_str()), (0, true, ""));
    let ended = elsewhere(fake(WIDER), "repair acme");
    assert_eq!(ended.calls.last().unwrap(), "repair acme d1 dry_run=false");
}

#[test]
fn a_repair_is_held_to_what_was_shown_where_the_spec_has_no_egress_too() {
    let spec = SPEC.split("[egress]").next().unwrap();
    let fake = Fake::default().answer("spec", spec).answer("check-change", NO_WIDER).answer("repair", DONE);
    let ended = elsewhere(fake, "repair acme");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(ended.calls.last().unwrap(), "repair acme d0 dry_run=false");
}

#[test]
fn a_tenant_that_is_made_may_do_what_was_shown() {
    let specs = Specs::of(&["acme"]);
    let made = || Fake::default().answer("list", "[]").answer("check-change", WIDER).answer("create", DONE);
    let ended = elsewhere(made(), &specs.apply(""));
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.calls.last().unwrap(), &format!("create d1 start=true dry_run=false\n{SPEC}"));
    let ended = elsewhere(made(), &specs.apply(" --no-widening"));
    assert_eq!((ended.code, changed(&ended)), (65, false));
}

#[test]
fn one_file_that_widens_refuses_them_all() {
    let specs = Specs::of(&["acme", "web"]);
    let fake = fake(NO_WIDER).answer("check-change", WIDER.replace("\"acme\"", "\"web\""));
    let ended = elsewhere(fake, &specs.apply(" --no-widening"));
    assert_eq!((ended.code, changed(&ended)), (65, false), "{}", ended.err);
    assert!(ended.err.contains("tenant web would be allowed more"), "{}", ended.err);
}

#[test]
fn a_dry_run_shows_it_and_asks_nothing() {
    let specs = Specs::of(&["acme"]);
    for verb in
        [specs.apply(" --dry-run"), "set acme port=8080 --dry-run".into(), "repair acme --dry-run".into()]
    {
        let ended = here(fake(WIDER), "", &verb);
        assert!(ended.code == 0 && ended.err.contains("+ a.example.org:443"), "{verb}: {}", ended.err);
        assert!(!ended.err.contains("[y/N]"), "{}", ended.err);
        assert!(ended.calls.last().unwrap().contains("dry_run=true"), "{:?}", ended.calls);
    }
    assert_eq!(elsewhere(fake(WIDER), &specs.apply(" --dry-run --no-widening")).code, 65);
}

#[test]
fn json_has_it_in_the_answer_and_in_the_error() {
    let specs = Specs::of(&["acme"]);
    let ended = elsewhere(fake(WIDER), &format!("--json {}", specs.apply("")));
    let made: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let pointed = |document: &serde_json::Value, place: &str| document.pointer(place).unwrap().clone();
    assert_eq!(pointed(&made, "/0/id"), "acme");
    assert_eq!(pointed(&made, "/0/widens/0/example"), "DELETE a.example.org:443/x by /usr/bin/node");
    assert_eq!(pointed(&made, "/0/risks/0/risk"), "exfiltration");
    assert_eq!(ended.err, "");
    let ended = elsewhere(fake(WIDER), &format!("--json {}", specs.apply(" --no-widening")));
    assert_eq!((ended.code, ended.out.as_str()), (65, ""));
    let error: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(pointed(&error, "/error/exit"), 65);
    assert_eq!(pointed(&error, "/error/changes/0/widens/0/proven"), true);
    let ended = elsewhere(fake(NO_WIDER), "--json set acme port=8080");
    let made: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(pointed(&made, "/widens"), serde_json::json!([]));
}

#[test]
fn what_has_changed_since_it_was_shown_is_not_made() {
    let fake = fake(WIDER).fail(
        "apply",
        Exit::TempFail,
        "tenant acme: what this change allows is not what was shown",
    );
    let ended = elsewhere(fake, "set acme port=8080");
    assert_eq!(ended.code, 75, "{}", ended.err);
}

#[test]
fn a_repair_goes_on_when_what_is_in_force_is_what_needs_it_but_not_with_no_widening() {
    let broken = || fake("").fail("check-change", Exit::OsFile, "egress.json is damaged");
    let ended = elsewhere(broken(), "repair acme");
    assert!(ended.code == 0 && changed(&ended), "{}", ended.err);
    assert!(ended.err.contains("cannot be said: egress.json is damaged"), "{}", ended.err);
    let ended = elsewhere(broken(), "repair acme --no-widening");
    assert_eq!((ended.code, changed(&ended)), (72, false));
    let ended = elsewhere(broken(), "set acme port=8080");
    assert_eq!((ended.code, changed(&ended)), (72, false), "anything else has to be looked at first");
}
