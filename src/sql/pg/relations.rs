//! The relations that a view's text names. It must never resolve a name against a catalog.

use std::collections::BTreeSet;

use pg_query::NodeRef;

use super::deep;
use crate::error::{Error, Result};

/// Names of relations of `public` (no WITH query's).
///
/// # Errors
/// When the text is no query.
pub fn relations(query: &str) -> Result<BTreeSet<String>> {
    deep::with_stack(query, || {
        let parsed = pg_query::parse(query, pg_query::ParserOptions::default())
            .map_err(|_| Error::internal("a view's text is not a query"))?
            .protobuf;
        let nodes = parsed.nodes();
        let with = |name: &str| {
            nodes
                .iter()
                .any(|(n, ..)| matches!(n, NodeRef::CommonTableExpr(c) if c.ctename == name))
        };
        let named = nodes.iter().filter_map(|(node, ..)| match node {
            NodeRef::RangeVar(v) if v.schemaname == "public" => Some(v.relname.clone()),
            NodeRef::RangeVar(v) if v.schemaname.is_empty() && !with(&v.relname) => {
                Some(v.relname.clone())
            }
            _ => None,
        });
        Ok(named.collect())
    })
}
