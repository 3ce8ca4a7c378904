//! A world: resources by key. What is wanted and what was observed are the same type, so one diff serves everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Key, Resource};

/// Resources by key, in the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Resource>", into = "Vec<Resource>")]
pub struct World {
    resources: BTreeMap<Key, Resource>,
}

impl World {
    /// A world without anything in it.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds a resource; a resource already known by that key is given back.
    pub fn put(&mut self, resource: Resource) -> Option<Resource> {
        self.resources.insert(resource.key(), resource)
    }

    /// Takes a resource out.
    pub fn take(&mut self, key: &Key) -> Option<Resource> {
        self.resources.remove(key)
    }

    /// The resource with this key.
    pub fn get(&self, key: &Key) -> Option<&Resource> {
        self.resources.get(key)
    }

    /// All resources in the order in which they are made.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Resource)> {
        self.resources.iter()
    }

    /// Number of resources.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

impl From<Vec<Resource>> for World {
    fn from(list: Vec<Resource>) -> Self {
        Self { resources: list.into_iter().map(|resource| (resource.key(), resource)).collect() }
    }
}

impl From<World> for Vec<Resource> {
    fn from(world: World) -> Self {
        world.resources.into_values().collect()
    }
}

impl FromIterator<Resource> for World {
    fn from_iter<T: IntoIterator<Item = Resource>>(iter: T) -> Self {
        Self::from(iter.into_iter().collect::<Vec<_>>())
    }
}
