//! A logical PostgreSQL value.

use super::numeric::Numeric;
use super::range::Range;

/// One PostgreSQL value, without its type's name.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// NULL of any type.
    Null,
    /// bool
    Bool(bool),
    /// int2, int4, int8, oid and the reg* types.
    Int(i64),
    /// float4
    Float4(f32),
    /// float8
    Float8(f64),
    /// numeric
    Numeric(Numeric),
    /// text, varchar, bpchar (trimmed), name, "char", unknown, enum labels.
    Text(String),
    /// bytea
    Bytea(Vec<u8>),
    /// Days since 2000-01-01; `i32::MAX` and `i32::MIN` are the infinities.
    Date(i32),
    /// Microseconds since midnight, 0 to 86 400 000 000.
    Time(i64),
    /// Microseconds since 2000-01-01 00:00 without a zone; `i64::MAX`/`MIN` are the infinities.
    Timestamp(i64),
    /// Microseconds since 2000-01-01 00:00 UTC; `i64::MAX`/`MIN` are the infinities.
    Timestamptz(i64),
    /// interval
    Interval(Interval),
    /// uuid
    Uuid([u8; 16]),
    /// json, text kept as given.
    Json(String),
    /// jsonb in its canonical output.
    Jsonb(String),
    /// An array; the element type's OID and the elements, which are arrays themselves (of the
    /// same element type and all alike) when there are more dimensions.
    Array(u32, Vec<Datum>),
    /// A row: each field's type and value.
    Record(Vec<(u32, Datum)>),
    /// A range, with the OID of its type.
    Range(u32, Box<Range>),
    /// A multirange, with the OID of its range type.
    Multirange(u32, Vec<Range>),
}

/// PostgreSQL's interval: three parts that do not convert into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

impl Datum {
    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}
