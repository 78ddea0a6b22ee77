//! Names in a text of the catalog, written out with their schemas.
//!
//! The texts are such as the parser prints: a type stands behind `::`, a sequence is named by a
//! string before `::regclass` or in a call of nextval() and its kin. It must never look names up
//! itself. Start at [`qualify`].

use pg_query::NodeRef;

use super::deep;
use crate::error::Result;
use crate::sql::lexer::{Kind, tokens};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A table, view or sequence.
    Relation,
    /// A type, an array type as `name[]`.
    Type,
}

/// Functions whose first argument names a sequence or a table.
const BY_NAME: [&str; 5] =
    ["nextval", "currval", "setval", "to_regclass", "pg_get_serial_sequence"];

/// The text with `schema.` before each name that says none and for which `find` gives one.
///
/// # Errors
/// None for a text that the parser has printed.
pub fn qualify(text: &str, find: &dyn Fn(Named, &str) -> Option<String>) -> Result<String> {
    let mut edits: Vec<(usize, String)> = in_from(text, find);
    let all: Vec<_> = tokens(text).collect();
    let word = |at: usize| all.get(at).map_or("", |t| &text[t.start..t.end]);
    for (at, token) in all.iter().enumerate() {
        let own = &text[token.start..token.end];
        match token.kind {
            Kind::Word | Kind::Quoted if at > 0 && word(at - 1) == "::" && word(at + 1) != "." => {
                let name = unquoted(own);
                edits.extend(find(Named::Type, &name).map(|s| (token.start, prefix(&s))));
            }
            Kind::Text => {
                let called = at > 1 && word(at - 1) == "(" && BY_NAME.contains(&word(at - 2));
                let cast = word(at + 1) == "::" && word(at + 2) == "regclass";
                let inner = own.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
                let Some(inner) = inner.filter(|i| (called || cast) && !i.contains('.')) else {
                    continue;
                };
                let name = unquoted(&inner.replace("''", "'"));
                let found = find(Named::Relation, &name);
                edits.extend(found.map(|s| (token.start + 1, prefix(&s).replace('\'', "''"))));
            }
            _ => {}
        }
    }
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut out = text.to_owned();
    for (at, schema) in edits {
        out.insert_str(at, &schema);
    }
    Ok(out)
}

/// Where the tables of FROM stand, with what goes before them; nothing for an expression.
fn in_from(text: &str, find: &dyn Fn(Named, &str) -> Option<String>) -> Vec<(usize, String)> {
    let found: Result<Vec<(usize, String)>> = deep::with_stack(text, || {
        let Ok(parsed) = pg_query::parse(text, pg_query::ParserOptions::default()) else {
            return Ok(Vec::new());
        };
        let tree = parsed.protobuf;
        let nodes = tree.nodes();
        let with = |name: &str| {
            nodes
                .iter()
                .any(|(n, ..)| matches!(n, NodeRef::CommonTableExpr(c) if c.ctename == name))
        };
        let named = nodes.iter().filter_map(|(node, ..)| match node {
            NodeRef::RangeVar(v) if v.schemaname.is_empty() && !with(&v.relname) => {
                let at = usize::try_from(v.location).ok()?;
                Some((at, v.relname.clone()))
            }
            _ => None,
        });
        Ok(named.filter(|(at, _)| text.is_char_boundary(*at)).collect())
    });
    let found = found.unwrap_or_default().into_iter();
    found.filter_map(|(at, name)| Some((at, prefix(&find(Named::Relation, &name)?)))).collect()
}

fn unquoted(written: &str) -> String {
    match written.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => written.to_lowercase(),
    }
}

fn prefix(schema: &str) -> String {
    format!("{}.", super::ddl::quoted(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_schemas() {
        let find = |kind: Named, name: &str| match (kind, name) {
            (Named::Relation, "t" | "q") => Some("s".to_owned()),
            (Named::Type, "mood") => Some("S".to_owned()),
            _ => None,
        };
        let qualified = |text: &str| qualify(text, &find).unwrap();
        assert_eq!(qualified("'ok'::mood"), "'ok'::\"S\".mood");
        assert_eq!(qualified("nextval('q')"), "nextval('s.q')");
        assert_eq!(qualified("nextval('q'::regclass)"), "nextval('s.q'::regclass)");
        assert_eq!(qualified("nextval('public.q'::regclass)"), "nextval('public.q'::regclass)");
        assert_eq!(
            qualified("SELECT t.a, 't' FROM t JOIN u USING (a)"),
            "SELECT t.a, 't' FROM s.t JOIN u USING (a)"
        );
        assert_eq!(
            qualified("WITH t AS (SELECT 1) SELECT * FROM t"),
            "WITH t AS (SELECT 1) SELECT * FROM t"
        );
    }
}
