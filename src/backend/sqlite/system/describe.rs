//! Definitions of constraints and indexes as PostgreSQL's `pg_get_*def` functions print them.

use crate::name;
use crate::schema::{Action, Check, Deferral, ForeignKey, Index, Relation, Unique};

/// A name, quoted when PostgreSQL would quote it.
pub fn quote_ident(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$'));
    if plain && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// An object's name with its schema: `public.t`.
pub fn qualified_ident(key: &str) -> String {
    let (schema, name) = name::split(key);
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// An object's name as it is written where `public` alone is searched: `t`, `s.t`.
pub fn spelled(key: &str) -> String {
    match name::is_key(key) {
        true => qualified_ident(key),
        false => quote_ident(key),
    }
}

/// Key words that PostgreSQL 15 quotes: reserved ones, and those that may only be type,
/// function or column names.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric",
    "authorization", "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast",
    "char", "character", "check", "coalesce", "collate", "collation", "column", "concurrently",
    "constraint", "create", "cross", "current_catalog", "current_date", "current_role",
    "current_schema", "current_time", "current_timestamp", "current_user", "dec", "decimal",
    "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "exists",
    "extract", "false", "fetch", "float", "for", "foreign", "freeze", "from", "full", "grant",
    "greatest", "group", "grouping", "having", "ilike", "in", "initially", "inner", "inout",
    "int", "integer", "intersect", "interval", "into", "is", "isnull", "join", "lateral",
    "leading", "least", "left", "like", "limit", "localtime", "localtimestamp", "national",
    "natural", "nchar", "none", "normalize", "not", "notnull", "null", "nullif", "numeric",
    "offset", "on", "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing",
    "position", "precision", "primary", "real", "references", "returning", "right", "row",
    "select", "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric",
    "table", "tablesample", "then", "time", "timestamp", "to", "trailing", "treat", "trim",
    "true", "union", "unique", "user", "using", "values", "varchar", "variadic", "verbose",
    "when", "where", "window", "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists",
    "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];

fn names<'a>(relation: &'a Relation, columns: &'a [usize]) -> impl Iterator<Item = String> + 'a {
    columns
        .iter()
        .map(|c| relation.columns.get(*c).map_or_else(String::new, |c| quote_ident(&c.name)))
}

fn joined(relation: &Relation, columns: &[usize]) -> String {
    names(relation, columns).collect::<Vec<_>>().join(", ")
}

/// `PRIMARY KEY (a)` or `UNIQUE (a, b)`.
pub fn unique_text(relation: &Relation, unique: &Unique) -> String {
    let word = if unique.primary { "PRIMARY KEY" } else { "UNIQUE" };
    format!("{word} ({}){}", joined(relation, &unique.columns), deferral_text(unique.deferral))
}

/// ` DEFERRABLE INITIALLY DEFERRED`, or nothing.
pub fn deferral_text(deferral: Deferral) -> &'static str {
    match deferral {
        Deferral::Never => "",
        Deferral::Immediate => " DEFERRABLE",
        Deferral::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    }
}

/// `CHECK ((expression))`
pub fn check_text(check: &Check) -> String {
    let valid = if check.not_valid { " NOT VALID" } else { "" };
    format!("CHECK (({})){valid}", check.expression)
}

/// `FOREIGN KEY (a) REFERENCES t(b) ON DELETE CASCADE …`; `referenced` are the parent's
/// columns, filled in when the key names none.
pub fn foreign_key_text(relation: &Relation, key: &ForeignKey, referenced: &[String]) -> String {
    let referenced: Vec<String> = referenced.iter().map(|n| quote_ident(n)).collect();
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({})",
        joined(relation, &key.columns),
        spelled(&key.table),
        referenced.join(", ")
    );
    for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        if action != Action::NoAction {
            text.push_str(&format!(" ON {event} {}", action_text(action)));
        }
    }
    if key.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if key.deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    if key.not_valid {
        text.push_str(" NOT VALID");
    }
    text
}

/// SQL words of a foreign key's action.
pub(crate) fn action_text(action: Action) -> &'static str {
    match action {
        Action::NoAction => "NO ACTION",
        Action::Restrict => "RESTRICT",
        Action::Cascade => "CASCADE",
        Action::SetNull => "SET NULL",
        Action::SetDefault => "SET DEFAULT",
    }
}

/// `CREATE UNIQUE INDEX name ON public.t USING btree (a)`
pub fn index_text(relation: &Relation, unique: &Unique) -> String {
    format!(
        "CREATE UNIQUE INDEX {} ON {}.{} USING btree ({})",
        quote_ident(&unique.name),
        quote_ident(&relation.schema),
        quote_ident(relation.bare()),
        joined(relation, &unique.columns)
    )
}

/// `EXCLUDE USING gist (a WITH =, b WITH &&) WHERE ((c))`
pub fn exclusion_text(relation: &Relation, index: &Index) -> String {
    let keys: Vec<String> = index
        .keys
        .iter()
        .enumerate()
        .map(|(at, _)| {
            let key = index_def(relation, IndexRef::Plain(index), at + 1).unwrap_or_default();
            let class = index.extras.opclasses.get(at).filter(|c| !c.is_empty());
            let class = class.map_or_else(String::new, |c| format!(" {c}"));
            let operator = index.extras.operators.get(at).map_or("=", String::as_str);
            format!("{key}{class} WITH {operator}")
        })
        .collect();
    let method = if index.extras.method.is_empty() { "btree" } else { &index.extras.method };
    let filter = index.predicate.as_ref().map_or_else(String::new, |p| format!(" WHERE (({p}))"));
    let columns: Vec<String> = index.extras.include.iter().map(|c| quote_ident(c)).collect();
    let include = match columns.as_slice() {
        [] => String::new(),
        columns => format!(" INCLUDE ({})", columns.join(", ")),
    };
    let deferral = deferral_text(index.extras.deferral);
    format!("EXCLUDE USING {method} ({}){include}{filter}{deferral}", keys.join(", "))
}

/// One key of an index, or the whole definition when `key` is 0.
pub(crate) fn index_def(relation: &Relation, found: IndexRef<'_>, key: usize) -> Option<String> {
    use crate::schema::IndexKey;
    match (found, key.checked_sub(1)) {
        (IndexRef::Unique(unique), None) => Some(index_text(relation, unique)),
        (IndexRef::Plain(index), None) => Some(index.definition.clone()),
        (IndexRef::Unique(unique), Some(k)) => {
            unique.columns.get(k).and_then(|c| names(relation, &[*c]).next())
        }
        (IndexRef::Plain(index), Some(k)) => match index.keys.get(k)? {
            IndexKey::Column(c, _) => names(relation, &[*c]).next(),
            IndexKey::Expression(e, _) if is_call(e) => Some(e.clone()),
            IndexKey::Expression(e, _) => Some(format!("({e})")),
        },
    }
}

/// Whether an index expression is a plain function call, printed without parentheses.
pub(crate) fn is_call(expression: &str) -> bool {
    let name = expression.chars().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    let Some(rest) = expression.get(name..) else { return false };
    if name == 0 || !rest.starts_with('(') || !rest.ends_with(')') {
        return false;
    }
    let mut depth = 0_i32;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1 == rest.len();
        }
    }
    false
}

/// An index of a relation in either of its two lists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IndexRef<'a> {
    Unique(&'a Unique),
    Plain(&'a Index),
}

impl IndexRef<'_> {
    pub(crate) fn oid(self) -> u32 {
        match self {
            Self::Unique(u) => u.oid,
            Self::Plain(i) => i.oid,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Unique(u) => &u.name,
            Self::Plain(i) => &i.name,
        }
    }
}

/// All indexes of a relation, constraints first.
pub(crate) fn indexes(relation: &Relation) -> impl Iterator<Item = IndexRef<'_>> {
    let uniques = relation.uniques.iter().map(IndexRef::Unique);
    uniques.chain(relation.indexes.iter().map(IndexRef::Plain))
}
