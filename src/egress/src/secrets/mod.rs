//! Secrets in the place of their placeholders.
