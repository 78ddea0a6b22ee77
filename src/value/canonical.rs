//! The form in which values are compared across the two back ends.
//!
//! Values that PostgreSQL calls the same value feed the same bytes to a hasher, on every
//! machine; nothing is tolerated beyond that (ulps of floats are `compare`'s business).
//! Start at [`equal`].

use std::hash::Hasher;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::range::Range;
use super::{Datum, Type, json, oid, sort_key};

/// Whether two values of a type are the same: numeric by value, -0.0 = 0.0, NaN = NaN,
/// intervals by length, jsonb by structure, bpchar without trailing blanks, NULL = NULL.
pub fn equal(a: &Datum, b: &Datum, ty: Type) -> bool {
    match (a, b) {
        (Datum::Float4(a), Datum::Float4(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Datum::Float8(a), Datum::Float8(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Datum::Text(a), Datum::Text(b)) => strip(a, ty) == strip(b, ty),
        (Datum::Interval(a), Datum::Interval(b)) => {
            sort_key::interval_micros(a) == sort_key::interval_micros(b)
        }
        (Datum::Jsonb(a), Datum::Jsonb(b)) => a == b || jsonb_key(a) == jsonb_key(b),
        (Datum::Array(ea, a), Datum::Array(eb, b)) => {
            let element = Type::new(*ea);
            ea == eb && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, element))
        }
        (Datum::Record(a), Datum::Record(b)) => {
            let same = |((ta, a), (tb, b)): (&(u32, Datum), &(u32, Datum))| {
                ta == tb && equal(a, b, Type::new(*ta))
            };
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        _ => a == b,
    }
}

fn strip(text: &str, ty: Type) -> &str {
    if ty.oid == oid::BPCHAR { text.trim_end_matches(' ') } else { text }
}

/// The structure of a jsonb; its bytes when it is none.
fn jsonb_key(text: &str) -> Vec<u8> {
    json::parse(text).map_or_else(|_| text.as_bytes().to_vec(), |j| j.sort_key())
}

fn write_bytes(bytes: &[u8], hasher: &mut impl Hasher) {
    hasher.write(&(bytes.len() as u64).to_le_bytes());
    hasher.write(bytes);
}

/// Bytes that are gathered to be hashed at once.
#[derive(Clone, Debug, Default)]
pub struct Feed(Vec<u8>);

impl Feed {
    /// Nothing in it.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// So many bytes are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes back all but the first so many bytes.
    pub fn cut(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// It is no hash: see [`digest`].
    fn finish(&self) -> u64 {
        0
    }
}

/// 128 bits over bytes.
pub fn digest(bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// 128 bits over values: equal rows hash equally; that unequal ones collide is less likely than a
/// fault of memory.
pub fn wide<'a>(values: impl Iterator<Item = (&'a Datum, &'a Type)>) -> u128 {
    let mut feed = Feed::default();
    values.for_each(|(datum, ty)| hash(datum, *ty, &mut feed));
    digest(feed.bytes())
}

/// Feeds a value to a hasher so that equal values feed equal bytes, on every machine.
pub fn hash(datum: &Datum, ty: Type, hasher: &mut impl Hasher) {
    match datum {
        Datum::Null => null(hasher),
        Datum::Range(_, range) => {
            hasher.write(&[18]);
            hash_range(range, hasher);
        }
        Datum::Multirange(_, ranges) => {
            hasher.write(&[19]);
            hasher.write(&(ranges.len() as u64).to_le_bytes());
            ranges.iter().for_each(|range| hash_range(range, hasher));
        }
        Datum::Bool(b) => bool(*b, hasher),
        Datum::Int(i) => int(*i, hasher),
        Datum::Float4(f) => float(3, f64::from(*f), hasher),
        Datum::Float8(f) => float8(*f, hasher),
        Datum::Numeric(n) => match n.to_reduced() {
            Some((unscaled, scale)) => decimal(unscaled, scale, hasher),
            None => {
                hasher.write(&[20]);
                write_bytes(&n.sort_key(), hasher);
            }
        },
        Datum::Text(t) => text(strip(t, ty).as_bytes(), hasher),
        Datum::Bytea(b) => {
            hasher.write(&[7]);
            write_bytes(b, hasher);
        }
        Datum::Date(d) => date(*d, hasher),
        Datum::Time(t) => {
            hasher.write(&[9]);
            hasher.write(&t.to_le_bytes());
        }
        Datum::Timestamp(t) => moment(false, *t, hasher),
        Datum::Timestamptz(t) => moment(true, *t, hasher),
        Datum::Interval(i) => {
            hasher.write(&[12]);
            hasher.write(&sort_key::interval_micros(i).to_le_bytes());
        }
        Datum::Uuid(u) => {
            hasher.write(&[13]);
            hasher.write(u);
        }
        Datum::Json(t) => {
            hasher.write(&[14]);
            write_bytes(t.as_bytes(), hasher);
        }
        Datum::Jsonb(t) => {
            hasher.write(&[15]);
            write_bytes(&jsonb_key(t), hasher);
        }
        Datum::Array(element, elements) => {
            hasher.write(&[16]);
            hasher.write(&element.to_le_bytes());
            hasher.write(&(elements.len() as u64).to_le_bytes());
            elements.iter().for_each(|e| hash(e, Type::new(*element), hasher));
        }
        Datum::Record(fields) => {
            hasher.write(&[17]);
            hasher.write(&(fields.len() as u64).to_le_bytes());
            for (ty, value) in fields {
                hasher.write(&ty.to_le_bytes());
                hash(value, Type::new(*ty), hasher);
            }
        }
    }
}

/// NULL.
pub fn null(hasher: &mut impl Hasher) {
    hasher.write(&[0]);
}

/// A bool.
pub fn bool(value: bool, hasher: &mut impl Hasher) {
    hasher.write(&[1, u8::from(value)]);
}

/// An integer of any size.
pub fn int(value: i64, hasher: &mut impl Hasher) {
    hasher.write(&[2]);
    hasher.write(&value.to_le_bytes());
}

/// A double precision number.
pub fn float8(value: f64, hasher: &mut impl Hasher) {
    float(4, value, hasher);
}

/// `unscaled * 10^-scale`, however many zeros it ends with.
pub fn decimal(mut unscaled: i64, mut scale: u32, hasher: &mut impl Hasher) {
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale = if unscaled == 0 { 0 } else { scale - 1 };
    }
    hasher.write(&[5]);
    hasher.write(&unscaled.to_le_bytes());
    hasher.write(&scale.to_le_bytes());
}

/// Text, without the blanks that do not count.
pub fn text(bytes: &[u8], hasher: &mut impl Hasher) {
    hasher.write(&[6]);
    write_bytes(bytes, hasher);
}

/// A date.
pub fn date(days: i32, hasher: &mut impl Hasher) {
    hasher.write(&[8]);
    hasher.write(&days.to_le_bytes());
}

/// A timestamp, with or without zone.
pub fn moment(zoned: bool, micros: i64, hasher: &mut impl Hasher) {
    hasher.write(&[if zoned { 11 } else { 10 }]);
    hasher.write(&micros.to_le_bytes());
}

fn hash_range(range: &Range, hasher: &mut impl Hasher) {
    hasher.write(&[u8::from(range.empty), u8::from(range.lower_in), u8::from(range.upper_in)]);
    for bound in [&range.lower, &range.upper] {
        // What bounds compare by does not depend on a modifier or on the type's name.
        hash(bound.as_ref().unwrap_or(&Datum::Null), Type::new(oid::UNKNOWN), hasher);
    }
}

fn float(tag: u8, value: f64, hasher: &mut impl Hasher) {
    // One NaN, one zero.
    let value = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    hasher.write(&[tag]);
    hasher.write(&value.to_bits().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;
    use crate::value::{Interval, numeric::Numeric};

    fn digest(d: &Datum, ty: Type) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash(d, ty, &mut hasher);
        hasher.finish()
    }

    #[test]
    fn same_values() {
        let n = |s| Datum::Numeric(Numeric::parse(s).unwrap());
        let i = |months, days| Datum::Interval(Interval { months, days, micros: 0 });
        let pairs = [
            (n("1.0"), n("1.000"), oid::NUMERIC),
            (n("NaN"), n("NaN"), oid::NUMERIC),
            (Datum::Float8(-0.0), Datum::Float8(0.0), oid::FLOAT8),
            (Datum::Float8(f64::NAN), Datum::Float8(-f64::NAN), oid::FLOAT8),
            (Datum::Text("a ".into()), Datum::Text("a".into()), oid::BPCHAR),
            (i(1, 0), i(0, 30), oid::INTERVAL),
            (
                Datum::Jsonb("{\"a\": 1.0, \"b\": []}".into()),
                Datum::Jsonb("{\"b\":[],\"a\":1}".into()),
                oid::JSONB,
            ),
            (
                Datum::Array(oid::NUMERIC, vec![n("1.0"), Datum::Null]),
                Datum::Array(oid::NUMERIC, vec![n("1"), Datum::Null]),
                oid::NUMERIC_ARRAY,
            ),
        ];
        for (a, b, ty) in pairs {
            let ty = Type::new(ty);
            assert!(equal(&a, &b, ty), "{a:?} {b:?}");
            assert_eq!(digest(&a, ty), digest(&b, ty), "{a:?} {b:?}");
        }
        let text = Type::new(oid::TEXT);
        assert!(!equal(&Datum::Text("a ".into()), &Datum::Text("a".into()), text));
        assert!(!equal(&Datum::Null, &Datum::Int(0), text));
    }
}
