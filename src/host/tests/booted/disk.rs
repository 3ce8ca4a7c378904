//! Disk quota of a whole tenant, where `/var/lib/tenants` is on a file system that has it.

use std::fs::File;
use std::io::Write;

use model::{Resource, World};

use crate::place::{ready, say, settle, tenant, world};

#[test]
#[ignore = "needs a throwaway host"]
fn what_a_tenant_had_before_its_quota_counts_against_it() {
    let (paths, systemd) = ready();
    assert!(
        host::facts(&paths, &systemd).unwrap().project_quota,
        "this host's /var/lib/tenants has no project quota"
    );
    let (id, uid) = tenant("quota", 50);
    let mut wanted = world(&paths, &id, uid);
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    let state = paths.data(&id).join("state");
    std::fs::create_dir(state.join("deep")).unwrap();
    File::create(state.join("deep/old")).unwrap().write_all(&vec![1u8; 3 << 20]).unwrap();
    say(&["chown", "-R", &format!("{uid}:{uid}"), &state.join("deep").display().to_string()]);
    wanted.put(Resource::Quota { path: paths.data(&id), project: uid, bytes: 4 << 20 });
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    assert!(settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap().is_empty());
    // CAP_SYS_RESOURCE exempts root from quota, so a process of the tenant's uid writes.
    let write = |file: &std::path::Path, mib: u32| {
        let script = format!("head -c {mib}M /dev/zero >{0} && sync {0}", file.display());
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}")];
        say(&["setpriv", &ids[0], &ids[1], "--clear-groups", "sh", "-c", &script]).0
    };
    let new = state.join("deep/new");
    assert!(!write(&new, 2), "3 MiB old and 2 MiB new are more than 4");
    let elsewhere = paths.all_data().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    say(&["chown", &uid.to_string(), &elsewhere.display().to_string()]);
    assert!(write(&elsewhere.join("new"), 6), "outside the project nothing is limited");
    std::fs::remove_dir_all(&elsewhere).unwrap();
    wanted.put(Resource::Quota { path: paths.data(&id), project: uid, bytes: 8 << 20 });
    settle(&paths, &systemd, &id, uid, wanted).unwrap();
    assert!(write(&new, 2), "a larger quota holds at once");
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert!(!paths.data(&id).exists());
}
