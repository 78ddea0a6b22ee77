//! Functions and operators of inet, cidr and macaddr.

use super::args::{Args, boolean, text};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::network::{self, Network};
use crate::value::{Cell, Datum, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_inet_host", 1, |a| text(inet(a, 0)?.host())),
    strict("pg_inet_text", 1, |a| text(inet(a, 0)?.text(true))),
    strict("pg_inet_abbrev", 1, |a| text(inet(a, 0)?.text(false))),
    strict("pg_cidr_abbrev", 1, |a| text(abbreviated(&inet(a, 0)?))),
    strict("pg_inet_family", 1, |a| Ok(Cell::Integer(if inet(a, 0)?.v6 { 6 } else { 4 }))),
    strict("pg_inet_masklen", 1, |a| Ok(Cell::Integer(i64::from(inet(a, 0)?.bits)))),
    strict("pg_inet_network", 1, |a| text(inet(a, 0)?.network().text(true))),
    strict("pg_inet_netmask", 1, |a| {
        let n = inet(a, 0)?;
        text(n.with_number(!n.host_mask()).host())
    }),
    strict("pg_inet_hostmask", 1, |a| {
        let n = inet(a, 0)?;
        text(n.with_number(n.host_mask()).host())
    }),
    strict("pg_inet_broadcast", 1, |a| {
        let n = inet(a, 0)?;
        text(n.with_number(n.number() | n.host_mask()).text(false))
    }),
    // The last argument says whether the value is a cidr, whose host part is cleared.
    strict("pg_inet_set_masklen", 3, |a| {
        let (mut n, cidr) = (inet(a, 0)?, a.bool(2)?);
        let wanted = a.int(1)?;
        n.bits = match u8::try_from(wanted) {
            _ if wanted == -1 => n.width(),
            Ok(bits) if bits <= n.width() => bits,
            _ => {
                let message = format!("invalid mask length: {wanted}");
                return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
            }
        };
        text(if cidr { n.network() } else { n }.text(cidr))
    }),
    strict("pg_inet_same_family", 2, |a| boolean(inet(a, 0)?.v6 == inet(a, 1)?.v6)),
    strict("pg_inet_merge", 2, |a| {
        let (x, y) = (inet(a, 0)?, inet(a, 1)?);
        same_family(&x, &y, "cannot merge addresses from different families")?;
        let common = (x.number() ^ y.number()).leading_zeros() as u8 - (128 - x.width());
        let bits = common.min(x.bits).min(y.bits);
        text(Network { bits, ..x }.network().text(true))
    }),
    strict("pg_inet_contains", 2, |a| boolean(inet(a, 0)?.contains(&inet(a, 1)?))),
    strict("pg_inet_contains_strictly", 2, |a| {
        let (outer, inner) = (inet(a, 0)?, inet(a, 1)?);
        boolean(outer.bits < inner.bits && outer.contains(&inner))
    }),
    strict("pg_inet_overlaps", 2, |a| {
        let (x, y) = (inet(a, 0)?, inet(a, 1)?);
        boolean(x.contains(&y) || y.contains(&x))
    }),
    strict("pg_inet_not", 1, |a| {
        let n = inet(a, 0)?;
        text(n.with_number(!n.number()).text(false))
    }),
    strict("pg_inet_and", 2, |a| {
        let (x, y) = pair(a, "cannot AND inet values of different sizes")?;
        let bits = x.bits.max(y.bits);
        text(Network { bits, ..x }.with_number(x.number() & y.number()).text(false))
    }),
    strict("pg_inet_or", 2, |a| {
        let (x, y) = pair(a, "cannot OR inet values of different sizes")?;
        let bits = x.bits.max(y.bits);
        text(Network { bits, ..x }.with_number(x.number() | y.number()).text(false))
    }),
    strict("pg_inet_add", 2, |a| moved(inet(a, 0)?, i128::from(a.int(1)?))),
    strict("pg_inet_subtract", 2, |a| moved(inet(a, 0)?, -i128::from(a.int(1)?))),
    strict("pg_inet_distance", 2, |a| {
        let (x, y) = pair(a, "cannot subtract inet values of different sizes")?;
        let (big, small) = (x.number().max(y.number()), x.number().min(y.number()));
        let size = i128::try_from(big - small).map_err(|_| out_of_range())?;
        let distance = if x.number() < y.number() { -size } else { size };
        i64::try_from(distance).map(Cell::Integer).map_err(|_| out_of_range())
    }),
    strict("pg_mac_trunc", 1, |a| {
        let mac = network::parse_mac(a.text(0)?)?;
        text(network::mac_text(&[mac[0], mac[1], mac[2], 0, 0, 0]))
    }),
    strict("pg_mac_not", 1, |a| {
        text(network::mac_text(&network::parse_mac(a.text(0)?)?.map(|b| !b)))
    }),
    strict("pg_mac_and", 2, |a| mac_pair(a, |x, y| x & y)),
    strict("pg_mac_or", 2, |a| mac_pair(a, |x, y| x | y)),
];

fn inet(a: &Args<'_>, i: usize) -> Result<Network> {
    match a.datum(i, oid::TEXT)? {
        Datum::Text(t) => network::read(&t)
            .ok_or_else(|| Error::client(state::DATA_CORRUPTED, "stored value is not an address")),
        _ => Err(Error::internal("an address that is not text")),
    }
}

fn same_family(x: &Network, y: &Network, message: &'static str) -> Result<()> {
    if x.v6 == y.v6 {
        return Ok(());
    }
    Err(Error::client(state::INVALID_PARAMETER_VALUE, message))
}

fn pair(a: &Args<'_>, message: &'static str) -> Result<(Network, Network)> {
    let (x, y) = (inet(a, 0)?, inet(a, 1)?);
    same_family(&x, &y, message)?;
    Ok((x, y))
}

fn out_of_range() -> Error {
    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range")
}

fn moved(n: Network, by: i128) -> Result<Cell> {
    let number = if by < 0 {
        n.number().checked_sub(by.unsigned_abs())
    } else {
        n.number().checked_add(by.unsigned_abs())
    };
    let number = number.filter(|x| n.v6 || *x <= u128::from(u32::MAX)).ok_or_else(out_of_range)?;
    text(n.with_number(number).text(false))
}

/// A cidr with the numbers that its prefix covers only.
fn abbreviated(n: &Network) -> String {
    let whole = n.text(true);
    if n.v6 {
        return whole;
    }
    let shown = usize::from(n.bits.div_ceil(8)).max(1);
    let host = n.host();
    let octets: Vec<&str> = host.split('.').take(shown).collect();
    format!("{}/{}", octets.join("."), n.bits)
}

fn mac_pair(a: &Args<'_>, combine: fn(u8, u8) -> u8) -> Result<Cell> {
    let (x, y) = (network::parse_mac(a.text(0)?)?, network::parse_mac(a.text(1)?)?);
    let mut out = x;
    out.iter_mut().zip(y).for_each(|(slot, other)| *slot = combine(*slot, other));
    text(network::mac_text(&out))
}
