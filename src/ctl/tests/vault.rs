//! `secret` and `vault`: what is asked of tenantd, and what is printed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a step of a test that fails is a failed test"
)]

mod fake;

use std::fs;

use api::{SecretSummary, VaultStatus};
use fake::{Around, Fake, run, tenantctl};
use model::Exit;

fn token(version: u64) -> SecretSummary {
    SecretSummary { name: "token".into(), kind: "proxy".into(), version, changed: Some(9_400), problem: None }
}

fn json<T: serde::Serialize>(document: &T) -> String {
    serde_json::to_string(document).unwrap()
}

fn piped(input: &'static str) -> Around {
    Around { input, ..Around::default() }
}

#[test]
fn a_value_comes_from_standard_input_or_a_file_and_goes_through_a_pipe() {
    let set = || Fake::default().answer("set", json(&token(1)));
    let ended = run(set(), piped("s3cret\n"), &["secret", "set", "acme", "token", "--for", "file"]);
    assert_eq!(ended.calls, ["set acme token \"file\" \"s3cret\\n\""]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "Secret token of tenant acme is sealed, in version 1.\n")
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "from a file").unwrap();
    let path = file.path().to_str().unwrap();
    let ended = run(set(), piped(""), &["secret", "rotate", "acme", "token", "--from", path]);
    assert_eq!(ended.calls, ["set acme token \"\" \"from a file\""]);
}

#[test]
fn a_value_is_never_typed_where_it_shows() {
    let mut around = piped("typed");
    around.terminals.stdin = true;
    let ended = run(Fake::default(), around, &["secret", "set", "acme", "token"]);
    assert_eq!((ended.code, ended.calls.len()), (64, 0));
    assert!(ended.err.contains("standard input or with --from"), "{}", ended.err);
}

#[test]
fn secrets_are_listed_without_their_values() {
    let old = SecretSummary {
        name: "older".into(),
        kind: "file".into(),
        version: 3,
        changed: None,
        problem: Some("an older version was put back: 4 was written".into()),
    };
    let ended = tenantctl(Fake::default().answer("secrets", json(&vec![old, token(2)])), "secret list acme");
    let expected = "SECRET  FOR    VERSION  CHANGED     PROBLEM\n\
                    older   file   3        -           an older version was put back: 4 was written\n\
                    token   proxy  2        10 min ago  -\n";
    assert_eq!(ended.out, expected);
    let none = tenantctl(Fake::default().answer("secrets", "[]"), "secret list acme");
    assert!(none.out.starts_with("No secrets."));
}

#[test]
fn a_locked_vault_is_seen_by_the_exit_status() {
    let locked = VaultStatus {
        state: "locked".into(),
        tenants: 1,
        secrets: 2,
        problem: Some("the host key was replaced".into()),
        ..VaultStatus::default()
    };
    let ended = tenantctl(Fake::default().answer("vault", json(&locked)), "vault status");
    assert_eq!(ended.code, 78);
    assert!(
        ended.out.contains("vault: locked") && ended.out.contains("the host key was replaced"),
        "{}",
        ended.out
    );
    let damaged = VaultStatus {
        state: "open".into(),
        damaged: vec!["tenant acme: vault file dek.1 does not open".into()],
        ..VaultStatus::default()
    };
    let ended = tenantctl(Fake::default().answer("vault", json(&damaged)), "vault status");
    assert!(ended.out.contains("damaged: tenant acme: vault file dek.1"), "{}", ended.out);
    let empty = VaultStatus { state: "empty".into(), ..VaultStatus::default() };
    assert_eq!(tenantctl(Fake::default().answer("vault", json(&empty)), "vault status").code, 0);
}

#[test]
fn a_recovery_copy_is_made_in_a_new_file_of_ones_own_and_left_nowhere_after_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let (words, copy) = (directory.path().join("words"), directory.path().join("copy"));
    fs::write(&words, "six words make a passphrase\n").unwrap();
    let (words, to) = (words.to_str().unwrap(), copy.to_str().unwrap());
    let line = ["vault", "recovery", "export", "--to", to, "--passphrase-from", words];

    let locked = Fake::default().fail("export", Exit::Config, "the vault is locked");
    assert_eq!(run(locked, Around::default(), &line).code, 78);
    assert!(!copy.exists());

    let ended = run(Fake::default().answer("export", "COPY"), Around::default(), &line);
    assert_eq!(ended.calls, ["export \"six words make a passphrase\\n\""]);
    assert_eq!((ended.code, fs::read_to_string(&copy).unwrap().as_str()), (0, "COPY"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&copy).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let again = run(Fake::default(), Around::default(), &line);
    assert_eq!((again.code, again.calls.len()), (73, 0));

    let open =
        VaultStatus { state: "open".into(), kek: Some("0123456789abcdef".into()), ..VaultStatus::default() };
    let import = ["vault", "recovery", "import", to, "--passphrase-from", words];
    let ended = run(Fake::default().answer("import", json(&open)), Around::default(), &import);
    assert_eq!(ended.calls, ["import \"COPY\" \"six words make a passphrase\\n\""]);
    assert!(ended.out.contains("KEK: 0123456789abcdef"), "{}", ended.out);
}

#[test]
fn a_passphrase_is_asked_for_on_a_terminal_only() {
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("copy");
    let ended = run(
        Fake::default(),
        Around::default(),
        &["vault", "recovery", "export", "--to", to.to_str().unwrap()],
    );
    assert_eq!((ended.code, ended.calls.len()), (64, 0));
    assert!(!to.exists());
}
