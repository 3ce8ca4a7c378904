//! Work inside directories that a tenant owns. Root never walks them: a transient unit does, as the tenant's uid, without
//! a capability, seeing nothing writable but that directory.

use std::collections::BTreeMap;
use std::path::Path;

use model::Exit;
use plan::HostError;

use crate::error::sentence;
use crate::systemd::{Ended, Transient, Value};
use crate::{Cancel, Systemd, tree};

/// Empties `.`: in batches with `rm`, which handles any depth and number; what is left may lie in directories whose
/// owner has taken the right to write from himself, so he gives it back and tries again. Mounts are not entered.
const EMPTY: &str = r#"chmod u+rwx -- "$1"; cd -- "$1" || exit 1
sweep() { find . -xdev -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system -- {} + 2>/dev/null; }
sweep
[ -n "$(find . -mindepth 1 -maxdepth 1 -print -quit)" ] || exit 0
chmod -R u+rwX . 2>/dev/null
sweep
left=$(find . -mindepth 1 -print -quit)
[ -z "$left" ] || { ls -ldn -- "$left" >&2; exit 1; }"#;

/// Moves what lies in `.` into a quota project; only directories pass it on. A file that its owner has made unreadable for
/// himself keeps the project it had, so it is not counted; nothing new can be.
const MOVE: &str = r#"cd -- "$1" || exit 1
command -v chattr >/dev/null || exit 127
find . -xdev -mindepth 1 -type d -exec chattr -f -p "$2" +P -- {} +
find . -xdev -type f -exec chattr -f -p "$2" -- {} +
exit 0"#;

/// Removes a directory and everything in it. Its content goes by a process of the owner's uid.
pub(crate) fn remove_tree(
    systemd: &Systemd,
    path: &Path,
    owner: u32,
    cancel: &Cancel,
) -> Result<(), HostError> {
    if tree::remove_empty(path)? {
        return Ok(());
    }
    if owner == 0 {
        return Err(tree::not_empty(path));
    }
    let ended = systemd.run_transient(worker("remove", EMPTY, path, owner, &[]), cancel)?;
    if ended.result == "success" && tree::remove_empty(path)? {
        return Ok(());
    }
    Err(left_over(path, &ended, cancel))
}

/// Gives what lies in a tenant's directory a quota project.
pub(crate) fn move_into_project(
    systemd: &Systemd,
    path: &Path,
    owner: u32,
    project: u32,
    cancel: &Cancel,
) -> Result<(), HostError> {
    if owner == 0 {
        return Ok(());
    }
    let ended = systemd.run_transient(worker("quota", MOVE, path, owner, &[project.to_string()]), cancel)?;
    if ended.result == "success" {
        return Ok(());
    }
    let text = format!(
        "cannot count what lies in {} against its quota (unit ended with {}, status {}): see \"journalctl -b -t sh\" (127: the package e2fsprogs is missing)",
        path.display(),
        ended.result,
        ended.status
    );
    Err(sentence(Exit::Os, text))
}

fn worker(verb: &str, script: &str, path: &Path, owner: u32, more: &[String]) -> Transient {
    let shown = path.display().to_string();
    let name: String =
        shown.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' }).collect();
    let mut argv: Vec<String> = ["/bin/sh", "-c", script, "sh", &shown].map(str::to_owned).to_vec();
    argv.extend(more.iter().cloned());
    let text = |value: &str| Value::Text(value.to_owned());
    Transient {
        unit: format!("tenantd-{verb}{name}.service"),
        argv,
        environment: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
        properties: vec![
            ("Description", Value::Text(format!("{verb} {shown} as uid {owner}"))),
            ("User", Value::Text(owner.to_string())),
            ("Group", Value::Text(owner.to_string())),
            ("NoNewPrivileges", Value::Flag(true)),
            ("CapabilityBoundingSet", Value::Number(0)),
            ("ProtectSystem", text("strict")),
            ("ReadWritePaths", Value::Texts(vec![shown])),
            ("PrivateNetwork", Value::Flag(true)),
            ("PrivateDevices", Value::Flag(true)),
            ("PrivateTmp", Value::Flag(true)),
            ("ProtectHome", text("yes")),
            ("ProtectProc", text("invisible")),
            ("RestrictAddressFamilies", Value::Filter(true, Vec::new())),
            (
                "InaccessiblePaths",
                Value::Texts(vec!["-/run/dbus".to_owned(), "-/run/systemd/private".to_owned()]),
            ),
            ("Nice", Value::Signed(10)),
            ("IOSchedulingClass", Value::Signed(3)),
        ],
    }
}

fn left_over(path: &Path, ended: &Ended, cancel: &Cancel) -> HostError {
    if cancel.is_cancelled() {
        let text =
            format!("removing {} was interrupted: run the same command again to go on", path.display());
        return sentence(Exit::TempFail, text);
    }
    let text = format!(
        "directory {} cannot be emptied by its owner (unit ended with {}, status {}): something in it belongs to another user, is mounted or immutable: see \"journalctl -b -t sh\", \"findmnt\" and \"lsattr -R\", remove it by hand and try again",
        path.display(),
        ended.result,
        ended.status
    );
    sentence(Exit::Os, text)
}
