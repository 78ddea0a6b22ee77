//! pg_type, and names of types.
//!
//! Built-in types are data; the row types of user relations are made here. A relation's row
//! type has the relation's own OID: both catalogs number apart.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::classes::namespace_of_type;
use super::data::builtin;
use super::rows::{Maker, Row, flag, int, shape, text};
use super::{Core, fixed, shown};
use crate::name::{bare, key};
use crate::schema::Relation;
use crate::sql::types::tables;
use crate::value::composite::{CompositeType, composite_of_array, is_made};
use crate::value::domain::{Domain, is_domain};
use crate::value::enums::{self, EnumType};
use crate::value::extension::{Extensions, extended_of_array};
use crate::value::{Cell, oid};

/// What the catalog says about a built-in type, as far as other tables repeat it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) len: i64,
    pub(crate) by_value: bool,
    pub(crate) align: String,
    pub(crate) storage: String,
    pub(crate) collation: i64,
    pub(crate) element: u32,
    pub(crate) is_array: bool,
    /// Default btree operator class; 0 when there is none.
    pub(crate) btree: i64,
}

/// Facts about a built-in type.
pub(crate) fn facts(type_oid: u32) -> Option<Cow<'static, Facts>> {
    static FACTS: LazyLock<HashMap<u32, Facts>> = LazyLock::new(load);
    if let Some(facts) = FACTS.get(&type_oid) {
        return Some(Cow::Borrowed(facts));
    }
    let name = enums::catalog_name(type_oid)?;
    let element = enums::enum_of_array(type_oid).or_else(|| composite_of_array(type_oid));
    if is_made(type_oid) || is_domain(type_oid) {
        return Some(Cow::Owned(Facts {
            name,
            len: -1,
            by_value: false,
            align: "d".to_owned(),
            storage: "x".to_owned(),
            collation: 0,
            element: 0,
            is_array: false,
            btree: btree_classes().get(&i64::from(oid::RECORD)).copied().unwrap_or_default(),
        }));
    }
    // An enum's values are OIDs to PostgreSQL; its classes are those over any enum or array.
    let like = if element.is_some() { oid::ANYARRAY } else { oid::ANYENUM };
    Some(Cow::Owned(Facts {
        name,
        len: if element.is_some() { -1 } else { 4 },
        by_value: element.is_none(),
        align: "i".to_owned(),
        storage: if element.is_some() { "x" } else { "p" }.to_owned(),
        collation: 0,
        element: element.unwrap_or(0),
        is_array: element.is_some(),
        btree: btree_classes().get(&i64::from(like)).copied().unwrap_or_default(),
    }))
}

fn load() -> HashMap<u32, Facts> {
    let Some(types) = builtin("pg_type") else { return HashMap::new() };
    let classes = btree_classes();
    let number = |row: &Row, name: &str| match types.get(row, name) {
        Cell::Integer(i) => *i,
        _ => 0,
    };
    let word = |row: &Row, name: &str| match types.get(row, name) {
        Cell::Text(t) => t.clone(),
        _ => String::new(),
    };
    let mut found = HashMap::new();
    for row in &types.rows {
        let type_oid = u32::try_from(number(row, "oid")).unwrap_or_default();
        let category = word(row, "typcategory");
        // varchar has no operator class of its own: it uses text's.
        let keyed = if type_oid == oid::VARCHAR { oid::TEXT } else { type_oid };
        let facts = Facts {
            name: word(row, "typname"),
            len: number(row, "typlen"),
            by_value: number(row, "typbyval") == 1,
            align: word(row, "typalign"),
            storage: word(row, "typstorage"),
            collation: number(row, "typcollation"),
            element: u32::try_from(number(row, "typelem")).unwrap_or_default(),
            is_array: category == "A",
            btree: classes.get(&i64::from(keyed)).copied().unwrap_or(if category == "A" {
                classes.get(&i64::from(oid::ANYARRAY)).copied().unwrap_or_default()
            } else {
                0
            }),
        };
        found.insert(type_oid, facts);
    }
    for (ty, like, name, collation) in EXTENDED {
        let Some(facts) = found.get(&like).cloned() else { continue };
        let is_array = facts.is_array;
        let name = if is_array { format!("_{name}") } else { name.to_owned() };
        let element = if is_array { extended_of_array(ty).unwrap_or(0) } else { 0 };
        found.insert(ty, Facts { name, element, collation, ..facts });
    }
    found
}

/// The types of extensions: each is one of PostgreSQL's own but for its name, its collation and
/// what [`extended_rows`] says of it.
const EXTENDED: [(u32, u32, &str, i64); 4] = [
    (oid::CITEXT, oid::TEXT, "citext", 100),
    (oid::CITEXT_ARRAY, oid::TEXT_ARRAY, "citext", 100),
    (oid::HSTORE, oid::TEXT, "hstore", 0),
    (oid::HSTORE_ARRAY, oid::TEXT_ARRAY, "hstore", 0),
];

/// The rows of the types of those extensions that are there.
fn extended_rows(core: &Core, shape: &Arc<Relation>) -> Vec<Row> {
    let there = Extensions::named(core.catalog.extensions.keys());
    let Some(types) = builtin("pg_type") else { return Vec::new() };
    let mut rows = Vec::new();
    for (ty, like, name, collation) in EXTENDED.into_iter().filter(|(ty, ..)| there.show(*ty)) {
        let Some(mut cells) =
            types.find("oid", &int(like)).into_iter().next().map(|row| row.to_vec())
        else {
            continue;
        };
        let element = extended_of_array(ty);
        let category = match ty {
            oid::HSTORE => "U",
            oid::CITEXT => "S",
            _ => "A",
        };
        for (column, cell) in [
            ("oid", int(ty)),
            ("typname", text(if element.is_some() { format!("_{name}") } else { name.into() })),
            ("typnamespace", int(fixed::PUBLIC)),
            ("typowner", int(fixed::OWNER)),
            ("typcategory", text(category)),
            ("typispreferred", flag(false)),
            ("typelem", int(element.unwrap_or(0))),
            ("typarray", int(if element.is_some() { 0 } else { ty + 1 })),
            ("typcollation", int(collation)),
        ] {
            if let Some(slot) = shape.column(column).and_then(|c| cells.get_mut(c)) {
                *slot = cell;
            }
        }
        rows.push(Row::from(cells));
    }
    rows
}

fn btree_classes() -> HashMap<i64, i64> {
    const BTREE: Cell = Cell::Integer(403);
    let Some(classes) = builtin("pg_opclass") else { return HashMap::new() };
    let rows = classes.rows.iter().filter(|r| {
        *classes.get(r, "opcmethod") == BTREE && *classes.get(r, "opcdefault") == Cell::Integer(1)
    });
    rows.filter_map(|r| match (classes.get(r, "opcintype"), classes.get(r, "oid")) {
        (Cell::Integer(ty), Cell::Integer(class)) => Some((*ty, *class)),
        _ => None,
    })
    .collect()
}

/// The SQL name of a type with its modifier, as PostgreSQL's `format_type` gives it.
pub fn format_type(type_oid: u32, typmod: i32) -> String {
    if let Some(name) = enums::printed_name(type_oid) {
        return name;
    }
    let Some(facts) = facts(type_oid) else { return "???".to_owned() };
    if facts.is_array && facts.element != 0 {
        return format!("{}[]", format_type(facts.element, typmod));
    }
    let modifier = typmod - 4;
    let with = |name: &str, n: i32| if typmod >= 0 { format!("{name}({n})") } else { name.into() };
    match type_oid {
        oid::BOOL => "boolean".into(),
        oid::INT2 => "smallint".into(),
        oid::INT4 => "integer".into(),
        oid::INT8 => "bigint".into(),
        oid::FLOAT4 => "real".into(),
        oid::FLOAT8 => "double precision".into(),
        oid::CHAR => "\"char\"".into(),
        oid::VARCHAR => with("character varying", modifier),
        // PostgreSQL tells `character` (one character) from bpchar without a length.
        oid::BPCHAR if typmod < 0 => "character".into(),
        oid::BPCHAR => with("character", modifier),
        oid::BIT => with("bit", typmod),
        oid::VARBIT => with("bit varying", typmod),
        oid::NUMERIC => match crate::value::Type::with_typmod(type_oid, typmod).precision_scale() {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => "numeric".into(),
        },
        oid::TIME => precision("time", typmod, " without time zone"),
        oid::TIMETZ => precision("time", typmod, " with time zone"),
        oid::TIMESTAMP => precision("timestamp", typmod, " without time zone"),
        oid::TIMESTAMPTZ => precision("timestamp", typmod, " with time zone"),
        oid::INTERVAL => interval(typmod),
        _ => facts.name.clone(),
    }
}

fn precision(name: &str, typmod: i32, zone: &str) -> String {
    if typmod < 0 { format!("{name}{zone}") } else { format!("{name}({typmod}){zone}") }
}

fn interval(typmod: i32) -> String {
    const FULL_RANGE: i32 = 0x7fff;
    if typmod < 0 {
        return "interval".into();
    }
    let (range, digits) = (typmod >> 16 & FULL_RANGE, typmod & 0xffff);
    let fields = match range {
        0x4 => " year",
        0x2 => " month",
        0x8 => " day",
        0x400 => " hour",
        0x800 => " minute",
        0x1000 => " second",
        0x6 => " year to month",
        0x408 => " day to hour",
        0xc08 => " day to minute",
        0x1c08 => " day to second",
        0xc00 => " hour to minute",
        0x1c00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    };
    if digits == 0xffff {
        format!("interval{fields}")
    } else {
        format!("interval{fields}({digits})")
    }
}

pub(super) fn pg_type(core: &Core) -> Vec<Row> {
    let mut rows = builtin("pg_type").map_or_else(Vec::new, |t| t.rows.clone());
    let shape = shape("pg_type");
    let maker = Maker::new(
        &shape,
        &[
            "oid",
            "typname",
            "typnamespace",
            "typowner",
            "typlen",
            "typtype",
            "typcategory",
            "typisdefined",
            "typdelim",
            "typrelid",
            "typinput",
            "typoutput",
            "typreceive",
            "typsend",
            "typalign",
            "typstorage",
            "typtypmod",
        ],
    );
    // record_in, record_out, record_recv, record_send
    let io = [2290, 2291, 2402, 2403];
    for relation in core.user_relations() {
        let namespace = super::classes::namespace_of(core, relation);
        rows.push(maker.row([
            int(relation.oid),
            text(&relation.name),
            int(namespace),
            int(fixed::OWNER),
            int(-1),
            text("c"),
            text("C"),
            flag(true),
            text(","),
            int(relation.oid),
            int(io[0]),
            int(io[1]),
            int(io[2]),
            int(io[3]),
            text("d"),
            text("x"),
            int(-1),
        ]));
    }
    let maker = Maker::new(&shape, &ENUM_COLUMNS);
    for ty in core.catalog.enums.iter() {
        rows.extend(enum_rows(core, &maker, ty));
    }
    let columns: Vec<&str> = ENUM_COLUMNS.iter().copied().chain(["typrelid"]).collect();
    let maker = Maker::new(&shape, &columns);
    for ty in core.catalog.enums.composites() {
        rows.extend(composite_rows(core, &maker, ty));
    }
    rows.extend(extended_rows(core, &shape));
    rows.extend(core.catalog.enums.domains().map(|domain| domain_row(core, &shape, domain)));
    rows
}

/// A domain's row: its base type's, under the domain's name and with its constraints.
fn domain_row(core: &Core, shape: &Arc<Relation>, domain: &Domain) -> Row {
    let base = builtin("pg_type").and_then(|types| {
        types.find("oid", &int(domain.base)).into_iter().next().map(|row| row.to_vec())
    });
    // Of an enum or array of one the general facts have to do.
    let mut cells = base.unwrap_or_else(|| Maker::new(shape, &[]).row([]).to_vec());
    let facts = facts(domain.base);
    let mut set = |column: &str, cell: Cell| {
        if let Some(slot) = shape.column(column).and_then(|c| cells.get_mut(c)) {
            *slot = cell;
        }
    };
    let namespace = namespace_of_type(core, &domain.name, domain.temporary);
    set("oid", int(domain.oid));
    set("typname", text(&domain.name));
    set("typnamespace", int(namespace));
    set("typowner", int(fixed::OWNER));
    set("typtype", text("d"));
    set("typispreferred", flag(false));
    set("typisdefined", flag(true));
    set("typelem", int(0));
    set("typarray", int(0));
    set("typrelid", int(0));
    set("typnotnull", flag(domain.not_null));
    set("typbasetype", int(domain.over.unwrap_or(domain.base)));
    set("typtypmod", int(domain.typmod));
    set("typdefault", domain.default.as_deref().map_or(Cell::Null, text));
    set("typdefaultbin", domain.default.as_deref().map_or(Cell::Null, text));
    if let Some(facts) = facts {
        set("typlen", int(facts.len));
        set("typalign", text(&facts.align));
        set("typstorage", text(&facts.storage));
        set("typcollation", int(facts.collation));
    }
    if crate::value::is_enum(domain.base) {
        set("typcategory", text("E"));
    }
    // domain_in, domain_recv
    set("typinput", int(2597));
    set("typreceive", int(2598));
    Row::from(cells)
}

/// A composite type and its array type.
fn composite_rows(core: &Core, maker: &Maker, ty: &CompositeType) -> [Row; 2] {
    let namespace = namespace_of_type(core, &ty.name, ty.temporary);
    // record_in, record_out, array_in, array_out, array_subscript_handler
    const IO: [i64; 5] = [2290, 2291, 750, 751, 6179];
    let row = |number: u32, name: String, array: bool| {
        maker.row([
            int(number),
            text(name),
            int(namespace),
            int(fixed::OWNER),
            int(-1),
            flag(false),
            text(if array { "b" } else { "c" }),
            text(if array { "A" } else { "C" }),
            flag(true),
            text(","),
            int(if array { ty.oid } else { 0 }),
            int(if array { 0 } else { ty.oid + 1 }),
            int(IO[if array { 2 } else { 0 }]),
            int(IO[if array { 3 } else { 1 }]),
            text("d"),
            text("x"),
            int(-1),
            int(if array { IO[4] } else { 0 }),
            int(if array { 0 } else { ty.oid }),
        ])
    };
    [row(ty.oid, ty.name.clone(), false), row(ty.oid + 1, format!("_{}", bare(&ty.name)), true)]
}

const ENUM_COLUMNS: [&str; 18] = [
    "oid",
    "typname",
    "typnamespace",
    "typowner",
    "typlen",
    "typbyval",
    "typtype",
    "typcategory",
    "typisdefined",
    "typdelim",
    "typelem",
    "typarray",
    "typinput",
    "typoutput",
    "typalign",
    "typstorage",
    "typtypmod",
    "typsubscript",
];

/// An enum type and its array type.
fn enum_rows(core: &Core, maker: &Maker, ty: &EnumType) -> [Row; 2] {
    let namespace = namespace_of_type(core, &ty.name, ty.temporary);
    // enum_in, enum_out, array_in, array_out, array_subscript_handler
    const IO: [i64; 5] = [3506, 3507, 750, 751, 6179];
    let row = |number: u32, name: String, array: bool| {
        maker.row([
            int(number),
            text(name),
            int(namespace),
            int(fixed::OWNER),
            int(if array { -1 } else { 4 }),
            flag(!array),
            text(if array { "b" } else { "e" }),
            text(if array { "A" } else { "E" }),
            flag(true),
            text(","),
            int(if array { ty.oid } else { 0 }),
            int(if array { 0 } else { ty.oid + 1 }),
            int(IO[if array { 2 } else { 0 }]),
            int(IO[if array { 3 } else { 1 }]),
            text("i"),
            text(if array { "x" } else { "p" }),
            int(-1),
            int(if array { IO[4] } else { 0 }),
        ])
    };
    [row(ty.oid, ty.name.clone(), false), row(ty.oid + 1, format!("_{}", bare(&ty.name)), true)]
}

pub(super) fn pg_enum(core: &Core) -> Vec<Row> {
    let maker = Maker::new(&shape("pg_enum"), &["oid", "enumtypid", "enumsortorder", "enumlabel"]);
    let labels = core.catalog.enums.iter().flat_map(|ty| ty.labels.iter().map(|l| (ty.oid, l)));
    labels
        .map(|(ty, label)| {
            let order = Cell::Real(f64::from(label.order));
            maker.row([int(label.oid), int(ty), order, text(&label.text)])
        })
        .collect()
}

/// The OID of a type by name, those of the database included.
pub(crate) fn type_in(core: &Core, name: &str) -> Option<u32> {
    if let Some(found) = type_by_name(name) {
        return Some(found);
    }
    let name = name.trim();
    let (element, array) = match name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (name, false),
    };
    let keys = match super::named::split_name(element)?.as_slice() {
        [name] => {
            let mut keys = shown::keys(name);
            keys.push(name.clone());
            keys
        }
        [schema, name] => vec![key(schema, name)],
        _ => return None,
    };
    let found = keys.iter().find_map(|key| type_of_key(core, key, array))?;
    Some(if array { found + 1 } else { found })
}

/// The OID of a type that clients have made or that an extension has.
pub(super) fn type_of_key(core: &Core, key: &str, array: bool) -> Option<u32> {
    let enums = &core.catalog.enums;
    let composite = || enums.composite_named(key).map(|ty| ty.oid);
    let domain = || enums.domain_named(key).map(|ty| ty.oid).filter(|_| !array);
    let extended = || {
        let there = Extensions::named(core.catalog.extensions.keys());
        tables().extended_type(key).filter(|ty| there.show(*ty))
    };
    enums.named(key).map(|ty| ty.oid).or_else(composite).or_else(domain).or_else(extended)
}

/// The OID of a type by its SQL or catalog name, for `regtype`; modifiers are ignored.
fn type_by_name(name: &str) -> Option<u32> {
    // "pg_catalog"."uuid": the name is pg_type's own.
    if name.contains('"')
        && let Some(parts) = super::named::split_name(name)
        && let Some((last, before)) = parts.split_last()
        && (before.last().is_some_and(|schema| schema == "pg_catalog") || last != "char")
    {
        let types = builtin("pg_type")?;
        let found = types.find("typname", &Cell::Text(last.clone()));
        let row = found.into_iter().next()?;
        return match row.first() {
            Some(Cell::Integer(found)) => u32::try_from(*found).ok(),
            _ => None,
        };
    }
    let bare = name.split('(').next().unwrap_or(name).trim();
    let rest = name.rsplit_once(')').map_or("", |(_, rest)| rest).trim();
    let lower = format!("{bare} {rest}").trim().to_ascii_lowercase();
    let lower = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    let (lower, array) = match lower.strip_suffix("[]") {
        Some(element) => (element.trim_end(), true),
        None => (lower, false),
    };
    let catalog = match lower {
        "boolean" => "bool",
        "smallint" => "int2",
        "integer" | "int" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" | "float" => "float8",
        "character varying" => "varchar",
        "character" | "char" => "bpchar",
        "\"char\"" => "char",
        "decimal" | "dec" => "numeric",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        "bit varying" => "varbit",
        other => other,
    };
    let wanted = if array { format!("_{catalog}") } else { catalog.to_owned() };
    let types = builtin("pg_type")?;
    let row = types.find("typname", &Cell::Text(wanted)).into_iter().next()?;
    match row.first() {
        Some(Cell::Integer(found)) => u32::try_from(*found).ok(),
        _ => None,
    }
}

/// The rows of a built-in table by its `oid` column, as (name, namespace).
pub(crate) fn builtin_name(table: &str, column: &str, object: i64) -> Option<String> {
    let table: Arc<_> = builtin(table)?;
    let row = table.find("oid", &Cell::Integer(object)).into_iter().next()?;
    match table.get(&row, column) {
        Cell::Text(name) => Some(name.clone()),
        _ => None,
    }
}
