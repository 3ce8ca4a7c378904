//! A tenant's account as systemd user records: four files in `/etc/userdb`, read by nss-systemd.
//!
//! The record by name comes last and goes first, so a half-made account cannot be resolved as a user.

use std::path::{Path, PathBuf};

use model::{Account, Exit, Key, Kind, Owner, Paths, Resource};
use plan::{HostError, Scope};
use serde::{Deserialize, Serialize};

use crate::error::sentence;
use crate::{files, pools};

/// Most bytes of a record of ours.
const BOUND: usize = 16 << 10;
/// Stands in the comment of an account that was found half-made, so that it equals no wanted one.
const INCOMPLETE: &str = "(incomplete)";

/// User record, <https://systemd.io/USER_RECORD>.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserRecord {
    user_name: String,
    real_name: String,
    disposition: String,
    uid: u32,
    gid: u32,
    home_directory: PathBuf,
    shell: PathBuf,
    locked: bool,
    service: String,
}

/// Group record, <https://systemd.io/GROUP_RECORD>.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupRecord {
    group_name: String,
    gid: u32,
    disposition: String,
    service: String,
}

/// Where the four lie.
struct Places {
    user: PathBuf,
    user_by_uid: PathBuf,
    group: PathBuf,
    group_by_gid: PathBuf,
}

impl Places {
    fn of(paths: &Paths, name: &str, uid: u32) -> Self {
        let below = |file: String| paths.userdb().join(file);
        Self {
            user: below(format!("{name}.user")),
            user_by_uid: below(format!("{uid}.user")),
            group: below(format!("{name}.group")),
            group_by_gid: below(format!("{uid}.group")),
        }
    }
}

/// The account of the tenant: complete, half-made, or not there. A foreign one of that name or uid is an error.
pub(crate) fn observe(paths: &Paths, scope: &Scope) -> Result<Option<Account>, HostError> {
    let name = scope.tenant.user();
    let key = Key { kind: Kind::Account, name: name.clone() };
    let wanted = scope
        .wanted
        .get(&key)
        .and_then(|resource| if let Resource::Account(account) = resource { Some(account) } else { None });
    let recorded = read_record(paths, &name)?;
    let uid =
        recorded.as_ref().map(|account| account.uid).or(scope.uid).or(wanted.map(|account| account.uid));
    if let Some(account) = &recorded {
        if is_complete(paths, account)? {
            return Ok(recorded);
        }
    }
    let traces = traces(paths, &name, uid)?;
    if let Some(wanted) = wanted {
        refuse_foreign(paths, wanted, recorded.as_ref().map(|account| account.uid))?;
    }
    let half_made = || Account {
        name: name.clone(),
        uid: uid.unwrap_or_default(),
        comment: INCOMPLETE.to_owned(),
        home: PathBuf::new(),
    };
    Ok(traces.then(half_made))
}

/// Makes the account, or makes it right: group, links, and the user last.
pub(crate) fn make(paths: &Paths, account: &Account) -> Result<(), HostError> {
    if let Some(old) = read_record(paths, &account.name)?.filter(|old| old.uid != account.uid) {
        remove(paths, &old)?;
    }
    let places = Places::of(paths, &account.name, account.uid);
    let (user, group) = records(account)?;
    files::write_atomic(&places.group, Owner::ROOT, 0o644, group.as_bytes())?;
    files::write_link(&places.group_by_gid, Path::new(&format!("{}.group", account.name)))?;
    files::write_link(&places.user_by_uid, Path::new(&format!("{}.user", account.name)))?;
    files::write_atomic(&places.user, Owner::ROOT, 0o644, user.as_bytes())
}

/// Removes the account: the user first. Links by number go only when they are this account's.
pub(crate) fn remove(paths: &Paths, account: &Account) -> Result<(), HostError> {
    let recorded = read_record(paths, &account.name)?.map_or(account.uid, |found| found.uid);
    files::remove(&Places::of(paths, &account.name, account.uid).user)?;
    for uid in [recorded, account.uid] {
        let places = Places::of(paths, &account.name, uid);
        for (link, record) in [(&places.user_by_uid, &places.user), (&places.group_by_gid, &places.group)] {
            if points_to(link, record)? {
                files::remove(link)?;
            }
        }
        files::remove(&places.group)?;
    }
    Ok(())
}

fn records(account: &Account) -> Result<(String, String), HostError> {
    let service = "org.tenantd".to_owned();
    let user = UserRecord {
        user_name: account.name.clone(),
        real_name: account.comment.clone(),
        disposition: "system".to_owned(),
        uid: account.uid,
        gid: account.uid,
        home_directory: account.home.clone(),
        shell: PathBuf::from("/usr/sbin/nologin"),
        locked: true,
        service: service.clone(),
    };
    let group = GroupRecord {
        group_name: account.name.clone(),
        gid: account.uid,
        disposition: "system".to_owned(),
        service,
    };
    let text = |json: Result<String, serde_json::Error>| {
        json.map(|text| text + "\n").map_err(|error| {
            sentence(Exit::Software, format!("account {}: cannot write its record: {error}", account.name))
        })
    };
    Ok((text(serde_json::to_string(&user))?, text(serde_json::to_string(&group))?))
}

fn read_record(paths: &Paths, name: &str) -> Result<Option<Account>, HostError> {
    let Some(seen) = files::look(&Places::of(paths, name, 0).user, BOUND)? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<UserRecord>(&seen.bytes) else { return Ok(None) };
    Ok(Some(Account {
        name: record.user_name,
        uid: record.uid,
        comment: record.real_name,
        home: record.home_directory,
    }))
}

fn is_complete(paths: &Paths, account: &Account) -> Result<bool, HostError> {
    let places = Places::of(paths, &account.name, account.uid);
    let (user, group) = records(account)?;
    let right = |path: &Path, text: &str| -> Result<bool, HostError> {
        let seen = files::look(path, BOUND)?;
        Ok(seen.is_some_and(|seen| {
            seen.bytes == text.as_bytes() && seen.mode == 0o644 && crate::anchor::is_trusted(seen.owner.uid)
        }))
    };
    Ok(right(&places.user, &user)?
        && right(&places.group, &group)?
        && points_to(&places.user_by_uid, &places.user)?
        && points_to(&places.group_by_gid, &places.group)?)
}

fn points_to(link: &Path, record: &Path) -> Result<bool, HostError> {
    let target = files::look_link(link)?;
    Ok(target.is_some_and(|target| Some(target.as_os_str()) == record.file_name()))
}

/// Whether anything of the account lies there, temporary files included.
fn traces(paths: &Paths, name: &str, uid: Option<u32>) -> Result<bool, HostError> {
    let places = Places::of(paths, name, uid.unwrap_or_default());
    for record in [&places.user, &places.group] {
        let temporary = record.file_name().map(files::temporary_name).unwrap_or_default();
        if files::look(record, 0)?.is_some() || files::look(&record.with_file_name(temporary), 0)?.is_some() {
            return Ok(true);
        }
    }
    if uid.is_none() {
        return Ok(false);
    }
    Ok(points_to(&places.user_by_uid, &places.user)? || points_to(&places.group_by_gid, &places.group)?)
}

/// Name and number must be free, or already this account's own.
fn refuse_foreign(paths: &Paths, wanted: &Account, recorded: Option<u32>) -> Result<(), HostError> {
    let places = Places::of(paths, &wanted.name, wanted.uid);
    for (link, record) in [(&places.user_by_uid, &places.user), (&places.group_by_gid, &places.group)] {
        if let Some(target) =
            files::look_link(link)?.filter(|target| Some(target.as_os_str()) != record.file_name())
        {
            let text = format!(
                "uid {} of account {} is taken: {} points to {}: remove that record or choose another uid pool",
                wanted.uid,
                wanted.name,
                link.display(),
                target.display()
            );
            return Err(sentence(Exit::CantCreate, text));
        }
    }
    if paths.root() != Path::new("/") {
        return Ok(());
    }
    let named = pools::user_named(&wanted.name).filter(|found| Some(*found) != recorded);
    let own_group = files::look(&places.group, 0)?.is_some();
    let group = pools::group_named(&wanted.name).filter(|_| !own_group);
    if let Some(number) = named.or(group) {
        return Err(sentence(Exit::CantCreate, pools::name_sentence(&wanted.name, number)));
    }
    pools::uid_taken(wanted.uid, &wanted.name).map_or(Ok(()), |text| Err(sentence(Exit::CantCreate, text)))
}

#[cfg(test)]
mod tests {
    use model::{TenantId, World};

    use super::*;

    fn account() -> Account {
        Account {
            name: "t-acme".to_owned(),
            uid: 500_003,
            comment: "tenant acme".to_owned(),
            home: PathBuf::from("/var/lib/tenants/acme/home"),
        }
    }

    fn seen(paths: &Paths, wanted: bool) -> Result<Option<Account>, HostError> {
        let wanted = if wanted { World::from_iter([Resource::Account(account())]) } else { World::empty() };
        observe(paths, &Scope { tenant: TenantId::parse("acme").unwrap(), uid: Some(500_003), wanted })
    }

    #[test]
    fn an_account_is_seen_only_when_all_four_files_are_right() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert_eq!(seen(&paths, true).unwrap(), None);
        for name in ["t-acme.user", "t-acme.group", "500003.user", "500003.group"] {
            make(&paths, &account()).unwrap();
            assert_eq!(seen(&paths, true).unwrap(), Some(account()));
            std::fs::remove_file(paths.userdb().join(name)).unwrap();
            assert_eq!(seen(&paths, true).unwrap().unwrap().comment, INCOMPLETE, "without {name}");
        }
        make(&paths, &account()).unwrap();
        files::write_atomic(&paths.userdb().join("t-acme.user"), Owner::ROOT, 0o644, b"{}").unwrap();
        assert_eq!(seen(&paths, true).unwrap().unwrap().comment, INCOMPLETE);
        remove(&paths, &account()).unwrap();
        assert_eq!(std::fs::read_dir(paths.userdb()).unwrap().count(), 0);
    }

    #[test]
    fn an_account_that_moved_to_another_uid_leaves_no_link_behind() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        make(&paths, &Account { uid: 500_009, ..account() }).unwrap();
        assert_eq!(seen(&paths, true).unwrap().unwrap().uid, 500_009);
        make(&paths, &account()).unwrap();
        assert_eq!(
            files::list(&paths.userdb()).unwrap(),
            ["500003.group", "500003.user", "t-acme.group", "t-acme.user"]
        );
    }

    #[test]
    fn a_uid_of_another_record_is_taken_and_never_removed() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        make(&paths, &Account { name: "t-other".to_owned(), ..account() }).unwrap();
        let error = seen(&paths, true).unwrap_err();
        assert!(error.message.contains("points to t-other.user"), "{error}");
        remove(&paths, &account()).unwrap();
        assert_eq!(files::list(&paths.userdb()).unwrap().len(), 4);
        assert_eq!(seen(&paths, false).unwrap(), None);
    }
}
