//! The one table of what PostgreSQL's operators, functions, aggregates and casts are in
//! SQLite. Data: `data/*.txt`. What is not listed is 0A000.
//!
//! A line is `signature TAB template`. Types are pg_type names; `a|b` stands for either,
//! `any`, `anyarray`, `anyrange`, `anymultirange` for any (such) type, `...` for any further arguments. In a template
//!
//! | mark | is |
//! |---|---|
//! | `$1` | the argument's logical cell |
//! | `$k1` | its key: SQLite compares it as PostgreSQL would |
//! | `$t1` | its text, as a cast gives it |
//! | `$u1` | its text, as the type's output function gives it |
//! | `@1`, `#1`, `@e1` | its type's OID, modifier, element type's OID |
//! | `@r`, `#r` | OID and modifier of the result type |
//! | `$*`, `$u*`, `$o*` | all arguments: logical; as output text; each followed by its OID |
//!
//! Functions named `pg_…` are registered by `backend::sqlite::functions`. Start at [`lookup`].

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::sql::types::{element, sql_name};
use crate::value::{oid, range};

/// What a table of signatures says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Scalar functions.
    Function,
    /// Operators; a prefix operator has one argument.
    Operator,
    /// Casts: one argument, named after the target type.
    Cast,
    /// Aggregates.
    Aggregate,
    /// Functions of FROM: the template is a table and its value columns.
    Table,
}

struct Signature {
    args: Vec<Pattern>,
    variadic: bool,
    template: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Oid(u32),
    Any,
    AnyArray,
    AnyRange,
    AnyMultirange,
}

type Table = HashMap<Kind, HashMap<&'static str, Vec<Signature>>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    for (kind, name, args, template) in lines() {
        let mut variadic = false;
        let mut patterns: Vec<Vec<Pattern>> = Vec::new();
        for arg in args {
            if arg == "..." {
                variadic = true;
            } else {
                patterns.push(arg.split('|').map(pattern).collect());
            }
        }
        let entries = table.entry(kind).or_default().entry(name).or_default();
        for args in product(&patterns) {
            entries.push(Signature { args, variadic, template });
        }
    }
    table
});

/// Every line of the data: kind, name, argument types as written, template.
pub fn lines() -> impl Iterator<Item = (Kind, &'static str, Vec<&'static str>, &'static str)> {
    const FILES: [(Kind, &str); 5] = [
        (Kind::Function, include_str!("data/functions.txt")),
        (Kind::Operator, include_str!("data/operators.txt")),
        (Kind::Cast, include_str!("data/casts.txt")),
        (Kind::Aggregate, include_str!("data/aggregates.txt")),
        (Kind::Table, include_str!("data/tables.txt")),
    ];
    FILES.into_iter().flat_map(|(kind, text)| {
        text.lines().filter_map(move |line| {
            let (signature, template) = line.split_once('\t')?;
            if signature.starts_with("--") {
                return None;
            }
            let (name, args) = match kind {
                Kind::Operator => {
                    let words: Vec<&str> = signature.split(' ').collect();
                    match words.as_slice() {
                        [left, name, right] => (*name, vec![*left, *right]),
                        [name, right] => (*name, vec![*right]),
                        _ => return None,
                    }
                }
                Kind::Cast => {
                    let (from, to) = signature.split_once(' ')?;
                    (to, vec![from])
                }
                Kind::Function | Kind::Aggregate | Kind::Table => {
                    let (name, rest) = signature.split_once('(')?;
                    let inside = rest.strip_suffix(')')?;
                    (name, inside.split(',').filter(|a| !a.is_empty()).collect())
                }
            };
            Some((kind, name, args, template.trim()))
        })
    })
}

fn product(patterns: &[Vec<Pattern>]) -> Vec<Vec<Pattern>> {
    patterns.iter().fold(vec![Vec::new()], |done, choices| {
        done.iter()
            .flat_map(|d| {
                choices.iter().map(move |c| {
                    let mut next = d.clone();
                    next.push(*c);
                    next
                })
            })
            .collect()
    })
}

fn pattern(name: &str) -> Pattern {
    match name {
        "any" => Pattern::Any,
        "anyarray" => Pattern::AnyArray,
        "anyrange" => Pattern::AnyRange,
        "anymultirange" => Pattern::AnyMultirange,
        _ => Pattern::Oid(type_oid(name)),
    }
}

/// The OID of a type by its pg_type name; 0 when the data misspells one.
pub fn type_oid(name: &str) -> u32 {
    if let Some(element) = name.strip_suffix("[]") {
        return crate::sql::types::array_of(type_oid(element)).unwrap_or(0);
    }
    let tables = crate::sql::types::tables();
    tables.type_oid(name).or_else(|| tables.extended_type(name)).unwrap_or(0)
}

impl Pattern {
    fn matches(self, type_oid: u32) -> bool {
        match self {
            Self::Oid(wanted) => {
                wanted == type_oid
                    || (wanted == oid::TEXT && matches!(type_oid, oid::VARCHAR | oid::UNKNOWN))
            }
            Self::Any => true,
            Self::AnyArray => element(type_oid).is_some(),
            Self::AnyRange => range::subtype_of(type_oid).is_some(),
            Self::AnyMultirange => range::range_of(type_oid).is_some(),
        }
    }
}

/// The template of a signature: exact types first, then patterns, then variadic ones.
pub fn lookup(kind: Kind, name: &str, args: &[u32]) -> Option<&'static str> {
    let entries = TABLE.get(&kind)?.get(name)?;
    let fits = |s: &&Signature| {
        let long_enough =
            if s.variadic { args.len() >= s.args.len() } else { args.len() == s.args.len() };
        long_enough && s.args.iter().zip(args).all(|(p, a)| p.matches(*a))
    };
    let exact = |s: &&Signature| {
        !s.variadic
            && s.args.len() == args.len()
            && s.args.iter().zip(args).all(|(p, a)| *p == Pattern::Oid(*a))
    };
    entries.iter().find(exact).or_else(|| entries.iter().find(fits)).map(|s| s.template)
}

/// A call as PostgreSQL's messages write it: `f(integer, text)`.
pub fn signature(name: &str, args: &[u32]) -> String {
    let args: Vec<String> = args.iter().map(|a| sql_name(*a)).collect();
    format!("{name}({})", args.join(", "))
}
