//! `approvals`, `egress`, `inference` and `usage` against a daemon that answers from a script.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fake;

use std::path::Path;

use ctl::Terminals;
use fake::{Around, Fake, run, tenantctl};
use model::{Exit, Paths};

const REQUESTS: &str = r#"[
  {"number":12,"digest":"3f9a2b1c4d5e","tenant":"acme","destination":{"host":"api.example.org","port":443,"address":null,
   "binary":"/usr/bin/curl","exchange":{"kind":"request","method":"POST","target":"/v1/\u001b[31mx"}},
   "state":"waiting","first":9990,"last":9995,"count":3,"waiting":1},
  {"number":13,"digest":"aaaaaaaaaaaa","tenant":"beta","destination":{"host":"db.example.org","port":5432,"address":"10.0.0.1",
   "binary":null,"exchange":null},"state":"expired","first":9000,"last":9400,"count":1,"waiting":0}]"#;
const ANSWERED: &str =
    r#"{"number":12,"tenant":"acme","verdict":"allow","told":1,"approval":4,"until":13600}"#;
const OUTCOME: &str =
    r#"{"id":"acme","steps":["~ file egress.json"],"dry_run":false,"missing":[],"state":"active"}"#;
const SPEC: &str = "id = \"acme\"\nruntime = \"generic\"\ncommand = [\"/bin/x\"] # ours\n";
const WIDER: &str = r#"{"tenant":"acme","digest":"d1","risks":[],"widens":[{"what":"x.example.org:443 is reached","by":"npm (preset)","example":"GET x.example.org:443/x by /usr/bin/node","proven":true}]}"#;

/// A host with the shipped policies.
fn shipped() -> (tempfile::TempDir, Option<Paths>) {
    let root = tempfile::tempdir().unwrap();
    let share = root.path().join("usr/share/tenantd");
    std::fs::create_dir_all(&share).unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").canonicalize().unwrap();
    std::os::unix::fs::symlink(policies, share.join("policies")).unwrap();
    let paths = Paths::below(root.path());
    (root, Some(paths))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn questions_are_listed_with_what_answers_them_and_nothing_steers_the_terminal() {
    let ended = tenantctl(Fake::default().answer("requests", REQUESTS), "approvals list");
    assert_eq!(ended.calls, ["requests \"\""]);
    assert!(ended.out.contains("12-3f9a2b1c4d5e  acme    waiting  5 s ago"), "{}", ended.out);
    let words = words(&ended.out).join(" ");
    assert!(words.contains("POST api.example.org:443/v1/\\u{1b}[31mx by /usr/bin/curl"), "{}", ended.out);
    assert!(
        words.contains("db.example.org:5432 by not known; an approval is for every program"),
        "{}",
        ended.out
    );
    let ended = tenantctl(Fake::default().answer("requests", "[]"), "approvals list acme");
    assert_eq!(
        (ended.calls[0].as_str(), ended.out.as_str()),
        ("requests \"acme\"", "Nobody asks for anything.\n")
    );
}

#[test]
fn an_answer_repeats_what_was_shown_and_says_how_long_it_holds() {
    for (line, call) in [
        ("approvals approve 12-3f9a2b1c4d5e", "answer 12 3f9a2b1c4d5e allow \"\" \"\""),
        ("approvals approve 12-3f9a2b1c4d5e --once", "answer 12 3f9a2b1c4d5e allow \"once\" \"\""),
        (
            "approvals approve 12-3f9a2b1c4d5e --for 8h --because x",
            "answer 12 3f9a2b1c4d5e allow \"for 28800\" \"x\"",
        ),
        (
            "approvals deny 12-3f9a2b1c4d5e --until 2026-12-31",
            "answer 12 3f9a2b1c4d5e deny \"until 1798675200\" \"\"",
        ),
        ("approvals deny 12-3f9a2b1c4d5e --always", "answer 12 3f9a2b1c4d5e deny \"always\" \"\""),
    ] {
        let ended = tenantctl(Fake::default().answer("answer", ANSWERED), line);
        assert_eq!(ended.calls, [call], "{line}: {}", ended.err);
        assert_eq!(
            ended.out,
            "Request 12 of tenant acme is allowed; 1 connection waited.\nThe answer holds as number 4 and ends in 1 h.\n\
             To take it back: tenantctl approvals revoke acme 4\n"
        );
    }
    let ended = tenantctl(
        Fake::default().fail("answer", Exit::NoInput, "request 12: it has changed"),
        "approvals approve 12-3f9a2b1c4d5e",
    );
    assert_eq!((ended.code, ended.err.as_str()), (66, "tenantctl: request 12: it has changed\n"));
}

#[test]
fn answers_that_hold_are_listed_and_taken_back() {
    let list = r#"[{"number":4,"tenant":"acme","verdict":"allow","destination":{"host":"a.example.org","port":443,"address":null,
        "binary":"/usr/bin/curl","exchange":null},"made":9000,"until":13600,"who":0,"why":"release"}]"#;
    let ended = tenantctl(Fake::default().answer("approvals", list), "approvals list acme --answers");
    assert!(
        ended.out.contains("4       allow   in 1 h  root  a.example.org:443 by /usr/bin/curl (release)"),
        "{}",
        ended.out
    );
    assert_eq!(tenantctl(Fake::default(), "approvals revoke acme 4").calls, ["revoke-approval acme 4"]);
}

#[test]
fn a_preset_shows_its_risk_and_what_it_allows_and_asks() {
    let fake = || Fake::default().answer("spec", SPEC).answer("check-change", WIDER).answer("apply", OUTCOME);
    let asked = |line: &str, input, terminals| {
        let (_root, paths) = shipped();
        run(fake(), Around { input, terminals, paths, ..Around::default() }, &words(line))
    };
    let terminal = Terminals { stdin: true, stdout: true, stderr: true };
    let refused = asked("egress preset add acme npm --no-widening", "", Terminals::default());
    assert_eq!(refused.code, 65, "{}", refused.err);
    assert!(
        refused.err.contains("Preset npm: risk supply-chain: Packages are code of strangers"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("for example: GET x.example.org:443/x by /usr/bin/node"), "{}", refused.err);
    assert!(!refused.calls.iter().any(|call| call.starts_with("apply")), "{:?}", refused.calls);
    let no = asked("egress preset add acme npm", "n\n", terminal);
    assert!(no.code == 64 && !no.calls.iter().any(|call| call.starts_with("apply")), "{:?}", no.calls);
    for (line, input, terminals) in [
        ("egress preset add acme npm", "y\n", terminal),
        ("egress preset add acme npm --yes", "", terminal),
        ("egress preset add acme npm", "", Terminals::default()),
    ] {
        let yes = asked(line, input, terminals);
        assert_eq!(yes.code, 0, "{}", yes.err);
        let applied = format!("apply d1 dry_run=false\n{SPEC}\n[egress]\npresets = [\"npm\"]\n");
        assert_eq!(yes.calls.last(), Some(&applied));
    }
    assert!(asked("egress preset list acme", "", Terminals::default()).out.contains("github"));
}

#[test]
fn a_change_that_allows_nothing_more_asks_nobody() {
    let fake = Fake::default()
        .answer("spec", SPEC)
        .answer("check-change", r#"{"tenant":"acme","digest":"d0","widens":[],"risks":[]}"#)
        .answer("apply", OUTCOME);
    let ended = tenantctl(fake, "egress set acme --profile sensitive");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended.calls.last().unwrap().ends_with("[egress]\nprofile = \"sensitive\"\n"),
        "{:?}",
        ended.calls
    );
    let ended = tenantctl(
        Fake::default().answer("spec", SPEC).answer("check-change", WIDER),
        "egress bind acme token --to https://api.example.org/v1 --in header,query --no-widening",
    );
    assert_eq!(ended.code, 65, "a secret that goes somewhere is asked about");
    assert!(
        ended.calls.last().unwrap().contains("path = \"/v1\"\nin = [\"header\", \"query\"]\n"),
        "{:?}",
        ended.calls
    );
}

#[test]
fn the_policy_in_force_is_explained_by_tenantd() {
    let answer = r#"{"text":"api.github.com:443 is denied\n","explanation":{"verdict":"deny"}}"#;
    let ended = tenantctl(
        Fake::default().answer("explain-egress", answer),
        "egress explain acme api.github.com GET /zen --binary /usr/bin/curl",
    );
    assert_eq!(ended.out, "api.github.com:443 is denied\n");
    assert_eq!(
        ended.calls,
        [
            r#"explain-egress acme {"host":"api.github.com","port":443,"address":null,"own":false,"binaries":["/usr/bin/curl"],"method":"GET","path":"/zen","upgrade":false,"call":null,"tool":null}"#
        ]
    );
    let without = "egress explain acme a.example.org --call tools/call";
    let upgrade = "egress explain acme a.example.org GET / --call tools/call --upgrade";
    for line in ["egress explain acme", "egress explain acme a.example.org GET", without, upgrade] {
        assert_eq!(tenantctl(Fake::default(), line).code, 64, "{line}");
    }
}

#[test]
fn create_says_which_risks_its_presets_bring_and_writes_them_down() {
    let (_root, paths) = shipped();
    let around = Around { paths, ..Around::default() };
    let line = "create acme --runtime openclaw --egress ask --profile solo --preset github-write";
    let ended = run(Fake::default().answer("create", OUTCOME), around, &words(line));
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("Preset github-write: risk exfiltration"), "{}", ended.err);
    assert!(
        ended.calls[0]
            .ends_with("[egress]\nprofile = \"solo\"\ndefault = \"ask\"\npresets = [\"github-write\"]\n"),
        "{:?}",
        ended.calls
    );
    let (_root, paths) = shipped();
    let line = "create acme --runtime openclaw --profile sensitive --preset github-write";
    let ended = run(Fake::default(), Around { paths, ..Around::default() }, &words(line));
    assert!(ended.code == 65 && ended.calls.is_empty(), "{}", ended.err);
    assert!(ended.err.contains("the profile does not offer \"github-write\""), "{}", ended.err);
    assert_eq!(
        tenantctl(Fake::default(), "create acme --runtime openclaw --egress off --preset npm").code,
        64
    );
}

#[test]
fn what_was_learned_is_a_document_that_can_be_given_back() {
    let learned = r#"{"until":null,"noted":2,"document":"version: 1\nnetwork_policies: {}\n","left_out":[["x:1 by y","because"]]}"#;
    let ended = tenantctl(Fake::default().answer("learned", learned), "egress learn acme --show");
    assert_eq!(
        ended.out,
        "# 2 destinations were noted.\n# Left out: x:1 by y: because\nversion: 1\nnetwork_policies: {}\n"
    );
    let began = learned.replace("null", "13600");
    let ended = tenantctl(Fake::default().answer("learn", began), "egress learn acme --for 1h");
    assert_eq!(ended.calls, ["learn acme 3600"]);
    assert!(ended.out.starts_with("What tenant acme tries is noted for 1 h."), "{}", ended.out);
}

#[test]
fn usage_is_of_today_and_of_this_month() {
    let usage = r#"[{"tenant":"acme","usage":{"format":1,"days":{
        "1970-01-01":{"anthropic":{"claude":{"requests":2,"input":10,"output":20,"money":1500000}}},
        "1970-01-02":{"anthropic":{"claude":{"requests":1,"input":1,"output":2,"money":500000}}}}}},
        {"tenant":"beta","usage":{"format":1,"days":{}},"problem":"it is larger"}]"#;
    let ended = tenantctl(Fake::default().answer("usage", usage), "usage");
    assert!(
        ended.out.contains("acme    today       2         10     20      1.5usd  anthropic/claude"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("acme    this month  3         11     22      2usd"), "{}", ended.out);
    assert_eq!(ended.err, "tenant beta: it is larger\n");
}
