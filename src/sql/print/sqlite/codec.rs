//! Stored and logical: decoding, encoding, and keys that compare as PostgreSQL does.

use super::Value;
use crate::error::Result;
use crate::schema::Codec;
use crate::sql::ir::{Expr, ExprKind};
use crate::value::{Cell, Type, is_composite, is_enum, is_range, oid};

use super::names::Printer;

/// What a comparison needs of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `=`, IN, DISTINCT, GROUP BY, joins.
    Equality,
    /// `<`, ORDER BY, min, max.
    Order,
}

/// How a constant that lies between two storable values is rounded before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Equality: what cannot be stored equals nothing.
    Exact,
    /// `<=` and `>`
    Down,
    /// `<` and `>=`
    Up,
}

/// Suffix of a codec's function names (`pg_dec_…`, `pg_enc_…`, `pg_cmp_…`).
pub(super) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Identity => "identity",
        Codec::NumericNative => "numeric_native",
        Codec::NumericScaled => "numeric_scaled",
        Codec::NumericText => "numeric_text",
        Codec::NumericAny => "numeric_any",
        Codec::BoolLoose => "bool_loose",
        Codec::DateTimeLoose => "datetime_loose",
        Codec::UnixSeconds => "unix_seconds",
        Codec::UnixMillis => "unix_millis",
        Codec::IntervalMicros => "interval_micros",
        Codec::IntervalEpoch => "interval_epoch",
        Codec::UuidHex => "uuid_hex",
        Codec::UuidBlob => "uuid_blob",
        Codec::UuidLoose => "uuid_loose",
        Codec::BytesLoose => "bytes_loose",
        Codec::TextLoose => "text_loose",
        Codec::JsonLoose => "json_loose",
        Codec::Coerced => "coerced",
        Codec::CoercedEmpty => "coerced_empty",
        Codec::Caseless => "caseless",
        Codec::Among(among) => codec_name(among.plain()),
    }
}

/// The element type of an array type known to hold comparable logical cells.
pub(super) fn element(array: u32) -> Option<u32> {
    crate::value::element_of(array)
}

/// Whether values of this form may be compared bare.
pub(super) fn suits(codec: Codec, ty: Type, class: Class) -> bool {
    if super::lite::is_marked(ty) {
        return true;
    }
    if ty.oid == oid::JSONB || element(ty.oid).is_some() || is_composite(ty.oid) {
        return false;
    }
    if codec == Codec::Identity && class == Class::Equality && ty.oid == oid::NUMERIC {
        // With a declared scale the text of equal values is equal.
        return ty.precision_scale().is_some();
    }
    match class {
        Class::Equality => codec.preserves_equality(ty),
        Class::Order => codec.preserves_order(ty),
    }
}

/// Whether two stored forms may be compared with each other bare.
pub(super) fn same_form(a: &Value, b: &Value) -> bool {
    if a.codec != b.codec {
        return false;
    }
    match a.codec {
        Codec::NumericScaled | Codec::NumericText => {
            a.ty.precision_scale().map(|p| p.1) == b.ty.precision_scale().map(|p| p.1)
        }
        Codec::Identity if a.ty.oid == oid::NUMERIC => {
            a.ty.precision_scale().map(|p| p.1) == b.ty.precision_scale().map(|p| p.1)
        }
        Codec::UnixSeconds | Codec::UnixMillis => a.ty.oid == b.ty.oid,
        _ => true,
    }
}

/// A value's logical cell.
pub(super) fn logical(value: &Value) -> String {
    if matches!(value.codec, Codec::Identity | Codec::Caseless) {
        value.sql.clone()
    } else {
        format!(
            "pg_dec_{}({}, {}, {})",
            codec_name(value.codec),
            value.sql,
            value.ty.oid,
            value.ty.typmod
        )
    }
}

/// The logical cell of an array's element, as json_each() gives it: bytes come as text.
pub(super) fn listed(item: &str, ty: Type) -> String {
    if ty.oid == oid::BYTEA {
        format!("pg_cast({item}, {}, {})", oid::TEXT, oid::BYTEA)
    } else {
        item.to_owned()
    }
}

/// A logical cell turned into what a column of this codec and type stores.
pub(super) fn encode(logical: &str, codec: Codec, ty: Type) -> String {
    match codec {
        Codec::Identity => logical.to_owned(),
        Codec::Among(among) => {
            format!("pg_enc_among({logical}, {}, {}, {})", ty.oid, ty.typmod, among.number())
        }
        _ => format!("pg_enc_{}({logical}, {}, {})", codec_name(codec), ty.oid, ty.typmod),
    }
}

/// A logical cell in the form of `stored`, for comparing with it.
pub(super) fn encode_for(stored: &Value, logical: &str, rounding: Rounding) -> String {
    let mode = match rounding {
        Rounding::Exact => 0,
        Rounding::Down => 1,
        Rounding::Up => 2,
    };
    format!(
        "pg_cmp_{}({logical}, {}, {}, {mode})",
        codec_name(stored.codec),
        stored.ty.oid,
        stored.ty.typmod
    )
}

/// A key of a logical cell that SQLite compares as PostgreSQL compares the values.
pub(super) fn key(logical: &str, ty: Type) -> String {
    match ty.oid {
        oid::NUMERIC => format!("pg_numeric_key({logical})"),
        oid::INTERVAL => format!("pg_interval_key({logical})"),
        oid::JSONB => format!("pg_jsonb_key({logical})"),
        oid::INET | oid::CIDR | oid::TIMETZ => format!("pg_text_key({logical}, {})", ty.oid),
        oid::CITEXT => format!("pg_citext_key({logical})"),
        oid::BPCHAR if ty.is_unfilled() => format!("rtrim({logical}, ' ')"),
        oid::HSTORE => format!("pg_hstore_key({logical})"),
        label if is_enum(label) => format!("pg_enum_key({logical}, {label})"),
        range if is_range(range) => format!("pg_range_key({logical}, {range})"),
        row if is_composite(row) => format!("pg_record_key({logical})"),
        other => match element(other) {
            Some(element) => format!("pg_array_key({logical}, {element})"),
            None => logical.to_owned(),
        },
    }
}

/// A value in a form that may be compared, sorted or grouped by SQLite.
pub(super) fn comparable(value: &Value, class: Class) -> String {
    if suits(value.codec, value.ty, class) { bare(value) } else { key(&logical(value), value.ty) }
}

/// A value as it stands, compared byte by byte.
pub(super) fn bare(value: &Value) -> String {
    match value.codec.collation() {
        // Named again where the value is no plain column any more.
        Some(collation) => format!("({} COLLATE {collation})", value.sql),
        None if value.collated => format!("({} COLLATE BINARY)", value.sql),
        None => value.sql.clone(),
    }
}

impl Printer {
    /// An expression's logical cell.
    pub(super) fn logical(&mut self, expr: &Expr) -> Result<String> {
        Ok(logical(&self.value(expr)?))
    }

    /// An expression in a comparable form.
    pub(super) fn comparable(&mut self, expr: &Expr, class: Class) -> Result<String> {
        Ok(comparable(&self.value(expr)?, class))
    }

    /// An expression encoded for a column.
    pub(super) fn encoded(&mut self, expr: &Expr, codec: Codec, ty: Type) -> Result<String> {
        let value = self.value(expr)?;
        if value.codec == codec && (codec == Codec::Identity || value.ty == ty) {
            return Ok(value.sql);
        }
        Ok(encode(&logical(&value), codec, ty))
    }
}

/// Whether an expression is a constant that needs no row.
pub(super) fn is_constant(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(_) | ExprKind::Param(_) | ExprKind::Frozen(_))
}

/// A constant as SQLite writes it.
pub(super) fn literal(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(i) if *i < 0 => format!("({i})"),
        Cell::Integer(i) => i.to_string(),
        Cell::Real(r) if r.is_infinite() => {
            (if *r > 0.0 { "9e999" } else { "(-9e999)" }).to_owned()
        }
        Cell::Real(r) if r.is_sign_negative() => format!("({r:?})"),
        Cell::Real(r) => format!("{r:?}"),
        Cell::Text(t) => format!("'{}'", t.replace('\'', "''")),
        Cell::Blob(b) => {
            let mut text = String::with_capacity(b.len() * 2 + 3);
            text.push_str("x'");
            for byte in b {
                text.push_str(&format!("{byte:02x}"));
            }
            text.push('\'');
            text
        }
    }
}
