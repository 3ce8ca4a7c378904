//! Resource limits of a tenant, in systemd's words and units.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a limit is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LimitError {
    /// Not a size.
    #[error(
        "{0:?} is not a size: write a whole number of bytes with an optional suffix K, M, G or T (powers of 1024), for example \"1536M\""
    )]
    Size(String),
    /// Not a CPU quota.
    #[error("{0:?} is not a CPU quota: write a percentage of one processor, for example \"150%\"")]
    Quota(String),
    /// Out of range.
    #[error("{name} = {value} is out of range: {allowed}")]
    Range {
        /// The key in the spec.
        name: &'static str,
        /// The value given.
        value: String,
        /// What would be taken.
        allowed: String,
    },
}

/// A number of bytes, written `"1536M"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Parses `"1536M"`; suffixes are powers of 1024, as in systemd.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let bad = || LimitError::Size(text.chars().take(64).collect());
        let (digits, shift) = match text.strip_suffix(['K', 'M', 'G', 'T']) {
            None => (text, 0),
            Some(digits) => match text.as_bytes().last() {
                Some(b'K') => (digits, 10),
                Some(b'M') => (digits, 20),
                Some(b'G') => (digits, 30),
                Some(_) | None => (digits, 40),
            },
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, suffix) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
            let unit = 1u64 << shift;
            if self.0 >= unit && self.0 % unit == 0 {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = LimitError;
    fn try_from(text: String) -> Result<Self, LimitError> {
        Self::parse(&text)
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// A share of processor time in per cent of one processor, written `"150%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuQuota(pub u32);

impl CpuQuota {
    /// Parses `"150%"`; at least 1 %.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let bad = || LimitError::Quota(text.chars().take(64).collect());
        let digits = text.strip_suffix('%').ok_or_else(bad)?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        match digits.parse() {
            Ok(0) | Err(_) => Err(bad()),
            Ok(percent) => Ok(Self(percent)),
        }
    }

    /// systemd's `CPUQuotaPerSecUSec`: microseconds of processor time per second.
    pub fn usec_per_sec(self) -> u64 {
        u64::from(self.0) * 10_000
    }
}

impl fmt::Display for CpuQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl TryFrom<String> for CpuQuota {
    type Error = LimitError;
    fn try_from(text: String) -> Result<Self, LimitError> {
        Self::parse(&text)
    }
}

impl From<CpuQuota> for String {
    fn from(quota: CpuQuota) -> Self {
        quota.to_string()
    }
}

/// Limits as written in a spec, a runtime or the host's defaults; `None` means "not said here".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `MemoryMax=` of the tenant's slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<ByteSize>,
    /// `MemoryHigh=` of the tenant's slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_high: Option<ByteSize>,
    /// `MemorySwapMax=` of the tenant's slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap_max: Option<ByteSize>,
    /// `CPUQuota=` of the tenant's slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<CpuQuota>,
    /// `CPUWeight=` of the tenant's slice, 1 to 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u64>,
    /// `TasksMax=` of the tenant's slice, and `RLIMIT_NPROC` of its uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_max: Option<u64>,
    /// `IOWeight=` of the tenant's slice, 1 to 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_weight: Option<u64>,
    /// Project quota on the tenant's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_max: Option<ByteSize>,
}

impl Limits {
    /// These limits, with what they leave open taken from `fallback`.
    pub fn or(self, fallback: &Limits) -> Limits {
        Limits {
            memory_max: self.memory_max.or(fallback.memory_max),
            memory_high: self.memory_high.or(fallback.memory_high),
            memory_swap_max: self.memory_swap_max.or(fallback.memory_swap_max),
            cpu_quota: self.cpu_quota.or(fallback.cpu_quota),
            cpu_weight: self.cpu_weight.or(fallback.cpu_weight),
            tasks_max: self.tasks_max.or(fallback.tasks_max),
            io_weight: self.io_weight.or(fallback.io_weight),
            disk_max: self.disk_max.or(fallback.disk_max),
        }
    }

    /// Checks what needs no host: weights between 1 and 10000, memory of at least 16 MiB, high not above max.
    pub fn check(&self) -> Result<(), LimitError> {
        let range = |name, value: String, allowed: &str| {
            Err(LimitError::Range { name, value, allowed: allowed.to_owned() })
        };
        for (name, weight) in [("cpu_weight", self.cpu_weight), ("io_weight", self.io_weight)] {
            if let Some(value) = weight.filter(|w| !(1..=10_000).contains(w)) {
                return range(name, value.to_string(), "1 to 10000");
            }
        }
        if let Some(value) = self.tasks_max.filter(|t| !(16..=1_000_000).contains(t)) {
            return range("tasks_max", value.to_string(), "16 to 1000000");
        }
        if let Some(value) = self.memory_max.filter(|m| m.0 < 16 << 20) {
            return range("memory_max", value.to_string(), "at least 16M");
        }
        if let (Some(high), Some(max)) = (self.memory_high, self.memory_max) {
            if high > max {
                return range(
                    "memory_high",
                    high.to_string(),
                    &format!("at most memory_max, which is {max}"),
                );
            }
        }
        if let Some(value) = self.disk_max.filter(|d| d.0 < 1 << 20) {
            return range("disk_max", value.to_string(), "at least 1M");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_written() {
        for text in ["0", "1", "1K", "1536M", "3G", "2T", "1025"] {
            assert_eq!(ByteSize::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn sizes_in_the_wrong_unit_or_sign_are_refused() {
        for text in
            ["", "-1", "+1", "1.5G", "1g", "1GB", "1 G", "M", "99999999999999999999", "17592186044416M"]
        {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotas_are_per_cent_of_one_processor() {
        assert_eq!(CpuQuota::parse("150%").unwrap().usec_per_sec(), 1_500_000);
        for text in ["150", "-1%", "0%", "%", "1.5%", "99999999999%"] {
            assert!(CpuQuota::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_out_of_range_is_named() {
        let bad = Limits { cpu_weight: Some(0), ..Limits::default() };
        assert!(bad.check().unwrap_err().to_string().starts_with("cpu_weight = 0 is out of range"));
        let bad = Limits {
            memory_max: Some(ByteSize(1 << 30)),
            memory_high: Some(ByteSize(2 << 30)),
            ..Limits::default()
        };
        assert!(bad.check().unwrap_err().to_string().contains("at most memory_max, which is 1G"));
    }
}
