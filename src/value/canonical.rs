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

/// 128 bits over values: equal rows hash equally; that unequal ones collide is less likely than a
/// fault of memory.
pub fn wide<'a>(values: impl Iterator<Item = (&'a Datum, &'a Type)>) -> u128 {
    let mut hasher = SipHasher13::new();
    values.for_each(|(datum, ty)| hash(datum, *ty, &mut hasher));
    hasher.finish128().as_u128()
}

/// Feeds a value to a hasher so that equal values feed equal bytes, on every machine.
pub fn hash(datum: &Datum, ty: Type, hasher: &mut impl Hasher) {
    match datum {
        Datum::Null => hasher.write(&[0]),
        Datum::Range(_, range) => {
            hasher.write(&[18]);
            hash_range(range, hasher);
        }
        Datum::Multirange(_, ranges) => {
            hasher.write(&[19]);
            hasher.write(&(ranges.len() as u64).to_le_bytes());
            ranges.iter().for_each(|range| hash_range(range, hasher));
        }
        Datum::Bool(b) => hasher.write(&[1, u8::from(*b)]),
        Datum::Int(i) => {
            hasher.write(&[2]);
            hasher.write(&i.to_le_bytes());
        }
        Datum::Float4(f) => float(3, f64::from(*f), hasher),
        Datum::Float8(f) => float(4, *f, hasher),
        Datum::Numeric(n) => {
            hasher.write(&[5]);
            write_bytes(&n.sort_key(), hasher);
        }
        Datum::Text(t) => {
            hasher.write(&[6]);
            write_bytes(strip(t, ty).as_bytes(), hasher);
        }
        Datum::Bytea(b) => {
            hasher.write(&[7]);
            write_bytes(b, hasher);
        }
        Datum::Date(d) => {
            hasher.write(&[8]);
            hasher.write(&d.to_le_bytes());
        }
        Datum::Time(t) => {
            hasher.write(&[9]);
            hasher.write(&t.to_le_bytes());
        }
        Datum::Timestamp(t) => {
            hasher.write(&[10]);
            hasher.write(&t.to_le_bytes());
        }
        Datum::Timestamptz(t) => {
            hasher.write(&[11]);
            hasher.write(&t.to_le_bytes());
        }
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
