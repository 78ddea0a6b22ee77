//! Both directions of every codec.

use proptest::prelude::*;

use super::*;

fn numeric_type(precision: u32, scale: i32) -> Type {
    Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(precision, scale))
}

fn numeric_of(text: &str) -> Datum {
    Datum::Numeric(Numeric::parse(text).unwrap())
}

fn shown(datum: &Datum) -> String {
    let mut out = Vec::new();
    text::format(datum, Type::new(oid::UNKNOWN), &Style::default(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn numerics() {
    use Codec::{NumericAny, NumericNative, NumericScaled, NumericText};
    let ty = numeric_type(10, 2);
    for (codec, ty, text, cell) in [
        (NumericNative, ty, "5", Cell::Integer(5)),
        (NumericNative, ty, "5.10", Cell::Real(5.1)),
        (NumericNative, ty, "NaN", Cell::Text("NaN".into())),
        (NumericScaled, numeric_type(18, 4), "-1.5", Cell::Integer(-15_000)),
        (NumericText, numeric_type(30, 4), "1.5", Cell::Text("1.5000".into())),
        (NumericAny, Type::new(oid::NUMERIC), "1.50", Cell::Text("1.50".into())),
    ] {
        assert_eq!(encode(codec, ty, &numeric_of(text)).unwrap(), cell);
        assert_eq!(decode(codec, ty, cell.as_ref()).unwrap(), numeric_of(text));
    }
    let read = |cell: CellRef<'_>| shown(&decode(NumericNative, ty, cell).unwrap());
    assert_eq!(read(CellRef::Integer(5)), "5.00");
    assert_eq!(read(CellRef::Real(0.1 + 0.2)), "0.30");
    assert_eq!(read(CellRef::Real(1_234_567.89)), "1234567.89");
    assert_eq!(
        decode(NumericNative, ty, CellRef::Text(b"x")).unwrap_err().sqlstate().as_str(),
        "XX001"
    );
}

#[test]
fn loose_forms() {
    let style = Style::default();
    let parse = |ty: u32, s: &str| text::parse(Type::new(ty), s, &style).unwrap();
    let moment = parse(oid::TIMESTAMPTZ, "2024-01-02 03:04:05.5+00");
    for (codec, ty, cell, datum) in [
        (Codec::BoolLoose, oid::BOOL, Cell::Text("True".into()), Datum::Bool(true)),
        (Codec::BoolLoose, oid::BOOL, Cell::Integer(0), Datum::Bool(false)),
        (
            Codec::DateTimeLoose,
            oid::TIMESTAMPTZ,
            Cell::Text("2024-01-02T05:04:05.500000+02:00".into()),
            moment.clone(),
        ),
        (Codec::UnixSeconds, oid::TIMESTAMPTZ, Cell::Real(1_704_164_645.5), moment.clone()),
        (Codec::UnixMillis, oid::TIMESTAMPTZ, Cell::Integer(1_704_164_645_500), moment),
        (
            Codec::IntervalMicros,
            oid::INTERVAL,
            Cell::Integer(90_000_000_000),
            parse(oid::INTERVAL, "1 day 01:00"),
        ),
        (
            Codec::UuidHex,
            oid::UUID,
            Cell::Text("a0eebc999c0b4ef8bb6d6bb9bd380a11".into()),
            parse(oid::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        (Codec::UuidBlob, oid::UUID, Cell::Blob(vec![7; 16]), Datum::Uuid([7; 16])),
        (
            Codec::UuidLoose,
            oid::UUID,
            Cell::Text("{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}".into()),
            parse(oid::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        (
            Codec::IntervalEpoch,
            oid::INTERVAL,
            Cell::Text("1970-01-02 01:00:00.500000".into()),
            parse(oid::INTERVAL, "1 day 01:00:00.5"),
        ),
        (
            Codec::IntervalEpoch,
            oid::INTERVAL,
            Cell::Text("1969-12-31 23:00:00".into()),
            parse(oid::INTERVAL, "-01:00"),
        ),
        (
            Codec::JsonLoose,
            oid::JSONB,
            Cell::Text("{\"b\":1,\"a\":[]}".into()),
            Datum::Jsonb("{\"a\": [], \"b\": 1}".into()),
        ),
        (Codec::JsonLoose, oid::JSONB, Cell::Integer(5), Datum::Jsonb("5".into())),
        (Codec::BytesLoose, oid::BYTEA, Cell::Text("\\x41".into()), Datum::Bytea(b"\\x41".into())),
        (Codec::TextLoose, oid::TEXT, Cell::Integer(7), Datum::Text("7".into())),
        (Codec::TextLoose, oid::TEXT, Cell::Real(1e20), Datum::Text("1.0e+20".into())),
        (Codec::TextLoose, oid::TEXT, Cell::Real(2.0), Datum::Text("2.0".into())),
    ] {
        let ty = Type::new(ty);
        assert_eq!(decode(codec, ty, cell.as_ref()).unwrap(), datum, "{codec:?}");
        let again = encode(codec, ty, &datum).unwrap();
        assert_eq!(decode(codec, ty, again.as_ref()).unwrap(), datum, "{codec:?}");
    }
    let now = CellRef::Text(b"now");
    assert!(decode(Codec::DateTimeLoose, Type::new(oid::TIMESTAMP), now).is_err());
    let month = Datum::Interval(crate::value::Interval { months: 1, days: 0, micros: 0 });
    assert!(encode(Codec::IntervalMicros, Type::new(oid::INTERVAL), &month).is_err());
}

#[test]
fn logical_cells() {
    let style = Style::default();
    for (ty, input, cell) in [
        (oid::BOOL, "t", Cell::Integer(1)),
        (oid::INT2, "-3", Cell::Integer(-3)),
        (oid::FLOAT4, "1.1", Cell::Real(f64::from(1.1f32))),
        (oid::NUMERIC, "1.10", Cell::Text("1.10".into())),
        (oid::BYTEA, "\\x00ff", Cell::Blob(vec![0, 255])),
        (oid::DATE, "2024-2-3", Cell::Text("2024-02-03".into())),
        (oid::TIME, "1:02", Cell::Text("01:02:00".into())),
        (oid::TIMESTAMP, "2024-2-3 4:05:06.70", Cell::Text("2024-02-03 04:05:06.7".into())),
        (oid::TIMESTAMPTZ, "2024-02-03 00:00+01", Cell::Text("2024-02-02 23:00:00".into())),
        (oid::TIMESTAMP, "infinity", Cell::Text("infinity".into())),
        (oid::INTERVAL, "P1D", Cell::Text("1 day".into())),
        (oid::JSONB, "{\"b\":1,\"a\":[]}", Cell::Text("{\"a\": [], \"b\": 1}".into())),
        (oid::JSON, "{\"b\":1}", Cell::Text("{\"b\":1}".into())),
        (oid::INT4_ARRAY, "{1,NULL}", Cell::Text("[1,null]".into())),
        (oid::TEXT_ARRAY, "{a,\"b c\"}", Cell::Text("[\"a\",\"b c\"]".into())),
        (oid::NUMERIC_ARRAY, "{1.10}", Cell::Text("[\"1.10\"]".into())),
        (oid::BYTEA_ARRAY, "{\"\\\\x00\"}", Cell::Text("[\"\\\\x00\"]".into())),
        (oid::INT2VECTOR, "1 2", Cell::Text("[1,2]".into())),
    ] {
        let ty = Type::new(ty);
        let datum = text::parse(ty, input, &style).unwrap();
        let got = encode(Codec::Identity, ty, &datum).unwrap();
        assert_eq!(got, cell, "{input}");
        assert_eq!(decode(Codec::Identity, ty, got.as_ref()).unwrap(), datum, "{input}");
    }
    let old = text::parse(Type::new(oid::DATE), "0044-03-15 BC", &style).unwrap();
    // Before the year 1: text that sorts before all others.
    let stored = encode(Codec::Identity, Type::new(oid::DATE), &old).unwrap();
    assert_eq!(stored, Cell::Text(".9956-03-15".into()));
    assert_eq!(decode(Codec::Identity, Type::new(oid::DATE), stored.as_ref()).unwrap(), old);
    // SQLite has no NaN: its text sorts behind every number, as PostgreSQL's NaN does.
    let nan = encode(Codec::Identity, Type::new(oid::FLOAT8), &Datum::Float8(f64::NAN));
    assert_eq!(nan.unwrap(), Cell::Text("NaN".into()));
}

#[test]
fn misfits() {
    for (ty, cell) in [
        (oid::INT4, CellRef::Text(b"x")),
        (oid::BOOL, CellRef::Integer(2)),
        (oid::TEXT, CellRef::Integer(2)),
        (oid::DATE, CellRef::Integer(2)),
        (oid::UUID, CellRef::Text(b"x")),
        (oid::JSONB, CellRef::Text(b"{")),
        (oid::BYTEA, CellRef::Text(b"x")),
    ] {
        let error = decode(Codec::Identity, Type::new(ty), cell).unwrap_err();
        assert_eq!(error.sqlstate(), state::DATA_CORRUPTED);
        assert!(!error.message().contains('"'));
    }
    let wide = decode(Codec::Identity, Type::new(oid::INT4), CellRef::Integer(1 << 40));
    assert_eq!(wide.unwrap_err().message(), "integer out of range");
    let invalid = decode(Codec::Identity, Type::new(oid::TEXT), CellRef::Text(b"\xff"));
    assert_eq!(invalid.unwrap_err().sqlstate(), state::CHARACTER_NOT_IN_REPERTOIRE);
}

proptest! {
    #[test]
    fn fifteen_digits_are_exact(unscaled in -999_999_999_999_999i64..=999_999_999_999_999, scale in 0i32..=15) {
        let ty = numeric_type(15, scale);
        let value = Datum::Numeric(Numeric::Finite(unscaled.into(), scale as u32));
        let cell = encode(Codec::NumericNative, ty, &value).unwrap();
        let again = decode(Codec::NumericNative, ty, cell.as_ref()).unwrap();
        prop_assert_eq!(shown(&again), shown(&value));
    }

    #[test]
    fn eighteen_digits_scaled(unscaled in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0i32..=18) {
        let ty = numeric_type(18, scale);
        let value = Datum::Numeric(Numeric::Finite(unscaled.into(), scale as u32));
        let cell = encode(Codec::NumericScaled, ty, &value).unwrap();
        prop_assert_eq!(&cell, &Cell::Integer(unscaled));
        let again = decode(Codec::NumericScaled, ty, cell.as_ref()).unwrap();
        prop_assert_eq!(shown(&again), shown(&value));
    }

    #[test]
    fn unix_times_keep_microseconds(micros in -2_000_000_000_000_000i64..2_000_000_000_000_000) {
        for (codec, ty) in [(Codec::UnixSeconds, oid::TIMESTAMP), (Codec::UnixMillis, oid::TIMESTAMPTZ)] {
            let ty = Type::new(ty);
            let datum = if ty.oid == oid::TIMESTAMP {
                Datum::Timestamp(micros)
            } else {
                Datum::Timestamptz(micros)
            };
            let cell = encode(codec, ty, &datum).unwrap();
            prop_assert_eq!(decode(codec, ty, cell.as_ref()).unwrap(), datum);
        }
    }
}
