//! pg_trigger, pg_proc and pg_description, as far as clients have made what they list.

use super::data::builtin;
use super::rows::{Maker, Row, flag, int, list, shape, text};
use super::{Core, fixed};
use crate::backend::sqlite::ddl::routine::definition;
use crate::schema::{Function, Relation, Trigger};
use crate::value::Cell;

/// OIDs of types and languages that rows name.
mod known {
    pub(super) const TRIGGER: i64 = 2279;
    pub(super) const PLPGSQL: i64 = 13563;
    pub(super) const SQL: i64 = 14;
    pub(super) const PUBLIC: i64 = 2200;
}

/// What PostgreSQL has itself, and what clients have commented.
pub(super) fn pg_description(core: &Core) -> Vec<Row> {
    let mut rows = builtin("pg_description").map_or_else(Vec::new, |t| t.rows.clone());
    let shape = shape("pg_description");
    let maker = Maker::new(&shape, &["objoid", "classoid", "objsubid", "description"]);
    for ((class, object, part), comment) in &core.catalog.comments {
        rows.push(maker.row([
            int(i64::from(*object)),
            int(i64::from(*class)),
            int(i64::from(*part)),
            text(comment.as_str()),
        ]));
    }
    rows
}

pub(super) fn pg_proc(core: &Core) -> Vec<Row> {
    let mut rows = builtin("pg_proc").map_or_else(Vec::new, |t| t.rows.clone());
    let shape = shape("pg_proc");
    let columns = [
        "oid",
        "proname",
        "pronamespace",
        "proowner",
        "prolang",
        "procost",
        "prokind",
        "provolatile",
        "proparallel",
        "proisstrict",
        "prorettype",
        "proargtypes",
        "prosrc",
        "pronargs",
        "proargnames",
    ];
    let maker = Maker::new(&shape, &columns);
    rows.extend(core.catalog.functions.values().map(|f| {
        maker.row([
            int(i64::from(f.oid)),
            text(f.name.as_str()),
            int(known::PUBLIC),
            int(fixed::OWNER),
            int(if f.language == "sql" { known::SQL } else { known::PLPGSQL }),
            Cell::Real(100.0),
            text("f"),
            text(f.volatility.to_string()),
            text("u"),
            flag(f.strict),
            int(if f.result == 0 { known::TRIGGER } else { i64::from(f.result) }),
            list(f.arguments.iter().map(|a| i64::from(*a))),
            text(f.body.as_str()),
            int(i64::try_from(f.arguments.len()).unwrap_or_default()),
            names(f),
        ])
    }));
    rows
}

/// The arguments, as pg_get_function_arguments tells them.
pub(super) fn arguments(f: &Function) -> String {
    let one = |(position, ty): (usize, &u32)| {
        let ty = super::format_type(*ty, -1);
        match f.argument_names.get(position).filter(|name| !name.is_empty()) {
            Some(name) => format!("{} {ty}", super::quote_ident(name)),
            None => ty,
        }
    };
    let all: Vec<String> = f.arguments.iter().enumerate().map(one).collect();
    all.join(", ")
}

/// What pg_get_functiondef has between the language and the body.
fn options(f: &Function) -> String {
    let volatility = match f.volatility {
        'i' => " IMMUTABLE",
        's' => " STABLE",
        _ => "",
    };
    let strict = if f.strict { " STRICT" } else { "" };
    match volatility.is_empty() && strict.is_empty() {
        true => String::new(),
        false => format!("{volatility}{strict}\n"),
    }
}

/// proargnames: NULL where no argument has a name.
fn names(function: &Function) -> Cell {
    match function.argument_names.iter().all(String::is_empty) {
        true => Cell::Null,
        false => text(serde_json::to_string(&function.argument_names).unwrap_or_default()),
    }
}

pub(super) fn pg_trigger(core: &Core) -> Vec<Row> {
    let shape = shape("pg_trigger");
    let columns = [
        "oid",
        "tgrelid",
        "tgname",
        "tgfoid",
        "tgtype",
        "tgenabled",
        "tgisinternal",
        "tgnargs",
        "tgattr",
    ];
    let maker = Maker::new(&shape, &columns);
    let mut rows = Vec::new();
    for relation in core.catalog.relations.values() {
        for trigger in &relation.triggers {
            let function = core.catalog.functions.get(&trigger.function);
            let numbers = trigger.columns.iter().filter_map(|c| relation.column(c));
            rows.push(maker.row([
                int(i64::from(trigger.oid)),
                int(i64::from(relation.oid)),
                text(trigger.name.as_str()),
                int(function.map_or(0, |f| i64::from(f.oid))),
                int(kind(trigger)),
                text(if trigger.enabled { "O" } else { "D" }),
                flag(false),
                int(i64::try_from(trigger.arguments.len()).unwrap_or_default()),
                list(numbers.map(|p| i64::from(relation.columns[p].attnum))),
            ]));
        }
    }
    rows
}

/// tgtype: ROW, BEFORE, INSERT, DELETE, UPDATE.
fn kind(trigger: &Trigger) -> i64 {
    let bit = |on: bool, bit: i64| if on { bit } else { 0 };
    1 | bit(trigger.before, 2)
        | bit(trigger.insert, 4)
        | bit(trigger.delete, 8)
        | bit(trigger.update, 16)
}

/// pg_get_triggerdef
pub(super) fn trigger_definition(core: &Core, wanted: Option<i64>, pretty: bool) -> Cell {
    let mut all =
        core.catalog.relations.values().flat_map(|r| r.triggers.iter().map(move |t| (r, t)));
    let found = all.find(|(_, t)| Some(i64::from(t.oid)) == wanted);
    found.map_or(Cell::Null, |(relation, trigger): (&std::sync::Arc<Relation>, _)| {
        let own = super::quote_ident(&trigger.function);
        let full = super::shown::expression(core, &definition(relation, trigger, false)).replacen(
            &format!(" EXECUTE FUNCTION {own}("),
            &format!(" EXECUTE FUNCTION {}(", super::shown::name(core, &trigger.function)),
            1,
        );
        text(match pretty {
            true => full
                .replacen(&format!(" ON {}.", super::quote_ident(&relation.schema)), " ON ", 1)
                .replacen(" WHEN ((", " WHEN (", 1)
                .replacen(")) EXECUTE", ") EXECUTE", 1),
            false => full,
        })
    })
}

/// pg_get_functiondef
pub(super) fn function_definition(core: &Core, wanted: Option<i64>) -> Cell {
    function(core, wanted).map_or(Cell::Null, |f| {
        text(format!(
            "CREATE OR REPLACE FUNCTION public.{}({})\n RETURNS {}\n LANGUAGE {}\n{}AS $function${}$function$\n",
            super::quote_ident(&f.name),
            arguments(f),
            f.returns,
            f.language,
            options(f),
            f.body
        ))
    })
}

/// A client's function by its OID.
pub(super) fn function(core: &Core, wanted: Option<i64>) -> Option<&Function> {
    let mut functions = core.catalog.functions.values();
    functions.find(|f| Some(i64::from(f.oid)) == wanted).map(|f| &**f)
}
