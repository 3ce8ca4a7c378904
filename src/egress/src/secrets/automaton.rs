//! Many texts found in one pass (Aho and Corasick, 1975).
//!
//! Not the crate of that name: what is held back of a stream is the longest end that may begin a secret, which is the depth of the
//! state, and that crate does not tell it. A byte costs a constant number of steps on average, whatever the bytes are.

use std::collections::{BTreeSet, VecDeque};

use zeroize::Zeroize as _;

/// A place in the automaton.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State(usize);

#[derive(Default)]
struct Node {
    /// Sorted by byte.
    next: Vec<(u8, usize)>,
    fail: usize,
    depth: usize,
    /// Whether a text ends here.
    found: bool,
}

/// The texts, as states.
pub(super) struct Automaton {
    nodes: Vec<Node>,
    /// Whether a text begins with a byte: most bytes of most answers are done with this.
    begins: [bool; 256],
}

impl std::fmt::Debug for Automaton {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Automaton")
    }
}

impl Drop for Automaton {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.next.zeroize();
        }
    }
}

impl Automaton {
    /// Of these texts; an empty one is never found.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut automaton = Self { nodes: vec![Node::default()], begins: [false; 256] };
        for text in texts {
            automaton.add(text);
        }
        automaton.link();
        automaton
    }

    /// Whether there is nothing to find.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// One byte further.
    pub(super) fn step(&self, state: State, byte: u8) -> State {
        let mut at = state.0;
        if at == 0 && self.begins.get(usize::from(byte)) == Some(&false) {
            return state;
        }
        loop {
            if let Some(next) = self.child(at, byte) {
                return State(next);
            }
            if at == 0 {
                return State(0);
            }
            at = self.nodes.get(at).map_or(0, |node| node.fail);
        }
    }

    /// Whether a text ends here.
    pub(super) fn found(&self, state: State) -> bool {
        self.nodes.get(state.0).is_some_and(|node| node.found)
    }

    /// How many of the last bytes may begin a text.
    pub(super) fn depth(&self, state: State) -> usize {
        self.nodes.get(state.0).map_or(0, |node| node.depth)
    }

    fn child(&self, at: usize, byte: u8) -> Option<usize> {
        let next = &self.nodes.get(at)?.next;
        let index = next.binary_search_by_key(&byte, |(byte, _)| *byte).ok()?;
        next.get(index).map(|(_, node)| *node)
    }

    fn add(&mut self, text: &[u8]) {
        if let Some(begins) = text.first().and_then(|byte| self.begins.get_mut(usize::from(*byte))) {
            *begins = true;
        }
        let mut at = 0;
        for (index, &byte) in text.iter().enumerate() {
            at = match self.child(at, byte) {
                Some(next) => next,
                None => {
                    let new = self.nodes.len();
                    self.nodes.push(Node { depth: index + 1, ..Node::default() });
                    if let Some(node) = self.nodes.get_mut(at) {
                        let place = node.next.partition_point(|(own, _)| *own < byte);
                        node.next.insert(place, (byte, new));
                    }
                    new
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at).filter(|_| at != 0) {
            node.found = true;
        }
    }

    fn link(&mut self) {
        let mut waiting: VecDeque<usize> = VecDeque::from([0]);
        while let Some(at) = waiting.pop_front() {
            let Some(node) = self.nodes.get(at) else { continue };
            let (fail, children) = (node.fail, node.next.clone());
            for (byte, child) in children {
                let target = if at == 0 { 0 } else { self.step(State(fail), byte).0 };
                let found = self.nodes.get(target).is_some_and(|node| node.found);
                if let Some(node) = self.nodes.get_mut(child) {
                    node.fail = target;
                    node.found |= found;
                }
                waiting.push_back(child);
            }
        }
    }
}

/// Several texts without repetition.
pub(super) type Texts = BTreeSet<Vec<u8>>;
