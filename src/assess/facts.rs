//! Everything the rules look at, gathered once.
//!
//! Owns [`Facts`]. It must never decide anything. Start at [`Facts::gather`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::breaking;
use super::evidence::{self, Asked, Seen, TableEvidence};
use super::needs::Server;
use crate::backend::postgres::project::{Projection, Target};
use crate::backend::sqlite::adopt::{Bounds, Finding, FindingKind, Habit, Planning, habits};
use crate::backend::sqlite::catalog::{Prepared, quoted, rows};
use crate::backend::sqlite::inspect::Look;
use crate::backend::sqlite::{Connection, is_internal};
use crate::backfill::differs::Difference;
use crate::backfill::schema::{self, Plan};
use crate::error::Result;
use crate::schema::{Catalog, Column, Relation, RelationKind};
use crate::sql::stored::{self, Object};
use crate::value::Cell;

/// Examples of rows that a finding is about.
const EXAMPLES: usize = 3;

/// An object of the file.
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) name: String,
    /// Table it belongs to.
    pub(super) table: String,
    pub(super) sql: String,
    /// What its text says; None when it cannot be read.
    pub(super) object: Option<Object>,
}

/// Where a sequence stands.
pub(super) struct Issued {
    pub(super) table: String,
    pub(super) column: String,
    /// Highest value SQLite has given out, and the highest that is there.
    pub(super) given: i64,
    pub(super) highest: Option<i64>,
}

/// What the rules look at.
pub(super) struct Facts {
    pub(super) path: PathBuf,
    pub(super) look: Look,
    pub(super) header: Header,
    pub(super) catalog: Arc<Catalog>,
    /// What taking over found, with keys of the rows it is about.
    pub(super) adopted: Vec<(Finding, Vec<String>)>,
    pub(super) plan: Plan,
    /// Partitions of each table that has some.
    pub(super) partitions: BTreeMap<String, Vec<String>>,
    pub(super) entries: Vec<Entry>,
    /// `virtual`, `shadow`: SQLite's word for each table that is no ordinary one.
    pub(super) special: BTreeMap<String, String>,
    pub(super) habit: Option<Habit>,
    /// By the table's name in the file.
    pub(super) evidence: BTreeMap<String, TableEvidence>,
    pub(super) issued: Vec<Issued>,
    pub(super) planning: Planning,
    pub(super) server: Option<Server>,
    /// How each table that is on PostgreSQL already differs, with rows that break it.
    pub(super) differences: Vec<(Arc<Relation>, Vec<(Difference, Option<Seen>)>)>,
}

/// Figures of the file's header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) user_version: i64,
    pub(super) application_id: i64,
    pub(super) page_size: i64,
    pub(super) pages: i64,
    pub(super) free_pages: i64,
}

impl Facts {
    /// Gathers everything. A table that cannot be read is left without evidence.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn gather(
        connection: &Connection,
        path: &Path,
        look: Look,
        prepared: Prepared,
        planning: &Planning,
        bounds: Bounds,
        server: Option<Server>,
    ) -> Result<Self> {
        let entries = entries(connection)?;
        let tables = entries.iter().filter(|e| e.kind == "table");
        let habit = habits::of_file(tables.map(|e| (e.name.as_str(), e.sql.as_str())));
        let catalog = prepared.catalog;
        let mut evidence = BTreeMap::new();
        let tables: Vec<(&Entry, &stored::Table, &Arc<Relation>)> = entries
            .iter()
            .filter_map(|e| match &e.object {
                Some(Object::Table(table)) => Some((e, table, relation_of(&catalog, &e.name)?)),
                _ => None,
            })
            .collect();
        for (done, (entry, table, relation)) in tables.iter().enumerate() {
            let share = bounds.share(tables.len() - done);
            let habit = habits::of_table(&entry.sql, habit);
            let asked = asked(relation, planning, server.as_ref());
            match evidence::of_table(connection, relation, table, habit, &asked, &share) {
                Ok(found) => drop(evidence.insert(entry.name.clone(), found)),
                Err(error) => tracing::debug!(table = entry.name, %error, "not looked at"),
            }
        }
        let adopted = prepared
            .findings
            .into_iter()
            .map(|finding| {
                let examples = examples_of(connection, &catalog, &finding, bounds);
                (finding, examples)
            })
            .collect();
        let issued = issued(connection, &catalog)?;
        let mut differences = Vec::new();
        for there in server.iter().flat_map(|server| &server.tables) {
            let relation = catalog.relation(&there.name);
            if let Some(relation) = relation.filter(|r| r.kind == RelationKind::Table) {
                let found = breaking::of_table(connection, &catalog, relation, there, bounds);
                differences.push((Arc::clone(relation), found));
            }
        }
        let named = entries.iter().map(|e| (e.kind.as_str(), e.name.as_str(), e.sql.as_str()));
        let stored = schema::Stored::of(named);
        let collate_c = server.as_ref().is_some_and(|s| !s.compares_bytes());
        let plan = schema::plan(
            &catalog,
            &schema::Options {
                collate_c,
                tables: planning.tables.clone(),
                stored,
                foreign_keys_off: planning.foreign_keys_off,
            },
        );
        let mut partitions = BTreeMap::new();
        for table in &plan.tables {
            let relation = catalog.relation(&table.name);
            if let (Some(split), Some(relation)) = (&table.split, relation)
                && let Ok(texts) = crate::backfill::partitions(connection, relation, split)
            {
                partitions.insert(table.name.clone(), texts);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            partitions,
            look,
            header: header(connection)?,
            plan,
            special: special(connection)?,
            entries,
            habit,
            evidence,
            issued,
            adopted,
            catalog,
            planning: planning.clone(),
            server,
            differences,
        })
    }

    /// Tables and views of the file that are served, with what the file says of them.
    pub(super) fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        self.entries.iter().filter_map(|entry| {
            let Some(Object::Table(stored)) = &entry.object else { return None };
            let relation = relation_of(&self.catalog, &entry.name)?;
            let evidence = self.evidence.get(&entry.name);
            let habit = habits::of_table(&entry.sql, self.habit);
            Some(Table { entry, stored, relation, evidence, habit })
        })
    }

    /// Why an object of the file is not served.
    pub(super) fn skipped(&self, name: &str) -> Option<&str> {
        let skipped =
            |f: &&Finding| f.kind == FindingKind::Skipped && f.table.eq_ignore_ascii_case(name);
        self.adopted.iter().map(|(f, _)| f).find(skipped).map(|f| f.message.as_str())
    }

    /// Objects of one kind.
    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |e| e.kind == kind)
    }

    /// Whether a table is virtual, or one that a virtual table keeps its data in.
    pub(super) fn is_special(&self, table: &str) -> bool {
        self.special.contains_key(&table.to_ascii_lowercase())
    }
}

/// A table of the file that is served.
pub(super) struct Table<'a> {
    pub(super) entry: &'a Entry,
    pub(super) stored: &'a stored::Table,
    pub(super) relation: &'a Relation,
    pub(super) evidence: Option<&'a TableEvidence>,
    pub(super) habit: Option<Habit>,
}

/// What is asked of each column beside its own evidence.
fn asked(relation: &Arc<Relation>, planning: &Planning, server: Option<&Server>) -> Vec<Asked> {
    let given = |column: &Column| {
        let tables = [relation.name.as_str(), relation.sqlite_name.as_str()];
        let over = planning.column(tables, [&column.name, &column.sqlite_name])?;
        (over.ty != column.ty).then_some(over.ty)
    };
    let there = server.and_then(|server| server.table(&relation.name)).map(|there| {
        let actual: Vec<_> = there.columns.iter().map(|c| c.actual.clone()).collect();
        let all = Projection::over(relation, &actual).columns.into_iter();
        all.filter(|target| there.column(&target.name).is_some()).collect::<Vec<Target>>()
    });
    let there = there.unwrap_or_default();
    relation
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| Asked {
            given: given(column),
            there: there.iter().find(|t| t.index == index && !t.generated).cloned(),
        })
        .collect()
}

/// The relation of an object of the file.
pub(super) fn relation_of<'a>(catalog: &'a Catalog, name: &str) -> Option<&'a Arc<Relation>> {
    let mut all = catalog.relations.values();
    all.find(|r: &&Arc<Relation>| {
        r.sqlite_name.eq_ignore_ascii_case(name)
            && (r.kind == RelationKind::Table || r.view_sql.is_none())
    })
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(t) => t.clone(),
        _ => String::new(),
    }
}

fn entries(connection: &Connection) -> Result<Vec<Entry>> {
    let sql = "SELECT type, name, tbl_name, sql FROM \"public\".sqlite_schema ORDER BY rowid";
    let mut found = Vec::new();
    for row in rows(connection, sql, &[])? {
        let [kind, name, table, sql] = row.as_slice() else { continue };
        let (kind, name, table, sql) = (text(kind), text(name), text(table), text(sql));
        if is_internal(&name) || is_internal(&table) {
            continue;
        }
        let object = stored::read(&sql).ok();
        found.push(Entry { kind, name, table, sql, object });
    }
    Ok(found)
}

fn special(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let sql = "SELECT name, type FROM pragma_table_list \
               WHERE schema = 'public' AND type IN ('virtual', 'shadow')";
    let named = |row: &Vec<Cell>| match row.as_slice() {
        [name, kind] => Some((text(name).to_ascii_lowercase(), text(kind))),
        _ => None,
    };
    Ok(rows(connection, sql, &[])?.iter().filter_map(named).collect())
}

fn header(connection: &Connection) -> Result<Header> {
    let number = |name: &str| {
        let found = connection.query_integer(&format!("PRAGMA \"public\".{name}"), &[]);
        found.map(Option::unwrap_or_default)
    };
    Ok(Header {
        user_version: number("user_version")?,
        application_id: number("application_id")?,
        page_size: number("page_size")?,
        pages: number("page_count")?,
        free_pages: number("freelist_count")?,
    })
}

/// A table by its name in the catalog.
pub(super) fn relation_of_name<'a>(catalog: &'a Catalog, name: &str) -> Option<&'a Relation> {
    catalog.relation(name).map(AsRef::as_ref).filter(|r: &&Relation| r.kind == RelationKind::Table)
}

/// Keys of rows that a finding is about.
fn examples_of(
    connection: &Connection,
    catalog: &Catalog,
    finding: &Finding,
    bounds: Bounds,
) -> Vec<String> {
    match (&finding.rows, relation_of(catalog, &finding.table)) {
        (Some(condition), Some(relation)) => examples(connection, relation, condition, bounds),
        _ => Vec::new(),
    }
}

/// Keys of the first few rows that a condition selects.
pub(super) fn examples(
    connection: &Connection,
    relation: &Relation,
    condition: &str,
    bounds: Bounds,
) -> Vec<String> {
    let key: Vec<String> = relation
        .key()
        .unwrap_or_default()
        .iter()
        .map(|c| quoted(&relation.columns[*c].sqlite_name))
        .collect();
    let columns = match (key.is_empty(), relation.rowid_name()) {
        (false, _) => key.join(", "),
        (true, Some(rowid)) => rowid.to_owned(),
        (true, None) => return Vec::new(),
    };
    let sql = format!(
        "SELECT {columns} FROM \"public\".{} AS c WHERE {condition} LIMIT {EXAMPLES}",
        quoted(&relation.sqlite_name)
    );
    connection.set_deadline(bounds.until);
    let found = rows(connection, &sql, &[]);
    connection.set_deadline(None);
    let shown = |cell: &Cell| match cell {
        Cell::Text(t) => t.chars().take(40).collect(),
        Cell::Integer(i) => i.to_string(),
        Cell::Real(r) => r.to_string(),
        Cell::Blob(_) => "blob".to_owned(),
        Cell::Null => "NULL".to_owned(),
    };
    let names: Vec<&str> = match key.is_empty() {
        true => vec!["rowid"],
        false => relation
            .key()
            .unwrap_or_default()
            .iter()
            .map(|c| relation.columns[*c].sqlite_name.as_str())
            .collect(),
    };
    let join = |row: &Vec<Cell>| {
        let parts = row.iter().zip(&names).map(|(cell, name)| format!("{name}={}", shown(cell)));
        parts.collect::<Vec<_>>().join(" ")
    };
    found.unwrap_or_default().iter().map(join).collect()
}

fn issued(connection: &Connection, catalog: &Catalog) -> Result<Vec<Issued>> {
    let there = "SELECT 1 FROM \"public\".sqlite_schema WHERE name = 'sqlite_sequence'";
    let counted = connection.query_integer(there, &[])?.is_some();
    let mut found = Vec::new();
    for relation in catalog.relations.values() {
        let Some(position) = relation.rowid_alias else { continue };
        let column = &relation.columns[position];
        let sql = format!(
            "SELECT max({}) FROM \"public\".{}",
            quoted(&column.sqlite_name),
            quoted(&relation.sqlite_name)
        );
        let highest = connection.query_integer(&sql, &[])?;
        let given = match counted {
            true => connection.query_integer(
                "SELECT seq FROM \"public\".sqlite_sequence WHERE name = ?1 COLLATE NOCASE",
                &[Cell::Text(relation.sqlite_name.clone())],
            )?,
            false => None,
        };
        found.push(Issued {
            table: relation.sqlite_name.clone(),
            column: column.sqlite_name.clone(),
            given: given.unwrap_or_default().max(highest.unwrap_or_default()).max(0),
            highest,
        });
    }
    Ok(found)
}
