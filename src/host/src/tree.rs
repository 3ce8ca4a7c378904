//! Directories: made by root in directories that only root writes, changed through a descriptor, removed empty.

use std::ffi::OsStr;
use std::path::Path;

use model::{Content, Exit, Key, Kind, Owner, Paths, Resource, World};
use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use plan::{HostError, Scope};

use crate::anchor::{Anchor, is_trusted, open_directory};
use crate::error::{os, sentence};
use crate::files;

/// Most bytes of a file of ours that are compared.
const BOUND: usize = 8 << 20;
/// Most entries of one directory of ours.
const ENTRIES: usize = 10_000;
/// Deepest nesting of directories of ours.
const DEPTH: usize = 16;
/// The directories a tenant owns inside its data.
pub(crate) const TENANT_DIRECTORIES: [&str; 3] = ["home", "state", "workspace"];

/// Directories, files and links of the tenant: what is wanted, and whatever lies under its own names.
pub(crate) fn observe(paths: &Paths, scope: &Scope, world: &mut World) -> Result<(), HostError> {
    for (_, wanted) in scope.wanted.iter() {
        if let Some(found) = observe_wanted(wanted)? {
            world.put(found);
        }
    }
    let compiled = paths.compiled(&scope.tenant);
    discover(&compiled, world, 0)?;
    discover(&paths.egress(&scope.tenant), world, 0)?;
    for file in [paths.spec(&scope.tenant), paths.route(&scope.tenant)] {
        let temporary = file.file_name().map(files::temporary_name).unwrap_or_default();
        for path in [&file, &file.with_file_name(temporary)] {
            if let Some(seen) = files::look(path, 0)? {
                put_new(world, unread_file(path, seen.owner, seen.mode, false));
            }
        }
    }
    let data = paths.data(&scope.tenant);
    let kept = Key { kind: Kind::Directory, name: data.display().to_string() };
    if scope.wanted.get(&kept).is_none() { discover_data(&data, world) } else { Ok(()) }
}

/// Makes a directory, or gives an existing one of root's or of the same owner the right owner and mode.
pub(crate) fn make(path: &Path, owner: Owner, mode: u32) -> Result<(), HostError> {
    let (parent, name) = Anchor::make_parent_of(path)?;
    match mkdirat(&parent, name.as_os_str(), Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(os("make directory", path, errno)),
    }
    let fd = open_directory(&parent, &name)?;
    let stat = fstat(&fd).map_err(|errno| os("look at", path, errno))?;
    refuse_foreign_owner(path, stat.st_uid, owner.uid)?;
    fchown(&fd, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
        .map_err(|errno| os("give an owner to directory", path, errno))?;
    fchmod(&fd, Mode::from_bits_truncate(mode))
        .map_err(|errno| os("set the mode of directory", path, errno))?;
    parent.sync()
}

/// Removes an empty directory. `false`: it is not empty.
pub(crate) fn remove_empty(path: &Path) -> Result<bool, HostError> {
    let (Some(parent), name) = Anchor::parent_of(path)? else { return Ok(true) };
    match unlinkat(&parent, name.as_os_str(), UnlinkatFlags::RemoveDir) {
        Ok(()) => parent.sync().map(|()| true),
        Err(Errno::ENOENT) => Ok(true),
        Err(errno) if errno == Errno::ENOTEMPTY || errno == Errno::EEXIST => Ok(false),
        Err(errno) => Err(os("remove directory", path, errno)),
    }
}

/// Gives a directory of root's another name in the same directory; nothing that is there already is replaced.
pub fn move_directory(from: &Path, to: &Path) -> Result<(), HostError> {
    let failed = |errno| os("rename into place", to, errno);
    let ((Some(parent), name), (Some(other), new)) = (Anchor::parent_of(from)?, Anchor::parent_of(to)?)
    else {
        return Err(failed(Errno::ENOENT));
    };
    match renameat2(&parent, name.as_os_str(), &other, new.as_os_str(), RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXDEV) => {
            let text = format!(
                "cannot rename {} to {}: the file system cannot rename this directory (is it a mount, or in the lower layer of an overlay?): move what mounts there one level up",
                from.display(),
                to.display()
            );
            return Err(sentence(Exit::Os, text));
        }
        Err(errno) => return Err(failed(errno)),
    }
    parent.sync()
}

/// Whether there is a directory of root's.
pub fn directory_exists(path: &Path) -> Result<bool, HostError> {
    Ok(Anchor::find(path)?.is_some())
}

/// The error for a directory that should be empty by now.
pub(crate) fn not_empty(path: &Path) -> HostError {
    let text = format!(
        "directory {} cannot be removed: it holds something tenantd did not make: move that away and try again",
        path.display()
    );
    sentence(Exit::CantCreate, text)
}

fn observe_wanted(wanted: &Resource) -> Result<Option<Resource>, HostError> {
    match wanted {
        Resource::Directory { path, owner, tenant_content, .. } => {
            let (Some(parent), name) = Anchor::parent_of(path)? else { return Ok(None) };
            let Some(stat) = parent.look(&name)? else { return Ok(None) };
            if !files::is(&stat, SFlag::S_IFDIR) {
                return Err(files::other_kind(path, &stat, "a directory"));
            }
            refuse_foreign_owner(path, stat.st_uid, owner.uid)?;
            Ok(Some(directory(path, &stat, *tenant_content)))
        }
        Resource::File { path, content, restart, .. } => {
            let Some(seen) = files::look(path, BOUND)? else { return Ok(None) };
            let content = match content.is_sensitive() {
                true => Content::sensitive(seen.bytes),
                false => Content::plain(seen.bytes),
            };
            let (owner, mode, restart) = (seen.owner, seen.mode, *restart);
            Ok(Some(Resource::File { path: path.clone(), owner, mode, content, restart }))
        }
        Resource::Link { path, restart, .. } => {
            let target = files::look_link(path)?;
            Ok(target.map(|target| Resource::Link { path: path.clone(), target, restart: *restart }))
        }
        Resource::Account(_)
        | Resource::Quota { .. }
        | Resource::Slice { .. }
        | Resource::Enablement { .. }
        | Resource::Unit { .. } => Ok(None),
    }
}

/// Everything below a root-owned directory of ours, and the directory itself.
fn discover(path: &Path, world: &mut World, depth: usize) -> Result<(), HostError> {
    if depth > DEPTH {
        let text =
            format!("{} is nested deeper than tenantd nests anything: remove it by hand", path.display());
        return Err(sentence(Exit::Os, text));
    }
    let Some(anchor) = Anchor::find(path)? else { return Ok(()) };
    let stat = fstat(&anchor).map_err(|errno| os("look at", path, errno))?;
    put_new(world, directory(path, &stat, false));
    for name in anchor.names(ENTRIES)? {
        let below = path.join(&name);
        match anchor.look(&name)? {
            Some(stat) if files::is(&stat, SFlag::S_IFDIR) => discover(&below, world, depth + 1)?,
            Some(stat) => discover_entry(&below, &stat, world)?,
            None => {}
        }
    }
    Ok(())
}

fn discover_entry(path: &Path, stat: &FileStat, world: &mut World) -> Result<(), HostError> {
    if files::is(stat, SFlag::S_IFREG) {
        put_new(world, unread_file(path, owner_of(stat), stat.st_mode & 0o7777, true));
    } else if let Some(target) = files::look_link(path)? {
        put_new(world, Resource::Link { path: path.to_owned(), target, restart: true });
    }
    Ok(())
}

/// The data tree on its way out: the root-owned top and what lies directly in it; what the tenant owns is not entered.
fn discover_data(top: &Path, world: &mut World) -> Result<(), HostError> {
    let (Some(parent), name) = Anchor::parent_of(top)? else { return Ok(()) };
    match parent.look(&name)? {
        None => return Ok(()),
        Some(stat) if !files::is(&stat, SFlag::S_IFDIR) => {
            return Err(files::other_kind(top, &stat, "a directory"));
        }
        Some(_) => {}
    }
    let Some(anchor) = Anchor::find(top)? else { return Ok(()) };
    let stat = fstat(&anchor).map_err(|errno| os("look at", top, errno))?;
    put_new(world, directory(top, &stat, false));
    for name in anchor.names(ENTRIES)? {
        let below = top.join(&name);
        match anchor.look(&name)? {
            Some(stat) if files::is(&stat, SFlag::S_IFDIR) => {
                let tenants =
                    !is_trusted(stat.st_uid) || TENANT_DIRECTORIES.iter().any(|own| OsStr::new(own) == name);
                put_new(world, directory(&below, &stat, tenants));
            }
            Some(stat) => discover_entry(&below, &stat, world)?,
            None => {}
        }
    }
    Ok(())
}

fn directory(path: &Path, stat: &FileStat, tenant_content: bool) -> Resource {
    let mode = stat.st_mode & 0o7777;
    Resource::Directory { path: path.to_owned(), owner: owner_of(stat), mode, tenant_content }
}

/// A file nobody wants: its content is not read, so that it cannot get into a journal.
fn unread_file(path: &Path, owner: Owner, mode: u32, restart: bool) -> Resource {
    Resource::File { path: path.to_owned(), owner, mode, content: Content::sensitive(Vec::new()), restart }
}

fn owner_of(stat: &FileStat) -> Owner {
    Owner { uid: stat.st_uid, gid: stat.st_gid }
}

fn put_new(world: &mut World, resource: Resource) {
    if world.get(&resource.key()).is_none() {
        world.put(resource);
    }
}

fn refuse_foreign_owner(path: &Path, found: u32, wanted: u32) -> Result<(), HostError> {
    if found == wanted || is_trusted(found) {
        return Ok(());
    }
    let text = format!(
        "directory {} exists and belongs to uid {found}, not to uid {wanted}: move it away and try again",
        path.display()
    );
    Err(sentence(Exit::CantCreate, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use model::TenantId;

    use super::*;

    const UID: u32 = 500_003;

    fn scope(wanted: World) -> Scope {
        Scope { tenant: TenantId::parse("acme").unwrap(), uid: Some(UID), wanted }
    }

    fn place() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        (root, paths)
    }

    fn seen(paths: &Paths, wanted: World) -> Result<World, HostError> {
        let mut world = World::empty();
        observe(paths, &scope(wanted), &mut world)?;
        Ok(world)
    }

    #[test]
    fn what_was_made_is_seen_as_wanted() {
        let (_root, paths) = place();
        let id = TenantId::parse("acme").unwrap();
        let path = paths.data(&id).join("state");
        make(&paths.data(&id), Owner::root_for(UID), 0o750).unwrap();
        make(&path, Owner::tenant(UID), 0o700).unwrap();
        let wanted = World::from_iter([
            Resource::Directory {
                path: paths.data(&id),
                owner: Owner::root_for(UID),
                mode: 0o750,
                tenant_content: false,
            },
            Resource::Directory { path, owner: Owner::tenant(UID), mode: 0o700, tenant_content: true },
        ]);
        assert_eq!(seen(&paths, wanted.clone()).unwrap(), wanted);
    }

    #[test]
    fn leftovers_are_found_without_any_wish_and_their_content_is_not_read() {
        let (_root, paths) = place();
        let id = TenantId::parse("acme").unwrap();
        let compiled = paths.compiled(&id);
        files::write_atomic(&compiled.join("config/openclaw.json"), Owner::ROOT, 0o640, b"secret").unwrap();
        files::write_link(&compiled.join("runtime"), Path::new("/nowhere")).unwrap();
        files::write_atomic(&paths.spec(&id), Owner::ROOT, 0o644, b"spec").unwrap();
        make(&paths.data(&id).join("home"), Owner::tenant(UID), 0o700).unwrap();
        let world = seen(&paths, World::empty()).unwrap();
        let kinds: Vec<Kind> = world.iter().map(|(key, _)| key.kind).collect();
        let expected = [
            Kind::Directory,
            Kind::Directory,
            Kind::Directory,
            Kind::Directory,
            Kind::File,
            Kind::File,
            Kind::Link,
        ];
        assert_eq!(kinds, expected, "{world:?}");
        assert!(
            !serde_json::to_string(&world).unwrap().contains("115,101,99,114,101,116"),
            "content was read"
        );
    }

    #[test]
    fn a_kept_data_tree_is_not_searched_for_strangers() {
        let (_root, paths) = place();
        let id = TenantId::parse("acme").unwrap();
        make(&paths.data(&id), Owner::root_for(UID), 0o750).unwrap();
        files::write_atomic(&paths.data(&id).join("note"), Owner::ROOT, 0o600, b"the operator's").unwrap();
        let top = directory(&paths.data(&id), &nix::sys::stat::stat(&paths.data(&id)).unwrap(), false);
        assert_eq!(seen(&paths, World::from_iter([top])).unwrap().len(), 1);
        assert_eq!(seen(&paths, World::empty()).unwrap().len(), 2);
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_is_an_error() {
        let (root, paths) = place();
        let id = TenantId::parse("acme").unwrap();
        std::fs::create_dir_all(paths.all_data()).unwrap();
        symlink(root.path(), paths.data(&id)).unwrap();
        assert!(seen(&paths, World::empty()).unwrap_err().message.contains("is a symbolic link"));
        assert!(make(&paths.data(&id), Owner::ROOT, 0o750).unwrap_err().message.contains("follows no link"));
        assert!(make(&paths.data(&id).join("home"), Owner::ROOT, 0o750).is_err());
    }

    #[test]
    fn a_directory_of_another_user_is_not_taken_over() {
        let (_root, paths) = place();
        if nix::unistd::chown(paths.root(), Some(Uid::from_raw(0)), None).is_err() {
            eprintln!("skipped: needs root");
            return;
        }
        let id = TenantId::parse("acme").unwrap();
        let path = paths.data(&id).join("home");
        make(&path, Owner::tenant(1234), 0o700).unwrap();
        let error = make(&path, Owner::tenant(UID), 0o700).unwrap_err();
        assert!(error.message.contains("belongs to uid 1234"), "{error}");
        assert_eq!(path.metadata().unwrap().uid(), 1234);
        let wanted =
            Resource::Directory { path, owner: Owner::tenant(UID), mode: 0o700, tenant_content: true };
        assert_eq!(seen(&paths, World::from_iter([wanted])).unwrap_err().exit, Exit::CantCreate);
    }

    #[test]
    fn only_an_empty_directory_is_removed() {
        let (_root, paths) = place();
        let path = paths.root().join("a/b");
        make(&path, Owner::ROOT, 0o755).unwrap();
        assert!(!remove_empty(&paths.root().join("a")).unwrap());
        assert!(remove_empty(&path).unwrap());
        assert!(remove_empty(&path).unwrap());
    }
}
