//! Which layer asked for what.

use serde::Serialize;

use crate::layer::{Wanted, WantedParts};

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The slot: a resource, or a part of a compiled file.
    pub what: String,
    /// The layers that asked for it.
    pub layers: Vec<&'static str>,
}

/// Every slot of a tenant with the layers that asked for it, in order.
pub fn explain(wanted: &Wanted) -> Vec<Explanation> {
    let WantedParts(parts) = &wanted.parts;
    parts.iter().map(|(slot, layers)| Explanation { what: slot.clone(), layers: layers.clone() }).collect()
}
