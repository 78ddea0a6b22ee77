//! Values taken from PostgreSQL 15.

use proptest::prelude::*;

use super::*;

fn n(text: &str) -> Numeric {
    Numeric::parse(text).unwrap()
}

#[test]
fn reads_and_prints() {
    for (input, output) in [
        ("0", "0"),
        ("-0.00", "0.00"),
        (" 1.50 ", "1.50"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("12345678901234567890.123456789", "12345678901234567890.123456789"),
        ("NaN", "NaN"),
        ("-inf", "-Infinity"),
        ("+Infinity", "Infinity"),
        ("-1.0E+2", "-100"),
        ("0e10", "0"),
        ("000123", "123"),
    ] {
        assert_eq!(n(input).to_string(), output);
    }
    for bad in ["", " ", ".", "1e", "1.2.3", "--1", "x", "1 2", "+nan", "1e+", "0x10", "1_000"] {
        assert_eq!(Numeric::parse(bad).unwrap_err().sqlstate(), state::INVALID_TEXT_REPRESENTATION);
    }
    for wide in ["1e131072", "1e-16384", "1e999999999", "1e99999999999999999999"] {
        assert_eq!(Numeric::parse(wide).unwrap_err().message(), "value overflows numeric format");
    }
    assert!(Numeric::parse("1e131071").is_ok());
}

#[test]
fn result_scales() {
    for (a, op, b, result) in [
        ("1", '/', "3", "0.33333333333333333333"),
        ("10", '/', "3", "3.3333333333333333"),
        ("1.0", '/', "3.000", "0.33333333333333333333"),
        ("100000", '/', "7", "14285.714285714286"),
        ("2", '/', "0.0001", "20000.000000000000"),
        ("7", '%', "-2.5", "2.0"),
        ("-7.5", '%', "2", "-1.5"),
        ("1.10", '*', "2.5", "2.750"),
        ("0.1", '+', "0.25", "0.35"),
        ("1", '-', "1.00", "0.00"),
        ("0", '/', "5", "0.00000000000000000000"),
        ("Infinity", '-', "Infinity", "NaN"),
        ("Infinity", '*', "-2", "-Infinity"),
        ("1", '/', "Infinity", "0"),
    ] {
        let (a, b) = (n(a), n(b));
        let got = match op {
            '/' => a.div(&b),
            '%' => a.rem(&b),
            '*' => a.mul(&b),
            '+' => a.add(&b),
            _ => a.sub(&b),
        };
        assert_eq!(got.unwrap().to_string(), result, "{a} {op} {b}");
    }
    assert_eq!(n("1").div(&n("0")).unwrap_err().message(), "division by zero");
}

#[test]
fn rounding() {
    for (value, scale, round, trunc) in [
        ("2.5", 0, "3", "2"),
        ("-2.5", 0, "-3", "-2"),
        ("1.25", 1, "1.3", "1.2"),
        ("1.5", 3, "1.500", "1.500"),
        ("15.55", -1, "20", "10"),
        ("1.5", -3, "0", "0"),
        ("550", -2, "600", "500"),
    ] {
        assert_eq!(n(value).round(scale).to_string(), round);
        assert_eq!(n(value).trunc(scale).to_string(), trunc);
    }
    assert_eq!(n("-0.5").ceil().to_string(), "0");
    assert_eq!(n("-0.5").floor().to_string(), "-1");
}

#[test]
fn typmod() {
    assert_eq!(n("1.005").with_typmod(10, 2).unwrap().to_string(), "1.01");
    assert_eq!(n("12345").with_typmod(3, -2).unwrap().to_string(), "12300");
    let error = n("99.995").with_typmod(4, 2).unwrap_err();
    assert_eq!(error.message(), "numeric field overflow");
    assert_eq!(
        error.fields().detail.as_deref(),
        Some("A field with precision 4, scale 2 must round to an absolute value less than 10^2.")
    );
    assert!(n("NaN").with_typmod(4, 2).unwrap().is_nan());
}

#[test]
fn conversions() {
    assert_eq!(n("2.5").to_i64().unwrap(), 3);
    assert_eq!(n("-2.5").to_i64().unwrap(), -3);
    assert_eq!(n("9223372036854775807.4").to_i64().unwrap(), i64::MAX);
    assert_eq!(n("9223372036854775807.5").to_i64().unwrap_err().message(), "bigint out of range");
    assert_eq!(n("40000").to_integer(oid::INT2).unwrap_err().message(), "smallint out of range");
    assert_eq!(Numeric::from_f64(0.1).to_string(), "0.1");
    for (real, text) in [
        (9_223_372_036_854_775_808.0, "9223372036854775808"),
        (-18_446_744_073_709_551_616.0, "-18446744073709551616"),
        (1e23, "100000000000000000000000"),
        (0.5, "0.5"),
    ] {
        assert_eq!(Numeric::from_whole_f64(real).to_string(), text);
    }
    assert_eq!(Numeric::from_f64(1e300).to_string().len(), 301);
    assert_eq!(Numeric::cast_f64(0.1 + 0.2).to_string(), "0.3");
    assert_eq!(Numeric::cast_f32(1.1).to_string(), "1.1");
    assert_eq!(n("5.10").to_scaled(2), Some(510));
    assert_eq!(n("5.101").to_scaled(2), None);
}

#[test]
fn roots_and_powers() {
    assert_eq!(n("2").sqrt().unwrap().to_string(), "1.414213562373095");
    assert_eq!(n("2").power(&n("10")).unwrap().to_string(), "1024.0000000000000000");
    assert_eq!(n("0").power(&n("-1")).unwrap_err().sqlstate().as_str(), "2201F");
    assert_eq!(n("-1").ln().unwrap_err().sqlstate().as_str(), "2201E");
}

fn any_numeric() -> impl Strategy<Value = Numeric> {
    prop_oneof![
        20 => (any::<i128>(), 0u32..40).prop_map(|(u, s)| Numeric::Finite(u.into(), s)),
        20 => (-1000i64..1000, 0u32..4).prop_map(|(u, s)| Numeric::Finite(u.into(), s)),
        1 => Just(Numeric::NaN),
        1 => Just(Numeric::Infinity),
        1 => Just(Numeric::NegInfinity),
    ]
}

proptest! {
    #[test]
    fn text_round_trip(v in any_numeric()) {
        let again = n(&v.to_string());
        prop_assert_eq!(again.scale(), v.scale());
        prop_assert_eq!(again, v);
    }

    #[test]
    fn keys_sort_as_values(a in any_numeric(), b in any_numeric()) {
        prop_assert_eq!(a.sort_key().cmp(&b.sort_key()), a.cmp(&b));
    }

    #[test]
    fn equal_values_have_equal_keys(v in any_numeric(), more in 0u32..20) {
        if let Numeric::Finite(u, s) = &v {
            let wide = Numeric::Finite(u * pow10(more), s + more);
            prop_assert_eq!(wide.sort_key(), v.sort_key());
            prop_assert_eq!(wide, v);
        }
    }

    #[test]
    fn floats_survive(bits in any::<u64>()) {
        let f = f64::from_bits(bits);
        prop_assume!(f.is_finite());
        prop_assert_eq!(Numeric::from_f64(f).to_f64().unwrap(), f);
    }

    #[test]
    fn never_panics(text in "[-+0-9.eEnNaAiIfF ]{0,12}") {
        let _ = Numeric::parse(&text);
    }
}
