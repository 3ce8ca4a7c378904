//! The inference route.
