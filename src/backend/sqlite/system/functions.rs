//! SQL functions over the catalog: `pg_get_constraintdef`, `format_type`, `to_regclass`, the
//! input and output of the reg* types, privileges, sizes, comments.
//!
//! Each is registered as `pg_` followed by PostgreSQL's name, and also under PostgreSQL's own
//! name when that begins with `pg_`. They take and return logical cells. Stable within a
//! statement, so flagged deterministic; never used in stored DDL.

use std::sync::Arc;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::constraints::parent;
use super::data::builtin;
use super::describe::{
    IndexRef, check_text, exclusion_text, foreign_key_text, index_def, indexes, qualified_ident,
    quote_ident, spelled, unique_text,
};
use super::named::{PAGE_BYTES, class_name, class_oid, is_view, split_name, view_text};
use super::types::{builtin_name, format_type, type_in};
use super::{Core, Slot, Snapshot, fixed};
use super::{routines, shown};
use crate::error::{Error, Result as Outcomes, SqlState};
use crate::schema::{Index, Relation, RelationKind, system};
use crate::value::Cell;

/// Arguments as SQLite gives them.
struct Args<'a>(Vec<ValueRef<'a>>);

impl Args<'_> {
    fn int(&self, at: usize) -> Option<i64> {
        match self.0.get(at)? {
            ValueRef::Integer(i) => Some(*i),
            ValueRef::Text(t) => std::str::from_utf8(t).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    fn text(&self, at: usize) -> Option<&str> {
        match self.0.get(at)? {
            ValueRef::Text(t) => std::str::from_utf8(t).ok(),
            _ => None,
        }
    }

    fn any_null(&self) -> bool {
        self.0.iter().any(|v| matches!(v, ValueRef::Null))
    }
}

/// An error a function raises: SQLSTATE and message.
struct Raised(&'static str, String);

type Outcome = std::result::Result<Cell, Raised>;
type Function = fn(&Slot, &Snapshot, &Args<'_>) -> Outcome;

const STRICT: bool = true;
const LOOSE: bool = false;

/// Name, strictness (NULL in, NULL out), body. Any number of arguments.
const FUNCTIONS: &[(&str, bool, Function)] = &[
    ("format_type", LOOSE, |_, s, a| Ok(described_type(s, a))),
    ("pg_get_expr", STRICT, |_, s, a| {
        Ok(a.text(0).map_or(Cell::Null, |t| text(shown::expression(s, t))))
    }),
    ("pg_get_constraintdef", STRICT, |_, s, a| {
        Ok(constraint_def(s, a.int(0), a.int(1) == Some(1)))
    }),
    ("pg_get_indexdef", STRICT, |_, s, a| Ok(index_definition(s, a))),
    ("pg_get_viewdef", STRICT, |_, s, a| Ok(view_definition(s, a))),
    ("pg_get_serial_sequence", STRICT, |_, s, a| serial_sequence(s, a)),
    ("pg_get_userbyid", STRICT, |_, s, a| Ok(user_name(s, a.int(0)))),
    ("pg_get_function_arguments", STRICT, |_, s, a| Ok(function_arguments(s, a.int(0), true))),
    ("pg_get_function_identity_arguments", STRICT, |_, s, a| {
        Ok(function_arguments(s, a.int(0), false))
    }),
    ("pg_get_function_arg_default", STRICT, |_, s, a| {
        Ok(routines::default_of(s, a.int(0), a.int(1)))
    }),
    ("pg_get_function_result", STRICT, |_, s, a| Ok(function_result(s, a.int(0)))),
    ("pg_table_is_visible", STRICT, |_, s, a| Ok(table_is_visible(s, a.int(0)))),
    ("pg_type_is_visible", STRICT, |_, s, a| Ok(type_is_visible(s, a.int(0)))),
    ("to_regclass", STRICT, |_, s, a| Ok(oid_or_null(class_oid(s, a.text(0).unwrap_or_default())))),
    ("to_regtype", STRICT, |_, s, a| Ok(oid_or_null(type_in(s, a.text(0).unwrap_or_default())))),
    ("to_regnamespace", STRICT, |_, s, a| Ok(oid_or_null(namespace(s, a.text(0))))),
    ("to_regproc", STRICT, |_, s, a| Ok(oid_or_null(proc_oid(s, a.text(0))))),
    ("to_regrole", STRICT, |_, s, a| Ok(oid_or_null(role_oid(s, a.text(0))))),
    ("regclassin", STRICT, |_, s, a| reg_in(a, |n| class_oid(s, n), "42P01", "relation")),
    ("regtypein", STRICT, |_, s, a| reg_in(a, |n| type_in(s, n), "42704", "type")),
    ("regnamespacein", STRICT, |_, s, a| reg_in(a, |n| namespace(s, Some(n)), "3F000", "schema")),
    ("regconfigin", STRICT, |_, _, a| configuration_in(a.text(0).unwrap_or_default())),
    ("regprocin", STRICT, |_, s, a| reg_in(a, |n| proc_oid(s, Some(n)), "42883", "function")),
    ("regrolein", STRICT, |_, s, a| reg_in(a, |n| role_oid(s, Some(n)), "42704", "role")),
    ("regclassout", STRICT, |_, s, a| Ok(reg_out(a.int(0), |o| class_name(s, o)))),
    ("regtypeout", STRICT, |_, s, a| Ok(reg_out(a.int(0), |o| type_name(s, o)))),
    ("regnamespaceout", STRICT, |_, s, a| Ok(reg_out(a.int(0), |o| namespace_name(s, o)))),
    ("regprocout", STRICT, |_, s, a| {
        let own = |o: i64| routines::function(s, Some(o)).map(|f| shown::name(s, &f.name));
        Ok(reg_out(a.int(0), |o| own(o).or_else(|| builtin_name("pg_proc", "proname", o))))
    }),
    ("regroleout", STRICT, |_, s, a| {
        Ok(reg_out(a.int(0), |o| (o == 10).then(|| quote_ident(&s.identity().user))))
    }),
    ("obj_description", STRICT, |_, s, a| Ok(description(s, a, 0))),
    ("col_description", STRICT, |_, s, a| Ok(column_description(s, a))),
    ("pg_get_triggerdef", STRICT, |_, s, a| {
        Ok(routines::trigger_definition(s, a.int(0), a.int(1) == Some(1)))
    }),
    ("pg_get_functiondef", STRICT, |_, s, a| Ok(routines::function_definition(s, a.int(0)))),
    ("shobj_description", STRICT, |_, _, _| Ok(Cell::Null)),
    ("pg_relation_size", STRICT, |_, s, a| Ok(Cell::Integer(table_bytes(s, a.int(0))))),
    ("pg_table_size", STRICT, |_, s, a| Ok(Cell::Integer(table_bytes(s, a.int(0))))),
    ("pg_total_relation_size", STRICT, |_, s, a| Ok(Cell::Integer(table_bytes(s, a.int(0))))),
    ("pg_indexes_size", STRICT, |_, _, _| Ok(Cell::Integer(0))),
    ("pg_database_size", STRICT, |_, _, _| Ok(Cell::Integer(PAGE_BYTES))),
    ("pg_tablespace_size", STRICT, |_, _, _| Ok(Cell::Integer(PAGE_BYTES))),
    ("pg_encoding_to_char", STRICT, |_, _, a| {
        Ok(text(match a.int(0) {
            Some(0) => "SQL_ASCII",
            Some(6) => "UTF8",
            Some(8) => "LATIN1",
            _ => "",
        }))
    }),
    ("pg_char_to_encoding", STRICT, |_, _, a| {
        let name = a.text(0).unwrap_or_default().to_ascii_uppercase().replace('-', "");
        Ok(Cell::Integer(match name.as_str() {
            "UTF8" | "UNICODE" => 6,
            "SQL_ASCII" => 0,
            "LATIN1" => 8,
            _ => -1,
        }))
    }),
    ("pg_is_in_recovery", LOOSE, |_, _, _| Ok(Cell::Integer(0))),
    ("pg_is_other_temp_schema", STRICT, |_, _, _| Ok(Cell::Integer(0))),
    ("pg_my_temp_schema", LOOSE, |_, s, _| {
        Ok(Cell::Integer(if s.has_temporary() { i64::from(fixed::PG_TEMP) } else { 0 }))
    }),
    ("pg_tablespace_location", STRICT, |_, _, _| Ok(text(""))),
    ("pg_relation_filenode", STRICT, |_, _, a| Ok(a.int(0).map_or(Cell::Null, Cell::Integer))),
    ("pg_relation_is_publishable", STRICT, |_, s, a| {
        let found = a.int(0).and_then(|o| s.relation_by_oid(o));
        Ok(truth(found.is_some_and(|r| r.kind == RelationKind::Table)))
    }),
    ("pg_relation_is_updatable", STRICT, |_, s, a| {
        // Bits for UPDATE, INSERT and DELETE.
        let found = a.int(0).and_then(|o| s.relation_by_oid(o));
        Ok(Cell::Integer(if found.is_some_and(|r| !is_view(r)) { 28 } else { 0 }))
    }),
    ("pg_column_is_updatable", STRICT, |_, s, a| {
        let found = a.int(0).and_then(|o| s.relation_by_oid(o));
        Ok(truth(found.is_some_and(|r| !is_view(r))))
    }),
    ("pg_sequence_last_value", STRICT, |slot, _, a| {
        let oid = a.int(0).and_then(|o| u32::try_from(o).ok());
        let last = oid.and_then(|o| slot.sequences()?.last_value(o));
        Ok(last.map_or(Cell::Null, Cell::Integer))
    }),
    ("pg_describe_object", STRICT, |_, s, a| {
        let named = a.int(1).and_then(|o| class_name(s, o));
        Ok(named.map_or(Cell::Null, |n| text(format!("table {n}"))))
    }),
    ("pg_size_pretty", STRICT, |_, _, a| Ok(size_pretty(a.int(0)))),
];

/// Functions about things that do not exist here: NULL.
const NULLS: &[&str] = &[
    "pg_get_ruledef",
    "pg_get_partkeydef",
    "pg_get_statisticsobjdef",
    "pg_get_statisticsobjdef_columns",
    "pg_get_partition_constraintdef",
    "pg_get_function_sqlbody",
    "pg_get_replica_identity_index",
    "pg_stat_get_last_vacuum_time",
    "pg_stat_get_last_analyze_time",
    "pg_stat_get_last_autoanalyze_time",
    "pg_stat_get_last_autovacuum_time",
    "pg_last_committed_xact",
];

/// Counters that nobody counts here.
const ZEROS: &[&str] = &[
    "pg_stat_get_blocks_fetched",
    "pg_stat_get_blocks_hit",
    "pg_stat_get_dead_tuples",
    "pg_stat_get_live_tuples",
    "pg_stat_get_mod_since_analyze",
    "pg_stat_get_numscans",
    "pg_stat_get_tuples_deleted",
    "pg_stat_get_tuples_fetched",
    "pg_stat_get_tuples_hot_updated",
    "pg_stat_get_tuples_inserted",
    "pg_stat_get_tuples_returned",
    "pg_stat_get_tuples_updated",
];

/// Privilege and visibility checks: one owner, one schema, all allowed.
const TRUTHS: &[&str] = &[
    "has_table_privilege",
    "has_schema_privilege",
    "has_column_privilege",
    "has_any_column_privilege",
    "has_database_privilege",
    "has_sequence_privilege",
    "has_function_privilege",
    "has_type_privilege",
    "has_tablespace_privilege",
    "has_language_privilege",
    "has_foreign_data_wrapper_privilege",
    "has_server_privilege",
    "pg_has_role",
    "pg_function_is_visible",
    "pg_operator_is_visible",
    "pg_opclass_is_visible",
    "pg_opfamily_is_visible",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
];

/// Whether a PostgreSQL function is answered here.
pub fn is_catalog_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|f| f.0 == name)
        || [NULLS, ZEROS, TRUTHS].iter().any(|names| names.contains(&name))
}

pub(super) fn register(connection: &Connection, slot: &Arc<Slot>) -> Result<()> {
    let all = FUNCTIONS.iter().copied();
    let nulls = NULLS.iter().map(|n| (*n, STRICT, (|_, _, _| Ok(Cell::Null)) as Function));
    let truths = TRUTHS.iter().map(|n| (*n, STRICT, (|_, _, _| Ok(truth(true))) as Function));
    let zeros = ZEROS.iter().map(|n| (*n, STRICT, (|_, _, _| Ok(Cell::Integer(0))) as Function));
    for (name, strict, body) in all.chain(nulls).chain(zeros).chain(truths) {
        define(connection, slot, &format!("pg_{name}"), strict, body)?;
        if name.starts_with("pg_") {
            define(connection, slot, name, strict, body)?;
        }
    }
    let slot = Arc::clone(slot);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(c"pg_crossfade_show", 1, flags, move |context| {
        slot.show(context.get::<i64>(0)?);
        Ok(Value::Null)
    })
}

fn define(
    connection: &Connection,
    slot: &Arc<Slot>,
    name: &str,
    strict: bool,
    body: Function,
) -> Result<()> {
    let slot = Arc::clone(slot);
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(name, -1, flags, move |context: &Context<'_>| {
        let args = Args((0..context.len()).map(|i| context.get_raw(i)).collect());
        if strict && args.any_null() {
            return Ok(Value::Null);
        }
        match body(&slot, &slot.snapshot(), &args) {
            Ok(Cell::Null) => Ok(Value::Null),
            Ok(Cell::Integer(i)) => Ok(Value::Integer(i)),
            Ok(Cell::Real(r)) => Ok(Value::Real(r)),
            Ok(Cell::Text(t)) => Ok(Value::Text(t)),
            Ok(Cell::Blob(b)) => Ok(Value::Blob(b)),
            Err(Raised(state, message)) => {
                let marked = format!("\u{1}{state}\u{1}{message}");
                Err(rusqlite::Error::UserFunctionError(marked.into()))
            }
        }
    })
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

fn truth(value: bool) -> Cell {
    Cell::Integer(i64::from(value))
}

fn oid_or_null(found: Option<u32>) -> Cell {
    found.map_or(Cell::Null, |o| Cell::Integer(i64::from(o)))
}

fn described_type(core: &Core, args: &Args<'_>) -> Cell {
    let Some(type_oid) = args.int(0) else { return Cell::Null };
    let typmod = args.int(1).and_then(|t| i32::try_from(t).ok());
    if type_oid == 0 {
        return text("-");
    }
    if let Some(relation) = core.relation_by_oid(type_oid) {
        return text(shown::name(core, &relation.name));
    }
    let type_oid = u32::try_from(type_oid).unwrap_or_default();
    // format_type(bpchar, -1) is `bpchar`, with NULL it is `character`.
    if type_oid == crate::value::oid::BPCHAR && typmod == Some(-1) {
        return text("bpchar");
    }
    text(shown::type_name(type_oid, format_type(type_oid, typmod.unwrap_or(-1))))
}

fn constraint_def(core: &Core, wanted: Option<i64>, pretty: bool) -> Cell {
    let Some(wanted) = wanted else { return Cell::Null };
    for relation in core.user_relations() {
        let mut uniques = relation.uniques.iter().filter(|u| u.constraint);
        if let Some(unique) = uniques.find(|u| i64::from(u.oid) == wanted) {
            return text(unique_text(relation, unique));
        }
        let mut exclusions = relation.indexes.iter().filter(|i| i.is_exclusion());
        if let Some(index) = exclusions.find(|i| i64::from(i.oid) == wanted) {
            return text(exclusion_text(relation, index));
        }
        if let Some(key) = relation.foreign_keys.iter().find(|k| i64::from(k.oid) == wanted) {
            let referenced: Vec<String> = match parent(core, key) {
                Some((parent, columns)) => {
                    let columns = columns.iter().filter_map(|c| parent.columns.get(*c));
                    columns.map(|c| c.name.clone()).collect()
                }
                None => key.referenced.clone(),
            };
            let plain = foreign_key_text(relation, key, &referenced);
            let table = spelled(&key.table);
            let (bare, full) = (format!("REFERENCES {table}("), shown::name(core, &key.table));
            return text(plain.replacen(&bare, &format!("REFERENCES {full}("), 1));
        }
        if let Some(check) = relation.checks.iter().find(|c| i64::from(c.oid) == wanted) {
            let valid = if check.not_valid { " NOT VALID" } else { "" };
            return text(if pretty {
                format!("CHECK ({}){valid}", shown::expression(core, &check.expression))
            } else {
                shown::expression(core, &check_text(check))
            });
        }
    }
    match super::domains::condition(core, wanted) {
        Some(condition) if pretty => text(format!("CHECK ({condition})")),
        Some(condition) => text(format!("CHECK (({condition}))")),
        None => Cell::Null,
    }
}

fn find_index(core: &Core, wanted: i64) -> Option<(&Relation, IndexRef<'_>)> {
    core.user_relations().find_map(|relation| {
        let index = indexes(relation).find(|i| i64::from(i.oid()) == wanted)?;
        Some((relation.as_ref(), index))
    })
}

fn index_definition(core: &Core, args: &Args<'_>) -> Cell {
    let key = args.int(1).and_then(|k| usize::try_from(k).ok()).unwrap_or_default();
    let found = args.int(0).and_then(|o| find_index(core, o));
    let definition = found.and_then(|(relation, index)| {
        let definition = index_def(relation, index, key)?;
        let pretty = key == 0 && args.int(2) == Some(1);
        Some(if pretty { prettier(&definition, index) } else { definition })
    });
    match definition {
        Some(definition) => text(definition),
        // An existing index without such a key answers the empty string.
        None if found.is_some() => text(""),
        None => Cell::Null,
    }
}

/// An index definition as PostgreSQL pretty-prints it: no schema, no outer parentheses.
fn prettier(definition: &str, index: IndexRef<'_>) -> String {
    let text = shown::without_schema(definition);
    match index {
        IndexRef::Plain(Index { predicate: Some(predicate), .. }) => {
            text.replacen(&format!(" WHERE ({predicate})"), &format!(" WHERE {predicate}"), 1)
        }
        _ => text,
    }
}

fn view_definition(core: &Core, args: &Args<'_>) -> Cell {
    let wanted = match (args.int(0), args.text(0)) {
        (Some(oid), _) => Some(oid),
        (None, Some(name)) => class_oid(core, name).map(i64::from),
        _ => None,
    };
    let relation = wanted.and_then(|o| core.relation_by_oid(o));
    let query = relation.and_then(|r| r.view_sql.as_deref().or(r.materialized.as_deref()));
    query.map_or(Cell::Null, |q| text(view_text(&shown::expression(core, q))))
}

fn serial_sequence(core: &Core, args: &Args<'_>) -> Outcome {
    let (name, column) = (args.text(0).unwrap_or_default(), args.text(1).unwrap_or_default());
    let relation = class_oid(core, name).and_then(|o| core.relation_by_oid(i64::from(o)));
    let Some(relation) = relation else {
        return Err(Raised("42P01", format!("relation \"{name}\" does not exist")));
    };
    let Some(position) = relation.column(column) else {
        let relation = &relation.name;
        return Err(Raised(
            "42703",
            format!("column \"{column}\" of relation \"{relation}\" does not exist"),
        ));
    };
    let sequence = relation.columns[position].sequence.as_ref();
    Ok(sequence.map_or(Cell::Null, |s| text(qualified_ident(s))))
}

fn user_name(snapshot: &Snapshot, wanted: Option<i64>) -> Cell {
    match wanted {
        Some(oid) if oid == i64::from(fixed::OWNER) => text(&snapshot.identity().user),
        Some(oid) => text(format!("unknown (OID={oid})")),
        None => Cell::Null,
    }
}

fn proc_row(wanted: Option<i64>) -> Option<(Arc<super::rows::Table>, super::rows::Row)> {
    let table = builtin("pg_proc")?;
    let row = table.find("oid", &Cell::Integer(wanted?)).into_iter().next()?;
    Some((table, row))
}

fn function_arguments(core: &Core, wanted: Option<i64>, defaults: bool) -> Cell {
    if let Some(function) = routines::function(core, wanted) {
        return text(routines::arguments(function, defaults));
    }
    let Some((table, row)) = proc_row(wanted) else { return Cell::Null };
    let types: Vec<u32> = match table.get(&row, "proargtypes") {
        Cell::Text(json) => serde_json::from_str(json).unwrap_or_default(),
        _ => Vec::new(),
    };
    let names: Vec<String> = match table.get(&row, "proargnames") {
        Cell::Text(json) => serde_json::from_str(json).unwrap_or_default(),
        _ => Vec::new(),
    };
    let one = |(at, ty): (usize, &u32)| match names.get(at).filter(|n| !n.is_empty()) {
        Some(name) => format!("{} {}", quote_ident(name), format_type(*ty, -1)),
        None => format_type(*ty, -1),
    };
    text(types.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
}

fn function_result(core: &Core, wanted: Option<i64>) -> Cell {
    if let Some(function) = routines::function(core, wanted) {
        return match function.procedure {
            true => Cell::Null,
            false => text(function.returns.as_str()),
        };
    }
    let Some((table, row)) = proc_row(wanted) else { return Cell::Null };
    let Cell::Integer(ty) = table.get(&row, "prorettype") else { return Cell::Null };
    let name = format_type(u32::try_from(*ty).unwrap_or_default(), -1);
    let set = *table.get(&row, "proretset") == Cell::Integer(1);
    text(if set { format!("SETOF {name}") } else { name })
}

fn table_is_visible(core: &Core, wanted: Option<i64>) -> Cell {
    let Some(wanted) = wanted else { return Cell::Null };
    let information = &system::relations().1;
    if information.values().any(|r| i64::from(r.oid) == wanted) {
        return truth(false);
    }
    if let Some(relation) = core.relation_by_oid(wanted) {
        // A temporary table hides one of the same name.
        let temporary = relation.kind == RelationKind::Temporary;
        return truth(temporary || shown::visible(core, &relation.name));
    }
    let made = u32::try_from(wanted).ok().and_then(|oid| core.catalog.enums.composite(oid));
    if let Some(ty) = made {
        return truth(ty.temporary || shown::visible(core, &ty.name));
    }
    match class_name(core, wanted) {
        Some(name) => truth(split_name(&name).is_some_and(|parts| parts.len() == 1)),
        None => Cell::Null,
    }
}

/// A type of clients is found where the search path finds its name; PostgreSQL's own always are.
fn type_is_visible(core: &Core, wanted: Option<i64>) -> Cell {
    let Some(wanted) = wanted else { return Cell::Null };
    if let Some(relation) = core.relation_by_oid(wanted) {
        let temporary = relation.kind == RelationKind::Temporary;
        return truth(temporary || shown::visible(core, &relation.name));
    }
    let key = u32::try_from(wanted).ok().and_then(crate::value::enums::key_of);
    truth(key.is_none_or(|key| shown::finds(&key)))
}

/// The OID of a text search configuration; 0A000 for those of PostgreSQL that are not served.
fn configuration_in(name: &str) -> Outcome {
    use crate::value::search::Language;
    let bare = name.trim().strip_prefix("pg_catalog.").unwrap_or(name.trim());
    if let Some(language) = Language::named(bare) {
        return Ok(Cell::Integer(i64::from(language.oid())));
    }
    let known = builtin("pg_ts_config")
        .is_some_and(|t| !t.find("cfgname", &Cell::Text(bare.to_owned())).is_empty());
    Err(match known {
        true => Raised("0A000", format!("text search configuration {bare} is not supported")),
        false => Raised("42704", format!("text search configuration \"{name}\" does not exist")),
    })
}

fn reg_in(
    args: &Args<'_>,
    find: impl Fn(&str) -> Option<u32>,
    state: &'static str,
    what: &str,
) -> Outcome {
    let name = args.text(0).unwrap_or_default();
    if name == "-" {
        return Ok(Cell::Integer(0));
    }
    if let Ok(number) = name.trim().parse::<u32>() {
        return Ok(Cell::Integer(i64::from(number)));
    }
    let shown = split_name(name).map_or_else(|| name.to_owned(), |parts| parts.join("."));
    let missing = || Raised(state, format!("{what} \"{shown}\" does not exist"));
    find(name).map(|o| Cell::Integer(i64::from(o))).ok_or_else(missing)
}

fn reg_out(wanted: Option<i64>, find: impl Fn(i64) -> Option<String>) -> Cell {
    match wanted {
        Some(0) => text("-"),
        Some(oid) => text(find(oid).unwrap_or_else(|| oid.to_string())),
        None => Cell::Null,
    }
}

fn type_name(core: &Core, wanted: i64) -> Option<String> {
    if let Some(relation) = core.relation_by_oid(wanted) {
        return Some(shown::name(core, &relation.name));
    }
    let type_oid = u32::try_from(wanted).ok()?;
    let name = format_type(type_oid, -1);
    (name != "???").then(|| shown::type_name(type_oid, name))
}

/// Namespaces by name and OID.
fn namespaces(core: &Core) -> Vec<(&str, u32)> {
    let mut all = vec![
        ("pg_catalog", fixed::PG_CATALOG),
        ("pg_toast", fixed::PG_TOAST),
        ("public", fixed::PUBLIC),
        ("information_schema", fixed::INFORMATION_SCHEMA),
    ];
    if core.has_temporary() {
        all.push(("pg_temp_1", fixed::PG_TEMP));
    }
    all.extend(core.catalog.schemas.iter().map(|(name, oid)| (name.as_str(), *oid)));
    all
}

fn namespace(core: &Core, name: Option<&str>) -> Option<u32> {
    let parts = split_name(name?)?;
    let [name] = parts.as_slice() else { return None };
    namespaces(core).into_iter().find(|(n, _)| n == name).map(|(_, oid)| oid)
}

fn namespace_name(core: &Core, wanted: i64) -> Option<String> {
    let found = namespaces(core).into_iter().find(|(_, oid)| i64::from(*oid) == wanted)?;
    Some(found.0.to_owned())
}

fn proc_oid(core: &Core, name: Option<&str>) -> Option<u32> {
    let parts = split_name(name?)?;
    let (name, schema) = (parts.last()?, parts.iter().rev().nth(1).map(String::as_str));
    let table = builtin("pg_proc")?;
    let rows = match schema {
        None | Some("pg_catalog") => table.find("proname", &text(name.as_str())),
        Some(_) => Vec::new(),
    };
    let public = matches!(schema, None | Some("public"));
    let own = core.catalog.functions_named(name).filter(|_| public).map(|f| Some(f.oid));
    let built_in = rows.iter().map(|row| match row.first() {
        Some(Cell::Integer(oid)) => u32::try_from(*oid).ok(),
        _ => None,
    });
    // An overloaded name has no regproc.
    let mut all = built_in.chain(own);
    all.next().filter(|_| all.next().is_none()).flatten()
}

fn role_oid(snapshot: &Snapshot, name: Option<&str>) -> Option<u32> {
    let parts = split_name(name?)?;
    (parts.last()? == &snapshot.identity().user).then_some(fixed::OWNER)
}

/// The comment on a column.
fn column_description(core: &Core, args: &Args<'_>) -> Cell {
    let table = args.int(0).and_then(|o| u32::try_from(o).ok());
    let part = args.int(1).and_then(|n| i32::try_from(n).ok());
    let found = table.zip(part).and_then(|(table, part)| {
        core.catalog.comments.get(&(
            crate::backend::sqlite::ddl::comment::class::RELATION,
            table,
            part,
        ))
    });
    found.map_or(Cell::Null, |comment| text(comment.as_str()))
}

fn description(core: &Core, args: &Args<'_>, sub: i64) -> Cell {
    let wanted = args.int(0).and_then(|o| u32::try_from(o).ok());
    let catalog = args.text(1).and_then(|name| system::relations().0.get(name)).map(|r| r.oid);
    let own = core.catalog.comments.iter().find(|((class, object, part), _)| {
        Some(*object) == wanted
            && i64::from(*part) == sub
            && catalog.is_none_or(|c| c == *class)
            && (catalog.is_some() || args.0.len() == 1)
    });
    if let Some((_, comment)) = own {
        return text(comment.as_str());
    }
    let Some(table) = builtin("pg_description") else { return Cell::Null };
    let class = args.text(1).and_then(|name| system::relations().0.get(name)).map(|r| r.oid);
    let rows = table.find("objoid", &args.int(0).map_or(Cell::Null, Cell::Integer));
    let fits = |row: &&super::rows::Row| {
        *table.get(row, "objsubid") == Cell::Integer(sub)
            && class.is_none_or(|c| *table.get(row, "classoid") == Cell::Integer(i64::from(c)))
    };
    rows.iter().find(fits).map_or(Cell::Null, |row| table.get(row, "description").clone())
}

/// A view takes no room; what a table takes is not known per object.
fn table_bytes(core: &Core, wanted: Option<i64>) -> i64 {
    let view = wanted.and_then(|o| core.relation_by_oid(o)).is_some_and(|r| is_view(r));
    if view { 0 } else { PAGE_BYTES }
}

/// The OID that a client's text means as a value of a reg* type; None for other types.
///
/// # Errors
/// As the type's input function: 42P01, 42704, 42883, 3F000.
pub fn reg_value(snapshot: &Snapshot, type_oid: u32, name: &str) -> Option<Outcomes<Cell>> {
    use crate::value::oid;
    let args = [ValueRef::Text(name.as_bytes())];
    let args = Args(args.to_vec());
    let found = match type_oid {
        oid::REGCLASS => reg_in(&args, |n| class_oid(snapshot, n), "42P01", "relation"),
        oid::REGTYPE => reg_in(&args, |n| type_in(snapshot, n), "42704", "type"),
        oid::REGNAMESPACE => reg_in(&args, |n| namespace(snapshot, Some(n)), "3F000", "schema"),
        oid::REGPROC => reg_in(&args, |n| proc_oid(snapshot, Some(n)), "42883", "function"),
        oid::REGCONFIG => configuration_in(name),
        _ => return None,
    };
    Some(found.map_err(|Raised(state, message)| Error::client(SqlState::from_code(state), message)))
}

fn size_pretty(bytes: Option<i64>) -> Cell {
    let Some(bytes) = bytes else { return Cell::Null };
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    // PostgreSQL changes unit at ten times its size and rounds half away from zero.
    let (mut value, mut unit) = (bytes, 0);
    while value.unsigned_abs() >= 10 * 1024 && unit + 1 < UNITS.len() {
        let half = if value < 0 { -512 } else { 512 };
        value = (value + half) / 1024;
        unit += 1;
    }
    text(format!("{value} {}", UNITS[unit]))
}
