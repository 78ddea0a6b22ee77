//! Views of the file: queried like tables, in SQLite's own meaning.

use super::names::Namer;
use super::{Bounds, Finding, FindingKind, Findings, scan, types};
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::catalog::{Side, quoted};
use crate::error::Result;
use crate::schema::{Catalog, Column, Relation, RelationKind};
use crate::sql::stored;
use crate::value::Cell;

/// A view of the file.
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    /// Its CREATE VIEW text.
    pub(crate) sql: &'a str,
    /// The relation as it was recorded before.
    pub(crate) former: Option<&'a Relation>,
    /// How much of its rows is looked at.
    pub(crate) bounds: Bounds,
}

/// Takes over a view; None (with a finding) when SQLite itself cannot read it.
pub(crate) fn view(
    connection: &Connection,
    side: &Side,
    view: &View<'_>,
    catalog: &Catalog,
    found: &mut Vec<Finding>,
) -> Result<Option<Relation>> {
    let View { name, sql, former, bounds } = *view;
    let mut findings = Findings::new(name, found);
    let select = format!("SELECT * FROM \"public\".{} LIMIT 0", quoted(name));
    if let Err(error) = connection.prepare(&select) {
        let message = format!("SQLite cannot read it: {}", error.message());
        findings.add(None, FindingKind::Skipped, message);
        return Ok(None);
    }
    let declared = declared(connection, name)?;
    let names: Vec<&str> = declared.iter().map(|c| c.name.as_str()).collect();
    let choices: Vec<types::Choice> = declared.iter().map(|c| types::choice(c, None)).collect();
    let subject = scan::Subject { connection, table: name, columns: &names, rowid: None, bounds };
    let scanned = match scan::table(&subject, &choices) {
        Ok(scanned) => scanned,
        Err(error) => {
            let message = format!("SQLite cannot run it: {}", error.message());
            findings.add(None, FindingKind::Skipped, message);
            return Ok(None);
        }
    };
    let mut namer = Namer::of(catalog, former);
    let pg_name = match former {
        Some(former) => former.name.clone(),
        None => namer.relation(name, sql, &mut findings),
    };
    findings.add(None, FindingKind::View, "the view is SQLite's own");
    let oid = former.map_or_else(|| side.new_oid(), |f| f.oid);
    let mut relation = Relation {
        sqlite_name: name.to_owned(),
        ..Relation::new(oid, pg_name, RelationKind::View)
    };
    let mut taken = Vec::new();
    for (position, (column, result)) in declared.iter().zip(&scanned.columns).enumerate() {
        let attnum = i16::try_from(position + 1).unwrap_or(i16::MAX);
        let pg = super::names::column(column, None, sql, attnum, &taken, &mut findings);
        taken.push(pg.clone());
        let (ty, codec) = result.chosen;
        relation.columns.push(Column {
            sqlite_name: column.name.clone(),
            codec,
            ..Column::new(attnum, pg, ty)
        });
    }
    Ok(Some(relation))
}

/// The view's columns with the declared types SQLite passes through.
fn declared(connection: &Connection, name: &str) -> Result<Vec<stored::Column>> {
    let sql = "SELECT name, type FROM pragma_table_xinfo(?1) ORDER BY cid";
    let rows =
        crate::backend::sqlite::catalog::rows(connection, sql, &[Cell::Text(name.to_owned())])?;
    let mut columns = Vec::new();
    for row in rows {
        let [Cell::Text(name), declared] = row.as_slice() else { continue };
        let declared = match declared {
            Cell::Text(t) if !t.is_empty() => Some(t.clone()),
            _ => None,
        };
        let (type_name, type_args) = split(declared.as_deref().unwrap_or_default());
        columns.push(stored::Column {
            name: name.clone(),
            declared,
            type_name,
            type_args,
            ..stored::Column::default()
        });
    }
    Ok(columns)
}

/// A declared type's words in upper case, and its arguments.
pub(crate) fn split(declared: &str) -> (String, Vec<String>) {
    let (words, args) = match declared.split_once('(') {
        Some((words, rest)) => {
            let args = rest.split(')').next().unwrap_or_default();
            (words, args.split(',').map(|a| a.trim().to_owned()).collect())
        }
        None => (declared, Vec::new()),
    };
    (words.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase(), args)
}
