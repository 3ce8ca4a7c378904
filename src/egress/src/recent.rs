//! Addresses of names that were looked up just now: a program that connects again and again is one look-up a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of how many names one is kept, and how long if there are more.
const KEPT: Duration = Duration::from_secs(1);
const MOST: usize = 1024;

/// Answers that are new.
#[derive(Debug, Default)]
pub struct Recent {
    answers: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Recent {
    /// What the name was resolved to within that time.
    #[must_use]
    pub fn get(&self, name: &str, within: Duration) -> Option<Vec<IpAddr>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, addresses) = answers.get(name).filter(|(since, _)| since.elapsed() < within)?;
        Some(addresses.clone())
    }

    /// Keeps an answer.
    pub fn put(&self, name: &str, addresses: &[IpAddr]) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.retain(|_, (since, _)| since.elapsed() < KEPT);
        }
        if answers.len() < MOST {
            answers.insert(name.to_owned(), (Instant::now(), addresses.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_a_second_and_many_are_bounded() {
        let (recent, address) = (Recent::default(), IpAddr::from([93, 184, 215, 14]));
        assert_eq!(recent.get("a.example.org", KEPT), None);
        recent.put("a.example.org", &[address]);
        assert_eq!(recent.get("a.example.org", KEPT), Some(vec![address]));
        let before = Instant::now().checked_sub(KEPT).unwrap();
        recent.answers.lock().unwrap().values_mut().for_each(|(since, _)| *since = before);
        assert_eq!(recent.get("a.example.org", KEPT), None);
        for number in 0..MOST + 10 {
            recent.put(&format!("n{number}.example.org"), &[address]);
        }
        assert!(recent.answers.lock().unwrap().len() <= MOST);
    }
}
