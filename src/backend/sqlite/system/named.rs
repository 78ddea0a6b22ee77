//! Tables of `pg_catalog` that name the database or a role: their rows depend on who looks.

use std::sync::Arc;

use super::describe::{IndexRef, indexes, quote_ident};
use super::rows::{Maker, Row, flag, int, maybe, shape, text};
use super::{Core, Snapshot, fixed, shown};
use crate::backend::sqlite::sequences::Sequences;
use crate::name;
use crate::schema::{Relation, RelationKind, system};
use crate::value::Cell;

/// The tables this file makes (besides pg_sequences, which is never kept).
pub(crate) const TABLES: &[&str] = &[
    "pg_authid",
    "pg_available_extensions",
    "pg_database",
    "pg_extension",
    "pg_indexes",
    "pg_matviews",
    "pg_roles",
    "pg_shadow",
    "pg_tables",
    "pg_tablespace",
    "pg_user",
    "pg_views",
    "pg_stat_user_indexes",
    "pg_stat_all_indexes",
    "pg_statio_user_indexes",
    "pg_statio_all_indexes",
    "pg_stat_user_tables",
    "pg_stat_all_tables",
    "pg_statio_user_tables",
    "pg_statio_all_tables",
];

pub(super) fn rows(snapshot: &Snapshot, name: &str) -> Vec<Row> {
    let user = snapshot.identity().user.as_str();
    match name {
        "pg_authid" => vec![authid(user)],
        "pg_roles" => vec![role(user)],
        "pg_user" | "pg_shadow" => vec![pg_user(name, user)],
        "pg_database" => databases(&snapshot.identity().database),
        "pg_tablespace" => tablespaces(),
        "pg_extension" => extensions(snapshot),
        "pg_tables" => pg_tables(snapshot, user),
        "pg_views" => pg_views(snapshot, user),
        "pg_matviews" => pg_matviews(snapshot, user),
        "pg_indexes" => pg_indexes(snapshot),
        "pg_stat_user_tables"
        | "pg_stat_all_tables"
        | "pg_statio_user_tables"
        | "pg_statio_all_tables" => pg_stat_tables(snapshot, name),
        "pg_stat_user_indexes"
        | "pg_stat_all_indexes"
        | "pg_statio_user_indexes"
        | "pg_statio_all_indexes" => pg_stat_indexes(snapshot, name),
        "pg_available_extensions" => available_extensions(snapshot),
        _ => Vec::new(),
    }
}

fn authid(user: &str) -> Row {
    let shape = shape("pg_authid");
    let columns = [
        "oid",
        "rolname",
        "rolsuper",
        "rolinherit",
        "rolcreaterole",
        "rolcreatedb",
        "rolcanlogin",
        "rolreplication",
        "rolbypassrls",
        "rolconnlimit",
    ];
    let yes = || flag(true);
    Maker::new(&shape, &columns).row([
        int(fixed::OWNER),
        text(user),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        int(-1),
    ])
}

fn role(user: &str) -> Row {
    let shape = shape("pg_roles");
    let columns = [
        "oid",
        "rolname",
        "rolsuper",
        "rolinherit",
        "rolcreaterole",
        "rolcreatedb",
        "rolcanlogin",
        "rolreplication",
        "rolbypassrls",
        "rolconnlimit",
        "rolpassword",
    ];
    let yes = || flag(true);
    Maker::new(&shape, &columns).row([
        int(fixed::OWNER),
        text(user),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        int(-1),
        text("********"),
    ])
}

fn pg_user(table: &str, user: &str) -> Row {
    let shape = shape(table);
    let columns =
        ["usename", "usesysid", "usecreatedb", "usesuper", "userepl", "usebypassrls", "passwd"];
    let yes = || flag(true);
    let password = text("********");
    Maker::new(&shape, &columns).row([
        text(user),
        int(fixed::OWNER),
        yes(),
        yes(),
        yes(),
        yes(),
        password,
    ])
}

fn databases(name: &str) -> Vec<Row> {
    const UTF8: i64 = 6;
    let shape = shape("pg_database");
    let columns = [
        "oid",
        "datname",
        "datdba",
        "encoding",
        "datlocprovider",
        "datallowconn",
        "datconnlimit",
        "dattablespace",
        "datcollate",
        "datctype",
        "datistemplate",
    ];
    let maker = Maker::new(&shape, &columns);
    let row = |oid: u32, name: &str, connects: bool, template: bool| {
        maker.row([
            int(oid),
            text(name),
            int(fixed::OWNER),
            int(UTF8),
            text("c"),
            flag(connects),
            int(-1),
            int(fixed::TABLESPACE),
            text("C.UTF-8"),
            text("C.UTF-8"),
            flag(template),
        ])
    };
    // Every name reaches the same data; those that each server has are what tools look for.
    let mut rows = vec![row(fixed::POSTGRES, "postgres", true, false)];
    if name != "postgres" {
        rows.push(row(fixed::DATABASE, name, true, false));
    }
    rows.push(row(1, "template1", true, true));
    rows.push(row(4, "template0", false, true));
    rows
}

fn tablespaces() -> Vec<Row> {
    let shape = shape("pg_tablespace");
    let maker = Maker::new(&shape, &["oid", "spcname", "spcowner"]);
    let row = |o: u32, name: &str| maker.row([int(o), text(name), int(fixed::OWNER)]);
    vec![row(fixed::TABLESPACE, "pg_default"), row(fixed::TABLESPACE + 1, "pg_global")]
}

fn extensions(snapshot: &Snapshot) -> Vec<Row> {
    let shape = shape("pg_extension");
    let columns = ["oid", "extname", "extowner", "extnamespace", "extrelocatable", "extversion"];
    let maker = Maker::new(&shape, &columns);
    let mut rows = vec![maker.row([
        int(13559),
        text("plpgsql"),
        int(fixed::OWNER),
        int(fixed::PG_CATALOG),
        flag(false),
        text("1.0"),
    ])];
    rows.extend(snapshot.catalog.extensions.iter().map(|(name, oid)| {
        let version = crate::backend::sqlite::ddl::extension::version(name);
        maker.row([
            int(i64::from(*oid)),
            text(name.as_str()),
            int(fixed::OWNER),
            int(2200),
            flag(true),
            text(version.unwrap_or_default()),
        ])
    }));
    rows
}

/// Extensions that CREATE EXTENSION takes.
fn available_extensions(snapshot: &Snapshot) -> Vec<Row> {
    let shape = shape("pg_available_extensions");
    let maker = Maker::new(&shape, &["name", "default_version", "installed_version"]);
    let own = std::iter::once(("plpgsql", "1.0"));
    own.chain(crate::backend::sqlite::ddl::extension::KNOWN)
        .map(|(name, version)| {
            let there = name == "plpgsql" || snapshot.catalog.extensions.contains_key(name);
            maker.row([text(name), text(version), maybe(there.then_some(version))])
        })
        .collect()
}

/// The name PostgreSQL shows for a relation's schema.
pub(crate) fn schema_name(relation: &Relation) -> &str {
    if relation.schema == "pg_temp" { "pg_temp_1" } else { &relation.schema }
}

pub(crate) fn is_view(relation: &Relation) -> bool {
    match relation.kind {
        RelationKind::View => true,
        RelationKind::System => !system::is_table(relation),
        RelationKind::Table | RelationKind::Temporary => false,
    }
}

/// User relations, then PostgreSQL's own.
fn all(core: &Core) -> impl Iterator<Item = &Arc<Relation>> {
    let (catalog, information) = system::relations();
    core.user_relations().chain(catalog.values()).chain(information.values())
}

fn pg_tables(core: &Core, user: &str) -> Vec<Row> {
    let shape = shape("pg_tables");
    let columns = [
        "schemaname",
        "tablename",
        "tableowner",
        "hasindexes",
        "hasrules",
        "hastriggers",
        "rowsecurity",
    ];
    let maker = Maker::new(&shape, &columns);
    all(core)
        .filter(|r| !is_view(r))
        .map(|r| {
            maker.row([
                text(schema_name(r)),
                text(&r.name),
                text(user),
                flag(indexes(r).next().is_some()),
                flag(false),
                flag(r.has_triggers || !r.foreign_keys.is_empty()),
                flag(false),
            ])
        })
        .collect()
}

fn pg_views(core: &Core, user: &str) -> Vec<Row> {
    let shape = shape("pg_views");
    let maker = Maker::new(&shape, &["schemaname", "viewname", "viewowner", "definition"]);
    all(core)
        .filter(|r| is_view(r) && r.materialized.is_none())
        .map(|r| {
            let definition = r.view_sql.as_deref().filter(|s| !s.is_empty()).map(view_text);
            maker.row([text(schema_name(r)), text(&r.name), text(user), maybe(definition)])
        })
        .collect()
}

fn pg_matviews(core: &Core, user: &str) -> Vec<Row> {
    let shape = shape("pg_matviews");
    let columns =
        ["schemaname", "matviewname", "matviewowner", "hasindexes", "ispopulated", "definition"];
    let maker = Maker::new(&shape, &columns);
    let stored = core.user_relations().filter_map(|r| Some((r, r.materialized.as_deref()?)));
    stored
        .map(|(r, query)| {
            maker.row([
                text(schema_name(r)),
                text(&r.name),
                text(user),
                flag(indexes(r).next().is_some()),
                flag(true),
                text(view_text(query)),
            ])
        })
        .collect()
}

/// A view's query as `pg_get_viewdef` ends it.
pub(crate) fn view_text(query: &str) -> String {
    format!(" {};", query.trim().trim_end_matches(';'))
}

fn pg_indexes(core: &Core) -> Vec<Row> {
    let shape = shape("pg_indexes");
    let maker = Maker::new(&shape, &["schemaname", "tablename", "indexname", "indexdef"]);
    let mut rows = Vec::new();
    for relation in core.user_relations() {
        for index in indexes(relation) {
            let definition = super::describe::index_def(relation, index, 0);
            rows.push(maker.row([
                text(schema_name(relation)),
                text(&relation.name),
                text(index.name()),
                maybe(definition),
            ]));
        }
    }
    rows
}

fn pg_stat_tables(core: &Core, table: &str) -> Vec<Row> {
    let shape = shape(table);
    let maker = Maker::new(&shape, &["relid", "schemaname", "relname"]);
    core.user_relations()
        .filter(|r| !is_view(r))
        .map(|r| maker.row([int(r.oid), text(schema_name(r)), text(&r.name)]))
        .collect()
}

fn pg_stat_indexes(core: &Core, table: &str) -> Vec<Row> {
    let shape = shape(table);
    let columns = ["relid", "indexrelid", "schemaname", "relname", "indexrelname"];
    let maker = Maker::new(&shape, &columns);
    let mut rows = Vec::new();
    for relation in core.user_relations().filter(|r| !is_view(r)) {
        for index in indexes(relation) {
            rows.push(maker.row([
                int(relation.oid),
                int(index.oid()),
                text(schema_name(relation)),
                text(&relation.name),
                text(index.name()),
            ]));
        }
    }
    rows
}

/// pg_sequences: `last_value` is the counter's, NULL before its first use.
pub(super) fn pg_sequences(snapshot: &Snapshot, counters: Option<&Sequences>) -> Vec<Row> {
    let shape = shape("pg_sequences");
    let columns = [
        "schemaname",
        "sequencename",
        "sequenceowner",
        "data_type",
        "start_value",
        "min_value",
        "max_value",
        "increment_by",
        "cycle",
        "cache_size",
        "last_value",
    ];
    let maker = Maker::new(&shape, &columns);
    let sequences = snapshot.catalog.sequences.values();
    sequences
        .map(|s| {
            let last = counters.and_then(|c| c.last_value(s.oid));
            maker.row([
                text(name::schema(&s.name)),
                text(&s.name),
                text(&snapshot.identity().user),
                int(s.ty.oid),
                int(s.start),
                int(s.min),
                int(s.max),
                int(s.increment),
                flag(s.cycle),
                int(1),
                last.map_or(Cell::Null, Cell::Integer),
            ])
        })
        .collect()
}

/// The name of an object of pg_class by OID, qualified when `public` is not enough to find
/// it: what `regclass` prints.
pub(crate) fn class_name(core: &Core, object: i64) -> Option<String> {
    if let Some(sequence) = core.catalog.sequences.values().find(|s| i64::from(s.oid) == object) {
        return Some(shown::name(core, &sequence.name));
    }
    for relation in core.user_relations() {
        if i64::from(relation.oid) == object {
            return Some(match relation.kind {
                RelationKind::Temporary => quote_ident(&relation.name),
                _ => shown::name(core, &relation.name),
            });
        }
        let index = indexes(relation).find(|i| i64::from(i.oid()) == object);
        if let Some(IndexRef::Unique(_) | IndexRef::Plain(_)) = index {
            return index.map(|i| shown::name(core, &name::beside(&relation.name, i.name())));
        }
    }
    let relation = all(core).find(|r| i64::from(r.oid) == object)?;
    let name = quote_ident(&relation.name);
    Some(if relation.schema == "pg_catalog" { name } else { format!("{}.{name}", relation.schema) })
}

/// The OID of a relation, index or sequence by name, as `to_regclass` resolves it (quotes,
/// an optional schema, unquoted parts folded).
pub(crate) fn class_oid(core: &Core, text: &str) -> Option<u32> {
    let parts = split_name(text)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        [_, schema, name] => (Some(schema.as_str()), name),
        _ => return None,
    };
    let user = |relation: &Relation| {
        if &relation.name == name {
            return Some(relation.oid);
        }
        indexes(relation).find(|i| i.name() == name).map(IndexRef::oid)
    };
    let (catalog, information) = system::relations();
    let in_schema = |schema: &str| match schema {
        "pg_catalog" => catalog.get(name).map(|r| r.oid),
        "information_schema" => information.get(name).map(|r| r.oid),
        _ if schema.starts_with("pg_temp") => core.temporary.values().find_map(|r| user(r)),
        schema => {
            let key = name::key(schema, name);
            let index = || core.catalog.index_owner(schema, name)?.index_oid(name);
            let sequence = || core.catalog.sequences.get(&key).map(|s| s.oid);
            core.catalog.relation(&key).map(|r| r.oid).or_else(sequence).or_else(index)
        }
    };
    match schema {
        Some(schema) => in_schema(schema),
        None => {
            let path = shown::path();
            let path = path.iter().flat_map(|p| p.iter()).map(String::as_str);
            let own = ["pg_temp", "pg_catalog"].into_iter().chain(path).find_map(in_schema);
            // Without a path of the session's, and as ever, a table of public is found.
            own.or_else(|| in_schema("public").filter(|_| core.catalog.schemas.is_empty()))
        }
    }
}

/// The parts of a possibly quoted, dotted name.
pub(crate) fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                let (at, c) = chars.next()?;
                match (c, chars.peek()) {
                    ('"', Some((_, '"'))) => {
                        part.push('"');
                        chars.next();
                    }
                    ('"', _) => break at + 1,
                    (c, _) => part.push(c),
                }
            };
            (part, &quoted[end..])
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (rest[..end].trim().to_lowercase(), &rest[end..])
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// Bytes a relation uses is not known per object; PostgreSQL's page size stands for "some".
pub(crate) const PAGE_BYTES: i64 = 8192;
