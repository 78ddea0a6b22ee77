//! Forms as PostgreSQL 15's send functions give them.

use proptest::prelude::*;

use super::*;
use crate::value::Style;

fn bytes(ty: u32, text: &str) -> Vec<u8> {
    let ty = Type::new(ty);
    let datum = crate::value::text::parse(ty, text, &Style::default()).unwrap();
    let mut out = Vec::new();
    encode(&datum, ty, &mut out).unwrap();
    assert_eq!(decode(ty, &out).unwrap(), datum, "{text}");
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn as_postgres_sends() {
    for (ty, text, expected) in [
        (oid::NUMERIC, "0", "0000000000000000"),
        (oid::NUMERIC, "0.00", "0000000000000002"),
        (oid::NUMERIC, "1", "00010000000000000001"),
        (oid::NUMERIC, "-12345.678", "0003000140000003000109291a7c"),
        (oid::NUMERIC, "0.0001", "0001ffff000000040001"),
        (oid::NUMERIC, "10000", "00010001000000000001"),
        (oid::NUMERIC, "NaN", "00000000c0000000"),
        (oid::BOOL, "t", "01"),
        (oid::DATE, "2000-01-02", "00000001"),
        (oid::TIMESTAMP, "2000-01-01 00:00:01", "00000000000f4240"),
        (oid::INTERVAL, "1 mon 2 days 00:00:03", "00000000002dc6c00000000200000001"),
        (oid::JSONB, "{\"a\":1}", "017b2261223a20317d"),
        (
            oid::INT4_ARRAY,
            "{1,NULL}",
            "0000000100000001000000170000000200000001000000040000000\
             1ffffffff",
        ),
        (oid::TEXT_ARRAY, "{}", "000000000000000000000019"),
    ] {
        assert_eq!(hex(&bytes(ty, text)), expected, "{text}");
    }
}

#[test]
fn hostile_input() {
    let refuse = |ty: u32, data: &[u8]| assert!(decode(Type::new(ty), data).is_err(), "{data:?}");
    refuse(oid::INT4, &[0, 0, 0]);
    refuse(oid::INT4, &[0, 0, 0, 0, 0]);
    refuse(oid::UUID, &[0; 15]);
    refuse(oid::TEXT, &[0xff]);
    refuse(oid::TEXT, &[b'a', 0]);
    refuse(oid::NUMERIC, &[0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    refuse(oid::NUMERIC, &[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    refuse(oid::NUMERIC, &[0, 0, 0, 0, 0x12, 0, 0, 0]);
    refuse(oid::TIMESTAMP, &(i64::MAX - 1).to_be_bytes());
    let mut many = Vec::new();
    for word in [1i32, 0, 23, i32::MAX, 1] {
        many.extend_from_slice(&word.to_be_bytes());
    }
    refuse(oid::INT4_ARRAY, &many);
}

proptest! {
    #[test]
    fn numeric_round_trip(unscaled in any::<i128>(), scale in 0u32..60) {
        let value = Numeric::Finite(unscaled.into(), scale);
        let mut out = Vec::new();
        push_numeric(&value, &mut out);
        let Datum::Numeric(again) = decode(Type::new(oid::NUMERIC), &out).unwrap() else {
            panic!("not a numeric")
        };
        prop_assert_eq!(again.to_string(), value.to_string());
    }

    #[test]
    fn never_panics(ty in 0usize..12, data in prop::collection::vec(any::<u8>(), 0..40)) {
        let types = [
            oid::NUMERIC, oid::INT4_ARRAY, oid::TEXT_ARRAY, oid::JSONB, oid::DATE, oid::TIMESTAMP,
            oid::INTERVAL, oid::TIME, oid::UUID, oid::CHAR, oid::NUMERIC_ARRAY, oid::FLOAT8,
        ];
        let ty = Type::new(types[ty]);
        if let Ok(datum) = decode(ty, &data) {
            let mut out = Vec::new();
            encode(&datum, ty, &mut out).unwrap();
            crate::value::text::format(&datum, ty, &Style::default(), &mut out);
        }
    }
}
