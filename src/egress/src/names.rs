//! Which name an address stands for: addresses that names were resolved to, and addresses of 198.18.0.0/15 that stand for names
//! nobody was asked about. Both tables are bounded; what was not used for longest goes first. That a name has an address holds for an hour
//! after the last answer that said so; then it only tells which name is to be looked up again.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a name has an address after the last answer that said so; answers say 30 s, and programs keep them for longer.
const HOLDS: Duration = Duration::from_secs(3600);
/// Addresses of a name, at most.
const EACH: usize = 64;
/// Names of each kind, at most.
const MOST: usize = 4096;
/// The first address that stands for a name, and how many there are (RFC 2544's block, without its first and last).
const FIRST: u32 = 0xc612_0001;
const COUNT: u32 = (1 << 17) - 2;

/// Both tables.
#[derive(Debug, Default)]
pub struct Names {
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    clock: u64,
    pins: HashMap<String, (u64, Vec<Pin>)>,
    stand_ins: HashMap<String, (u64, u32)>,
    standing: HashMap<u32, String>,
    next: u32,
}

/// An address of a name, and when an answer said so.
#[derive(Clone, Copy, Debug)]
struct Pin {
    address: IpAddr,
    said: Instant,
}

impl Pin {
    fn holds(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.said) < HOLDS
    }
}

impl Names {
    /// Notes what a name was resolved to just now; what it was resolved to before holds on for its time.
    pub fn pin(&self, name: &str, addresses: &[IpAddr]) {
        self.pin_at(name, addresses, Instant::now());
    }

    fn pin_at(&self, name: &str, addresses: &[IpAddr], said: Instant) {
        let mut tables = self.lock();
        let now = tables.tick();
        if !tables.pins.contains_key(name) {
            evict(&mut tables.pins);
        }
        let (used, known) = tables.pins.entry(name.to_owned()).or_default();
        *used = now;
        known.retain(|pin| !addresses.contains(&pin.address));
        known.splice(..0, addresses.iter().map(|address| Pin { address: *address, said }));
        known.truncate(EACH);
    }

    /// The address that stands for a name: the same as long as it is known.
    pub fn stand_in(&self, name: &str) -> Ipv4Addr {
        let mut tables = self.lock();
        let now = tables.tick();
        if let Some((used, place)) = tables.stand_ins.get_mut(name) {
            *used = now;
            return Ipv4Addr::from_bits(FIRST + *place);
        }
        if let Some((_, (_, place))) = evict(&mut tables.stand_ins) {
            tables.standing.remove(&place);
        }
        // An address is given to another name only after all others: a connection to a forgotten one goes nowhere.
        let mut place = tables.next;
        while tables.standing.contains_key(&place) {
            place = (place + 1) % COUNT;
        }
        tables.next = (place + 1) % COUNT;
        tables.stand_ins.insert(name.to_owned(), (now, place));
        tables.standing.insert(place, name.to_owned());
        Ipv4Addr::from_bits(FIRST + place)
    }

    /// The name that an address stands for.
    pub fn standing_for(&self, address: IpAddr) -> Option<String> {
        let IpAddr::V4(address) = address else { return None };
        let mut tables = self.lock();
        let now = tables.tick();
        let name = tables.standing.get(&address.to_bits().checked_sub(FIRST)?)?.clone();
        if let Some((used, _)) = tables.stand_ins.get_mut(&name) {
            *used = now;
        }
        Some(name)
    }

    /// Whether the name has this address, by an answer that still holds.
    pub fn is_pinned(&self, name: &str, address: IpAddr) -> bool {
        self.is_pinned_at(name, address, Instant::now())
    }

    fn is_pinned_at(&self, name: &str, address: IpAddr, now: Instant) -> bool {
        let mut tables = self.lock();
        let tick = tables.tick();
        let Some((used, known)) = tables.pins.get_mut(name) else { return false };
        *used = tick;
        known.iter().any(|pin| pin.address == address && pin.holds(now))
    }

    /// The only name that was resolved to this address; nothing if there are several. One that no longer holds counts where none does: it
    /// tells what is to be looked up again.
    pub fn only_name_of(&self, address: IpAddr) -> Option<String> {
        self.only_name_of_at(address, Instant::now())
    }

    fn only_name_of_at(&self, address: IpAddr, now: Instant) -> Option<String> {
        let tables = self.lock();
        let only = |wanted: &dyn Fn(&Pin) -> bool| {
            let mut found = tables.pins.iter().filter(|(_, (_, known))| known.iter().any(wanted));
            let first = found.next().map(|(name, _)| name.clone());
            (first, found.next().is_some())
        };
        match only(&|pin| pin.address == address && pin.holds(now)) {
            (None, _) => {}
            (found, several) => return found.filter(|_| !several),
        }
        let (found, several) = only(&|pin| pin.address == address);
        found.filter(|_| !several)
    }

    /// Whether any name was resolved to this address, however long ago.
    pub fn is_known(&self, address: IpAddr) -> bool {
        self.lock().pins.values().any(|(_, known)| known.iter().any(|pin| pin.address == address))
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Tables {
    /// Begins anywhere: a program may still know addresses from before this one was started, and must not find other names there.
    fn default() -> Self {
        let any = RandomState::new().hash_one(0) % u64::from(COUNT);
        Self {
            clock: 0,
            pins: HashMap::new(),
            stand_ins: HashMap::new(),
            standing: HashMap::new(),
            next: u32::try_from(any).unwrap_or(0),
        }
    }
}

impl Tables {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// Makes room for one.
fn evict<T: Clone>(table: &mut HashMap<String, (u64, T)>) -> Option<(String, (u64, T))> {
    if table.len() < MOST {
        return None;
    }
    let oldest = table.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| name.clone())?;
    table.remove_entry(&oldest)
}

/// Whether it is an address of the block that stands for names.
#[must_use]
pub fn stands_in(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if matches!(v4.octets(), [198, 18 | 19, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_stable_and_never_stands_for_two_names() {
        let names = Names::default();
        let first = names.stand_in("a.example");
        assert_eq!(names.stand_in("a.example"), first);
        assert_eq!(names.standing_for(first.into()).as_deref(), Some("a.example"));
        for number in 0..MOST + 10 {
            let address = names.stand_in(&format!("n{number}.example"));
            assert!(stands_in(address.into()) && address != first);
        }
        assert_eq!(names.standing_for(first.into()), None);
        assert!(names.lock().standing.len() <= MOST);
    }

    #[test]
    fn an_address_of_two_names_names_none() {
        let names = Names::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        names.pin("a.example", &[address]);
        assert_eq!(names.only_name_of(address).as_deref(), Some("a.example"));
        names.pin("b.example", &[address]);
        assert_eq!(names.only_name_of(address), None);
        assert!(names.is_pinned("b.example", address) && !names.is_pinned("c.example", address));
    }

    #[test]
    fn an_address_holds_for_an_hour_after_the_last_answer_and_then_the_name_is_looked_up_again() {
        let names = Names::default();
        let [old, new] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        names.pin_at("a.example", &[old, new], begun);
        names.pin_at("a.example", &[new], after(1800));
        for (seconds, holds) in [(3599, (true, true)), (3600, (false, true)), (5400, (false, false))] {
            let now = after(seconds);
            let both = (names.is_pinned_at("a.example", old, now), names.is_pinned_at("a.example", new, now));
            assert_eq!(both, holds, "{seconds}");
        }
        // It is still no address that nobody looked up, and it is told whose it was.
        assert!(names.is_known(old));
        assert_eq!(names.only_name_of_at(old, after(9999)).as_deref(), Some("a.example"));
        // Whoever has it now goes before whoever had it.
        names.pin_at("b.example", &[old], after(9000));
        assert_eq!(names.only_name_of_at(old, after(9999)).as_deref(), Some("b.example"));
        assert_eq!(names.only_name_of_at(old, after(13_000)), None);
    }

    #[test]
    fn names_and_their_addresses_are_bounded() {
        let names = Names::default();
        for number in 0..MOST + 10 {
            names.pin(&format!("n{number}.example"), &[IpAddr::from([192, 0, 2, 1])]);
        }
        for number in 0..200 {
            names.pin("a.example", &[IpAddr::from([192, 0, 2, number])]);
        }
        let tables = names.lock();
        assert!(tables.pins.len() <= MOST);
        assert_eq!(tables.pins.get("a.example").map(|(_, known)| known.len()), Some(EACH));
    }
}
