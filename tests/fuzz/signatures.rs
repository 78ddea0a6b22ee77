//! What can produce a value of a type: operators, functions, casts and aggregates that SQLite has
//! (the printer's registry), with every combination of the fuzzer's types that pg_proc and
//! pg_operator know.
//!
//! Start at [`Signatures::get`].

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use crossfade::sql::print::sqlite::registry::{Kind, lines, lookup};
use crossfade::sql::types::{Proc, tables};
use crossfade::value::oid;

use super::values::TYPES;

/// A function or operator with its argument types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    pub name: &'static str,
    pub args: Vec<u32>,
}

/// By result type.
#[derive(Default)]
pub struct Signatures {
    pub operators: HashMap<u32, Vec<Signature>>,
    pub functions: HashMap<u32, Vec<Signature>>,
    pub aggregates: HashMap<u32, Vec<Signature>>,
    /// Source types by target.
    pub casts: HashMap<u32, Vec<u32>>,
}

/// Names whose answers no two servers share, or that only parse in special syntax.
const LEFT_OUT: &[&str] = &[
    "random",
    "gen_random_uuid",
    "pg_typeof",
    "pg_size_pretty",
    "text",
    "date",
    "timestamp",
    "timestamptz",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "bool",
    "pg_sleep",
    "xmlserialize",
    "extract",
    "position",
    "overlay",
    "normalize",
    "make_interval",
    // A syntax error to PostgreSQL, so the text is read as SQLite's, which has it.
    "time",
    // The scale of a power near a power of ten depends on an estimate.
    "^",
    "power",
    "pow",
];

impl Signatures {
    pub fn get() -> &'static Self {
        static ALL: OnceLock<Signatures> = OnceLock::new();
        ALL.get_or_init(Self::build)
    }

    fn build() -> Self {
        let mut all = Self::default();
        let mut functions = BTreeSet::new();
        let mut operators = BTreeSet::new();
        let mut aggregates = BTreeSet::new();
        for (kind, name, ..) in lines() {
            match kind {
                Kind::Function => functions.insert(name),
                Kind::Operator => operators.insert(name),
                Kind::Aggregate => aggregates.insert(name),
                Kind::Cast | Kind::Table => false,
            };
        }
        for name in functions {
            if LEFT_OUT.contains(&name) || name.starts_with("pg_") || name.starts_with("has_") {
                continue;
            }
            for proc in tables().procs(name).iter().filter(|p| p.kind == b'f' && !p.returns_set) {
                add(&mut all.functions, Kind::Function, proc);
            }
        }
        for name in aggregates {
            for proc in tables().procs(name).iter().filter(|p| p.kind == b'a' && p.direct == 0) {
                add(&mut all.aggregates, Kind::Aggregate, proc);
            }
        }
        for name in operators {
            if LEFT_OUT.contains(&name) {
                continue;
            }
            for o in tables().operators(name) {
                let args: Vec<u32> = [o.left, o.right].into_iter().filter(|a| *a != 0).collect();
                for (args, result) in instances(&args, o.result) {
                    if lookup(Kind::Operator, name, &args).is_some() {
                        let signature = Signature { name, args };
                        all.operators.entry(result).or_default().push(signature);
                    }
                }
            }
        }
        for from in TYPES {
            for to in TYPES.iter().filter(|t| *t != from) {
                let text = [oid::TEXT, oid::VARCHAR];
                if tables().cast(*from, *to).is_some() || text.contains(to) {
                    all.casts.entry(*to).or_default().push(*from);
                }
            }
        }
        for list in [&mut all.operators, &mut all.functions, &mut all.aggregates] {
            list.values_mut().for_each(|l| l.sort());
        }
        all
    }
}

fn add(list: &mut HashMap<u32, Vec<Signature>>, kind: Kind, proc: &'static Proc) {
    if proc.volatility == b'v' || proc.information {
        return;
    }
    let mut shapes = vec![proc.arguments.to_vec()];
    if proc.variadic != 0 {
        let fixed = &proc.arguments[..proc.arguments.len() - 1];
        shapes = (1..3).map(|n| [fixed, &vec![proc.variadic; n][..]].concat()).collect();
    }
    for shape in shapes {
        for (args, result) in instances(&shape, proc.result) {
            if lookup(kind, proc.name, &args).is_some() {
                list.entry(result).or_default().push(Signature { name: proc.name, args });
            }
        }
    }
}

/// Polymorphic types replaced, each way that yields types of ours.
fn instances(args: &[u32], result: u32) -> Vec<(Vec<u32>, u32)> {
    let polymorphic = |t: u32| {
        matches!(
            t,
            oid::ANY
                | oid::ANYARRAY
                | oid::ANYELEMENT
                | oid::ANYNONARRAY
                | oid::ANYCOMPATIBLE
                | oid::ANYCOMPATIBLEARRAY
                | oid::ANYCOMPATIBLENONARRAY
        )
    };
    let elements: &[u32] = if args.iter().any(|t| polymorphic(*t)) {
        let arrays = args
            .iter()
            .chain([&result])
            .any(|t| matches!(*t, oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY));
        if arrays { &[oid::INT4, oid::TEXT] } else { TYPES }
    } else {
        &[0]
    };
    let mut found = Vec::new();
    for element in elements {
        let map = |t: u32| match t {
            oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => {
                crossfade::sql::types::array_of(*element).unwrap_or(0)
            }
            t if polymorphic(t) => *element,
            t => t,
        };
        let args: Vec<u32> = args.iter().map(|t| map(*t)).collect();
        let result = map(result);
        if args.iter().chain([&result]).all(|t| TYPES.contains(t)) {
            found.push((args, result));
        }
    }
    found
}
