//! What tenantd may hand out: whether uids, names and addresses are free on this host. Each conflict is one sentence.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use model::{AddressPool, Paths, TenantNetwork, UidPool};
use plan::HostError;

use crate::files;

/// Most bytes of a system table that are read.
const BOUND: usize = 64 << 20;

/// uids that systemd or the kernel give out by themselves: <https://systemd.io/UIDS-GIDS>.
const RESERVED: [(u32, u32, &str); 4] = [
    (60_001, 60_513, "systemd's home directories"),
    (61_184, 65_519, "systemd's dynamic users"),
    (65_534, 65_535, "nobody and the 16-bit -1"),
    (524_288, 1_879_048_191, "systemd's container uids"),
];

/// One route or local address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    link: String,
    network: Ipv4Addr,
    prefix: u8,
}

/// What in `/etc/subuid`, `/etc/subgid`, `/etc/passwd`, `/etc/group` or systemd's own ranges meets the pool.
/// `own` are uids that tenantd itself has given out.
pub fn uid_conflicts(paths: &Paths, pool: UidPool, own: &BTreeSet<u32>) -> Result<Vec<String>, HostError> {
    let mut conflicts = Vec::new();
    let text = format!("uid pool {}-{}", pool.first, pool.last);
    let remedy = "choose another range for pools.uids in /etc/tenantd/tenantd.toml";
    for (first, last, whose) in RESERVED {
        if first <= pool.last && pool.first <= last {
            conflicts.push(format!("{text}: it meets {first}-{last}, {whose}: {remedy}"));
        }
    }
    for file in ["etc/subuid", "etc/subgid"] {
        for (owner, first, last) in ranges(&table(paths, file)?) {
            if first <= u64::from(pool.last) && u64::from(pool.first) <= last {
                conflicts.push(format!(
                    "{text}: it meets {first}-{last}, which /{file} gives to {owner}: {remedy}"
                ));
            }
        }
    }
    for file in ["etc/passwd", "etc/group"] {
        for (name, number) in numbers(&table(paths, file)?) {
            if (pool.first..=pool.last).contains(&number) && !own.contains(&number) {
                conflicts.push(format!("{text}: {number} is {name}'s in /{file}: {remedy}"));
            }
        }
    }
    Ok(conflicts)
}

/// Whether anybody but `except` has this number as uid or gid, asked of every name service of the host.
pub fn uid_taken(uid: u32, except: &str) -> Option<String> {
    let remedy = "remove it or choose another range for pools.uids in /etc/tenantd/tenantd.toml";
    if let Some(user) = uzers::get_user_by_uid(uid).filter(|user| user.name() != except) {
        return Some(format!("uid {uid} is taken by user {}: {remedy}", user.name().to_string_lossy()));
    }
    let group = uzers::get_group_by_gid(uid).filter(|group| group.name() != except)?;
    Some(format!("gid {uid} is taken by group {}: {remedy}", group.name().to_string_lossy()))
}

/// Whether a user or group of this name exists, asked of every name service of the host.
pub fn name_taken(name: &str) -> Option<String> {
    user_named(name).or_else(|| group_named(name)).map(|number| name_sentence(name, number))
}

/// uid of the user of this name.
pub(crate) fn user_named(name: &str) -> Option<u32> {
    uzers::get_user_by_name(name).map(|user| user.uid())
}

/// gid of the group of this name.
pub(crate) fn group_named(name: &str) -> Option<u32> {
    uzers::get_group_by_name(name).map(|group| group.gid())
}

/// The sentence for a name that is taken.
pub(crate) fn name_sentence(name: &str, number: u32) -> String {
    format!(
        "account {name} exists already with number {number} and tenantd did not make it: remove it (\"getent passwd {name}; getent group {name}\") or choose another tenant name"
    )
}

/// Which routes and addresses of the host meet the pool; links in `own` are tenants'.
pub fn address_conflicts(
    paths: &Paths,
    pool: AddressPool,
    own: &BTreeSet<String>,
) -> Result<Vec<String>, HostError> {
    let foreign = routes(paths)?.into_iter().filter(|route| !own.contains(&route.link));
    Ok(foreign
        .filter(|route| pool.overlaps(route.network, route.prefix))
        .map(|route| in_use(&String::from(pool), &route))
        .collect())
}

/// Whether a route or an address of another link than `own_link` meets this tenant's network.
pub fn network_taken(
    paths: &Paths,
    network: TenantNetwork,
    own_link: &str,
) -> Result<Option<String>, HostError> {
    let pool = AddressPool { network: network.network, prefix: 30 };
    let taken = routes(paths)?
        .into_iter()
        .find(|route| route.link != own_link && pool.overlaps(route.network, route.prefix));
    Ok(taken.map(|route| in_use(&String::from(pool), &route)))
}

fn in_use(pool: &str, route: &Route) -> String {
    format!(
        "address pool {pool}: the host reaches {}/{} through {}: choose another pools.addresses in /etc/tenantd/tenantd.toml",
        route.network, route.prefix, route.link
    )
}

fn table(paths: &Paths, file: &str) -> Result<String, HostError> {
    let bytes = files::read_bounded(&paths.root().join(file), BOUND)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `name:first:count` lines.
fn ranges(text: &str) -> Vec<(String, u64, u64)> {
    let parse = |line: &str| {
        let mut fields = line.split(':');
        let owner = fields.next().filter(|owner| !owner.is_empty())?.to_owned();
        let first: u64 = fields.next()?.trim().parse().ok()?;
        let count: u64 = fields.next()?.trim().parse().ok()?;
        Some((owner, first, first.checked_add(count.checked_sub(1)?)?))
    };
    text.lines().filter_map(parse).collect()
}

/// `name:x:number:…` lines of passwd(5) and group(5).
fn numbers(text: &str) -> Vec<(String, u32)> {
    let parse = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// Routes of the main table but the default one, which covers everything and is in nobody's way. Local addresses lie
/// inside them, or are host routes of `/proc/net/fib_trie`.
fn routes(paths: &Paths) -> Result<Vec<Route>, HostError> {
    let read = |file: &str| -> Result<String, HostError> {
        let path = paths.root().join(file);
        kernel_file(&path)
    };
    let mut routes: Vec<Route> =
        read("proc/net/route")?.lines().skip(1).filter_map(route).filter(|route| route.prefix > 0).collect();
    // A thousand tenants have a thousand of each: addresses are looked up by prefix, not compared with every route.
    let networks: BTreeSet<(u8, u32)> =
        routes.iter().map(|route| (route.prefix, u32::from(route.network))).collect();
    let prefixes: BTreeSet<u8> = routes.iter().map(|route| route.prefix).collect();
    let is_covered = |address: Ipv4Addr| {
        let network = |prefix: u8| {
            u32::from(address) & u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
        };
        prefixes.iter().any(|prefix| networks.contains(&(*prefix, network(*prefix))))
    };
    for address in local_addresses(&read("proc/net/fib_trie")?) {
        if !address.is_loopback() && !is_covered(address) {
            routes.push(Route { link: "an address of its own".to_owned(), network: address, prefix: 32 });
        }
    }
    Ok(routes)
}

/// A file of the kernel's own; they have no size and no link can stand in their place.
pub(crate) fn kernel_file(path: &Path) -> Result<String, HostError> {
    use std::io::Read;
    let failed = |error: std::io::Error| crate::error::io("read", path, &error);
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(BOUND).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One line of `/proc/net/route`: link, destination, …, mask in the eighth field; numbers in the host's byte order.
fn route(line: &str) -> Option<Route> {
    let mut fields = line.split_ascii_whitespace();
    let link = fields.next()?.to_owned();
    // Printed as the number its memory holds; on the wire it is big-endian.
    let hex = |field: &str| Some(u32::from_be_bytes(u32::from_str_radix(field, 16).ok()?.to_ne_bytes()));
    let network = hex(fields.next()?)?;
    let mask = hex(fields.nth(5)?)?;
    let prefix = u8::try_from(mask.leading_ones()).ok()?;
    Some(Route { link, network: Ipv4Addr::from(network), prefix })
}

/// Addresses that `/proc/net/fib_trie` marks `/32 host LOCAL`.
fn local_addresses(text: &str) -> Vec<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in text.lines() {
        let line = line.trim_start();
        if let Some(leaf) = line.strip_prefix("|-- ") {
            last = leaf.trim().parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last);
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            files::write_atomic(&root.path().join(name), model::Owner::ROOT, 0o644, text.as_bytes()).unwrap();
        }
        let paths = Paths::below(root.path());
        (root, paths)
    }

    const POOL: UidPool = UidPool { first: 500_000, last: 523_999 };

    #[test]
    fn the_shipped_uid_pool_meets_nothing_on_a_fresh_debian() {
        let files = [("etc/subuid", "alice:100000:65536\n"), ("etc/passwd", "root:x:0:0::/root:/bin/sh\n")];
        let (_root, paths) = host(&files);
        assert_eq!(uid_conflicts(&paths, POOL, &BTreeSet::new()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_subuid_range_an_account_and_systemds_ranges_are_named() {
        let files = [
            ("etc/subuid", "# comment\nbob:100000:500000\nbroken\n:1:2\n"),
            ("etc/passwd", "carol:x:500007:100::/home/carol:/bin/sh\nt-acme:x:500001:1::/:/\n"),
        ];
        let (_root, paths) = host(&files);
        let found = uid_conflicts(&paths, POOL, &BTreeSet::from([500_001])).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("100000-599999, which /etc/subuid gives to bob"));
        assert!(found[1].contains("500007 is carol's in /etc/passwd"));
        let wide = UidPool { first: 500_000, last: 600_000 };
        let found = uid_conflicts(&paths, wide, &BTreeSet::from([500_001, 500_007])).unwrap();
        assert!(found[0].contains("systemd's container uids"), "{found:?}");
    }

    #[test]
    fn a_number_or_name_that_exists_is_taken() {
        assert!(uid_taken(0, "t-acme").unwrap().contains("taken by user root"));
        assert!(name_taken("root").unwrap().contains("exists already"));
        assert_eq!(uid_taken(523_998, "t-acme"), None);
    }

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
        eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\n\
        eth0\t0000D20A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\n\
        tb3\t0C00D20A\t00000000\t0001\t0\t0\t0\tFCFFFFFF\t0\n";
    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.99.0.7\n        /32 host LOCAL\n     |-- 10.210.0.0\n        /20 link UNICAST\n";

    #[test]
    fn the_default_route_and_own_links_are_in_nobodys_way() {
        let (_root, paths) = host(&[("proc/net/route", ROUTES), ("proc/net/fib_trie", TRIE)]);
        let pool = |text: &str| AddressPool::try_from(text.to_owned()).unwrap();
        let own = BTreeSet::from(["tb3".to_owned()]);
        let found = address_conflicts(&paths, pool("10.210.0.0/16"), &own).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("10.210.0.0/20 through eth0"));
        assert!(address_conflicts(&paths, pool("10.211.0.0/16"), &own).unwrap().is_empty());
        assert_eq!(address_conflicts(&paths, pool("10.99.0.0/16"), &own).unwrap().len(), 1);
    }

    #[test]
    fn a_tenants_own_link_does_not_take_its_network() {
        let (_root, paths) = host(&[("proc/net/route", ROUTES), ("proc/net/fib_trie", "")]);
        let own = TenantNetwork::new(Ipv4Addr::new(10, 210, 16, 12)).unwrap();
        assert_eq!(network_taken(&paths, own, "tb9").unwrap(), None);
        let met = TenantNetwork::new(Ipv4Addr::new(10, 210, 0, 12)).unwrap();
        assert!(network_taken(&paths, met, "tb3").unwrap().unwrap().contains("through eth0"));
    }
}
