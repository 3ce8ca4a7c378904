//! Names that are looked up: each once at a time, however many ask; few below one domain, so that a slow name server holds up its own names
//! and no others; and what failed is not tried again at once. A look-up cannot be called off (getaddrinfo(3)), so whoever asks waits for so
//! long, and the look-up has its place until it has ended.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use crate::network::{Coming, Network};

/// How long somebody waits for a name.
const PATIENCE: Duration = Duration::from_secs(5);
/// Look-ups at once: each takes a thread.
pub(crate) const AT_ONCE: usize = 24;
/// Of them, those of names below one domain.
const EACH: usize = 4;
/// Names that are looked up or wait for it, at most, and those below one domain.
const WAITING: usize = 256;
const WAITING_EACH: usize = 64;
/// How long it counts that a name cannot be resolved, and of how many names that is known.
const FAILED: Duration = Duration::from_secs(5);
const FAILURES: usize = 1024;

type Found = Result<Vec<IpAddr>, (io::ErrorKind, String)>;
type Flight = Arc<watch::Sender<Option<Found>>>;

/// A network whose names are looked up so.
pub struct Lookups {
    network: Arc<dyn Network>,
    own: Arc<Own>,
}

struct Own {
    tables: Mutex<Tables>,
    places: Semaphore,
}

#[derive(Default)]
struct Tables {
    flights: HashMap<String, Flight>,
    domains: HashMap<String, Arc<Semaphore>>,
    failed: HashMap<String, (Instant, io::ErrorKind, String)>,
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

impl Lookups {
    /// Over this network.
    #[must_use]
    pub fn new(network: Arc<dyn Network>) -> Self {
        let own = Own { tables: Mutex::default(), places: Semaphore::new(AT_ONCE) };
        Self { network, own: Arc::new(own) }
    }

    async fn find(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut coming = self.join(name)?;
        let found = tokio::time::timeout(PATIENCE, coming.wait_for(Option::is_some)).await;
        let found = found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let found = found.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(lost())).map_err(|(kind, why)| io::Error::new(kind, why))
    }

    /// The look-up of this name that is under way, or a new one.
    fn join(&self, name: &str) -> io::Result<watch::Receiver<Option<Found>>> {
        let mut tables = self.own.lock();
        if let Some((_, kind, why)) = tables.failed.get(name).filter(|(since, ..)| since.elapsed() < FAILED) {
            return Err(io::Error::new(*kind, why.clone()));
        }
        if let Some(flight) = tables.flights.get(name) {
            return Ok(flight.subscribe());
        }
        // Each flight below a domain has its semaphore, and the table has it.
        let below = tables.domains.get(domain(name)).map_or(1, Arc::strong_count);
        if tables.flights.len() >= WAITING || below > WAITING_EACH {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many names are looked up at once"));
        }
        let (sender, receiver) = watch::channel(None);
        let flight = Arc::new(sender);
        tables.flights.insert(name.to_owned(), Arc::clone(&flight));
        let each =
            tables.domains.entry(domain(name).to_owned()).or_insert_with(|| Arc::new(Semaphore::new(EACH)));
        let (network, each) = (Arc::clone(&self.network), Arc::clone(each));
        tokio::spawn(Arc::clone(&self.own).fly(network, each, name.to_owned(), flight));
        Ok(receiver)
    }
}

fn lost() -> (io::ErrorKind, String) {
    (io::ErrorKind::Other, "the look-up was lost".to_owned())
}

/// The last two labels: close enough to who runs its name servers, and what shares them by chance shares four places.
fn domain(name: &str) -> &str {
    let labels = name.rmatch_indices('.').nth(1);
    labels.and_then(|(dot, _)| name.get(dot + 1..)).unwrap_or(name)
}

impl Own {
    async fn fly(
        self: Arc<Self>,
        network: Arc<dyn Network>,
        each: Arc<Semaphore>,
        name: String,
        flight: Flight,
    ) {
        let places = loop {
            let both = async { (each.acquire().await, self.places.acquire().await) };
            tokio::select! {
                places = both => break Some(places),
                () = flight.closed() => if self.is_given_up(&name, &flight) { break None },
            }
        };
        let found = match &places {
            None => None,
            Some((Ok(_), Ok(_))) if self.is_given_up(&name, &flight) => None,
            Some((Ok(_), Ok(_))) => Some(network.resolve(&name).await),
            Some((Err(_), _) | (_, Err(_))) => Some(Err(io::Error::other("no place is left for it"))),
        };
        drop(places);
        drop(each);
        let mut tables = self.lock();
        tables.domains.retain(|_, each| Arc::strong_count(each) > 1);
        let Some(found) = found else { return };
        let found = found.map_err(|error| (error.kind(), error.to_string()));
        tables.flights.remove(&name);
        if let Err((kind, why)) = &found {
            tables.failed.retain(|_, (since, ..)| since.elapsed() < FAILED);
            if tables.failed.len() < FAILURES {
                tables.failed.insert(name, (Instant::now(), *kind, why.clone()));
            }
        }
        flight.send_replace(Some(found));
    }

    /// Whoever asked may have stopped waiting before it began.
    fn is_given_up(&self, name: &str, flight: &Flight) -> bool {
        let mut tables = self.lock();
        let given_up = flight.receiver_count() == 0;
        if given_up {
            tables.flights.remove(name);
        }
        given_up
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network for Lookups {
    fn resolve<'a>(&'a self, name: &'a str) -> Coming<'a, Vec<IpAddr>> {
        Box::pin(self.find(name))
    }

    fn connect(&self, address: SocketAddr) -> Coming<'_, TcpStream> {
        self.network.connect(address)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Names of slow.example are never resolved before `gate` opens; others are at once, or do not exist.
    struct Names {
        gate: Semaphore,
        asked: AtomicUsize,
        under_way: AtomicUsize,
    }

    impl Network for Names {
        fn resolve<'a>(&'a self, name: &'a str) -> Coming<'a, Vec<IpAddr>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                if name.ends_with("slow.example") {
                    self.under_way.fetch_add(1, Ordering::Relaxed);
                    drop(self.gate.acquire().await);
                    self.under_way.fetch_sub(1, Ordering::Relaxed);
                }
                match name.starts_with("none") {
                    true => Err(io::ErrorKind::NotFound.into()),
                    false => Ok(vec![IpAddr::from([93, 184, 215, 14])]),
                }
            })
        }

        fn connect(&self, _: SocketAddr) -> Coming<'_, TcpStream> {
            Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
        }
    }

    fn over() -> (Arc<Names>, Arc<Lookups>) {
        let (asked, under_way) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let names = Arc::new(Names { gate: Semaphore::new(0), asked, under_way });
        let lookups = Lookups::new(Arc::clone(&names) as Arc<dyn Network>);
        (names, Arc::new(lookups))
    }

    fn many(
        lookups: &Arc<Lookups>,
        names: impl Iterator<Item = String>,
    ) -> Vec<tokio::task::JoinHandle<io::Result<Vec<IpAddr>>>> {
        let look_up = |name: String| {
            let lookups = Arc::clone(lookups);
            tokio::spawn(async move { lookups.resolve(&name).await })
        };
        names.map(look_up).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_names_hold_up_no_other_domain_and_whoever_waits_for_them_is_told_in_time() {
        let (names, lookups) = over();
        let slow = many(&lookups, (0..60).map(|number| format!("n{number}.slow.example")));
        tokio::task::yield_now().await;
        for _ in 0..3 {
            assert!(lookups.resolve("a.quick.example.org").await.is_ok());
        }
        assert_eq!(names.under_way.load(Ordering::Relaxed), EACH);
        for waiting in slow {
            assert_eq!(waiting.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        // What runs goes on; what did not begin is given up, as nobody waits for it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(lookups.own.lock().flights.len(), EACH);
        names.gate.add_permits(100);
        let asked = names.asked.load(Ordering::Relaxed);
        assert!(lookups.resolve("n0.slow.example").await.is_ok());
        assert!(
            names.asked.load(Ordering::Relaxed) <= asked + 1,
            "those that were given up are not looked up"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
        let tables = lookups.own.lock();
        assert!(tables.flights.is_empty() && tables.domains.is_empty());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_however_many_ask() {
        let (names, lookups) = over();
        let all = many(&lookups, (0..50).map(|_| "a.slow.example".to_owned()));
        tokio::task::yield_now().await;
        names.gate.add_permits(1);
        for one in all {
            assert_eq!(one.await.unwrap().unwrap().len(), 1);
        }
        assert_eq!(names.asked.load(Ordering::Relaxed), 1);
        // An answer is not kept, so that the next one is new.
        lookups.resolve("a.example.org").await.unwrap();
        lookups.resolve("a.example.org").await.unwrap();
        assert_eq!(names.asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_does_not_exist_is_not_asked_for_again_at_once() {
        let (names, lookups) = over();
        for _ in 0..20 {
            assert_eq!(
                lookups.resolve("none.example.org").await.unwrap_err().kind(),
                io::ErrorKind::NotFound
            );
        }
        assert_eq!(names.asked.load(Ordering::Relaxed), 1);
        let before = Instant::now().checked_sub(FAILED).unwrap();
        lookups.own.lock().failed.values_mut().for_each(|(since, ..)| *since = before);
        lookups.resolve("none.example.org").await.unwrap_err();
        assert_eq!(names.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_wait_are_bounded() {
        for (count, domains) in [(WAITING_EACH, 1), (WAITING, 8)] {
            let names = (0..count + 5).map(|number| format!("n{number}.d{}-slow.example", number % domains));
            let (_network, lookups) = over();
            let mut refused = 0;
            for one in many(&lookups, names) {
                refused += usize::from(one.await.unwrap().unwrap_err().kind() == io::ErrorKind::ResourceBusy);
            }
            assert_eq!(refused, 5);
            // Those that run stay; the others make room.
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(lookups.own.lock().flights.len(), (EACH * domains).min(AT_ONCE));
        }
    }
}
