//! The launcher itself, as a unit starts it: in a mount namespace of the test's own, as an ordinary uid without
//! capabilities. Needs root to make that; skipped by name without.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a panic is a failed test; it starts the program under test"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use confine::{Sources, landlock, seccomp};
use model::{Confinement, Exit, LandlockRule, Rlimit};

const UID: u32 = 599_999;
/// As a unit: no group, no capability in any set, no_new_privs.
const TENANT: &str =
    "--reuid 599999 --regid 599999 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs";

/// Makes the cell below a private /run and starts what follows as the tenant.
const CELL: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mkdir -p -m 1777 /run/tenantd/secrets
mkdir -p /run/tenantd/data/home /run/tenantd/data/state /run/tenantd/data/workspace
cp -r "$1" /run/tenantd/cell
cp "$2" /run/tenantd/tenant-exec
chown -R 0:599999 /run/tenantd/cell
chmod 0640 /run/tenantd/cell/confinement.json
chmod 0755 /run/tenantd /run/tenantd/cell /run/tenantd/cell/config /run/tenantd/tenant-exec
echo canary > /run/tenantd/cell/canary
eval "$3"
identity=$4
shift 4
exec setpriv $identity /run/tenantd/tenant-exec "$@" 7</dev/null
"#;

struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

struct Cell<'a> {
    confinement: Confinement,
    /// Shell commands that spoil the cell.
    spoil: &'a str,
    identity: String,
    config: Option<&'static str>,
}

impl Cell<'_> {
    /// A cell of the shipped generic policies whose gateway is `argv`.
    fn new(argv: &[&str]) -> Self {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let sources = |kind: &str| Sources::read(&policies.join(kind)).unwrap();
        let places = landlock::Places { data: "/run/tenantd/data", port: 18789 };
        let confinement = Confinement {
            format: 1,
            tenant: "acme-corp".parse().unwrap(),
            uid: UID,
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            environment: [
                ("PATH".to_owned(), "/none:/usr/bin".to_owned()),
                ("A".to_owned(), "b c".to_owned()),
            ]
            .into(),
            directory: "/run/tenantd/data".to_owned(),
            landlock: landlock::compile(&sources("landlock"), "generic", landlock::abi(), &places).unwrap(),
            seccomp: seccomp::compile(&sources("seccomp"), "generic").unwrap(),
            rlimits: vec![Rlimit { resource: "NOFILE".to_owned(), value: 321 }],
        };
        Self { confinement, spoil: "", identity: TENANT.to_owned(), config: None }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let source = tempfile::tempdir().unwrap();
        fs::create_dir(source.path().join("config")).unwrap();
        if let Some(config) = self.config {
            fs::write(source.path().join("config/gateway.json"), config).unwrap();
        }
        let text = serde_json::to_string(&self.confinement).unwrap();
        fs::write(source.path().join("confinement.json"), text).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", CELL, "sh"]).arg(source.path());
        command.args([env!("CARGO_BIN_EXE_tenant-exec"), self.spoil, &self.identity]).args(arguments);
        command.env("LD_PRELOAD", "").env("TERM", "vt100").env("SECRET", "of the caller");
        let output = command.output().unwrap();
        Run {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn can_make_cells(test: &str) -> bool {
    let can = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        println!("skipped {test}: needs root, to make a mount namespace");
    }
    can
}

#[test]
fn the_gateway_gets_exactly_the_environment_of_its_file_and_one_line_says_what_is_in_force() {
    if !can_make_cells("environment") {
        return;
    }
    let run = Cell::new(&["/usr/bin/env"]).run(&[]);
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (Some(0), "A=b c\nPATH=/none:/usr/bin\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.starts_with("tenant acme-corp: confined: landlock ABI "), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
}

#[test]
fn a_command_in_the_cell_is_held_by_every_layer() {
    if !can_make_cells("layers") {
        return;
    }
    let script = "umask; pwd; ulimit -n; ls /proc/self/fd | tr '\\n' ' '; echo $TERM$SECRET; \
        grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t\\n' '  '; \
        cat /run/tenantd/cell/canary /run/tenantd/cell/confinement.json 2>/dev/null || echo hidden; \
        unshare --uts true 2>/dev/null || echo refused; echo x > state/f && echo written";
    let mut cell = Cell::new(&["/usr/bin/true"]);
    cell.spoil = "chown -R 599999 /run/tenantd/data/state";
    let run = cell.run(&["--", "sh", "-c", script]);
    let expected = "0077\n/run/tenantd/data\n321\n0 1 2 3 vt100\n\
        CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 hidden\nrefused\nwritten\n";
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), expected), "{}", run.stderr);
}

#[test]
fn the_configuration_is_read_and_not_written_by_whatever_runs_in_the_cell() {
    if !can_make_cells("configuration") {
        return;
    }
    let script = "cd /run/tenantd/secrets/.config && cat gateway.json && stat -c '%a' . gateway.json
        chmod 0700 . && chmod 0600 gateway.json && echo changed modes
        { echo x >gateway.json; } 2>/dev/null || echo not written
        { echo x >new; } 2>/dev/null || echo not made
        mv gateway.json away 2>/dev/null || echo not moved
        rm -f gateway.json 2>/dev/null || echo not removed
        cat gateway.json; cat /run/tenantd/cell/config/gateway.json 2>/dev/null || echo hidden
        echo x >\"$0/state/f\" && echo control";
    let mut cell = Cell::new(&["/usr/bin/true"]);
    cell.config = Some("of acme\n");
    cell.spoil = "chown -R 599999 /run/tenantd/data/state";
    let run = cell.run(&["--", "sh", "-c", script, "/run/tenantd/data"]);
    let expected = "of acme\n500\n400\nchanged modes\nnot written\nnot made\nnot moved\nnot removed\n\
        of acme\nhidden\ncontrol\n";
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), expected), "{}", run.stderr);
}

/// Two authorities and a certificate of each; the unit's own mounts on `/etc/ssl`, as of a host that believes one of them.
const TRUST: &str = r#"
chown -R 599999 /run/tenantd/data/state
cd /run/tenantd/data/home
for name in host own; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" -keyout key -out $name.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=by $name" -keyout other -out request
    openssl x509 -req -in request -CA $name.pem -CAkey key -days 2 -out by-$name.pem
done 2>/dev/null
chmod 0644 *.pem
mount -t tmpfs tmpfs /etc/ssl
mkdir -m 0755 /etc/ssl/host /etc/ssl/certs
cp host.pem /etc/ssl/host/Host.pem
cp host.pem /etc/ssl/host/ca-certificates.crt
openssl rehash /etc/ssl/host
mount -t tmpfs -o mode=1777 tmpfs /etc/ssl/certs
cd /
"#;

#[test]
fn a_program_without_variables_believes_the_host_and_the_proxy_and_nobody_changes_that() {
    if !can_make_cells("authorities") {
        return;
    }
    let script = "cd /run/tenantd/data/home
        verify() { env -i /usr/bin/openssl verify \"$@\" 2>&1 | tail -n 1 | sed 's/.*verification failed/no/'; }
        verify by-own.pem; verify by-host.pem; verify -no-CAfile -CApath /etc/ssl/certs by-host.pem
        { echo x >/etc/ssl/certs/new; } 2>/dev/null || echo not made
        rm -f /etc/ssl/certs/ca-certificates.crt 2>/dev/null || echo not removed
        echo x >../state/f && echo control";
    let own = format!(
        "{TRUST}cp /run/tenantd/data/home/own.pem /run/tenantd/cell/egress-authority.pem\nchmod 0644 /run/tenantd/cell/*.pem"
    );
    let after = "by-host.pem: OK\nby-host.pem: OK\nnot made\nnot removed\ncontrol\n";
    for (spoil, first) in [(own.as_str(), "by-own.pem: OK"), (TRUST, "no")] {
        let mut cell = Cell::new(&["/usr/bin/true"]);
        cell.spoil = spoil;
        let run = cell.run(&["--", "sh", "-c", script]);
        let expected = format!("{first}\n{after}");
        assert_eq!((run.status, run.stdout.as_str()), (Some(0), expected.as_str()), "{}", run.stderr);
    }
}

#[test]
fn every_fault_ends_the_launcher_with_its_own_sentence_and_code() {
    if !can_make_cells("faults") {
        return;
    }
    type Change = fn(&mut Cell<'static>);
    let cases: &[(Exit, &str, Change)] = &[
        (Exit::OsFile, "cannot be read", |cell| cell.spoil = "rm /run/tenantd/cell/confinement.json"),
        (Exit::OsFile, "has mode 0660", |cell| cell.spoil = "chmod 0660 /run/tenantd/cell/confinement.json"),
        (Exit::OsFile, "belongs to uid 599999", |cell| {
            cell.spoil = "chown 599999 /run/tenantd/cell/confinement.json"
        }),
        (Exit::OsFile, "has format 2", |cell| cell.confinement.format = 2),
        // No credential, so no secret of the gateway.
        (Exit::Config, "gateway.json needs it: run \"tenantctl repair\"", |cell| {
            cell.config = Some("{\"header\":\"x-tenantd-@gateway@\"}")
        }),
        (Exit::Os, "cannot make /run/tenantd/secrets/.config", |cell| {
            cell.config = Some("{}");
            cell.spoil = "rm -r /run/tenantd/secrets"
        }),
        (Exit::NoPermission, "tenant acme-corp: identity: uid is", |cell| cell.confinement.uid = 599_998),
        (Exit::NoPermission, "supplementary groups", |cell| {
            cell.identity = cell.identity.replace("--clear-groups", "--groups 599999,27");
        }),
        (Exit::NoPermission, "bounding set is", |cell| {
            cell.identity = cell.identity.replace("--bounding-set=-all", "")
        }),
        (Exit::NoPermission, "no_new_privs is not set", |cell| {
            cell.identity = cell.identity.replace("--no-new-privs", "");
        }),
        (Exit::Config, "there is no limit \"FILES\"", |cell| {
            cell.confinement.rlimits[0].resource = "FILES".to_owned()
        }),
        (Exit::Os, "cannot enter /none", |cell| cell.confinement.directory = "/none".to_owned()),
        (Exit::Os, "cannot be opened even before", |cell| cell.spoil = "rm /run/tenantd/cell/canary"),
        (Exit::Os, "can still be opened; refusing to go on", |cell| {
            let access = vec!["read_file".to_owned()];
            let path = "/run/tenantd/cell".to_owned();
            cell.confinement.landlock.rules.push(LandlockRule { path, access, optional: false });
        }),
        (Exit::Os, "pinned at ABI 99", |cell| cell.confinement.landlock.abi = 99),
        (Exit::Config, "holds no filter", |cell| cell.confinement.seccomp.clear()),
        (Exit::Os, "cannot install filter \"allow\"", |cell| {
            cell.confinement.seccomp[1].program = vec![u64::MAX]
        }),
        (Exit::Os, "seccomp(2) still answers", |cell| cell.confinement.seccomp.truncate(1)),
        (Exit::Config, "absolute path", |cell| cell.confinement.argv[0] = "true".to_owned()),
        (Exit::NoInput, "cannot run /usr/bin/none", |cell| {
            cell.confinement.argv[0] = "/usr/bin/none".to_owned()
        }),
    ];
    for (exit, sentence, change) in cases {
        let mut cell = Cell::new(&["/usr/bin/true"]);
        change(&mut cell);
        let run = cell.run(&[]);
        assert_eq!(run.status, Some(i32::from(exit.code())), "{sentence}: {}", run.stderr);
        let last = run.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(sentence), "{sentence}: {}", run.stderr);
        assert!(run.stdout.is_empty());
    }
    assert_eq!(Cell::new(&["/usr/bin/true"]).run(&["sh"]).status, Some(i32::from(Exit::Usage.code())));
    assert_eq!(Cell::new(&["/usr/bin/true"]).run(&[]).status, Some(0));
}
