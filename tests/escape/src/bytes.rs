//! Structures for the kernel, put together from their fields in native byte order.

/// A growing structure.
#[derive(Debug, Default, Clone)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// An empty structure.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Adds two bytes.
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// Adds two bytes in network order.
    pub fn be16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds four bytes.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// Adds four bytes of a signed number.
    pub fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// Adds eight bytes of a signed number.
    pub fn i64(mut self, value: i64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// Adds eight bytes.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Fills with zeros up to a length.
    pub fn upto(mut self, length: usize) -> Self {
        self.0.resize(length.max(self.0.len()), 0);
        self
    }

    /// The finished structure.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}
