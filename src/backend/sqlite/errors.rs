//! SQLite's failures as PostgreSQL's errors, with the names the catalog knows.
//!
//! Owns the wording and the error fields of constraint violations. Codes that need no names
//! are [`super::codes`]'s. It must never put a row's value into a message. Start at
//! [`from_sqlite`].

use rusqlite::ffi;

use super::codes;
use super::ddl::Temporary;
use super::raw::Failure;
use crate::error::{Error, Object, SqlState, state};
use crate::schema::{Catalog, Relation};

/// Prefix of the checks that stand for a type's range.
pub(crate) const RANGE_CHECK: &str = "_crossfade_range_";

/// The relations whose names a failure may hold: the temporary ones hide others.
struct Known<'a> {
    catalog: &'a Catalog,
    temporary: &'a Temporary,
}

impl Known<'_> {
    fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.temporary.values().chain(self.catalog.relations.values()).map(|r| &**r)
    }

    fn relation(&self, sqlite_name: &str) -> Option<&Relation> {
        self.relations().find(|r| r.sqlite_name.eq_ignore_ascii_case(sqlite_name))
    }
}

/// The schema of a relation as clients see it.
pub(crate) fn shown_schema(relation: Option<&Relation>) -> String {
    match relation.map_or("public", |r| r.schema.as_str()) {
        "pg_temp" => "pg_temp_1",
        schema => schema,
    }
    .to_owned()
}

/// The error for a failure of SQLite, in a session with these temporary tables.
pub fn from_sqlite(failure: Failure, catalog: &Catalog, temporary: &Temporary) -> Error {
    let catalog = &Known { catalog, temporary };
    if let Some(error) = codes::raised(&failure.message) {
        return error;
    }
    let named = match failure.extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => unique(&failure.message, catalog),
        ffi::SQLITE_CONSTRAINT_NOTNULL => not_null(&failure.message, catalog),
        ffi::SQLITE_CONSTRAINT_CHECK => Some(check(&failure.message, catalog)),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Error::client(
            state::FOREIGN_KEY_VIOLATION,
            "statement violates a foreign key constraint",
        )),
        ffi::SQLITE_CONSTRAINT_DATATYPE => Some(Error::client(
            state::INVALID_TEXT_REPRESENTATION,
            "a value does not have the type of its STRICT column",
        )),
        ffi::SQLITE_MISMATCH => {
            Some(Error::client(state::INVALID_TEXT_REPRESENTATION, KEY_MISMATCH))
        }
        // ON DELETE RESTRICT fails at once, in the manner of a trigger.
        ffi::SQLITE_CONSTRAINT_TRIGGER if failure.message == "FOREIGN KEY constraint failed" => {
            Some(Error::client(
                state::FOREIGN_KEY_VIOLATION,
                "statement violates a foreign key constraint",
            ))
        }
        // RAISE(ABORT, …) of a trigger in the file: its text is the application's own.
        ffi::SQLITE_CONSTRAINT_TRIGGER => {
            Some(Error::client(state::RAISE_EXCEPTION, failure.message.clone()))
        }
        _ if failure.code == ffi::SQLITE_ERROR => by_message(&failure.message),
        _ => None,
    };
    named.unwrap_or_else(|| codes::plain(failure))
}

fn after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.find(prefix).map(|at| message[at + prefix.len()..].trim())
}

/// `t.a, t.b` as table and columns. Table names may contain dots; columns are then what
/// follows the last one.
fn columns(text: &str) -> Option<(&str, Vec<&str>)> {
    let mut table = None;
    let mut columns = Vec::new();
    for part in text.split(", ") {
        let (of, column) = part.rsplit_once('.')?;
        table = Some(of);
        columns.push(column);
    }
    table.map(|t| (t, columns))
}

fn unique(message: &str, catalog: &Known<'_>) -> Option<Error> {
    let rest = after(message, "UNIQUE constraint failed:")?;
    let (name, table) = match rest.strip_prefix("index '").and_then(|r| r.strip_suffix('\'')) {
        Some(index) => {
            // One of another schema may be called the same: the file's name has its OID then.
            let (index, oid) = match index.rsplit_once('~') {
                Some((name, oid)) => (name, oid.parse::<u32>().ok()),
                None => (index, None),
            };
            let is_it =
                |r: &Relation| r.index_oid(index).filter(|o| oid.is_none_or(|oid| oid == *o));
            let owner = catalog.relations().find(|r| is_it(r).is_some());
            (index.to_owned(), owner)
        }
        None => {
            let (table, columns) = columns(rest)?;
            match catalog.relation(table) {
                Some(relation) => {
                    let name = unique_name(relation, &columns);
                    (name.unwrap_or_else(|| "unknown".to_owned()), Some(relation))
                }
                None => (super::adopt::object_name(table, Some(&columns.join("_")), "key"), None),
            }
        }
    };
    let message = format!("duplicate key value violates unique constraint \"{name}\"");
    let object = Object {
        schema: Some(shown_schema(table)),
        table: table.map(|r| r.name.clone()),
        constraint: Some(name),
        ..Object::default()
    };
    Some(Error::client(state::UNIQUE_VIOLATION, message).object(object))
}

fn unique_name(relation: &Relation, names: &[&str]) -> Option<String> {
    let has = |columns: &[usize]| {
        columns.len() == names.len()
            && columns.iter().all(|c| {
                let name = &relation.columns[*c].sqlite_name;
                names.iter().any(|n| n.eq_ignore_ascii_case(name))
            })
    };
    relation.uniques.iter().find(|u| has(&u.columns)).map(|u| u.name.clone()).or_else(|| {
        // A partial unique index is reported by its columns too.
        let mut indexes = relation.indexes.iter().filter(|i| i.unique);
        indexes.find(|i| i.keys.len() == names.len()).map(|i| i.name.clone())
    })
}

fn not_null(message: &str, catalog: &Known<'_>) -> Option<Error> {
    let rest = after(message, "NOT NULL constraint failed:")?;
    let (table, column) = rest.rsplit_once('.')?;
    let found = catalog.relation(table);
    let column_name = found
        .and_then(|r| r.columns.iter().find(|c| c.sqlite_name.eq_ignore_ascii_case(column)))
        .map_or(column, |c| c.name.as_str());
    let table = found.map_or(table, |r| r.name.as_str());
    let schema = shown_schema(found);
    Some(not_null_violation(table, column_name).in_schema(schema))
}

/// 23502 for a column.
pub(crate) fn not_null_violation(table: &str, column: &str) -> Error {
    let message = format!(
        "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
    );
    let object = Object {
        schema: Some("public".to_owned()),
        table: Some(table.to_owned()),
        column: Some(column.to_owned()),
        ..Object::default()
    };
    Error::client(state::NOT_NULL_VIOLATION, message).object(object)
}

fn check(message: &str, catalog: &Known<'_>) -> Error {
    let what = after(message, "CHECK constraint failed:").unwrap_or_default();
    if what.starts_with(RANGE_CHECK) {
        return Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    }
    let found = catalog.relations().find_map(|r| {
        let check = r.checks.iter().find(|c| c.name == what || c.expression == what)?;
        Some((r, check.name.clone()))
    });
    let (schema, table, name) = match found {
        Some((relation, name)) => (shown_schema(Some(relation)), Some(relation.name.clone()), name),
        None => (shown_schema(None), None, what.to_owned()),
    };
    let of = table.as_deref().map_or_else(String::new, |t| format!("for relation \"{t}\" "));
    let message = format!("new row {of}violates check constraint \"{name}\"");
    let object =
        Object { schema: Some(schema), table, constraint: Some(name), ..Object::default() };
    Error::client(state::CHECK_VIOLATION, message).object(object)
}

/// Errors of SQLite's compiler, by message. After translation they should not occur: the
/// caller logs them as a fault of the proxy where they do.
fn by_message(message: &str) -> Option<Error> {
    let states: &[(&str, SqlState)] = &[
        ("no such table", state::UNDEFINED_TABLE),
        ("no such column", state::UNDEFINED_COLUMN),
        ("ambiguous column name", state::AMBIGUOUS_COLUMN),
        ("no such function", state::UNDEFINED_FUNCTION),
        ("wrong number of arguments", state::UNDEFINED_FUNCTION),
        ("duplicate column name", state::DUPLICATE_COLUMN),
        ("already exists", state::DUPLICATE_TABLE),
        ("misuse of aggregate", state::GROUPING_ERROR),
        ("misuse of window function", state::WINDOWING_ERROR),
        ("integer overflow", state::NUMERIC_VALUE_OUT_OF_RANGE),
        ("too many columns", state::TOO_MANY_COLUMNS),
        ("too many SQL variables", state::TOO_MANY_ARGUMENTS),
        ("foreign key mismatch", state::INVALID_FOREIGN_KEY),
        ("malformed JSON", state::INVALID_TEXT_REPRESENTATION),
        ("no such savepoint", state::INVALID_SAVEPOINT),
        ("no such collation", state::UNDEFINED_OBJECT),
        ("Expression tree is too large", state::STATEMENT_TOO_COMPLEX),
        ("syntax error", state::SYNTAX_ERROR),
    ];
    let found = states.iter().find(|(part, _)| message.contains(part))?;
    Some(Error::primary(found.1, message.to_owned()))
}

/// Names a foreign key violation by the statement's own table, when only one key can be
/// meant; SQLite itself names nothing. `deleting` says that rows left the table.
pub fn name_foreign_key(error: Error, catalog: &Catalog, table: &str, deleting: bool) -> Error {
    if error.sqlstate() != state::FOREIGN_KEY_VIOLATION || error.fields().object.table.is_some() {
        return error;
    }
    let Some(relation) = catalog.relation(table) else { return error };
    let own = relation.foreign_keys.iter().map(|k| (relation.name.as_str(), k.name.as_str()));
    let others = catalog.relations.values().flat_map(|r| {
        let keys = r.foreign_keys.iter().filter(|k| k.table == table);
        keys.map(|k| (r.name.as_str(), k.name.as_str()))
    });
    let candidates: Vec<(&str, &str)> = if deleting { others.collect() } else { own.collect() };
    let [(child, constraint)] = candidates.as_slice() else { return error };
    let message = if deleting {
        format!(
            "update or delete on table \"{table}\" violates foreign key constraint \
             \"{constraint}\" on table \"{child}\""
        )
    } else {
        format!(
            "insert or update on table \"{table}\" violates foreign key constraint \
             \"{constraint}\""
        )
    };
    let object = Object {
        schema: Some("public".to_owned()),
        table: Some((*child).to_owned()),
        constraint: Some((*constraint).to_owned()),
        ..Object::default()
    };
    Error::client(state::FOREIGN_KEY_VIOLATION, message).object(object)
}

/// SQLite's word for a NULL in the key it numbers by itself: typed values leave no other
/// reason.
const KEY_MISMATCH: &str = "a value of the integer primary key is not an integer";

/// The not-null violation of the statement's table behind [`KEY_MISMATCH`].
pub fn name_null_key(error: Error, catalog: &Catalog, table: &str) -> Error {
    if error.message() != KEY_MISMATCH {
        return error;
    }
    let key = catalog.relation(table).and_then(|r| r.columns.get(r.rowid_alias?));
    key.map_or(error, |column| not_null_violation(table, &column.name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::schema::{Column, RelationKind, Unique};
    use crate::value::{Type, oid};

    fn catalog() -> Catalog {
        let mut relation = Relation::new(16384, "album", RelationKind::Table);
        relation.sqlite_name = "Album".into();
        relation.columns = vec![
            Column { sqlite_name: "Id".into(), ..Column::new(1, "id", Type::new(oid::INT8)) },
            Column { sqlite_name: "Name".into(), ..Column::new(2, "name", Type::new(oid::TEXT)) },
        ];
        relation.uniques.push(Unique {
            name: "album_name_key".into(),
            oid: 16385,
            columns: vec![1],
            primary: false,
            constraint: true,
            deferral: Default::default(),
        });
        let mut catalog = Catalog::default();
        catalog.relations.insert("album".into(), Arc::new(relation));
        catalog
    }

    fn failure(extended: i32, message: &str) -> Failure {
        Failure { code: extended & 0xff, extended, message: message.into(), offset: -1 }
    }

    #[test]
    fn constraints_have_postgresql_s_names() {
        let text = "UNIQUE constraint failed: Album.Name";
        let error = from_sqlite(
            failure(ffi::SQLITE_CONSTRAINT_UNIQUE, text),
            &catalog(),
            &Temporary::new(),
        );
        assert_eq!(error.sqlstate().as_str(), "23505");
        assert_eq!(
            error.message(),
            "duplicate key value violates unique constraint \"album_name_key\""
        );
        assert_eq!(error.fields().object.table.as_deref(), Some("album"));
        let text = "NOT NULL constraint failed: Album.Name";
        let error = from_sqlite(
            failure(ffi::SQLITE_CONSTRAINT_NOTNULL, text),
            &catalog(),
            &Temporary::new(),
        );
        assert_eq!(error.fields().object.column.as_deref(), Some("name"));
    }
}
