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
        "proretset",
        "prorows",
        "pronargdefaults",
        "proallargtypes",
        "proargmodes",
        "proargdefaults",
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
            text(if f.procedure { "p" } else { "f" }),
            text(f.volatility.to_string()),
            text("u"),
            flag(f.strict),
            int(if f.result == 0 { known::TRIGGER } else { i64::from(f.result) }),
            list(f.arguments.iter().map(|a| i64::from(*a))),
            text(f.body.as_str()),
            int(i64::try_from(f.arguments.len()).unwrap_or_default()),
            names(f),
            flag(f.set),
            Cell::Real(if f.set { 1000.0 } else { 0.0 }),
            int(i64::try_from(f.defaults.len()).unwrap_or_default()),
            all_types(f),
            modes(f),
            match f.defaults.is_empty() {
                true => Cell::Null,
                false => text(f.defaults.join(", ")),
            },
        ])
    }));
    rows
}

/// The arguments, as pg_get_function_arguments tells them; without defaults as
/// pg_get_function_identity_arguments does.
pub(super) fn arguments(f: &Function, defaults: bool) -> String {
    let first_default = f.arguments.len().saturating_sub(f.defaults.len());
    let mut inputs = 0;
    let mut all = Vec::new();
    for (mode, name, ty) in parameters(f) {
        if mode == 't' {
            continue;
        }
        let word = match mode {
            'o' => "OUT ",
            'b' => "INOUT ",
            _ if f.procedure => "IN ",
            _ => "",
        };
        let ty = super::format_type(ty, -1);
        let mut one = match name {
            "" => format!("{word}{ty}"),
            name => format!("{word}{} {ty}", super::quote_ident(name)),
        };
        if mode != 'o' {
            let default = f.defaults.get(usize::wrapping_sub(inputs, first_default));
            if let Some(default) = default.filter(|_| defaults) {
                one.push_str(&format!(" DEFAULT {default}"));
            }
            inputs += 1;
        }
        all.push(one);
    }
    all.join(", ")
}

/// Modes, names and types of all parameters.
fn parameters(f: &Function) -> Vec<(char, &str, u32)> {
    if !f.parameters.is_empty() {
        return f.parameters.iter().map(|p| (p.mode, p.name.as_str(), p.ty)).collect();
    }
    let names = f.argument_names.iter().map(String::as_str).chain(std::iter::repeat(""));
    f.arguments.iter().zip(names).map(|(ty, name)| ('i', name, *ty)).collect()
}

/// pg_get_function_arg_default: that of the parameter of a number.
pub(super) fn default_of(core: &Core, wanted: Option<i64>, number: Option<i64>) -> Cell {
    let (Some(f), Some(number)) = (function(core, wanted), number) else { return Cell::Null };
    let all = parameters(f);
    let place = usize::try_from(number - 1).ok().filter(|place| *place < all.len());
    let Some(place) = place.filter(|place| !matches!(all[*place].0, 'o' | 't')) else {
        return Cell::Null;
    };
    let inputs = all[..place].iter().filter(|p| !matches!(p.0, 'o' | 't')).count();
    let first_default = f.arguments.len().saturating_sub(f.defaults.len());
    let default = f.defaults.get(inputs.wrapping_sub(first_default));
    default.map_or(Cell::Null, |d| text(d.as_str()))
}

/// proallargtypes: NULL where all parameters are plain ones.
fn all_types(f: &Function) -> Cell {
    match f.parameters.is_empty() {
        true => Cell::Null,
        false => list(f.parameters.iter().map(|p| i64::from(p.ty))),
    }
}

/// proargmodes
fn modes(f: &Function) -> Cell {
    let modes: Vec<String> = f.parameters.iter().map(|p| p.mode.to_string()).collect();
    match modes.is_empty() {
        true => Cell::Null,
        false => text(serde_json::to_string(&modes).unwrap_or_default()),
    }
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
    let names: Vec<&str> = parameters(function).into_iter().map(|(_, name, _)| name).collect();
    match names.iter().all(|name| name.is_empty()) {
        true => Cell::Null,
        false => text(serde_json::to_string(&names).unwrap_or_default()),
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
            let function = core.catalog.trigger_function(&trigger.function);
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
        let (kind, quote) = match f.procedure {
            true => ("PROCEDURE", "$procedure$"),
            false => ("FUNCTION", "$function$"),
        };
        let returns = match f.procedure {
            true => String::new(),
            false => format!(" RETURNS {}\n", f.returns),
        };
        text(format!(
            "CREATE OR REPLACE {kind} public.{}({})\n{returns} LANGUAGE {}\n{}AS {quote}{}{quote}\n",
            super::quote_ident(&f.name),
            arguments(f, true),
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
