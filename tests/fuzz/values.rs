//! Types that the fuzzer uses, and constants of each: edges often, ordinary values most often.
//!
//! Start at [`TYPES`] and [`constant`].

use crossfade::value::oid;
use rand::Rng as _;
use rand::rngs::StdRng;

use super::tree::Node;

/// Types of columns and expressions.
pub const TYPES: &[u32] = &[
    oid::BOOL,
    oid::INT2,
    oid::INT4,
    oid::INT8,
    oid::FLOAT4,
    oid::FLOAT8,
    oid::NUMERIC,
    oid::TEXT,
    oid::VARCHAR,
    oid::BPCHAR,
    oid::BYTEA,
    oid::DATE,
    oid::TIME,
    oid::TIMESTAMP,
    oid::TIMESTAMPTZ,
    oid::INTERVAL,
    oid::UUID,
    oid::JSON,
    oid::JSONB,
    oid::INT4_ARRAY,
    oid::TEXT_ARRAY,
];

/// Types whose equal values look equal: what DISTINCT, GROUP BY or max() picks is determined.
pub fn canonical(ty: u32) -> bool {
    !matches!(ty, oid::NUMERIC | oid::INTERVAL | oid::JSON | oid::JSONB | oid::FLOAT4 | oid::FLOAT8)
}

/// Types with `<`.
pub fn ordered(ty: u32) -> bool {
    ty != oid::JSON
}

/// Declarations of a column of a type.
pub fn declarations(ty: u32) -> &'static [&'static str] {
    match ty {
        oid::NUMERIC => &["numeric(10,2)", "numeric(18,4)", "numeric(30,6)", "numeric"],
        oid::VARCHAR => &["varchar(5)", "varchar(40)", "varchar"],
        oid::BPCHAR => &["char(4)", "char(12)"],
        oid::INT4_ARRAY => &["int4[]"],
        oid::TEXT_ARRAY => &["text[]"],
        oid::BOOL => &["bool"],
        oid::INT2 => &["int2"],
        oid::INT4 => &["int4"],
        oid::INT8 => &["int8"],
        oid::FLOAT4 => &["float4"],
        oid::FLOAT8 => &["float8"],
        oid::TEXT => &["text"],
        oid::BYTEA => &["bytea"],
        oid::DATE => &["date"],
        oid::TIME => &["time"],
        oid::TIMESTAMP => &["timestamp"],
        oid::TIMESTAMPTZ => &["timestamptz"],
        oid::INTERVAL => &["interval"],
        oid::UUID => &["uuid"],
        oid::JSON => &["json"],
        _ => &["jsonb"],
    }
}

/// Ordinary values, then edges.
fn texts(ty: u32) -> (&'static [&'static str], &'static [&'static str]) {
    match ty {
        oid::BOOL => (&["t", "f"], &["t"]),
        oid::INT2 => (&["0", "1", "2", "3", "7", "-1", "-4"], &["32767", "-32768", "255"]),
        oid::INT4 => (
            &["0", "1", "2", "3", "5", "10", "-1", "-7"],
            &["2147483647", "-2147483648", "65536", "1000000"],
        ),
        oid::INT8 => (
            &["0", "1", "2", "4", "11", "-1", "-9", "100"],
            &["9223372036854775807", "-9223372036854775808", "9007199254740993", "4294967296"],
        ),
        oid::FLOAT4 => (
            &["0", "1", "-1", "0.5", "1.5", "2.25", "-2.5", "10"],
            &["0.1", "3.4e38", "1e-30", "16777217", "Infinity", "123456.79"],
        ),
        oid::FLOAT8 => (
            &["0", "1", "-1", "0.5", "1.5", "2.5", "-3.5", "100"],
            &[
                "0.1",
                "1e308",
                "1e-300",
                "9007199254740993",
                "-Infinity",
                "123456.789",
                "1e15",
                "1e16",
            ],
        ),
        oid::NUMERIC => (
            &["0", "1", "-1", "1.5", "2.50", "-0.05", "10.10", "3"],
            &["12345678901234567890.123456", "0.000001", "99999999.99", "-1e15", "1e-10", "0.1"],
        ),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => (
            &["a", "b", "abc", "ABC", "x y", "foo", "1", "10", ""],
            &[
                "é", "É", "ß", "a%b", "_", "%", " a", "a ", "It's", "日本", "\\", "true", "NULL",
                "a,b", "{x}", "\"q\"",
            ],
        ),
        oid::BYTEA => (&["\\x", "\\x61", "\\x616263"], &["\\x00", "\\xff00ff", "\\xc3a9"]),
        oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => times(ty),
        oid::UUID => (
            &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000001"],
            &["ffffffff-ffff-ffff-ffff-ffffffffffff"],
        ),
        oid::JSON | oid::JSONB => (
            &[
                "{\"a\": 1}",
                "[1, 2]",
                "null",
                "\"s\"",
                "3",
                "{\"a\": {\"b\": \"x\"}, \"c\": null}",
                "true",
            ],
            &[
                "{}",
                "[]",
                "1.50",
                "{\"b\": 1, \"a\": [true, {\"z\": 1e3}]}",
                "\"é\\n\"",
                "{\"a\": 1, \"a\": 2}",
                "[[1], \"a\"]",
            ],
        ),
        oid::INT4_ARRAY => (&["{1,2,3}", "{}", "{5}", "{3,NULL,1}"], &["{2147483647}", "{NULL}"]),
        _ => {
            (&["{a,b}", "{}", "{abc}", "{a,NULL}"], &["{\"a b\",\"\"}", "{\"x\\\"y\",é}", "{NULL}"])
        }
    }
}

/// Those of dates and times.
fn times(ty: u32) -> (&'static [&'static str], &'static [&'static str]) {
    match ty {
        oid::DATE => (
            &["2024-01-01", "2024-02-29", "2023-12-31", "2000-06-15"],
            &["1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "1900-03-01"],
        ),
        oid::TIME => (&["00:00:00", "12:30:00", "01:02:03"], &["23:59:59.999999", "00:00:00.5"]),
        oid::TIMESTAMP => (
            &["2024-01-01 00:00:00", "2024-02-29 12:30:45", "2023-06-01 08:00:00"],
            &[
                "1969-12-31 23:59:59.999999",
                "2024-03-31 02:30:00",
                "0001-01-01 00:00:00",
                "9999-12-31 23:59:59",
                "2024-10-27 02:30:00",
            ],
        ),
        oid::TIMESTAMPTZ => (
            &["2024-01-01 00:00:00+00", "2024-02-29 12:30:45+02", "2023-06-01 08:00:00+00"],
            &[
                "2024-03-31 01:30:00+00",
                "2024-10-27 00:30:00+00",
                "1969-12-31 23:59:59.999999+00",
                "2024-07-01 00:00:00.000001-11",
            ],
        ),
        _ => (
            &["1 day", "2 hours", "1 mon", "00:30:00", "0"],
            &[
                "1 year 2 mons 3 days 04:05:06.789",
                "-1 day",
                "30 days",
                "24:00:00",
                "-1 mon 5 days",
            ],
        ),
    }
}

/// The text of a constant.
pub fn text(rng: &mut StdRng, ty: u32) -> &'static str {
    let (ordinary, edges) = texts(ty);
    if rng.random_bool(0.75) {
        ordinary[rng.random_range(0..ordinary.len())]
    } else {
        edges[rng.random_range(0..edges.len())]
    }
}

/// A constant, at times without a cast where its bare form has the type.
pub fn constant(rng: &mut StdRng, ty: u32) -> Node {
    if rng.random_bool(0.06) {
        return Node::null(ty);
    }
    let text = match text(rng, ty) {
        // A bare char(n) constant keeps its blanks in PostgreSQL; here they are never kept.
        "a " if ty == oid::BPCHAR => "a",
        other => other,
    };
    let bare = rng.random_bool(0.5).then(|| bare(ty, text)).flatten();
    Node::literal(ty, text, bare)
}

fn bare(ty: u32, text: &str) -> Option<String> {
    match ty {
        oid::BOOL => Some(if text == "t" { "true" } else { "false" }.to_owned()),
        oid::INT4 if text == "-2147483648" => None,
        oid::INT4 if text.starts_with('-') => Some(format!("({text})")),
        oid::INT4 => Some(text.to_owned()),
        oid::NUMERIC if text.contains('.') && !text.starts_with('-') => Some(text.to_owned()),
        _ => None,
    }
}
