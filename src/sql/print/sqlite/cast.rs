//! Casts between logical cells.
//!
//! Pairs with the same cell, or one that SQLite makes itself, are data; all others go
//! through `pg_cast`, which follows PostgreSQL's rules and messages.

use super::registry::{Kind, lookup};
use crate::error::{Error, Result};
use crate::sql::fault;
use crate::value::{Type, is_composite, is_enum, oid};

/// A logical cell of one type as the logical cell of another.
pub(super) fn convert(sql: &str, from: Type, to: Type, explicit: bool) -> Result<String> {
    if to.oid == oid::BIT && matches!(from.oid, oid::INT4 | oid::INT8) {
        // The last bits are kept, not the first.
        let width = if from.oid == oid::INT4 { 32 } else { 64 };
        return Ok(format!("pg_bits_from_int({sql}, {width}, {})", to.typmod));
    }
    let unfilled = from.is_unfilled() && to.oid != oid::BPCHAR;
    let sql = if unfilled { &format!("rtrim({sql}, ' ')") } else { sql };
    let mut out = match from.oid == to.oid {
        true if to.is_unfilled() => format!("pg_bpchar_pad({sql}, {})", from.typmod),
        true => sql.to_owned(),
        false => base(sql, from.oid, to.oid)?,
    };
    // A cast between types has lost the modifier; between equal modifiers nothing changes.
    let cut = !fault::on("cast_length");
    if cut && to.typmod != -1 && (from.oid != to.oid || from.typmod != to.typmod) {
        out = format!("pg_typmod({out}, {}, {}, {})", to.oid, to.typmod, u8::from(explicit));
    }
    Ok(out)
}

fn base(sql: &str, from: u32, to: u32) -> Result<String> {
    if (is_enum(from) || from == oid::VOID) && is_string(to) {
        return Ok(sql.to_owned());
    }
    if is_composite(from) && is_string(to) {
        return Ok(format!("pg_record_text({sql})"));
    }
    if is_enum(to) && is_string(from) {
        return Ok(format!("pg_cast({sql}, {from}, {to})"));
    }
    let Some(name) = short_name(to) else {
        return match (crate::value::element_of(from), crate::value::element_of(to)) {
            (Some(_), Some(_)) => Ok(format!("pg_cast({sql}, {from}, {to})")),
            (None, Some(_)) if is_string(from) => Ok(format!("pg_cast({sql}, {from}, {to})")),
            _ => Err(refusal(from, to)),
        };
    };
    if let Some(template) = lookup(Kind::Cast, name, &[from]) {
        return Ok(template.replace("$1", sql).replace("@1", &from.to_string()));
    }
    let known = short_name(from).is_some() || crate::value::element_of(from).is_some();
    if !known || is_catalog(from) || is_catalog(to) {
        return Err(refusal(from, to));
    }
    Ok(format!("pg_cast({sql}, {from}, {to})"))
}

fn is_string(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CITEXT | oid::UNKNOWN
    )
}

fn refusal(from: u32, to: u32) -> Error {
    let (from, to) = (crate::sql::types::sql_name(from), crate::sql::types::sql_name(to));
    Error::unsupported(format_args!("casting {from} to {to}"))
}

/// Types whose values are OIDs of named objects; only listed pairs convert.
fn is_catalog(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE | oid::REGCONFIG
    )
}

/// The pg_type name of a type that the data names.
pub(super) fn short_name(type_oid: u32) -> Option<&'static str> {
    Some(match type_oid {
        oid::BOOL => "bool",
        oid::BYTEA => "bytea",
        oid::CHAR => "char",
        oid::NAME => "name",
        oid::INT8 => "int8",
        oid::INT2 => "int2",
        oid::INT4 => "int4",
        oid::REGPROC => "regproc",
        oid::TEXT | oid::UNKNOWN => "text",
        oid::OID => "oid",
        oid::JSON => "json",
        oid::FLOAT4 => "float4",
        oid::FLOAT8 => "float8",
        oid::BPCHAR => "bpchar",
        oid::VARCHAR => "varchar",
        oid::DATE => "date",
        oid::TIME => "time",
        oid::TIMESTAMP => "timestamp",
        oid::TIMESTAMPTZ => "timestamptz",
        oid::INTERVAL => "interval",
        oid::NUMERIC => "numeric",
        oid::REGCLASS => "regclass",
        oid::REGTYPE => "regtype",
        oid::REGNAMESPACE => "regnamespace",
        oid::REGCONFIG => "regconfig",
        oid::UUID => "uuid",
        oid::TSVECTOR => "tsvector",
        oid::TSQUERY => "tsquery",
        oid::JSONB => "jsonb",
        oid::XID => "xid",
        oid::TIMETZ => "timetz",
        oid::INET => "inet",
        oid::CIDR => "cidr",
        oid::MACADDR => "macaddr",
        oid::BIT => "bit",
        oid::VARBIT => "varbit",
        oid::CITEXT => "citext",
        oid::HSTORE => "hstore",
        oid::PG_NODE_TREE => "pg_node_tree",
        // cstring
        2275 => "cstring",
        range => return crate::value::range::name_of(range),
    })
}
