//! WITH, and WITH RECURSIVE.
//!
//! Owns the order in which the queries become visible to each other. Start at
//! [`Analyzer::with`].

use std::rc::Rc;

use super::scope::CteInfo;
use super::select::Recursion;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, SelectBody, SetOp};
use crate::sql::ir::{Cte, Output};

impl Analyzer<'_> {
    /// Analyses WITH and makes its queries visible on the current level.
    pub(super) fn with(&mut self, with: &ast::With) -> Result<Vec<Cte>> {
        let mut done = Vec::with_capacity(with.ctes.len());
        for (i, cte) in with.ctes.iter().enumerate() {
            if with.ctes[..i].iter().any(|other| other.name == cte.name) {
                let message = format!("WITH query name \"{}\" specified more than once", cte.name);
                return Err(errors::client(state::DUPLICATE_ALIAS, cte.pos, message));
            }
            let ast::Statement::Select(select) = cte.query.as_ref() else {
                return Err(Error::unsupported("a data-modifying statement in WITH").at(cte.pos));
            };
            let id = self.next_cte;
            self.next_cte += 1;
            let recursion = Recursion { id, name: &cte.name, columns: &cte.columns };
            let may_recurse = with.recursive
                && matches!(select.body, SelectBody::SetOperation { op: SetOp::Union, .. });
            let mut query = self.query_in(select, true, may_recurse.then_some(&recursion))?;
            let columns = named_columns(&recursion, &query.columns).map_err(|e| e.at(cte.pos))?;
            query.columns.clone_from(&columns);
            let info = CteInfo { id, name: cte.name.clone(), columns };
            self.level().ctes.push(Rc::new(info));
            let materialized = cte.materialized;
            done.push(Cte { id, name: cte.name.clone(), query, materialized });
        }
        Ok(done)
    }
}

/// A WITH query's columns under the names it was given.
pub(super) fn named_columns(recursion: &Recursion<'_>, columns: &[Output]) -> Result<Vec<Output>> {
    if recursion.columns.len() > columns.len() {
        let message = format!(
            "WITH query \"{}\" has {} columns available but {} columns specified",
            recursion.name,
            columns.len(),
            recursion.columns.len()
        );
        return Err(Error::client(state::INVALID_COLUMN_REFERENCE, message));
    }
    let mut columns = columns.to_vec();
    for (column, name) in columns.iter_mut().zip(recursion.columns) {
        column.name.clone_from(name);
    }
    Ok(columns)
}
