//! A stand-in for the package: units and directories that the tests need, made once, read by systemd once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use host::files::write_atomic;
use host::{RealHost, Systemd};
use model::{Account, Content, Owner, Paths, PropertyValue, Resource, TenantId, World};
use plan::{HostError, Journal, Op, Scope, apply};

const TENANT: &str = "[Unit]
StartLimitIntervalSec=60
StartLimitBurst=3
Requires=tenant-net@%i.service
After=tenant-net@%i.service
[Service]
Type=exec
User=t-%i
Slice=tenants-%i.slice
ExecStart=/bin/sh -c 'case %i in bad*) echo no; exit 71;; *) exec sleep 1000;; esac'
ExecStartPost=/bin/sh -c 'case %i in slow*) sleep 3;; esac'
[Install]
WantedBy=tenants.target
";
const NET: &str = "[Unit]
StopWhenUnneeded=yes
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'case %i in nonet*) exit 1;; esac'
";
const LISTED: &str = "[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
";
const FETCH: &str = "#!/bin/sh
echo \"progress 1 uid $(id -u)\"
touch /run/tenantd-fetch/made && echo 'fact work written'
touch /etc/x 2>/dev/null || echo 'fact etc refused'
[ -e /var/lib/tenants/. ] && ls /var/lib/tenants >/dev/null 2>&1 || echo 'fact tenants hidden'
ls /run/dbus >/dev/null 2>&1 || echo 'fact bus hidden'
[ -r \"${CREDENTIALS_DIRECTORY:-/x}/npmrc\" ] && echo 'fact npmrc read'
while [ $# -gt 1 ]; do [ \"$1\" = --from ] && echo \"fact from $(cat \"$2\")\"; [ \"$1\" = --hang ] && sleep 1000; shift; done
printf 'no newline'
exit 66
";
// A launcher that confines nothing: what is tested is the unit around it.
const LAUNCHER: &str = "#!/bin/sh\nshift\nexec \"$@\"\n";

static ONCE: Once = Once::new();

/// Puts the stand-ins into place; refuses to touch a host that is not thrown away.
pub fn ready() -> (Paths, Systemd) {
    assert_eq!(
        std::env::var("TENANTD_THROWAWAY_HOST").as_deref(),
        Ok("1"),
        "these tests belong in a throwaway host"
    );
    ONCE.call_once(|| {
        let put = |path: &str, mode, text: &str| {
            write_atomic(Path::new(path), Owner::ROOT, mode, text.as_bytes()).unwrap()
        };
        put("/usr/lib/systemd/system/tenant@.service", 0o644, TENANT);
        put("/usr/lib/systemd/system/tenant-net@.service", 0o644, NET);
        put("/usr/lib/systemd/system/listed@.service", 0o644, LISTED);
        put("/usr/lib/systemd/system/tenants.target", 0o644, "[Unit]\n");
        put("/usr/lib/tenantd/runtime-fetch", 0o755, FETCH);
        put("/usr/lib/tenantd/tenant-exec", 0o755, LAUNCHER);
        say(&["systemctl", "daemon-reload"]);
    });
    (Paths::host(), Systemd::system())
}

/// Runs a program; gives back whether it succeeded, and its output.
pub fn say(argv: &[&str]) -> (bool, String) {
    let output = Command::new(argv[0]).args(&argv[1..]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The identifier and uid of a test's own tenant.
pub fn tenant(name: &str, number: u32) -> (TenantId, u32) {
    (TenantId::parse(name).unwrap(), 510_000 + number)
}

/// Everything a small tenant needs.
pub fn world(paths: &Paths, id: &TenantId, uid: u32) -> World {
    let compiled = paths.compiled(id);
    let data = paths.data(id);
    let directory =
        |path, owner, mode, tenant_content| Resource::Directory { path, owner, mode, tenant_content };
    let mut world = World::from_iter([
        Resource::Account(Account {
            name: id.user(),
            uid,
            comment: format!("tenant {id}"),
            home: data.join("home"),
        }),
        directory(data.clone(), Owner::root_for(uid), 0o750, false),
        directory(compiled.clone(), Owner::root_for(uid), 0o750, false),
        directory(compiled.join("config"), Owner::root_for(uid), 0o750, false),
        Resource::File {
            path: compiled.join("config/gateway.json"),
            owner: Owner::root_for(uid),
            mode: 0o640,
            content: Content::sensitive("{}"),
            restart: true,
        },
        Resource::Link { path: compiled.join("runtime"), target: "/var/empty".into(), restart: true },
        Resource::Slice { unit: id.slice(), properties: limits(1 << 30) },
        Resource::Enablement { unit: id.unit() },
        Resource::Unit { unit: id.unit() },
    ]);
    for name in ["home", "state", "workspace"] {
        world.put(directory(data.join(name), Owner::tenant(uid), 0o700, true));
    }
    world
}

/// A set of limits.
pub fn limits(memory: u64) -> BTreeMap<String, PropertyValue> {
    let pairs =
        [("MemoryMax", memory), ("TasksMax", 100), ("CPUQuotaPerSecUSec", 1_500_000), ("CPUWeight", 50)];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), PropertyValue::U64(value))).collect()
}

/// A journal that keeps nothing.
pub struct Forgetful;

impl Journal for Forgetful {
    fn begin(&mut self, _number: usize, _total: usize, _op: &Op) -> Result<(), HostError> {
        Ok(())
    }
}

/// Makes the host like `wanted`; gives back the steps.
pub fn settle(
    paths: &Paths,
    systemd: &Systemd,
    id: &TenantId,
    uid: u32,
    wanted: World,
) -> Result<Vec<Op>, plan::ApplyError> {
    let mut host = RealHost::new(paths.clone(), systemd.clone());
    let scope = Scope { tenant: id.clone(), uid: Some(uid), wanted };
    apply(&mut host, &mut Forgetful, &scope).map(|plan| plan.ops)
}
