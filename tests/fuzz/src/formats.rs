//! Names and the delivery of secrets: what is read is as strict as its page says, and is read back the same.

use model::TenantId;
use model::delivery::{self, Delivered};
use vault::SecretName;

/// A tenant's id and a secret's name.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(id) = TenantId::parse(text) {
        assert_eq!(id.as_str(), text);
        assert!(text.len() <= TenantId::MAX_BYTES && !text.contains(['/', '.', '\0', '_', ' ', '\n']));
        assert_eq!(TenantId::from_system_name(&id.system_name()).unwrap(), id);
    }
    if let Ok(id) = TenantId::from_system_name(text) {
        assert_eq!(id.system_name(), text);
    }
    if let Ok(name) = SecretName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert!(!text.contains(['/', '.', '\0', ' ', '\n']));
    }
}

/// What `tenant-exec` reads.
pub fn deliveries(bytes: &[u8]) {
    let Ok(secrets) = delivery::read(bytes) else { return };
    let mut again = Vec::new();
    delivery::begin(&mut again);
    for secret in secrets {
        assert!(!secret.name.contains(['/', '.', '\0']));
        delivery::add(&mut again, Delivered { ..secret }).unwrap();
    }
    assert_eq!(again, bytes);
}
