//! What a restore allows is shown before it is made, asked about on a terminal, and refused where that was wanted.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fake;

use std::io::Write;

use ctl::Terminals;
use fake::{Around, Ended, Fake, run};
use model::Exit;

const RESTORED: &str = r#"{"tenant":"gamma","replaced":false,"state":"active","backup":{"tenant":"acme","made":1,"host":"h","tenantd":"1","quiesced":"frozen","kek":"k1","settings":"","secrets":0,"contents":"{}","problem":null},"problems":[]}"#;
const WIDER: &str = r#"{"tenant":"gamma","digest":"d1","widens":[{"what":"a.example.org:443 by any program is allowed","by":"preset x","example":"GET a.example.org:443/","proven":true}],"risks":[]}"#;
const NO_WIDER: &str = r#"{"tenant":"acme","digest":"d0","widens":[],"risks":[]}"#;

struct Archive(tempfile::NamedTempFile);

impl Archive {
    fn new() -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"sealed").unwrap();
        Archive(file)
    }

    fn restore(&self, change: &str, terminal: bool, input: &'static str, rest: &str) -> Ended {
        let terminals = Terminals { stdin: terminal, stdout: terminal, stderr: terminal };
        let fake = Fake::default().answer("check-restore", change).answer("restore", RESTORED);
        self.run(fake, Around { input, terminals, ..Around::default() }, rest)
    }

    fn run(&self, fake: Fake, around: Around, rest: &str) -> Ended {
        let line = format!("restore {} {rest}", self.0.path().display());
        run(fake, around, &line.split_whitespace().collect::<Vec<_>>())
    }
}

fn made(ended: &Ended) -> bool {
    ended.calls.iter().any(|call| call.starts_with("restore"))
}

#[test]
fn on_a_terminal_a_tenant_that_may_reach_something_is_asked_about() {
    let archive = Archive::new();
    for (input, code) in [("y\n", 0), ("n\n", 64), ("", 64)] {
        let ended = archive.restore(WIDER, true, input, "--as gamma");
        assert_eq!((ended.code, made(&ended)), (code, code == 0), "{}", ended.err);
        assert!(
            ended.err.contains("Tenant gamma may do more than before:\n+ a.example.org:443"),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("for example: GET a.example.org:443/\n"), "{}", ended.err);
        assert!(ended.err.contains("Go on? [y/N]"), "{}", ended.err);
    }
    let ended = archive.restore(WIDER, true, "", "--as gamma --yes");
    assert!(ended.code == 0 && made(&ended) && !ended.err.contains("[y/N]"), "{}", ended.err);
    assert!(ended.err.contains("+ a.example.org:443"), "{}", ended.err);
    let ended = archive.restore(NO_WIDER, true, "", "--yes");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "there is nothing to ask about");
}

#[test]
fn elsewhere_it_is_shown_and_made_or_refused_with_65() {
    let archive = Archive::new();
    let ended = archive.restore(WIDER, false, "", "--as gamma --no-start");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("+ a.example.org:443"), "{}", ended.err);
    // The whole of the backup is there for both.
    let calls = [
        "check-restore \"gamma\" replace=false \"sealed\"",
        "restore d1 \"gamma\" replace=false start=false \"sealed\"",
    ];
    assert_eq!(ended.calls, calls);
    for rest in ["--as gamma --no-widening", "--as gamma --yes --no-widening"] {
        let ended = archive.restore(WIDER, false, "", rest);
        assert_eq!((ended.code, made(&ended)), (65, false), "{}", ended.err);
        assert!(ended.err.contains("tenant gamma would be allowed more than before"), "{}", ended.err);
    }
    let ended = archive.restore(NO_WIDER, false, "", "--yes --no-widening");
    assert_eq!((ended.code, made(&ended), ended.err.as_str()), (0, true, ""));
}

#[test]
fn json_has_it_in_the_answer_and_in_the_error() {
    let archive = Archive::new();
    let document = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let pointed = |text: &str, place: &str| document(text).pointer(place).unwrap().clone();
    let fake = || Fake::default().answer("check-restore", WIDER).answer("restore", RESTORED);
    let ended = archive.run(fake(), Around::default(), "--as gamma --json");
    assert_eq!((pointed(&ended.out, "/tenant"), ended.err.as_str()), ("gamma".into(), ""));
    assert_eq!(pointed(&ended.out, "/widens/0/example"), "GET a.example.org:443/");
    let ended = archive.run(fake(), Around::default(), "--as gamma --json --no-widening");
    assert_eq!((ended.code, ended.out.as_str()), (65, ""));
    assert_eq!(pointed(&ended.err, "/error/changes/0/tenant"), "gamma");
}

#[test]
fn what_cannot_be_looked_at_or_has_changed_since_is_not_restored() {
    let archive = Archive::new();
    let fake = Fake::default().fail("check-restore", Exit::CantCreate, "tenant acme exists: say --yes");
    let ended = archive.run(fake, Around::default(), "");
    assert_eq!((ended.code, made(&ended)), (73, false));
    let named = format!("{}: tenant acme exists", archive.0.path().display());
    assert!(ended.err.contains(&named), "{}", ended.err);
    let fake =
        Fake::default().answer("check-restore", WIDER).fail("restore", Exit::TempFail, "not what was shown");
    assert_eq!(archive.run(fake, Around::default(), "--as gamma").code, 75);
    // No answer at all is none that allows nothing.
    assert_eq!(archive.run(Fake::default(), Around::default(), "--as gamma").code, 70);
}
