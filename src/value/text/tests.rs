//! Values taken from PostgreSQL 15.

use proptest::prelude::*;

use super::*;

fn show(ty: u32, input: &str) -> String {
    let ty = Type::new(ty);
    let datum = parse(ty, input, &Style::default()).unwrap_or_else(|e| panic!("{input}: {e}"));
    let mut out = Vec::new();
    format(&datum, ty, &Style::default(), &mut out);
    String::from_utf8(out).unwrap()
}

fn fails(ty: u32, input: &str, code: &str, message: &str) {
    let error = parse(Type::new(ty), input, &Style::default()).unwrap_err();
    assert_eq!((error.sqlstate().as_str(), error.message()), (code, message), "{input}");
}

#[test]
fn integers() {
    assert_eq!(show(oid::INT4, " +12 "), "12");
    assert_eq!(show(oid::INT8, "-9223372036854775808"), "-9223372036854775808");
    assert_eq!(show(oid::OID, "-1"), "4294967295");
    fails(oid::INT4, "x", "22P02", "invalid input syntax for type integer: \"x\"");
    fails(oid::INT4, "", "22P02", "invalid input syntax for type integer: \"\"");
    fails(oid::INT4, "1 2", "22P02", "invalid input syntax for type integer: \"1 2\"");
    fails(oid::INT4, "1.0", "22P02", "invalid input syntax for type integer: \"1.0\"");
    fails(
        oid::INT4,
        "2147483648",
        "22003",
        "value \"2147483648\" is out of range for type integer",
    );
    fails(oid::INT2, "-32769", "22003", "value \"-32769\" is out of range for type smallint");
    fails(
        oid::INT8,
        "9223372036854775808",
        "22003",
        "value \"9223372036854775808\" is out of range for type bigint",
    );
}

#[test]
fn bools() {
    for yes in ["t", "TRUE", "tr", "y", "yes", "on", "1", " t "] {
        assert_eq!(show(oid::BOOL, yes), "t");
    }
    for no in ["f", "false", "n", "no", "off", "of", "0"] {
        assert_eq!(show(oid::BOOL, no), "f");
    }
    fails(oid::BOOL, "o", "22P02", "invalid input syntax for type boolean: \"o\"");
    fails(oid::BOOL, "2", "22P02", "invalid input syntax for type boolean: \"2\"");
}

#[test]
fn floats() {
    for (input, output) in [
        ("1", "1"),
        ("0.1", "0.1"),
        ("-0", "-0"),
        ("1e15", "1e+15"),
        ("123456789012345", "123456789012345"),
        ("1e-4", "0.0001"),
        ("1e-5", "1e-05"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
        ("5.6843418860808015e-14", "5.684341886080802e-14"),
        ("-inf", "-Infinity"),
        (" nan ", "NaN"),
    ] {
        assert_eq!(show(oid::FLOAT8, input), output);
    }
    for (input, output) in [
        ("1.1", "1.1"),
        ("123456", "123456"),
        ("1234567", "1.234567e+06"),
        ("16777216", "1.6777216e+07"),
        ("1e-45", "1e-45"),
    ] {
        assert_eq!(show(oid::FLOAT4, input), output);
    }
    fails(oid::FLOAT8, "1e400", "22003", "\"1e400\" is out of range for type double precision");
    fails(oid::FLOAT8, "1e-400", "22003", "\"1e-400\" is out of range for type double precision");
    fails(oid::FLOAT4, "1e40", "22003", "\"1e40\" is out of range for type real");
    fails(oid::FLOAT8, "1x", "22P02", "invalid input syntax for type double precision: \"1x\"");
    let mut out = Vec::new();
    float::format_f64(0.1 + 0.2, 0, &mut out);
    out.push(b' ');
    float::format_f32(1.1, -2, &mut out);
    assert_eq!(out, b"0.3 1.1");
}

#[test]
fn byteas() {
    assert_eq!(show(oid::BYTEA, "\\x 00 fF"), "\\x00ff");
    assert_eq!(show(oid::BYTEA, "a\\\\\\001é"), "\\x615c01c3a9");
    fails(oid::BYTEA, "\\x0", "22023", "invalid hexadecimal data: odd number of digits");
    fails(oid::BYTEA, "\\xzz", "22023", "invalid hexadecimal digit: \"z\"");
    fails(oid::BYTEA, "\\9", "22P02", "invalid input syntax for type bytea");
    let mut out = Vec::new();
    format_bytea(b"a\\\x01\xff", false, &mut out);
    assert_eq!(out, b"a\\\\\\001\\377");
}

#[test]
fn uuids() {
    let plain = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    for form in [
        plain,
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
    ] {
        assert_eq!(show(oid::UUID, form), plain);
    }
    fails(oid::UUID, "a0e-", "22P02", "invalid input syntax for type uuid: \"a0e-\"");
    for bad in ["", "{", "a0eebc999c0b4ef8bb6d6bb9bd380a1", "a0eebc999c0b4ef8bb6d6bb9bd380a11-"] {
        assert!(parse_uuid(bad).is_err());
    }
}

#[test]
fn strings() {
    assert_eq!(show(oid::TEXT, " a "), " a ");
    // Without a length the blanks are part of it.
    assert_eq!(show(oid::BPCHAR, "a  "), "a  ");
    let padded = Type::with_typmod(oid::BPCHAR, 7);
    let mut out = Vec::new();
    format(&Datum::Text("é".into()), padded, &Style::default(), &mut out);
    assert_eq!(out, "é  ".as_bytes());
    fails(oid::TEXT, "a\0b", "22021", "invalid byte sequence for encoding \"UTF8\": 0x00");
    assert_eq!(
        utf8(b"ab\xc3\x28").unwrap_err().message(),
        "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28"
    );
}

#[test]
fn arrays() {
    for (input, output) in [
        ("{}", "{}"),
        (" { } ", "{}"),
        ("{a, b c ,\"d,e\"}", "{a,\"b c\",\"d,e\"}"),
        ("{NULL,null,\"NULL\"}", "{NULL,NULL,\"NULL\"}"),
        ("{\"\",\"a\\\"b\\\\c\"}", "{\"\",\"a\\\"b\\\\c\"}"),
        ("{a\\ }", "{\"a \"}"),
        ("[1:2]={a,b}", "{a,b}"),
    ] {
        assert_eq!(show(oid::TEXT_ARRAY, input), output);
    }
    assert_eq!(show(oid::INT4_ARRAY, "{1, 2 ,-3}"), "{1,2,-3}");
    assert_eq!(show(oid::INT2VECTOR, "1 2"), "1 2");
    fails(oid::INT4_ARRAY, "{a}", "22P02", "invalid input syntax for type integer: \"a\"");
    for bad in ["", "1,2", "{", "{a", "{a,}", "{,a}", "{a}}", "{\"a\"b}", "{a\"b\"}", "[1:3]={a}"] {
        let message = format!("malformed array literal: \"{bad}\"");
        fails(oid::TEXT_ARRAY, bad, "22P02", &message);
    }
    assert_eq!(show(oid::INT4_ARRAY, "{{1},{ 2}}"), "{{1},{2}}");
}

proptest! {
    #[test]
    fn text_arrays_round_trip(items in prop::collection::vec(prop::option::of("[^\u{0}]{0,6}"), 0..6)) {
        let ty = Type::new(oid::TEXT_ARRAY);
        let elements = items.into_iter().map(|i| i.map_or(Datum::Null, Datum::Text)).collect();
        let array = Datum::Array(oid::TEXT, elements);
        let mut out = Vec::new();
        format(&array, ty, &Style::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(parse(ty, &text, &Style::default()).unwrap(), array);
    }

    #[test]
    fn floats_round_trip(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        let mut out = Vec::new();
        float::format_f64(value, 1, &mut out);
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(float::parse_f64(&text).unwrap().to_bits(), bits);
    }

    #[test]
    fn reals_round_trip(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        prop_assume!(!value.is_nan());
        let mut out = Vec::new();
        float::format_f32(value, 1, &mut out);
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(float::parse_f32(&text).unwrap().to_bits(), bits);
    }

    #[test]
    fn never_panics(text in "[-+{}\",\\\\ 0-9a-fxN\\[\\]:=]{0,16}") {
        for ty in [
            oid::BOOL, oid::INT4, oid::OID, oid::FLOAT4, oid::BYTEA, oid::UUID, oid::TEXT_ARRAY,
            oid::INT4_ARRAY, oid::INT2VECTOR, oid::CHAR, oid::NAME,
        ] {
            let _ = parse(Type::new(ty), &text, &Style::default());
        }
    }
}
