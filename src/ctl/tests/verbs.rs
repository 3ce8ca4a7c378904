//! Every verb against a daemon that answers from a script: what is asked, what is printed, how it ends.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fake;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use ctl::{Streams, Terminals};
use fake::{Around, Fake, run, tenantctl};
use model::Exit;

const OUTCOME: &str = r#"{"id":"acme","steps":["+ account t-acme uid=500000","+ unit tenant@acme.service"],"dry_run":false,"missing":["disk-quota"],"state":"active"}"#;
const PLANNED: &str =
    r#"{"id":"acme","steps":["+ account t-acme uid=500000"],"dry_run":true,"missing":[],"state":"absent"}"#;
const NOTHING: &str = r#"{"id":"acme","steps":[],"dry_run":false,"missing":[],"state":"active"}"#;
const SPEC: &str = "id = \"acme\"\nruntime = \"generic\"\ncommand = [\"/bin/x\"] # ours\n";

#[test]
fn create_sends_the_spec_that_the_options_spell_and_says_what_to_do_next() {
    let words = [
        "create",
        "acme",
        "--runtime",
        "generic",
        "--command",
        "/bin/x 'a b'",
        "--port",
        "8080",
        "--memory-max",
        "1G",
        "--swap-max",
        "0",
        "--cpu-quota",
        "150%",
        "--tasks-max",
        "64",
        "--env",
        "TZ=UTC",
        "--origin",
        "https://a.example",
        "--accept-missing",
        "disk-quota",
        "--description",
        "the acme company",
    ];
    let ended = run(Fake::default().answer("create", OUTCOME), Around::default(), &words);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(
        ended.calls,
        ["create start=true dry_run=false\n\
          id = \"acme\"\ndescription = \"the acme company\"\nruntime = \"generic\"\ncommand = [\"/bin/x\", \"a b\"]\nport = 8080\n\
          origins = [\"https://a.example\"]\naccept_missing = [\"disk-quota\"]\n\n[limits]\nmemory_max = \"1G\"\n\
          memory_swap_max = \"0\"\ncpu_quota = \"150%\"\ntasks_max = 64\n\n[environment]\nTZ = \"UTC\"\n"]
    );
    assert_eq!(
        ended.out,
        "Tenant acme is made and answers (active).\nRuns without disk-quota, which this host lacks and the configuration accepts.\n\
         Next: tenantctl status acme\n      tenantctl logs acme -f\n"
    );
}

#[test]
fn create_refuses_a_wrong_spec_before_it_asks_the_daemon() {
    for (line, code, sentence) in [
        (
            "create acme --runtime generic --memory-max 1G --memory-high 2G",
            65,
            "tenantctl: tenant acme: limits: memory_high = 2G is out of range",
        ),
        (
            "create acme --runtime generic --env LD_PRELOAD=x",
            65,
            "tenantctl: tenant acme: environment = \"LD_PRELOAD\": ",
        ),
        (
            "create acme --runtime generic -- bin/x",
            65,
            "tenantctl: tenant acme: command = \"bin/x\": the program must be",
        ),
        ("create acme --runtime generic --command '", 65, "tenantctl: --command: \"'\" has an open quote"),
        ("create acme --runtime Generic", 65, "tenantctl: tenant acme: runtime = \"Generic\""),
        ("create acme --file /nonexistent/acme.toml", 66, "tenantctl: /nonexistent/acme.toml: no such file"),
    ] {
        let ended = tenantctl(Fake::default(), line);
        assert_eq!(ended.code, code, "{line}: {}", ended.err);
        assert!(ended.err.starts_with(sentence), "{line}: {}", ended.err);
        assert!(ended.calls.is_empty() && ended.out.is_empty());
    }
}

#[test]
fn create_from_a_file_sends_it_as_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.toml");
    std::fs::File::create(&file).unwrap().write_all(SPEC.as_bytes()).unwrap();
    let path = file.to_str().unwrap();
    let ended = run(
        Fake::default().answer("create", OUTCOME),
        Around::default(),
        &["create", "acme", "--file", path],
    );
    assert_eq!(ended.calls, [format!("create start=true dry_run=false\n{SPEC}")]);
    let ended = run(Fake::default(), Around::default(), &["create", "umbrella", "--file", path]);
    assert_eq!(ended.code, 65);
    assert!(ended.err.contains("id = \"acme\" is not the tenant to make, \"umbrella\""), "{}", ended.err);
}

#[test]
fn a_dry_run_prints_the_steps_and_that_nothing_was_done() {
    let fake =
        || Fake::default().answer("create", PLANNED).answer("delete", PLANNED).answer("repair", PLANNED);
    for line in
        ["create acme --runtime x --no-start --dry-run", "delete acme --dry-run", "repair acme --dry-run"]
    {
        let ended = tenantctl(fake(), line);
        assert_eq!(ended.out, "+ account t-acme uid=500000\nNothing was changed (--dry-run).\n", "{line}");
        assert!(ended.calls.last().unwrap().contains("dry_run=true"), "{:?}", ended.calls);
    }
}

#[test]
fn progress_is_lines_in_a_log_a_bar_on_a_terminal_and_nothing_with_json() {
    let fake = || {
        Fake::default()
            .answer("create", OUTCOME)
            .say(1, "write\x1b[2J files")
            .say(2, "write files")
            .say(40, "start the unit")
    };
    let words = ["create", "acme", "--runtime", "x"];
    let ended = run(fake(), Around::default(), &words);
    assert_eq!(ended.err, "  1 % write\\u{1b}[2J files\n", "one line a second");
    let terminals = Terminals { stderr: true, ..Terminals::default() };
    let ended = run(fake(), Around { terminals, ..Around::default() }, &words);
    assert!(
        ended.err.starts_with("\r[--------------------]   1 % write\\u{1b}[2J files\x1b[K"),
        "{:?}",
        ended.err
    );
    assert!(ended.err.ends_with("\r\x1b[K"), "{:?}", ended.err);
    let ended = run(fake(), Around::default(), &["--json", "create", "acme", "--runtime", "x"]);
    assert_eq!(ended.err, "");
    let printed: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(printed, serde_json::from_str::<serde_json::Value>(OUTCOME).unwrap());
}

#[test]
fn verbs_like_systemctls_are_silent_and_take_several_tenants() {
    for (line, calls) in [
        ("start acme web", vec!["start acme", "start web"]),
        ("stop acme", vec!["stop acme now=false"]),
        ("stop --now acme", vec!["stop acme now=true"]),
        ("restart acme", vec!["restart acme"]),
        ("enable acme", vec!["enable acme true"]),
        ("disable acme", vec!["enable acme false"]),
    ] {
        let ended = tenantctl(Fake::default(), line);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "", ""), "{line}");
        assert_eq!(ended.calls, calls, "{line}");
    }
}

#[test]
fn one_tenant_that_fails_does_not_keep_the_others_from_their_turn() {
    let ended =
        tenantctl(Fake::default().fail("start", Exit::NoInput, "there is no tenant x"), "start acme web");
    assert_eq!((ended.code, ended.calls.len()), (66, 2));
    assert_eq!(ended.err, "tenantctl: there is no tenant x\n".repeat(2));
}

#[test]
fn set_edits_the_spec_it_was_given_and_says_what_happened() {
    let fake = Fake::default().answer("spec", SPEC).answer("apply", NOTHING);
    let ended = tenantctl(fake, "set acme limits.memory_max=2G");
    assert_eq!(
        ended.calls,
        ["spec acme".to_owned(), format!("apply dry_run=false\n{SPEC}\n[limits]\nmemory_max = \"2G\"\n")]
    );
    assert_eq!(ended.out, "Tenant acme is as before; nothing was done (active).\n");
    let ended = tenantctl(Fake::default().answer("spec", SPEC), "set acme limits.memory_max=2g");
    assert_eq!((ended.code, ended.calls.len()), (65, 1));
    assert!(ended.err.contains("\"2g\" is not a size"), "{}", ended.err);
}

#[test]
fn apply_creates_what_is_missing_and_changes_what_is_there() {
    let there = r#"[{"id":"acme","state":"active","enabled":true,"runtime":"generic","version":"","address":"10.210.0.2","uid":500000,"memory_bytes":null,"missing":[]}]"#;
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in
        [("acme.toml", SPEC.to_owned()), ("web.toml", SPEC.replace("acme", "web")), ("notes", "x".into())]
    {
        std::fs::File::create(directory.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let fake = Fake::default()
        .answer("list", there)
        .answer("apply", NOTHING)
        .answer("create", OUTCOME.replace("acme", "web"));
    let ended = run(fake, Around::default(), &["apply", "-f", path]);
    assert_eq!((ended.code, ended.calls.len()), (0, 3), "{}", ended.err);
    assert!(ended.calls[1].starts_with("apply") && ended.calls[2].starts_with("create start=true"));
    assert_eq!(
        ended.out,
        "Tenant acme is as its spec says; nothing was done (active).\nTenant web made in 2 steps without a restart (active).\n\
         Runs without disk-quota, which this host lacks and the configuration accepts.\n"
    );
    let input = Around { input: SPEC, ..Around::default() };
    let ended = run(
        Fake::default().answer("list", "[]").answer("create", PLANNED),
        input,
        &["apply", "-f", "-", "--dry-run"],
    );
    assert_eq!(ended.out, "# tenant acme\n+ account t-acme uid=500000\nNothing was changed (--dry-run).\n");
}

#[test]
fn apply_refuses_two_files_for_one_tenant_before_it_acts() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.toml", "b.toml"] {
        std::fs::File::create(directory.path().join(name)).unwrap().write_all(SPEC.as_bytes()).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let ended = run(Fake::default(), Around::default(), &["apply", "-f", path]);
    assert_eq!((ended.code, ended.calls.len()), (65, 0));
    assert_eq!(
        ended.err,
        format!("tenantctl: {path}/a.toml and {path}/b.toml both describe tenant acme: keep one of them\n")
    );
}

#[test]
fn delete_asks_where_there_is_someone_to_ask_and_needs_yes_elsewhere() {
    let fake = || Fake::default().answer("delete", NOTHING);
    let ended = tenantctl(fake(), "delete acme");
    assert_eq!((ended.code, ended.calls.len()), (64, 0));
    assert!(ended.err.contains("say --yes to do so, or --keep-data to keep it"), "{}", ended.err);
    let ended = tenantctl(fake(), "delete acme --yes");
    assert_eq!((ended.code, ended.out.as_str()), (0, "Tenant acme and its data are deleted.\n"));
    assert_eq!(ended.calls, ["delete acme keep_data=false dry_run=false"]);
    let ended = tenantctl(fake(), "delete acme --keep-data");
    assert_eq!(ended.calls, ["delete acme keep_data=true dry_run=false"]);
    assert!(ended.out.ends_with("its data stays in /nonexistent/var/lib/tenants/acme.\n"), "{}", ended.out);
    let terminals = Terminals { stdin: true, stdout: true, stderr: true };
    for (input, calls) in [("acme\n", 1), ("yes\n", 0), ("", 0)] {
        let ended = run(fake(), Around { input, terminals, ..Around::default() }, &["delete", "acme"]);
        assert_eq!(ended.calls.len(), calls, "{input:?}");
        assert_eq!(ended.code, if calls == 1 { 0 } else { 64 }, "{input:?}");
    }
}

#[test]
fn every_error_of_the_daemon_ends_with_its_code_and_its_sentence() {
    for exit in [
        Exit::Data,
        Exit::NoInput,
        Exit::Unavailable,
        Exit::Software,
        Exit::Os,
        Exit::OsFile,
        Exit::CantCreate,
        Exit::Io,
        Exit::TempFail,
        Exit::NoPermission,
        Exit::Config,
    ] {
        let ended = tenantctl(Fake::default().fail("list", exit, "no: because"), "list");
        assert_eq!((ended.code, ended.err.as_str()), (exit.code(), "tenantctl: no: because\n"));
        let ended = tenantctl(Fake::default().fail("list", exit, "no: \u{9b}because"), "list --json");
        assert_eq!(
            ended.err,
            format!("{{\"error\":{{\"exit\":{},\"message\":\"no: \\u009bbecause\"}}}}\n", exit.code())
        );
    }
}

#[test]
fn an_answer_that_is_not_understood_is_said_to_be_a_mismatch_of_versions() {
    for line in [
        "list",
        "status acme",
        "create acme --runtime x",
        "explain acme",
        "runtime list",
        "runtime install x",
    ] {
        let ended = tenantctl(Fake::default(), line);
        assert_eq!(ended.code, 70, "{line}");
        assert!(ended.err.contains("different versions"), "{line}: {}", ended.err);
    }
}

fn pipe_with(text: &[u8]) -> OwnedFd {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    std::fs::File::from(writer).write_all(text).unwrap();
    reader
}

fn streams(input: &[u8]) -> (Streams, OwnedFd, OwnedFd) {
    let (out_reader, stdout) = rustix::pipe::pipe().unwrap();
    let (err_reader, stderr) = rustix::pipe::pipe().unwrap();
    (Streams { stdin: pipe_with(input), stdout, stderr }, out_reader, err_reader)
}

fn text(fd: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn exec_relays_the_streams_and_ends_as_the_command_did() {
    let (streams, out, err) = streams(b"hello\n");
    let around = Around { streams: Some(streams), ..Around::default() };
    let ended = run(Fake::default(), around, &["exec", "acme", "--", "tr", "a-z", "A-Z"]);
    assert_eq!((ended.code, ended.err.as_str()), (7, ""));
    assert_eq!(ended.calls, ["exec acme [\"tr\", \"a-z\", \"A-Z\"] 0"]);
    assert_eq!((text(out).as_str(), text(err).as_str()), ("HELLO\n", "[false, false, false]\n"));
}

#[test]
fn exec_with_a_terminal_gives_the_command_one_of_its_own() {
    let (streams, out, err) = streams(b"hello\n");
    let around = Around { streams: Some(streams), ..Around::default() };
    let ended = run(Fake::default(), around, &["exec", "acme", "--tty", "--", "sh"]);
    assert_eq!(ended.code, 7);
    assert_eq!(text(err), "[true, true, false]\n");
    assert_eq!(text(out), "hello\r\nHELLO\r\n", "echoed by the line discipline, then by the command");
}

#[test]
fn exec_passes_a_daemons_refusal_on() {
    let (streams, ..) = streams(b"");
    let around = Around { streams: Some(streams), ..Around::default() };
    let ended = run(
        Fake::default().fail("exec", Exit::TempFail, "tenant acme does not run"),
        around,
        &["exec", "acme", "--", "id"],
    );
    assert_eq!((ended.code, ended.err.as_str()), (75, "tenantctl: tenant acme does not run\n"));
}
