//! What names resolve against.
//!
//! Owns [`Context`], borrowed for the time of one analysis. It must never hold anything
//! that changes between two runs of the same plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::schema::{Catalog, Relation};

/// Everything the analysis of one statement may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The database's objects.
    pub catalog: &'a Catalog,
    /// The session's temporary tables, by name.
    pub temporary: &'a BTreeMap<String, Arc<Relation>>,
    /// Schemas searched for unqualified names, in order.
    pub search_path: &'a [String],
    /// Types the client named for $1 …; 0 leaves one to inference.
    pub param_types: &'a [u32],
}
