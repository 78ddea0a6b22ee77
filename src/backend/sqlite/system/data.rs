//! PostgreSQL's built-in catalog rows (types, functions, operators …), from the data files
//! that `scripts/dump-system` writes.
//!
//! Each file is parsed once, on first use. Values are logical cells in column order.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use super::rows::{Row, Table};
use crate::schema::system;
use crate::value::{Cell, oid};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("data/", $name, ".tsv")))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_description",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_proc",
    "pg_range",
    "pg_settings",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
];

/// The built-in rows of one table of `pg_catalog`; None when it has none.
pub(crate) fn builtin(name: &str) -> Option<Arc<Table>> {
    static TABLES: LazyLock<HashMap<&'static str, (&'static str, OnceLock<Arc<Table>>)>> =
        LazyLock::new(|| FILES.iter().map(|(n, t)| (*n, (*t, OnceLock::new()))).collect());
    let (text, cell) = TABLES.get(name)?;
    Some(Arc::clone(cell.get_or_init(|| Arc::new(parse(name, text)))))
}

fn parse(name: &str, text: &str) -> Table {
    let shape = Arc::clone(&system::relations().0[name]);
    let kinds: Vec<bool> = shape.columns.iter().map(|c| is_number(c.ty.oid)).collect();
    let rows = text
        .lines()
        .map(|line| {
            let cells = line.split('\t').zip(kinds.iter().chain(std::iter::repeat(&false)));
            cells.map(|(field, number)| cell(field, *number)).collect::<Row>()
        })
        .filter(|row| row.len() == kinds.len())
        .collect();
    Table::new(shape, rows)
}

/// Whether values of a type are INTEGER or REAL cells.
pub(crate) fn is_number(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::XID
            | oid::CID
            | oid::REGPROC
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGNAMESPACE
            | oid::FLOAT4
            | oid::FLOAT8
    )
}

fn cell(field: &str, number: bool) -> Cell {
    if field == "\\N" {
        return Cell::Null;
    }
    if number {
        if let Ok(i) = field.parse::<i64>() {
            return Cell::Integer(i);
        }
        return match field {
            "t" => Cell::Integer(1),
            "f" => Cell::Integer(0),
            other => other.parse::<f64>().map_or(Cell::Null, Cell::Real),
        };
    }
    if !field.contains('\\') {
        return Cell::Text(field.to_owned());
    }
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    Cell::Text(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_fits_its_shape() {
        for (name, text) in FILES {
            let table = builtin(name).unwrap();
            assert_eq!(table.rows.len(), text.lines().count(), "{name}");
        }
        let types = builtin("pg_type").unwrap();
        assert!(types.rows.iter().any(|r| r[1] == Cell::Text("int4".into())));
        let procs = builtin("pg_proc").unwrap();
        let byteaout = procs.rows.iter().find(|r| r[0] == Cell::Integer(31)).unwrap();
        assert_eq!(byteaout[19], Cell::Text("[17]".into()));
    }
}
