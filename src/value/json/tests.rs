//! Values taken from PostgreSQL 15.

use proptest::prelude::*;

use super::*;

#[test]
fn canonical_output() {
    for (input, output) in [
        ("{\"bb\":1,\"a\":2,\"c\":3}", "{\"a\": 2, \"c\": 3, \"bb\": 1}"),
        ("{\"a\":1,\"a\":2}", "{\"a\": 2}"),
        (" [ 1 , 2.50,1e2,-0, true,null ] ", "[1, 2.50, 100, 0, true, null]"),
        ("\"\\u00e9\\n\\u001f\\/\\ud83d\\ude00\"", "\"é\\n\\u001f/😀\""),
        ("{}", "{}"),
        ("[]", "[]"),
        ("-0.0", "0.0"),
    ] {
        assert_eq!(canonical(input).unwrap(), output);
    }
}

#[test]
fn details() {
    for (input, detail) in [
        ("", "The input string ended unexpectedly."),
        ("{", "The input string ended unexpectedly."),
        ("{a}", "Token \"a\" is invalid."),
        ("{1}", "Expected string or \"}\", but found \"1\"."),
        ("{\"a\" 1}", "Expected \":\", but found \"1\"."),
        ("{\"a\":1 2}", "Expected \",\" or \"}\", but found \"2\"."),
        ("[1 2]", "Expected \",\" or \"]\", but found \"2\"."),
        ("[,]", "Expected JSON value, but found \",\"."),
        ("[1,]", "Expected JSON value, but found \"]\"."),
        ("1 2", "Expected end of input, but found \"2\"."),
        ("01", "Token \"01\" is invalid."),
        ("'a'", "Token \"'\" is invalid."),
        ("\"abc", "Token \"\"abc\" is invalid."),
        ("\"\\x\"", "Escape sequence \"\\x\" is invalid."),
        ("\"\\u12g4\"", "\"\\u\" must be followed by four hexadecimal digits."),
        ("\"a\nb\"", "Character with value 0x0a must be escaped."),
        ("{\"a\":1,}", "Expected string, but found \"}\"."),
    ] {
        let error = validate(input).unwrap_err();
        assert_eq!(error.message(), "invalid input syntax for type json");
        assert_eq!(error.fields().detail.as_deref(), Some(detail), "{input}");
    }
    assert_eq!(parse("\"\\u0000\"").unwrap_err().sqlstate(), state::UNTRANSLATABLE_CHARACTER);
    assert!(parse("\"\\ud800\"").is_err());
    assert!(validate("\"\\ud800\\u0000\"").is_ok());
    assert!(validate(&"[".repeat(100_000)).is_err());
}

#[test]
fn btree_order() {
    let sorted = ["[]", "null", "\"\"", "\"a\"", "-1", "1.0", "2", "false", "true", "[1]", "[2]"];
    let more = ["[1, 1]", "{}", "{\"a\": 1}", "{\"b\": 0}", "{\"a\": 1, \"b\": 0}"];
    let all: Vec<Json> = sorted.iter().chain(&more).map(|t| parse(t).unwrap()).collect();
    for pair in all.windows(2) {
        assert_eq!(pair[0].compare(&pair[1]), Ordering::Less, "{pair:?}");
    }
    assert_eq!(parse("1.0").unwrap().sort_key(), parse("1.00").unwrap().sort_key());
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (any::<i64>(), 0u32..10).prop_map(|(n, s)| Json::Number(Numeric::Finite(n.into(), s))),
        "[^\u{0}]{0,8}".prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::vec(("[a-zé]{0,3}", inner), 0..6).prop_map(Json::object),
        ]
    })
}

proptest! {
    #[test]
    fn round_trip(value in any_json()) {
        let mut text = String::new();
        value.write(&mut text);
        prop_assert_eq!(&parse(&text).unwrap(), &value);
        prop_assert_eq!(canonical(&text).unwrap(), text);
    }

    #[test]
    fn never_panics(text in "[\\[\\]{}:,\"0-9eE.\\\\ud8 -]{0,20}") {
        let _ = parse(&text);
        let _ = validate(&text);
    }
}
