//! Addresses: which may be reached, and how they are written.
//!
//! A name that resolves to a place inside the host or its networks is the classic way around a list of names (SSRF). So an
//! address is reachable if it is public, or if the policy lists it; some are reachable never, whoever lists them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

/// What may be done about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Anybody's: names lead there.
    Public,
    /// Reached only where `allowed_ips` lists it; the word says what it is.
    Listed(&'static str),
    /// Reached never.
    Never(&'static str),
}

/// A block of addresses, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8` or a single address; host bits must be zero, so that what is read is what was meant.
    pub fn parse(text: &str) -> Result<Cidr, &'static str> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| "an address is written 10.0.0.1 or fd00::1, a block 10.0.0.0/8")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse::<u8>()
                .ok()
                .filter(|length| *length <= most)
                .ok_or("the length of a block is at most 32, or 128 for IPv6")?,
            Some(_) => return Err("the length of a block is a number"),
        };
        let cidr = Cidr { address, length };
        if cidr.first() != address {
            return Err("the address of a block has no bits beyond its length: write its first address");
        }
        Ok(cidr)
    }

    /// Whether the address lies in the block; a mapped IPv4 address (`::ffff:…`) is not looked through.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Cidr { address, length: self.length }.first() == self.address
    }

    /// Whether every address of the other block lies in this one.
    pub fn covers(&self, other: &Cidr) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

const METADATA: &str = "a cloud's metadata service";
const LOOPBACK: &str = "loopback";
const LINK_LOCAL: &str = "link-local";
const UNSPECIFIED: &str = "the unspecified address";
const MULTICAST: &str = "multicast";
const RESERVED: &str = "reserved";
const PRIVATE: &str = "private";
const DOCUMENTATION: &str = "for documentation";

/// Blocks that are not public, the narrower before the wider (IANA's special-purpose registries; RFC 6890).
const V4: &[([u8; 4], u8, Reach)] = &[
    ([169, 254, 169, 254], 32, Reach::Never(METADATA)),
    ([100, 100, 100, 200], 32, Reach::Never(METADATA)),
    ([168, 63, 129, 16], 32, Reach::Never(METADATA)),
    ([192, 0, 0, 192], 32, Reach::Never(METADATA)),
    ([0, 0, 0, 0], 8, Reach::Never(UNSPECIFIED)),
    ([127, 0, 0, 0], 8, Reach::Never(LOOPBACK)),
    ([169, 254, 0, 0], 16, Reach::Never(LINK_LOCAL)),
    ([224, 0, 0, 0], 4, Reach::Never(MULTICAST)),
    ([240, 0, 0, 0], 4, Reach::Never(RESERVED)),
    ([10, 0, 0, 0], 8, Reach::Listed(PRIVATE)),
    ([172, 16, 0, 0], 12, Reach::Listed(PRIVATE)),
    ([192, 168, 0, 0], 16, Reach::Listed(PRIVATE)),
    ([100, 64, 0, 0], 10, Reach::Listed("shared by a provider (CGNAT)")),
    ([192, 0, 0, 0], 24, Reach::Listed("for protocols")),
    ([192, 0, 2, 0], 24, Reach::Listed(DOCUMENTATION)),
    ([198, 51, 100, 0], 24, Reach::Listed(DOCUMENTATION)),
    ([203, 0, 113, 0], 24, Reach::Listed(DOCUMENTATION)),
    ([192, 88, 99, 0], 24, Reach::Listed("a relay of 6to4")),
    ([198, 18, 0, 0], 15, Reach::Listed("for benchmarks")),
];

const V6: &[(u128, u8, Reach)] = &[
    (0xfd00_0ec2 << 96 | 0x0254, 128, Reach::Never(METADATA)),
    (0xfd20_00ce << 96 | 0x0254, 128, Reach::Never(METADATA)),
    (0, 128, Reach::Never(UNSPECIFIED)),
    (1, 128, Reach::Never(LOOPBACK)),
    (0xfe80 << 112, 10, Reach::Never(LINK_LOCAL)),
    (0xff00 << 112, 8, Reach::Never(MULTICAST)),
    (0xfec0 << 112, 10, Reach::Listed("site-local")),
    (0xfc00 << 112, 7, Reach::Listed(PRIVATE)),
    (0x2001_0db8 << 96, 32, Reach::Listed(DOCUMENTATION)),
    (0x3fff << 112, 20, Reach::Listed(DOCUMENTATION)),
    (0x0100 << 112, 64, Reach::Listed("where packets are dropped")),
    (0x2001 << 112, 23, Reach::Listed("for protocols")),
    (0x5f00 << 112, 16, Reach::Listed("for segment routing")),
];

/// What may be done about this address. One that carries an IPv4 address inside is as closed as that one, and never public.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => {
            let found = V4.iter().find(|(block, length, _)| {
                let block = IpAddr::V4(Ipv4Addr::from(*block));
                Cidr { address: block, length: *length }.contains(address)
            });
            found.map_or(Reach::Public, |(_, _, reach)| {
                debug_assert!(!v4.is_loopback() || matches!(reach, Reach::Never(_)), "loopback is closed");
                *reach
            })
        }
        IpAddr::V6(v6) => {
            let found = V6.iter().find(|(block, length, _)| {
                let block = IpAddr::V6(Ipv6Addr::from_bits(*block));
                Cidr { address: block, length: *length }.contains(address)
            });
            let own = found.map_or(Reach::Public, |(_, _, reach)| *reach);
            let inner = carried(v6).map_or(Reach::Public, |(v4, how)| match reach(IpAddr::V4(v4)) {
                Reach::Public => Reach::Listed(how),
                closed @ (Reach::Listed(_) | Reach::Never(_)) => closed,
            });
            own.max(inner)
        }
    }
}

/// What a block takes in that is reached never.
pub(crate) fn never(block: &Cidr) -> Option<&'static str> {
    let v4 = V4.iter().map(|(first, length, reach)| (IpAddr::V4(Ipv4Addr::from(*first)), *length, *reach));
    let v6 =
        V6.iter().map(|(first, length, reach)| (IpAddr::V6(Ipv6Addr::from_bits(*first)), *length, *reach));
    let mut closed = v4.chain(v6).filter_map(|(address, length, reach)| match reach {
        // Single addresses inside larger blocks stay closed when the block is listed; the block is not refused for them.
        Reach::Never(what) if length < 32 || block.length >= length => Some((Cidr { address, length }, what)),
        Reach::Never(_) | Reach::Public | Reach::Listed(_) => None,
    });
    closed.find(|(other, _)| other.overlaps(block)).map(|(_, what)| what)
}

/// The IPv4 address that an IPv6 address stands for, and by which scheme.
pub fn carried(address: Ipv6Addr) -> Option<(Ipv4Addr, &'static str)> {
    let low = |bits: u128| {
        let [.., a, b, c, d] = bits.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let bits = address.to_bits();
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] => Some((low(bits), "IPv4-mapped")),
        [0, 0, 0, 0, 0xffff, 0, ..] => Some((low(bits), "IPv4-translated")),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, ..] => Some((low(bits), "IPv4-compatible")),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some((low(bits), "NAT64")),
        // RFC 8215's block has prefixes of any length; of those only the longest has the address in the last 32 bits.
        [0x64, 0xff9b, 1, ..] => Some((low(bits), "local NAT64")),
        [0x2002, ..] => Some((low(bits >> 80), "6to4")),
        // The client's address is stored inverted (RFC 4380).
        [0x2001, 0, ..] => Some((low(!bits), "Teredo")),
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Some((low(bits), "ISATAP")),
        _ => None,
    }
}

/// Reads an IPv4 address as the C library and browsers do: one to four parts, each decimal, octal (`0177`) or hexadecimal
/// (`0x7f`), the last one filling what is left. Nothing if the text is no number at all; an error if it is one that stands for
/// no address.
pub(crate) fn loose_v4(text: &str) -> Option<Result<Ipv4Addr, &'static str>> {
    const NO_ADDRESS: &str = "ends in a number and stands for no address: write an address as 192.0.2.1";
    let parts: Vec<&str> = text.split('.').collect();
    let last = parts.last()?;
    let numeric = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
            || part.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if !numeric(last) {
        return None;
    }
    let numbers: Option<Vec<u64>> = parts.iter().map(|part| number(part)).collect();
    let Some((last, leading)) = numbers.as_deref().and_then(<[u64]>::split_last) else {
        return Some(Err(NO_ADDRESS));
    };
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return Some(Err(NO_ADDRESS));
    }
    let free = 8 * (4 - leading.len());
    let high = leading.iter().fold(0, |high, part| high << 8 | part);
    let bits = (*last < 1 << free).then_some(high << free | last).and_then(|bits| u32::try_from(bits).ok());
    Some(bits.map(Ipv4Addr::from_bits).ok_or(NO_ADDRESS))
}

fn number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(hex) => (hex, 16),
        None if part.len() > 1 && part.starts_with('0') => (part, 8),
        None => (part, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Reach {
        reach(text.parse().unwrap())
    }

    #[test]
    fn places_inside_the_host_and_its_networks_are_not_public() {
        for text in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:0:1:1:1:1:80ff:fffe",
            "2001:db8::5efe:7f00:1",
            "::ffff:0:127.0.0.1",
            "64:ff9b:1::a9fe:a9fe",
        ] {
            assert!(matches!(of(text), Reach::Never(_)), "{text}: {:?}", of(text));
        }
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.9",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
            "::8.8.8.8",
            "::ffff:10.0.0.1",
        ] {
            assert!(matches!(of(text), Reach::Listed(_)), "{text}: {:?}", of(text));
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1", "223.255.255.255"] {
            assert_eq!(of(text), Reach::Public, "{text}");
        }
    }

    #[test]
    fn an_address_is_recognised_in_every_notation() {
        for text in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "017700000001",
        ] {
            assert_eq!(loose_v4(text), Some(Ok(Ipv4Addr::LOCALHOST)), "{text}");
        }
        for text in ["256.1", "1.2.3.4.5", "4294967296", "09", "1..2", "a.1", "1.2.3.256", "0x1ffffffff"] {
            assert!(matches!(loose_v4(text), Some(Err(_))), "{text}");
        }
        for text in ["example.com", "1.example", "0xg", "a0", ""] {
            assert_eq!(loose_v4(text), None, "{text}");
        }
    }

    #[test]
    fn a_block_is_read_only_if_it_says_what_it_means() {
        let block = Cidr::parse("10.0.0.0/8").unwrap();
        assert!(
            block.contains("10.255.0.1".parse().unwrap()) && !block.contains("11.0.0.1".parse().unwrap())
        );
        assert!(block.covers(&Cidr::parse("10.1.0.0/16").unwrap()));
        assert!(Cidr::parse("0.0.0.0/0").unwrap().contains("8.8.8.8".parse().unwrap()));
        assert_eq!(Cidr::parse("fd00::1").unwrap().to_string(), "fd00::1/128");
        for text in
            ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0", "x", "::/129", "010.0.0.0/8"]
        {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }
}
