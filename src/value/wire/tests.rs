//! The short ways answer as the long one does.

use super::*;

fn field(cell: &Cell, ty: Type, format: Format, style: &Style) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    write(cell.as_ref(), Codec::Identity, ty, format, style, &mut out).unwrap();
    let length = i32::from_be_bytes(out[..4].try_into().unwrap());
    if length < 0 {
        assert_eq!(out.len(), 4);
        return None;
    }
    assert_eq!(out.len(), length as usize + 4);
    Some(out[4..].to_vec())
}

#[test]
fn same_as_by_datum() {
    let style = Style { timezone: datetime::zone("Asia/Kolkata").unwrap(), ..Style::default() };
    let samples = [
        (oid::INT2, "-7"),
        (oid::INT4, "2147483647"),
        (oid::INT8, "-9223372036854775808"),
        (oid::OID, "4294967295"),
        (oid::BOOL, "t"),
        (oid::BOOL, "f"),
        (oid::FLOAT4, "1.1"),
        (oid::FLOAT8, "0.1"),
        (oid::FLOAT8, "Infinity"),
        (oid::NUMERIC, "-12.30"),
        (oid::NUMERIC, "NaN"),
        (oid::TEXT, "añ"),
        (oid::TEXT, ""),
        (oid::VARCHAR, "x"),
        (oid::JSON, "{ }"),
        (oid::JSONB, "{\"a\":1}"),
        (oid::BYTEA, "\\x00ff"),
        (oid::DATE, "2024-02-29"),
        (oid::DATE, "infinity"),
        (oid::TIME, "01:02:03.5"),
        (oid::TIMESTAMP, "2024-02-29 01:02:03.50"),
        (oid::TIMESTAMP, "-infinity"),
        (oid::TIMESTAMPTZ, "2024-02-29 01:02:03+00"),
        (oid::INTERVAL, "1 day"),
        (oid::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (oid::TEXT_ARRAY, "{a,NULL,\"b c\"}"),
        (oid::INT4_ARRAY, "{1,2}"),
    ];
    for (ty, input) in samples {
        let ty = Type::new(ty);
        let datum = text::parse(ty, input, &style).unwrap();
        let cell = read(ty, Format::Text, input.as_bytes(), &style).unwrap();
        assert_eq!(cell, storage::encode(Codec::Identity, ty, &datum).unwrap());
        for format in [Format::Text, Format::Binary] {
            let mut long = BytesMut::new();
            write_datum(&datum, ty, format, &style, &mut long).unwrap();
            let short = field(&cell, ty, format, &style).unwrap();
            assert_eq!(short, long[4..], "{input}");
            let again = read(ty, format, &short, &style).unwrap();
            assert_eq!(again, cell, "{input} {format:?}");
        }
    }
}

#[test]
fn specials() {
    let style = Style::default();
    assert_eq!(field(&Cell::Null, Type::new(oid::INT4), Format::Text, &style), None);
    let padded = Type::with_typmod(oid::BPCHAR, 7);
    let cell = Cell::Text("a".into());
    assert_eq!(field(&cell, padded, Format::Text, &style).unwrap(), b"a  ");
    assert_eq!(field(&cell, padded, Format::Binary, &style).unwrap(), b"a  ");
    let cell = Cell::Text("2024-02-29 01:02:03.50".into());
    let stamp = Type::new(oid::TIMESTAMP);
    assert_eq!(field(&cell, stamp, Format::Text, &style).unwrap(), b"2024-02-29 01:02:03.5");
    let cell = Cell::Text("pg_class".into());
    assert_eq!(field(&cell, Type::new(oid::REGCLASS), Format::Text, &style).unwrap(), b"pg_class");
}

#[test]
fn errors_append_nothing() {
    let style = Style::default();
    for (ty, cell) in [
        (oid::INT4, CellRef::Integer(1 << 40)),
        (oid::TEXT, CellRef::Text(b"\xff")),
        (oid::TEXT, CellRef::Integer(1)),
        (oid::JSONB, CellRef::Text(b"{")),
    ] {
        for format in [Format::Text, Format::Binary] {
            let mut out = BytesMut::new();
            let ty = Type::new(ty);
            assert!(write(cell, Codec::Identity, ty, format, &style, &mut out).is_err());
            assert!(out.is_empty());
        }
    }
}
