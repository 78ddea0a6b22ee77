//! The table: columns, values, and how each habit stores them.

use crossfade::schema::Codec;
use crossfade::value::{Type, oid};

/// A storage habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// As Crossfade makes new tables.
    Crossfade,
    /// As Django's SQLite back end stores.
    Django,
    /// As hand-written applications do.
    Raw,
}

pub const HABITS: [Habit; 3] = [Habit::Crossfade, Habit::Django, Habit::Raw];

impl Habit {
    /// The habit of the table that is joined: never the same.
    pub fn other(self) -> Self {
        match self {
            Self::Crossfade => Self::Django,
            Self::Django => Self::Raw,
            Self::Raw => Self::Crossfade,
        }
    }
}

/// A column.
pub struct Column {
    pub name: &'static str,
    pub ty: Type,
    /// The type as DDL and casts name it.
    pub declared: &'static str,
    /// The type without its modifier.
    pub cast: &'static str,
    /// Codecs by habit.
    pub codecs: [Codec; 3],
    /// Constants to compare with; some lie between values.
    pub constants: &'static [&'static str],
    /// `<` exists.
    pub ordered: bool,
    /// A unique constraint is tried.
    pub unique: bool,
}

impl Column {
    pub fn codec(&self, habit: Habit) -> Codec {
        self.codecs[habit as usize]
    }
}

const SAME: [Codec; 3] = [Codec::Identity; 3];

macro_rules! column {
    ($name:literal, $oid:ident $typmod:expr, $declared:literal, $cast:literal, $codecs:expr,
     $constants:expr) => {
        column!($name, $oid $typmod, $declared, $cast, $codecs, $constants, true, true)
    };
    ($name:literal, $oid:ident $typmod:expr, $declared:literal, $cast:literal, $codecs:expr,
     $constants:expr, $ordered:literal, $unique:literal) => {
        Column {
            name: $name,
            ty: Type::with_typmod(oid::$oid, $typmod),
            declared: $declared,
            cast: $cast,
            codecs: $codecs,
            constants: $constants,
            ordered: $ordered,
            unique: $unique,
        }
    };
}

pub const COLUMNS: &[Column] = &[
    column!(
        "b",
        BOOL - 1,
        "bool",
        "bool",
        [Codec::Identity, Codec::Identity, Codec::BoolLoose],
        &["t", "false", "true"]
    ),
    column!("i", INT4 - 1, "int4", "int4", SAME, &["0", "-5", "7", "2147483647", "007"]),
    column!("l", INT8 - 1, "int8", "int8", SAME, &["0", "9000000000000000000", "-1"]),
    column!("n", NUMERIC Type::numeric_typmod(10, 2), "numeric(10,2)", "numeric",
        [Codec::NumericNative, Codec::NumericNative, Codec::NumericScaled],
        &["1.50", "1.5", "1.505", "-0.001", "99999999.99", "1e20", "NaN", "Infinity", "-Infinity", "0", "10.10"]),
    column!("w", NUMERIC Type::numeric_typmod(18, 4), "numeric(18,4)", "numeric",
        [Codec::NumericScaled, Codec::NumericText, Codec::NumericAny],
        &["1.5", "1.50001", "12345678901234.5678", "0", "-3.25", "1e30"]),
    column!("f", FLOAT8 - 1, "float8", "float8", SAME, &["0.1", "1e300", "-0", "2.5"]),
    column!(
        "s",
        TEXT - 1,
        "text",
        "text",
        [Codec::Identity, Codec::Identity, Codec::TextLoose],
        &["abc", "ABC", "", "7", "é", "ab%"]
    ),
    column!("v", VARCHAR 24, "varchar(20)", "varchar", SAME, &["x", "x ", "zz"]),
    column!(
        "d",
        DATE - 1,
        "date",
        "date",
        [Codec::Identity, Codec::Identity, Codec::DateTimeLoose],
        &["2024-02-29", "1999-12-31", "infinity"]
    ),
    column!(
        "ts",
        TIMESTAMP - 1,
        "timestamp",
        "timestamp",
        [Codec::Identity, Codec::DateTimeLoose, Codec::UnixSeconds],
        &["2024-02-29 12:00:00", "2024-02-29 12:00:00.5", "1970-01-01", "infinity"]
    ),
    column!(
        "tz",
        TIMESTAMPTZ - 1,
        "timestamptz",
        "timestamptz",
        [Codec::Identity, Codec::DateTimeLoose, Codec::UnixMillis],
        &[
            "2024-02-29 12:00:00+00",
            "2024-03-31 03:30:00",
            "2024-02-29 11:00:00.0005+00",
            "-infinity"
        ]
    ),
    column!(
        "iv",
        INTERVAL - 1,
        "interval",
        "interval",
        [Codec::Identity, Codec::IntervalMicros, Codec::Identity],
        &["1 day", "24 hours", "30 days", "1 mon", "00:00:01"]
    ),
    column!(
        "u",
        UUID - 1,
        "uuid",
        "uuid",
        [Codec::UuidLoose, Codec::UuidHex, Codec::UuidBlob],
        &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A12"]
    ),
    column!(
        "y",
        BYTEA - 1,
        "bytea",
        "bytea",
        [Codec::Identity, Codec::Identity, Codec::BytesLoose],
        &["\\x00ff", "\\x", "abc"]
    ),
    column!(
        "j",
        JSONB - 1,
        "jsonb",
        "jsonb",
        SAME,
        &["{\"a\": 1}", "[1, 2.0]", "\"x\"", "[1, 2]", "null"],
        true,
        false
    ),
];

/// Rows of `t` in text, in the order of COLUMNS.
pub const ROWS: &[[Option<&str>; 15]] = &[
    [
        Some("t"),
        Some("7"),
        Some("0"),
        Some("1.50"),
        Some("1.5000"),
        Some("0.1"),
        Some("abc"),
        Some("x"),
        Some("2024-02-29"),
        Some("2024-02-29 12:00:00"),
        Some("2024-02-29 12:00:00+00"),
        Some("01:00:00"),
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        Some("\\x00ff"),
        Some("{\"a\": 1}"),
    ],
    [
        Some("f"),
        Some("-5"),
        Some("9000000000000000000"),
        Some("10.10"),
        Some("-3.2500"),
        Some("2.5"),
        Some("ABC"),
        Some("y"),
        Some("1999-12-31"),
        Some("1999-12-31 23:59:59.25"),
        Some("1999-12-31 23:59:59.25+00"),
        Some("1 day"),
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"),
        Some("\\x"),
        Some("[1, 2]"),
    ],
    [None, None, None, None, None, None, None, None, None, None, None, None, None, None, None],
    [
        Some("t"),
        Some("7"),
        Some("1"),
        Some("1.50"),
        Some("12345678901234.5678"),
        Some("-2.5"),
        Some("7"),
        Some("x"),
        Some("2024-02-29"),
        Some("2024-02-29 12:00:00.5"),
        Some("2024-03-31 01:30:00+00"),
        Some("30 days"),
        Some("00000000-0000-0000-0000-000000000000"),
        Some("\\x616263"),
        Some("\"x\""),
    ],
    [
        Some("f"),
        Some("2147483647"),
        Some("-1"),
        Some("-0.01"),
        Some("0.0000"),
        Some("1e300"),
        Some("é"),
        Some("Zebra"),
        Some("2000-01-01"),
        Some("1970-01-01 00:00:00"),
        Some("1970-01-01 00:00:00+00"),
        Some("00:00:01.5"),
        Some("ffffffff-ffff-ffff-ffff-ffffffffffff"),
        Some("\\xff"),
        Some("[1, 2]"),
    ],
    [
        Some("t"),
        Some("0"),
        Some("-9000000000000000000"),
        Some("99999999.99"),
        Some("0.0001"),
        Some("0"),
        Some("ab%c_d"),
        Some("x y"),
        Some("2024-12-31"),
        Some("2038-01-19 03:14:08"),
        Some("2024-10-27 00:30:00+00"),
        Some("-01:30:00"),
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        Some("\\x0001"),
        Some("{\"b\": [true, null], \"a\": {\"c\": \"d\"}}"),
    ],
    [
        Some("f"),
        Some("42"),
        Some("100"),
        Some("0.00"),
        Some("1.5000"),
        Some("0.30000000000000004"),
        Some(""),
        Some("zz"),
        Some("1970-01-01"),
        Some("2024-02-29 11:59:59.999999"),
        Some("2024-02-29 12:00:00.5+00"),
        Some("00:00:00"),
        Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13"),
        Some("\\x00ff00"),
        Some("null"),
    ],
];

/// Rows of `r`: some of `t`'s values and some others.
pub fn other_rows() -> Vec<[Option<&'static str>; 15]> {
    vec![ROWS[0], ROWS[2], ROWS[3], ROWS[6], ROWS[1]]
}

fn literal(value: Option<&str>, column: &Column) -> String {
    value.map_or_else(
        || "NULL".to_owned(),
        |v| format!("'{}'::{}", v.replace('\'', "''"), column.declared),
    )
}

/// DDL and rows for PostgreSQL. Values without a zone of their own are read in UTC.
pub fn postgres_tables() -> Vec<String> {
    let columns: Vec<String> =
        COLUMNS.iter().map(|c| format!("{} {}", c.name, c.declared)).collect();
    let mut out = Vec::new();
    for (name, rows) in [("t", ROWS.to_vec()), ("r", other_rows())] {
        out.push(format!("CREATE TABLE {name}(id int4 PRIMARY KEY, {})", columns.join(", ")));
        for (i, row) in rows.iter().enumerate() {
            let values: Vec<String> =
                row.iter().zip(COLUMNS).map(|(v, c)| literal(*v, c)).collect();
            out.push(format!("INSERT INTO {name} VALUES ({}, {})", i + 1, values.join(", ")));
        }
    }
    out.push(
        "CREATE TABLE k(id int4 PRIMARY KEY, s text CHECK (length(s) > 2 OR s ~ '^a'), \
         n numeric(10,2) CHECK (n * 2 < 100))"
            .to_owned(),
    );
    for column in COLUMNS.iter().filter(|c| c.unique) {
        out.push(format!("CREATE TABLE unique_{0}({0} {1} UNIQUE)", column.name, column.declared));
    }
    out
}
