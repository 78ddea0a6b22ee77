//! PostgreSQL's type system as data: types, functions, operators, casts.
//!
//! Owns the tables dumped from PostgreSQL 15 (`data/*.tsv`, written by `scripts/dump-types` and
//! `scripts/dump-extensions`)
//! and PostgreSQL's rules over them: which casts exist ([`coerce`]), which function or operator
//! a call means ([`resolve`]). It must never hold a rule for one single function: what differs
//! between functions is in the data. Start at [`tables`].

pub mod coerce;
pub mod resolve;

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::value::composite::{array_of_composite, composite_of_array, is_made};
use crate::value::enums::{array_of_enum, enum_of_array, printed_name};
use crate::value::extension::Extension;
use crate::value::{Type, is_composite, is_enum, oid, type_name};

/// Kinds of pseudo-types that stand for "any type" in signatures, beyond those in [`oid`].
pub mod pseudo {
    #![allow(missing_docs)]
    pub const CSTRING: u32 = 2275;
    pub const ANYRANGE: u32 = 3831;
    pub const ANYMULTIRANGE: u32 = 4537;
    pub const ANYCOMPATIBLERANGE: u32 = 5080;
    pub const ANYCOMPATIBLEMULTIRANGE: u32 = 4538;
    pub const RECORD_ARRAY: u32 = 2287;
    pub const REGROLE: u32 = 4096;
    pub const REGOPER: u32 = 2203;
    pub const REGOPERATOR: u32 = 2204;
    pub const REGPROCEDURE: u32 = 2202;
    pub const REGCOLLATION: u32 = 4191;
    pub const REGCONFIG: u32 = 3734;
    pub const REGDICTIONARY: u32 = 3769;
}

/// A row of pg_type.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    /// OID.
    pub oid: u32,
    /// typname
    pub name: &'static str,
    /// typtype: b base, d domain, p pseudo, r range, m multirange.
    pub kind: u8,
    /// typcategory
    pub category: u8,
    /// typispreferred
    pub preferred: bool,
    /// typlen
    pub length: i16,
    /// Element type of an array type, else 0.
    pub element: u32,
    /// Array type over this one, else 0.
    pub array: u32,
    /// Base type of a domain, else 0.
    pub base: u32,
    /// Subtype of a range, range of a multirange, else 0.
    pub subtype: u32,
    /// Has a default operator class with equality.
    pub equality: bool,
    /// Has a default btree operator class.
    pub order: bool,
}

/// A row of pg_proc.
#[derive(Clone, Debug)]
pub struct Proc {
    /// OID.
    pub oid: u32,
    /// proname
    pub name: &'static str,
    /// prokind: f, a, w.
    pub kind: u8,
    /// proretset
    pub returns_set: bool,
    /// provolatile: i, s, v.
    pub volatility: u8,
    /// proisstrict
    pub strict: bool,
    /// prorettype
    pub result: u32,
    /// Input argument types.
    pub arguments: Box<[u32]>,
    /// Number of arguments with defaults, at the end.
    pub defaults: usize,
    /// Element type of a VARIADIC last argument (`any` included), else 0.
    pub variadic: u32,
    /// proargmodes, one letter for each of `all_arguments`.
    pub modes: &'static str,
    /// proallargtypes: outputs too.
    pub all_arguments: Box<[u32]>,
    /// proargnames
    pub names: Box<[&'static str]>,
    /// aggkind: n, o, h; 0 when not an aggregate.
    pub aggregate: u8,
    /// aggnumdirectargs
    pub direct: usize,
    /// In `information_schema` rather than `pg_catalog`.
    pub information: bool,
}

impl Proc {
    /// Names and types of OUT and TABLE parameters; empty when the result is one value.
    pub fn outputs(&self) -> Vec<(&'static str, u32)> {
        self.modes
            .bytes()
            .enumerate()
            .filter(|(_, mode)| matches!(mode, b'o' | b't' | b'b'))
            .map(|(i, _)| {
                let ty = self.all_arguments.get(i).copied().unwrap_or(0);
                (self.names.get(i).copied().unwrap_or(""), ty)
            })
            .collect()
    }
}

/// A row of pg_operator.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// OID.
    pub oid: u32,
    /// Left operand's type; 0 for prefix operators.
    pub left: u32,
    /// Right operand's type.
    pub right: u32,
    /// Result type.
    pub result: u32,
    /// OID of its function.
    pub function: u32,
}

/// A row of pg_cast.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// castcontext: i implicit, a assignment, e explicit.
    pub context: u8,
    /// castmethod: f function, i through text, b binary-coercible.
    pub method: u8,
    /// castfunc, or 0.
    pub function: u32,
}

/// All tables, indexed.
#[derive(Debug, Default)]
pub struct Tables {
    types: HashMap<u32, TypeInfo>,
    names: HashMap<&'static str, u32>,
    extended: HashMap<&'static str, u32>,
    procs: HashMap<&'static str, Vec<Proc>>,
    operators: HashMap<&'static str, Vec<Operator>>,
    casts: HashMap<(u32, u32), Cast>,
}

/// The tables, loaded on first use.
pub fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(Tables::load)
}

/// The tab-separated fields of one line.
struct Fields(std::str::Split<'static, char>);

impl Fields {
    fn text(&mut self) -> &'static str {
        self.0.next().unwrap_or("")
    }

    fn number(&mut self) -> u32 {
        self.text().parse().unwrap_or(0)
    }

    fn letter(&mut self) -> u8 {
        self.text().bytes().next().unwrap_or(0)
    }

    fn flag(&mut self) -> bool {
        self.text() == "t"
    }

    fn numbers(&mut self) -> Box<[u32]> {
        self.text().split_whitespace().filter_map(|n| n.parse().ok()).collect()
    }
}

fn lines(data: &'static str) -> impl Iterator<Item = Fields> {
    data.lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| Fields(line.split('\t')))
}

impl Tables {
    fn load() -> Self {
        const OF_TYPES: [&str; 2] =
            [include_str!("data/types.tsv"), include_str!("data/extension-types.tsv")];
        const OF_PROCS: [&str; 2] =
            [include_str!("data/procs.tsv"), include_str!("data/extension-procs.tsv")];
        const OF_OPERATORS: [&str; 2] =
            [include_str!("data/operators.tsv"), include_str!("data/extension-operators.tsv")];
        const OF_CASTS: [&str; 2] =
            [include_str!("data/casts.tsv"), include_str!("data/extension-casts.tsv")];
        let mut tables = Self::default();
        for mut f in OF_TYPES.into_iter().flat_map(lines) {
            let info = TypeInfo {
                oid: f.number(),
                name: f.text(),
                kind: f.letter(),
                category: f.letter(),
                preferred: f.flag(),
                length: f.text().parse().unwrap_or(-1),
                element: f.number(),
                array: f.number(),
                base: f.number(),
                subtype: f.number(),
                equality: f.flag(),
                order: f.flag(),
            };
            match Extension::of(info.oid) {
                None => tables.names.insert(info.name, info.oid),
                Some(_) => tables.extended.insert(info.name, info.oid),
            };
            tables.types.insert(info.oid, info);
        }
        for mut f in OF_PROCS.into_iter().flat_map(lines) {
            let proc = Proc {
                oid: f.number(),
                name: f.text(),
                kind: f.letter(),
                returns_set: f.flag(),
                volatility: f.letter(),
                strict: f.flag(),
                result: f.number(),
                arguments: f.numbers(),
                defaults: f.number() as usize,
                variadic: f.number(),
                modes: f.text(),
                all_arguments: f.numbers(),
                names: match f.text() {
                    "" => Box::default(),
                    names => names.split(',').collect(),
                },
                aggregate: f.letter(),
                direct: f.number() as usize,
                information: !f.text().is_empty(),
            };
            tables.procs.entry(proc.name).or_default().push(proc);
        }
        for mut f in OF_OPERATORS.into_iter().flat_map(lines) {
            let oid = f.number();
            let name = f.text();
            f.letter();
            let operator = Operator {
                oid,
                left: f.number(),
                right: f.number(),
                result: f.number(),
                function: f.number(),
            };
            tables.operators.entry(name).or_default().push(operator);
        }
        for mut f in OF_CASTS.into_iter().flat_map(lines) {
            let key = (f.number(), f.number());
            let cast = Cast { context: f.letter(), method: f.letter(), function: f.number() };
            tables.casts.insert(key, cast);
        }
        tables
    }

    /// A type by OID.
    pub fn ty(&self, type_oid: u32) -> Option<&TypeInfo> {
        self.types.get(&type_oid)
    }

    /// A type's OID by pg_type.typname.
    pub fn type_oid(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The OID of an extension's type by pg_type.typname.
    pub fn extended_type(&self, name: &str) -> Option<u32> {
        self.extended.get(name).copied()
    }

    /// All functions of a name, those of extensions too.
    pub fn procs(&self, name: &str) -> &[Proc] {
        self.procs.get(name).map_or(&[], Vec::as_slice)
    }

    /// A function by OID.
    pub fn proc_by_oid(&self, proc_oid: u32) -> Option<&Proc> {
        self.procs.values().flatten().find(|p| p.oid == proc_oid)
    }

    /// All operators of a name, those of extensions too.
    pub fn operators(&self, name: &str) -> &[Operator] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// A cast between two different types, or a type's length coercion (`source == target`).
    pub fn cast(&self, source: u32, target: u32) -> Option<Cast> {
        self.casts.get(&(source, target)).copied()
    }
}

/// Whether an aggregate takes its ORDER BY in WITHIN GROUP (percentile_cont and its kin).
pub fn ordered_set(name: &str, proc_oid: u32) -> bool {
    let proc = tables().procs(name).iter().find(|p| p.oid == proc_oid);
    proc.is_some_and(|p| matches!(p.aggregate, b'o' | b'h'))
}

/// Whether a function in FROM needs its columns defined: it returns rows of no known shape.
pub fn needs_definitions(name: &str, proc_oid: u32) -> bool {
    let proc = tables().procs(name).iter().find(|p| p.oid == proc_oid);
    proc.is_some_and(|p| p.result == oid::RECORD && p.outputs().is_empty())
}

/// The base type of a domain; any other type itself.
pub fn base(type_oid: u32) -> u32 {
    match tables().ty(type_oid) {
        Some(info) if info.kind == b'd' && info.base != 0 => base(info.base),
        _ => type_oid,
    }
}

/// typcategory of a type; `X` for unknown ones.
pub fn category(type_oid: u32) -> u8 {
    match tables().ty(type_oid) {
        Some(info) => info.category,
        None if is_enum(type_oid) => b'E',
        None if enum_of_array(type_oid).is_some() => b'A',
        None if is_composite(type_oid) => b'C',
        None if composite_of_array(type_oid).is_some() => b'A',
        None => b'X',
    }
}

/// typtype of a type; 0 for unknown ones.
pub fn kind(type_oid: u32) -> u8 {
    match tables().ty(type_oid) {
        Some(info) => info.kind,
        None if is_enum(type_oid) => b'e',
        None if enum_of_array(type_oid).is_some() => b'b',
        None if is_composite(type_oid) => b'c',
        None if composite_of_array(type_oid).is_some() => b'b',
        None => 0,
    }
}

/// Whether a type is its category's preferred one.
pub fn preferred(type_oid: u32) -> bool {
    tables().ty(type_oid).is_some_and(|t| t.preferred)
}

/// Whether a function turns any value into JSON, whole rows too.
pub fn makes_json(name: &str) -> bool {
    matches!(
        name,
        "row_to_json"
            | "to_json"
            | "to_jsonb"
            | "json_agg"
            | "jsonb_agg"
            | "json_build_array"
            | "jsonb_build_array"
            | "json_build_object"
            | "jsonb_build_object"
            | "json_object_agg"
            | "jsonb_object_agg"
            | "array_to_json"
    )
}

/// Element type of an array type.
pub fn element(type_oid: u32) -> Option<u32> {
    let built_in = tables().ty(base(type_oid)).map(|t| t.element).filter(|e| *e != 0);
    built_in.or_else(|| enum_of_array(type_oid)).or_else(|| composite_of_array(type_oid))
}

/// Array type over a type.
pub fn array_of(type_oid: u32) -> Option<u32> {
    let built_in = tables().ty(type_oid).map(|t| t.array).filter(|a| *a != 0);
    built_in.or_else(|| array_of_enum(type_oid)).or_else(|| array_of_composite(type_oid))
}

/// Whether values of the type can be compared for equality (DISTINCT, GROUP BY).
pub fn has_equality(type_oid: u32) -> bool {
    has_class(type_oid, |t| t.equality)
}

/// Whether values of the type can be sorted.
pub fn has_order(type_oid: u32) -> bool {
    has_class(type_oid, |t| t.order)
}

fn has_class(type_oid: u32, flag: fn(&TypeInfo) -> bool) -> bool {
    if category(type_oid) == b'E' || enum_of_array(type_oid).is_some() || is_made(type_oid) {
        return true;
    }
    let Some(info) = tables().ty(base(type_oid)) else { return false };
    if flag(info) || matches!(info.kind, b'r' | b'm') || info.oid == oid::RECORD {
        return true;
    }
    if info.element != 0 && !matches!(info.oid, oid::INT2VECTOR) {
        return has_class(info.element, flag);
    }
    // varchar has no class of its own: it is compared as text.
    tables()
        .types
        .values()
        .any(|t| t.kind == b'b' && flag(t) && coerce::binary_coercible(info.oid, t.oid))
}

/// The name `format_type(oid, -1)` shows: the SQL name, `name[]` for arrays.
pub fn sql_name(type_oid: u32) -> String {
    if let Some(element) = tables().ty(type_oid).map(|t| t.element).filter(|e| *e != 0)
        && tables().ty(type_oid).is_some_and(|t| t.name.starts_with('_'))
    {
        return format!("{}[]", sql_name(element));
    }
    match type_name(type_oid) {
        "???" => match type_oid {
            oid::BIT => "bit".to_owned(),
            oid::VARBIT => "bit varying".to_owned(),
            _ => match tables().ty(type_oid) {
                Some(info) => info.name.to_owned(),
                None => printed_name(type_oid).unwrap_or_else(|| "???".to_owned()),
            },
        },
        name => name.to_owned(),
    }
}

/// The name `format_type(oid, typmod)` shows: `numeric(10,2)`, `character varying(20)`.
pub fn sql_name_with_typmod(ty: Type) -> String {
    let name = sql_name(ty.oid);
    if ty.typmod < 0 {
        return name;
    }
    if let Some(n) = ty.length() {
        return format!("{name}({n})");
    }
    if let Some((p, s)) = ty.precision_scale() {
        return format!("{name}({p},{s})");
    }
    match ty.oid {
        oid::TIME | oid::TIMESTAMP | oid::TIMETZ | oid::TIMESTAMPTZ => {
            name.split_once(' ').map_or_else(
                || format!("{name}({})", ty.typmod),
                |(first, rest)| format!("{first}({}) {rest}", ty.typmod),
            )
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_load_whole() {
        let tables = tables();
        assert_eq!(tables.ty(oid::INT4).map(|t| t.name), Some("int4"));
        assert_eq!(tables.type_oid("_text"), Some(oid::TEXT_ARRAY));
        assert_eq!(tables.procs("count").len(), 2);
        assert!(tables.operators("+").len() > 30);
        assert_eq!(tables.cast(oid::INT4, oid::INT8).map(|c| c.context), Some(b'i'));
        let each = &tables.procs("jsonb_each")[0];
        assert_eq!(each.outputs(), [("key", oid::TEXT), ("value", oid::JSONB)]);
    }

    #[test]
    fn classes_and_names() {
        assert!(has_equality(oid::VARCHAR) && has_order(oid::VARCHAR));
        assert!(!has_equality(oid::JSON) && has_order(oid::JSONB));
        assert!(has_order(oid::REGCLASS));
        assert_eq!(sql_name(oid::TEXT_ARRAY), "text[]");
        let numeric = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(10, 2));
        assert_eq!(sql_name_with_typmod(numeric), "numeric(10,2)");
        let stamp = Type::with_typmod(oid::TIMESTAMPTZ, 3);
        assert_eq!(sql_name_with_typmod(stamp), "timestamp(3) with time zone");
    }
}
