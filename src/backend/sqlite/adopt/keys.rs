//! Keys, indexes and checks of a table of the file.

use std::collections::HashSet;

use super::names::Namer;
use super::{FindingKind, Findings, Source};
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::catalog::{Side, quoted};
use crate::backend::sqlite::ddl::plain;
use crate::backend::sqlite::system::quote_ident;
use crate::count::counted;
use crate::error::Result;
use crate::schema::{Check, Deferral, Index, IndexExtras, IndexKey, Relation, Unique};
use crate::sql::stored::{self, ConstraintKind, Key, Object};
use crate::value::oid;

/// A key of the CREATE TABLE text, in one form for column and table constraints.
struct KeyDef<'a> {
    name: Option<&'a str>,
    keys: Vec<Key>,
    primary: bool,
    conflict: bool,
    /// Written on the column with DESC: then INTEGER PRIMARY KEY is no alias of the rowid.
    descending_column: bool,
}

fn key_defs(table: &stored::Table) -> Vec<KeyDef<'_>> {
    let mut found = Vec::new();
    let single = |name: &str| {
        vec![Key { column: Some(name.to_owned()), expression: quoted(name), ..Key::default() }]
    };
    for column in &table.columns {
        if let Some(key) = &column.primary_key {
            found.push(KeyDef {
                name: key.name.as_deref(),
                keys: single(&column.name),
                primary: true,
                conflict: key.conflict.is_some(),
                descending_column: key.descending,
            });
        }
        for unique in &column.unique {
            found.push(KeyDef {
                name: unique.name.as_deref(),
                keys: single(&column.name),
                primary: false,
                conflict: unique.conflict.is_some(),
                descending_column: false,
            });
        }
    }
    for constraint in &table.constraints {
        let (keys, conflict, primary) = match &constraint.kind {
            ConstraintKind::PrimaryKey { keys, conflict, .. } => (keys, conflict, true),
            ConstraintKind::Unique { keys, conflict } => (keys, conflict, false),
            ConstraintKind::Check { .. } | ConstraintKind::ForeignKey(_) => continue,
        };
        found.push(KeyDef {
            name: constraint.name.as_deref(),
            keys: keys.clone(),
            primary,
            conflict: conflict.is_some(),
            descending_column: false,
        });
    }
    found
}

/// The columns of each key of a CREATE TABLE text that compares bytes.
pub(crate) fn declared_keys(table: &stored::Table) -> Vec<Vec<String>> {
    let columns = |def: KeyDef<'_>| -> Option<Vec<String>> {
        let plain = |key: &Key| key.collation.as_deref().is_none_or(|c| c == "BINARY");
        def.keys.iter().map(|key| key.column.clone().filter(|_| plain(key))).collect()
    };
    key_defs(table).into_iter().filter_map(columns).collect()
}

/// The column by which SQLite numbers a table's rows.
pub(super) fn rowid_alias(table: &stored::Table) -> Option<&str> {
    let defs = key_defs(table);
    let def = defs.iter().find(|def| def.primary)?;
    let [key] = def.keys.as_slice() else { return None };
    let name = key.column.as_deref()?;
    let column = table.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))?;
    let integer = column.declared.as_deref()?.trim().eq_ignore_ascii_case("INTEGER");
    (integer && !def.descending_column && !table.without_rowid).then_some(&column.name)
}

/// The columns, in lower case, of primary and foreign keys and of unique constraints and indexes.
pub(super) fn columns(source: &Source<'_>) -> HashSet<String> {
    let unique = |text: &String| match stored::read(text) {
        Ok(Object::Index(definition)) if definition.unique => definition.keys,
        _ => Vec::new(),
    };
    let keys = key_defs(source.table).into_iter().flat_map(|def| def.keys);
    let keys = keys.chain(source.indexes.iter().flat_map(unique));
    let children = super::foreign::child_columns(source.table).cloned();
    let names = keys.filter_map(|key| key.column).chain(children);
    names.map(|name| name.to_ascii_lowercase()).collect()
}

/// Position of a column by its name in the file.
pub(super) fn position(relation: &Relation, name: &str) -> Option<usize> {
    relation.columns.iter().position(|c| c.sqlite_name.eq_ignore_ascii_case(name))
}

/// The collation a key compares with, when it is not BINARY.
fn collation<'a>(relation: &'a Relation, key: &'a Key) -> Option<&'a str> {
    let own = key.collation.as_deref();
    let of_column = key
        .column
        .as_deref()
        .and_then(|n| position(relation, n))
        .and_then(|p| relation.columns[p].collation.as_deref());
    own.or(of_column).filter(|c| *c != "BINARY")
}

/// Takes over primary key, unique constraints and indexes.
pub(super) fn keys(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    relation: &mut Relation,
    namer: &mut Namer,
    findings: &mut Findings<'_>,
) -> Result<()> {
    for def in key_defs(source.table) {
        key(connection, side, source, relation, &def, namer, findings)?;
    }
    relation.uniques.sort_by_key(|u| !u.primary);
    for text in source.indexes {
        match stored::read(text) {
            Ok(Object::Index(definition)) => {
                index(connection, side, source, relation, &definition, namer, findings)?;
            }
            _ => findings.add(None, FindingKind::Index, "an index's definition cannot be read"),
        }
    }
    Ok(())
}

fn key(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    relation: &mut Relation,
    def: &KeyDef<'_>,
    namer: &mut Namer,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let columns: Option<Vec<usize>> =
        def.keys.iter().map(|k| position(relation, k.column.as_deref()?)).collect();
    let Some(columns) = columns else { return Ok(()) };
    if def.conflict {
        findings.add(None, FindingKind::Conflict, "an ON CONFLICT clause acts in SQLite only");
    }
    let mut primary = def.primary;
    if primary && columns.len() == 1 && !def.descending_column && !source.table.without_rowid {
        let stored = &source.table.columns[columns[0]];
        if stored.declared.as_deref().is_some_and(|d| d.trim().eq_ignore_ascii_case("INTEGER")) {
            relation.rowid_alias = Some(columns[0]);
        }
    }
    let names: Vec<&str> = def.keys.iter().filter_map(|k| k.column.as_deref()).collect();
    if primary && relation.rowid_alias.is_none() && !source.table.without_rowid {
        let rows = null_rows(&names);
        let sql = format!(
            "SELECT count(*) FROM \"public\".{} WHERE {rows}",
            quoted(&relation.sqlite_name)
        );
        match source.count(connection, &sql, &[])? {
            Some(0) => {}
            Some(nulls) => {
                let message = format!(
                    "the primary key is served as UNIQUE: NULL in {}",
                    counted(nulls, "row")
                );
                findings.about_rows(None, FindingKind::NullKey, message, rows);
                primary = false;
            }
            None => super::unproven(findings, "its primary key"),
        }
    }
    if primary && !unique_as_served(connection, relation, &columns)? {
        let message = "the primary key is left off: it is unique only by storage class";
        findings.add(names.first().copied(), FindingKind::NotUnique, message);
        columns.iter().for_each(|c| relation.columns[*c].not_null = true);
        return Ok(());
    }
    if primary {
        let said = |c: &usize| source.table.columns[*c].not_null.is_some();
        relation.nulls_in_key = relation.rowid_alias.is_none()
            && !source.table.without_rowid
            && !columns.iter().all(said);
        columns.iter().for_each(|c| relation.columns[*c].not_null = true);
        relation.primary_key = Some(columns.clone());
    }
    let collated = def.keys.iter().any(|k| collation(relation, k).is_some());
    let former = source.former.and_then(|f| {
        f.uniques.iter().find(|u| u.constraint && u.columns == columns && u.primary == primary)
    });
    let name = match (former, def.name) {
        (Some(former), _) => namer.beside(&relation.name, &former.name),
        (None, Some(name)) => namer.beside(&relation.name, name),
        (None, None) if def.primary => namer.object(&relation.name, None, "pkey"),
        (None, None) => {
            let joined: Vec<&str> =
                columns.iter().map(|c| relation.columns[*c].name.as_str()).collect();
            namer.object(&relation.name, Some(&joined.join("_")), "key")
        }
    };
    let oid = former.map_or_else(|| side.new_oid(), |f| f.oid);
    if collated && !primary {
        let keys = def.keys.iter().filter_map(|k| collated_key(relation, k)).collect();
        push_index(relation, name, oid, keys, true, None, false);
        return Ok(());
    }
    if !primary && !unique_as_served(connection, relation, &columns)? {
        let message = format!("{name:?} is unique only by storage class, not as served");
        let column = def.keys.first().and_then(|k| k.column.as_deref());
        findings.add(column, FindingKind::NotUnique, message);
        return Ok(());
    }
    if collated {
        // A primary key compares bytes: what the file takes for equal needs an index of its own.
        let keys = def.keys.iter().filter_map(|k| collated_key(relation, k)).collect();
        let joined: Vec<&str> =
            columns.iter().map(|c| relation.columns[*c].name.as_str()).collect();
        let name = namer.object(&relation.name, Some(&joined.join("_")), "key");
        push_index(relation, name, side.new_oid(), keys, true, None, false);
    }
    let deferral = Deferral::Never;
    relation.uniques.push(Unique { name, oid, columns, primary, constraint: true, deferral });
    Ok(())
}

/// Whether rows that differ for SQLite also differ as they are served: 1 and '1' do not in a
/// column of text.
fn unique_as_served(
    connection: &Connection,
    relation: &Relation,
    columns: &[usize],
) -> Result<bool> {
    let columns: Vec<_> = columns.iter().map(|c| &relation.columns[*c]).collect();
    if columns.iter().all(|c| c.codec.preserves_equality(c.ty)) {
        return Ok(true);
    }
    let names: Vec<String> = columns.iter().map(|c| quoted(&c.sqlite_name)).collect();
    let texts: Vec<String> = names.iter().map(|n| format!("CAST({n} AS TEXT)")).collect();
    let known: Vec<String> = names.iter().map(|n| format!("{n} IS NOT NULL")).collect();
    let sql = format!(
        "SELECT 1 FROM \"public\".{} WHERE {} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
        quoted(&relation.sqlite_name),
        known.join(" AND "),
        texts.join(", ")
    );
    Ok(connection.query_integer(&sql, &[])?.is_none())
}

/// The condition that selects rows with NULL in a key.
fn null_rows(columns: &[&str]) -> String {
    let any: Vec<String> = columns.iter().map(|c| format!("{} IS NULL", quoted(c))).collect();
    any.join(" OR ")
}

/// A key under NOCASE or RTRIM as the expression with the same equality in PostgreSQL.
pub(crate) fn collated_key(relation: &Relation, key: &Key) -> Option<IndexKey> {
    let position = position(relation, key.column.as_deref()?)?;
    let column = quote_ident(&relation.columns[position].name);
    Some(match collation(relation, key) {
        // NOCASE folds A to Z only, as lower() does under "C".
        Some("NOCASE") => {
            IndexKey::Expression(format!("lower({column} COLLATE \"C\")"), key.descending)
        }
        Some("RTRIM") => IndexKey::Expression(format!("rtrim({column}, ' ')"), key.descending),
        _ => IndexKey::Column(position, key.descending),
    })
}

fn index(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    relation: &mut Relation,
    definition: &stored::Index,
    namer: &mut Namer,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let former_unique =
        source.former.and_then(|f| f.uniques.iter().find(|u| u.name == definition.name));
    let former_index =
        source.former.and_then(|f| f.indexes.iter().find(|i| i.name == definition.name));
    if let Some(former) = former_index {
        relation.indexes.push(former.clone());
        return Ok(());
    }
    let name = namer.exactly(&super::pg_name(&definition.name, source.sql));
    let oid = former_unique.map_or_else(|| side.new_oid(), |f| f.oid);
    let plain_columns: Option<Vec<usize>> = definition
        .keys
        .iter()
        .map(|k| match (collation(relation, k), k.column.as_deref()) {
            (None, Some(column)) => position(relation, column),
            _ => None,
        })
        .collect();
    if let (Some(columns), true, None) =
        (plain_columns, definition.unique, definition.filter.as_ref())
    {
        if !unique_as_served(connection, relation, &columns)? {
            let message = format!("{name:?} is unique only by storage class, not as served");
            let column = definition.keys.first().and_then(|k| k.column.as_deref());
            findings.add(column, FindingKind::NotUnique, message);
            return Ok(());
        }
        let constraint = former_unique.is_some_and(|f| f.constraint);
        let primary = former_unique.is_some_and(|f| f.primary);
        if primary {
            relation.primary_key = Some(columns.clone());
        }
        let deferral = Deferral::Never;
        relation.uniques.push(Unique { name, oid, columns, primary, constraint, deferral });
        relation.uniques.sort_by_key(|u| !u.primary);
        return Ok(());
    }
    let mut only_sqlite = false;
    let mut keys = Vec::new();
    for key in &definition.keys {
        match collated_key(relation, key) {
            Some(found) => keys.push(found),
            None => {
                let converted = plain::from_sqlite(&key.expression, relation);
                only_sqlite |= converted.is_none();
                let expression = converted.unwrap_or_else(|| key.expression.clone());
                keys.push(IndexKey::Expression(expression, key.descending));
            }
        }
    }
    let predicate = definition.filter.as_ref().map(|filter| {
        plain::from_sqlite(filter, relation).unwrap_or_else(|| {
            only_sqlite = true;
            filter.clone()
        })
    });
    if only_sqlite {
        let message = format!("index {name:?} is SQLite's own; PostgreSQL needs one by hand");
        findings.add(None, FindingKind::Index, message);
    }
    push_index(relation, name, oid, keys, definition.unique, predicate, only_sqlite);
    Ok(())
}

#[allow(clippy::fn_params_excessive_bools)]
fn push_index(
    relation: &mut Relation,
    name: String,
    oid: u32,
    keys: Vec<IndexKey>,
    unique: bool,
    predicate: Option<String>,
    sqlite: bool,
) {
    let mut index = Index {
        name,
        oid,
        keys,
        unique,
        predicate,
        definition: String::new(),
        sqlite,
        absent: false,
        extras: IndexExtras::default(),
    };
    index.definition = definition(relation, &index);
    relation.indexes.push(index);
}

/// `CREATE INDEX …` as `pg_get_indexdef` prints it.
pub(crate) fn definition(relation: &Relation, index: &Index) -> String {
    let extras = &index.extras;
    let keys: Vec<String> = index
        .keys
        .iter()
        .enumerate()
        .map(|(at, key)| {
            let (mut text, descending) = match key {
                IndexKey::Column(position, descending) => {
                    (quote_ident(&relation.columns[*position].name), *descending)
                }
                IndexKey::Expression(e, descending) => {
                    let call = crate::backend::sqlite::system::is_call(e);
                    (if call { e.clone() } else { format!("({e})") }, *descending)
                }
            };
            if let Some(class) = extras.opclasses.get(at).filter(|c| !c.is_empty()) {
                text.push_str(&format!(" {class}"));
            }
            if descending {
                text.push_str(" DESC");
            }
            match extras.nulls_first.get(at).copied().flatten() {
                Some(true) if !descending => text.push_str(" NULLS FIRST"),
                Some(false) if descending => text.push_str(" NULLS LAST"),
                _ => {}
            }
            text
        })
        .collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    let filter = index.predicate.as_ref().map_or_else(String::new, |p| format!(" WHERE ({p})"));
    let columns: Vec<String> = extras.include.iter().map(|c| quote_ident(c)).collect();
    let include = match columns.as_slice() {
        [] => String::new(),
        columns => format!(" INCLUDE ({})", columns.join(", ")),
    };
    let options: Vec<String> = extras.options.iter().map(|option| shown_option(option)).collect();
    let with = match options.as_slice() {
        [] => String::new(),
        options => format!(" WITH ({})", options.join(", ")),
    };
    format!(
        "CREATE {unique}INDEX {} ON {}.{} USING {} ({}){include}{with}{filter}",
        quote_ident(&index.name),
        quote_ident(&relation.schema),
        quote_ident(relation.bare()),
        if extras.method.is_empty() { "btree" } else { &extras.method },
        keys.join(", ")
    )
}

/// `name=value`, the value between quotes unless it is a plain word.
fn shown_option(option: &str) -> String {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let plain = quote_ident(value) == value;
    if plain { option.to_owned() } else { format!("{name}='{}'", value.replace('\'', "''")) }
}

/// Takes over the checks: as PostgreSQL text where that says exactly the same, else as
/// SQLite's own.
pub(super) fn checks(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    relation: &mut Relation,
    namer: &mut Namer,
    findings: &mut Findings<'_>,
) {
    let mut defs: Vec<(Option<&str>, &str, Option<&str>)> = Vec::new();
    for column in &source.table.columns {
        for (name, expression) in &column.checks {
            defs.push((name.as_deref(), expression, Some(&column.name)));
        }
    }
    for constraint in &source.table.constraints {
        if let ConstraintKind::Check { expression, conflict } = &constraint.kind {
            defs.push((constraint.name.as_deref(), expression, None));
            if conflict.is_some() {
                findings.add(
                    None,
                    FindingKind::Conflict,
                    "a check's ON CONFLICT acts in SQLite only",
                );
            }
        }
    }
    let former = |name: &str| source.former.and_then(|f| f.checks.iter().find(|c| c.name == name));
    for (name, expression, column) in defs {
        if let Some(known) = name.and_then(former) {
            relation.checks.push(known.clone());
            continue;
        }
        if implied(expression, relation) {
            continue;
        }
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let column = column.map(str::to_lowercase);
                namer.object(&relation.name, column.as_deref(), "check")
            }
        };
        let converted = plain::from_sqlite(expression, relation);
        let sqlite = converted.is_none();
        if sqlite {
            let message = format!("check {name:?} is SQLite's own; PostgreSQL needs one by hand");
            findings.add(column, FindingKind::Check, message);
        }
        let broken = broken_rows(connection, source, &relation.sqlite_name, expression);
        if broken.is_none() {
            super::unproven(findings, &format!("check {name:?}"));
        }
        let broken = broken.unwrap_or_default();
        if broken > 0 {
            let message = format!("check {name:?} does not hold for {}", counted(broken, "row"));
            let rows = format!("NOT ({expression})");
            findings.about_rows(column, FindingKind::Broken, message, rows);
        }
        relation.checks.push(Check {
            name,
            oid: side.new_oid(),
            expression: converted.unwrap_or_else(|| expression.to_owned()),
            in_plan: false,
            sqlite,
            not_valid: broken > 0,
        });
    }
    // Checks that only our plan enforces are not in the file.
    if let Some(former) = source.former {
        relation.checks.extend(former.checks.iter().filter(|c| c.in_plan).cloned());
        // Nor are domains.
        for column in &mut relation.columns {
            let same = former.columns.iter().find(|c| c.name == column.name && c.ty == column.ty);
            column.domain = same.and_then(|c| c.domain);
        }
    }
}

/// Rows that break a check of the file; none when SQLite cannot evaluate it here (it may
/// call a function of the application).
fn broken_rows(
    connection: &Connection,
    source: &Source<'_>,
    table: &str,
    expression: &str,
) -> Option<i64> {
    let sql = format!("SELECT count(*) FROM \"public\".{} WHERE NOT ({expression})", quoted(table));
    source.count(connection, &sql, &[]).unwrap_or(Some(0))
}

/// Whether a check says what a column's type says: that its values are JSON, or true or false.
fn implied(expression: &str, relation: &Relation) -> bool {
    relation.columns.iter().any(|column| {
        let same = stored::Column {
            name: column.sqlite_name.clone(),
            checks: vec![(None, expression.to_owned())],
            ..stored::Column::default()
        };
        match column.ty.oid {
            oid::JSONB => super::habits::holds_json(&same),
            oid::BOOL => super::habits::holds_truth(&same),
            _ => false,
        }
    })
}
