//! Which questions are still to be posted: each once when somebody begins to wait for it, the oldest first, so many at most.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::AskedRequest;
use tokio::sync::Notify;

use crate::event::document;

/// Questions that wait to be posted; one more is left out.
const MOST: usize = 256;

/// What is known and what is still to be posted.
#[derive(Debug, Default)]
pub struct Queue {
    /// Questions as they were listed last, by their names.
    listed: BTreeMap<String, AskedRequest>,
    pending: VecDeque<Pending>,
    left_out: u64,
}

#[derive(Debug)]
struct Pending {
    id: String,
    delivery: String,
}

/// A document that is to be posted next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) delivery: String,
    pub(crate) body: Vec<u8>,
}

impl Queue {
    /// Takes in what is listed now.
    pub fn update(&mut self, list: Vec<AskedRequest>) {
        let named = |request: AskedRequest| (format!("{}-{}", request.number, request.digest), request);
        let list: BTreeMap<String, AskedRequest> = list.into_iter().map(named).collect();
        // What was answered is not to keep out what is asked.
        self.pending.retain(|one| list.contains_key(&one.id));
        let mut new: Vec<(&String, &AskedRequest)> = list.iter().collect();
        new.sort_by_key(|(_, request)| request.number);
        for (id, request) in new {
            let waited = self.listed.get(id).is_some_and(|known| known.state == "waiting");
            if request.state == "waiting" && !waited && !self.pending.iter().any(|one| one.id == *id) {
                if self.pending.len() < MOST {
                    let delivery = format!("{id}.{}", request.count);
                    self.pending.push_back(Pending { id: id.clone(), delivery });
                } else {
                    self.left_out = self.left_out.saturating_add(1);
                }
            }
        }
        self.listed = list;
    }

    /// The oldest that is still a question. Those that were answered meanwhile are forgotten.
    pub(crate) fn next(&mut self) -> Option<Next> {
        loop {
            let pending = self.pending.front()?;
            let body = self
                .listed
                .get(&pending.id)
                .and_then(|request| document(request, &pending.id, &pending.delivery, self.left_out).ok());
            match body {
                Some(body) => return Some(Next { delivery: pending.delivery.clone(), body }),
                None => drop(self.pending.pop_front()),
            }
        }
    }

    /// It was posted, which also told what was left out, or it is given up.
    pub(crate) fn done(&mut self, delivery: &str, posted: bool) {
        if self.pending.front().is_some_and(|one| one.delivery == delivery) {
            self.pending.pop_front();
        }
        self.left_out = if posted { 0 } else { self.left_out.saturating_add(1) };
    }

    /// How many wait to be posted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

/// A queue between who watches and who posts.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    queue: Arc<Mutex<Queue>>,
    changed: Arc<Notify>,
}

impl Shared {
    /// Takes in what is listed now, and wakes who posts.
    pub fn update(&self, list: Vec<AskedRequest>) {
        self.lock().update(list);
        self.changed.notify_one();
    }

    /// The queue itself. A thread that panicked ended the program.
    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::egress::{AskedExchange, AskedKind, Destination};

    fn asked(number: u64, state: &str) -> AskedRequest {
        let exchange = AskedExchange {
            kind: AskedKind::Request,
            method: "POST".into(),
            target: "/v1/\u{1b}[31mx?token=secret".into(),
        };
        AskedRequest {
            number,
            digest: "3f9a2b1c4d5e".into(),
            tenant: "acme".into(),
            destination: Destination {
                host: "a.example.org".into(),
                port: 443,
                address: None,
                binary: Some("/usr/bin/curl".into()),
                exchange: Some(exchange),
            },
            state: state.into(),
            first: 100,
            last: 110,
            count: 3,
            waiting: 1,
            expires: 130,
        }
    }

    fn body(queue: &mut Queue) -> serde_json::Value {
        serde_json::from_slice(&queue.next().unwrap().body).unwrap()
    }

    #[test]
    fn a_question_is_a_document_without_query_and_control_characters() {
        let mut queue = Queue::default();
        queue.update(vec![asked(12, "waiting")]);
        let text = String::from_utf8(queue.next().unwrap().body).unwrap();
        assert!(!text.contains('\u{1b}') && !text.contains("secret"), "{text}");
        assert_eq!(
            body(&mut queue),
            serde_json::json!({
                "kind": "question", "delivery": "12-3f9a2b1c4d5e.3", "id": "12-3f9a2b1c4d5e", "tenant": "acme", "state": "waiting",
                "binaries": ["/usr/bin/curl"], "host": "a.example.org", "port": 443, "method": "POST", "path": "/v1/\u{1b}[31mx",
                "first": 100, "last": 110, "count": 3, "expires": 130, "left_out": 0
            })
        );
    }

    #[test]
    fn it_is_posted_once_and_again_when_somebody_begins_to_wait_again() {
        let mut queue = Queue::default();
        queue.update(vec![asked(12, "waiting"), asked(13, "expired")]);
        assert_eq!(queue.len(), 1, "what nobody waits for was posted when somebody did");
        queue.done("12-3f9a2b1c4d5e.3", true);
        queue.update(vec![asked(12, "waiting")]);
        assert!(queue.is_empty());
        queue.update(vec![asked(12, "expired")]);
        let again = AskedRequest { count: 4, ..asked(12, "waiting") };
        queue.update(vec![again]);
        assert_eq!(queue.next().unwrap().delivery, "12-3f9a2b1c4d5e.4");
    }

    #[test]
    fn what_is_answered_meanwhile_is_not_posted_and_what_expired_is() {
        let mut queue = Queue::default();
        queue.update(vec![asked(12, "waiting"), asked(13, "waiting")]);
        queue.update(vec![asked(13, "expired")]);
        assert_eq!(body(&mut queue)["id"], "13-3f9a2b1c4d5e");
        assert_eq!(body(&mut queue)["state"], "expired");
        queue.update(Vec::new());
        assert!(queue.next().is_none() && queue.is_empty());
    }

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let mut queue = Queue::default();
        queue.update((0..10_000).map(|number| asked(number, "waiting")).collect());
        assert_eq!(queue.len(), MOST);
        assert_eq!(body(&mut queue)["left_out"], 10_000 - MOST);
        let first = queue.next().unwrap().delivery;
        queue.done(&first, false);
        assert_eq!(body(&mut queue)["left_out"], 10_001 - MOST, "what is given up was not posted either");
        let second = queue.next().unwrap().delivery;
        queue.done(&second, true);
        assert_eq!((body(&mut queue)["left_out"].as_u64(), queue.len()), (Some(0), MOST - 2));
        queue.done("unknown", false);
        assert_eq!(queue.len(), MOST - 2);
    }
}
