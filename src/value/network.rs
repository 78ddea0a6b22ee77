//! inet, cidr and macaddr: PostgreSQL's input rules, output, binary form and order.
//!
//! The logical cell of each is its canonical output, so that equal values have equal
//! texts. It must never take an address that PostgreSQL refuses. Start at [`parse`].

use std::fmt::Write;
use std::net::Ipv6Addr;

use super::{oid, type_name};
use crate::error::{Error, Result, state};

/// PostgreSQL's number of the IPv4 family in the binary form.
const FAMILY_V4: u8 = 2;
/// Its number of the IPv6 family.
const FAMILY_V6: u8 = 3;

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// IPv6; otherwise IPv4 in the first four bytes.
    pub v6: bool,
    /// Length of the prefix in bits.
    pub bits: u8,
    /// The address, zeros beyond its end.
    pub address: [u8; 16],
}

impl Network {
    /// Bits of an address of this family.
    pub fn width(&self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }

    /// The address as a number of its family's width.
    pub fn number(&self) -> u128 {
        let number = u128::from_be_bytes(self.address);
        if self.v6 { number } else { number >> 96 }
    }

    /// The same network with another address; bits beyond the width are dropped.
    #[must_use]
    pub fn with_number(mut self, number: u128) -> Self {
        self.address = if self.v6 { number } else { number << 96 }.to_be_bytes();
        self
    }

    /// Ones where the host part is.
    pub fn host_mask(&self) -> u128 {
        let host = u32::from(self.width() - self.bits);
        if host == 128 { u128::MAX } else { (1 << host) - 1 }
    }

    /// The first address of the network.
    #[must_use]
    pub fn network(self) -> Self {
        self.with_number(self.number() & !self.host_mask())
    }

    /// Whether `other` lies in this network (or is it).
    pub fn contains(&self, other: &Self) -> bool {
        self.v6 == other.v6
            && self.bits <= other.bits
            && (self.number() ^ other.number()) & !self.host_mask() == 0
    }

    /// The text form; a cidr always shows its prefix, an inet when it is not the whole.
    pub fn text(&self, cidr: bool) -> String {
        let mut out = self.host();
        if cidr || self.bits != self.width() {
            let _ = write!(out, "/{}", self.bits);
        }
        out
    }

    /// The address alone.
    pub fn host(&self) -> String {
        if self.v6 { v6_text(&self.address) } else { v4_text(&self.address) }
    }

    /// Bytes that memcmp orders as PostgreSQL orders inet: family, the common part of the
    /// networks, the shorter prefix first, then the whole address.
    pub fn sort_key(&self) -> Vec<u8> {
        let mut key = vec![u8::from(self.v6)];
        // A bit is 1 or 2, the end of a prefix 0: a network comes before what it contains.
        for bit in 0..usize::from(self.bits) {
            key.push(1 + (self.address[bit / 8] >> (7 - bit % 8) & 1));
        }
        key.push(0);
        key.extend_from_slice(&self.address);
        key
    }

    /// PostgreSQL's binary form.
    pub fn to_binary(self, cidr: bool) -> Vec<u8> {
        let family = if self.v6 { FAMILY_V6 } else { FAMILY_V4 };
        let size = self.width() / 8;
        let mut out = vec![family, self.bits, u8::from(cidr), size];
        out.extend_from_slice(&self.address[..usize::from(size)]);
        out
    }

    /// Reads PostgreSQL's binary form; 22P03.
    pub fn from_binary(bytes: &[u8], cidr: bool) -> Result<Self> {
        let name = if cidr { "cidr" } else { "inet" };
        let invalid = |what: &str| {
            let message = format!("invalid {what} in external \"{name}\" value");
            Error::client(state::INVALID_BINARY_REPRESENTATION, message)
        };
        let [family, bits, _, size, rest @ ..] = bytes else {
            return Err(Error::client(
                state::PROTOCOL_VIOLATION,
                "insufficient data left in message",
            ));
        };
        let v6 = match *family {
            FAMILY_V4 => false,
            FAMILY_V6 => true,
            _ => return Err(invalid("address family")),
        };
        let mut network = Self { v6, bits: *bits, address: [0; 16] };
        if network.bits > network.width() {
            return Err(invalid("bits"));
        }
        let length = usize::from(network.width() / 8);
        if usize::from(*size) != length || rest.len() != length {
            return Err(invalid("length"));
        }
        network.address[..length].copy_from_slice(rest);
        if cidr && network.network() != network {
            return Err(invalid_bits(
                "external \"cidr\" value",
                state::INVALID_BINARY_REPRESENTATION,
            ));
        }
        Ok(network)
    }
}

fn invalid_bits(what: &str, code: crate::error::SqlState) -> Error {
    Error::client(code, format!("invalid {what}")).detail("Value has bits set to right of mask.")
}

fn bad_syntax(type_oid: u32, text: &str) -> Error {
    let name = type_name(type_oid);
    let message = format!("invalid input syntax for type {name}: \"{text}\"");
    Error::client(state::INVALID_TEXT_REPRESENTATION, message)
}

/// Reads an inet or cidr (by OID); 22P02.
pub fn parse(type_oid: u32, text: &str) -> Result<Network> {
    let cidr = type_oid == oid::CIDR;
    let bad = || bad_syntax(type_oid, text);
    let network = if text.contains(':') {
        v6(text).ok_or_else(bad)?
    } else if cidr && text.starts_with("0x") || text.starts_with("0X") {
        return Err(Error::unsupported("a network in hexadecimal digits"));
    } else {
        v4(text, cidr).ok_or_else(bad)?
    };
    if cidr && network.network() != network {
        let what = format!("cidr value: \"{text}\"");
        return Err(invalid_bits(&what, state::INVALID_TEXT_REPRESENTATION));
    }
    Ok(network)
}

/// Reads a canonical text.
pub fn read(text: &str) -> Option<Network> {
    if text.contains(':') { v6(text) } else { v4(text, true) }
}

/// Digits with a value up to `most`; the rest of the text.
fn number(text: &str, most: u32) -> Option<(u8, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = text[..end].bytes().try_fold(0u32, |value, digit| {
        let value = value * 10 + u32::from(digit - b'0');
        (value <= most).then_some(value)
    })?;
    (end > 0).then_some((value as u8, &text[end..]))
}

/// One to four numbers and a prefix. Without a prefix an inet must be whole, and a cidr has
/// its class's.
fn v4(text: &str, cidr: bool) -> Option<Network> {
    let mut address = [0; 16];
    let (mut octets, mut rest) = (0, text);
    loop {
        let (octet, tail) = number(rest, 255)?;
        *address[..4].get_mut(octets)? = octet;
        octets += 1;
        rest = tail;
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail,
            None => break,
        }
    }
    let bits = match rest.strip_prefix('/') {
        Some(prefix) => {
            let (bits, tail) = number(prefix, 32)?;
            if !tail.is_empty() || (!cidr && usize::from(bits / 8) > octets) {
                return None;
            }
            bits
        }
        None if !rest.is_empty() => return None,
        None if cidr => class(address[0], octets),
        None if octets == 4 => 32,
        None => return None,
    };
    Some(Network { v6: false, bits, address })
}

/// The prefix that the first number's class implies, widened to what was written.
fn class(first: u8, octets: usize) -> u8 {
    let implied: u8 = match first {
        240.. => 32,
        224.. => 8,
        192.. => 24,
        128.. => 16,
        _ => 8,
    };
    let bits = implied.max(octets as u8 * 8);
    if bits == 8 && first == 224 { 4 } else { bits }
}

fn v6(text: &str) -> Option<Network> {
    let (host, bits) = match text.split_once('/') {
        Some((host, prefix)) => {
            let leading_zero = prefix.len() > 1 && prefix.starts_with('0');
            let (bits, tail) = number(prefix, 128)?;
            if leading_zero || !tail.is_empty() {
                return None;
            }
            (host, bits)
        }
        None => (text, 128),
    };
    let address: Ipv6Addr = host.parse().ok()?;
    Some(Network { v6: true, bits, address: address.octets() })
}

fn v4_text(address: &[u8]) -> String {
    let octets: Vec<String> = address.iter().take(4).map(ToString::to_string).collect();
    octets.join(".")
}

/// The longest run of zero words is `::`; addresses that carry an IPv4 one end in it.
fn v6_text(address: &[u8; 16]) -> String {
    let word = |i: usize| u16::from_be_bytes([address[i * 2], address[i * 2 + 1]]);
    let (mut best, mut best_length) = (8, 1);
    let mut start = 0;
    while start < 8 {
        let length = (start..8).take_while(|i| word(*i) == 0).count();
        if length > best_length {
            (best, best_length) = (start, length);
        }
        start += length.max(1);
    }
    let run = best..(if best < 8 { best + best_length } else { best });
    let carries_v4 = best == 0
        && (best_length == 6
            || (best_length == 7 && word(7) != 1)
            || (best_length == 5 && word(5) == 0xffff));
    let mut out = String::new();
    for i in 0..8 {
        if run.contains(&i) {
            if i == best {
                out.push(':');
            }
            continue;
        }
        if i > 0 {
            out.push(':');
        }
        if i == 6 && carries_v4 {
            out.push_str(&v4_text(&address[12..]));
            return out;
        }
        let _ = write!(out, "{:x}", word(i));
    }
    if run.end == 8 && best < 8 {
        out.push(':');
    }
    out
}

/// Reads a macaddr in any of PostgreSQL's forms; 22P02, 22003.
pub fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let bad = || bad_syntax(oid::MACADDR, text);
    let body = text.trim_matches(super::text::is_space);
    let separator = body.chars().find(|c| !c.is_ascii_hexdigit());
    let groups: Vec<&str> = match separator {
        Some(c @ (':' | '-' | '.')) => body.split(c).collect(),
        Some(_) => return Err(bad()),
        None => vec![body],
    };
    if groups.iter().any(|g| g.is_empty() || !g.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(bad());
    }
    // Octets of each group; more than one are written in pairs, the last perhaps shorter.
    let octets = match (separator, groups.len()) {
        (Some(':' | '-'), 6) => 1,
        (Some(':' | '-'), 2) => 3,
        (Some('.' | '-'), 3) => 2,
        (None, 1) => 6,
        _ => return Err(bad()),
    };
    let mut out = [0; 6];
    let mut slots = out.iter_mut();
    for group in groups {
        let pairs = group.as_bytes().chunks(if octets == 1 { group.len() } else { 2 });
        if pairs.len() != octets {
            return Err(bad());
        }
        for (pair, slot) in pairs.zip(&mut slots) {
            let value = u32::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16);
            *slot = value.ok().and_then(|v| u8::try_from(v).ok()).ok_or_else(|| {
                let message = format!("invalid octet value in \"macaddr\" value: \"{text}\"");
                Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, message)
            })?;
        }
    }
    Ok(out)
}

/// The text form of a macaddr.
pub fn mac_text(address: &[u8; 6]) -> String {
    let octets: Vec<String> = address.iter().map(|o| format!("{o:02x}")).collect();
    octets.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inet_and_cidr() {
        let inet = |s: &str| parse(oid::INET, s).map(|n| n.text(false)).ok();
        let cidr = |s: &str| parse(oid::CIDR, s).map(|n| n.text(true)).ok();
        assert_eq!(inet("10.0.0.1"), Some("10.0.0.1".into()));
        assert_eq!(inet("10.0.0.1/8"), Some("10.0.0.1/8".into()));
        assert_eq!(inet("10.1/16"), Some("10.1.0.0/16".into()));
        assert_eq!(inet("10.1"), None);
        assert_eq!(inet("10.0.0.256"), None);
        assert_eq!(inet(" 10.0.0.1"), None);
        assert_eq!(cidr("10"), Some("10.0.0.0/8".into()));
        assert_eq!(cidr("192.168.1"), Some("192.168.1.0/24".into()));
        assert_eq!(cidr("192.168.1.1/24"), None);
        assert_eq!(inet("::ffff:1.2.3.4/96"), Some("::ffff:1.2.3.4/96".into()));
        assert_eq!(inet("2001:DB8:0:0:1::1"), Some("2001:db8::1:0:0:1".into()));
        assert_eq!(inet("::"), Some("::".into()));
        assert_eq!(inet("::1"), Some("::1".into()));
        assert_eq!(inet("1::"), Some("1::".into()));
        assert_eq!(inet("::1/064"), None);
    }

    #[test]
    fn order_is_postgres() {
        let key = |s: &str| parse(oid::INET, s).unwrap().sort_key();
        let sorted = ["10.0.0.0/8", "10.0.0.0/9", "10.0.0.0", "10.0.0.1", "10.1.0.1/16", "::1"];
        for pair in sorted.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn hardware_addresses() {
        for text in ["08:00:2b:01:02:03", "8:0:2b:1:2:3", "08002b:010203", "0800.2B01.0203"] {
            assert_eq!(mac_text(&parse_mac(text).unwrap()), "08:00:2b:01:02:03");
        }
        assert!(parse_mac("08:00:2b:01:02").is_err());
        assert!(parse_mac("08002b0102034").is_err());
        assert_eq!(mac_text(&parse_mac("08002b01020").unwrap()), "08:00:2b:01:02:00");
    }
}
