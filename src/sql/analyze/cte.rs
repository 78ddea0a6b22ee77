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
use crate::sql::ir::{self, Cte, Output, Step};

impl Analyzer<'_> {
    /// Analyses WITH and makes its queries visible on the current level.
    pub(super) fn with(&mut self, with: &ast::With) -> Result<Vec<Cte>> {
        let mut done = Vec::with_capacity(with.ctes.len());
        for (i, cte) in with.ctes.iter().enumerate() {
            if with.ctes[..i].iter().any(|other| other.name == cte.name) {
                let message = format!("WITH query name \"{}\" specified more than once", cte.name);
                return Err(errors::client(state::DUPLICATE_ALIAS, cte.pos, message));
            }
            let id = self.next_cte;
            self.next_cte += 1;
            let ast::Statement::Select(select) = cte.query.as_ref() else {
                self.modifying(cte, id)?;
                continue;
            };
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

    /// INSERT, UPDATE or DELETE in WITH: a step of its own, whose RETURNING is what the name
    /// stands for.
    fn modifying(&mut self, cte: &ast::Cte, id: u32) -> Result<()> {
        let height = self.levels.len();
        if height != 1 {
            let message =
                "WITH clause containing a data-modifying statement must be at the top level";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, cte.pos, message));
        }
        if !self.freeze {
            return Err(Error::unsupported("a data-modifying statement in WITH").at(cte.pos));
        }
        let statement = self.statement(&cte.query);
        self.levels.truncate(height);
        let mut statement = statement?;
        let names = Recursion { id, name: &cte.name, columns: &cte.columns };
        let columns = named_columns(&names, statement.outputs()).map_err(|e| e.at(cte.pos))?;
        match &mut statement {
            ir::Statement::Insert(s) => s.outputs.clone_from(&columns),
            ir::Statement::Update(s) => s.outputs.clone_from(&columns),
            ir::Statement::Delete(s) => s.outputs.clone_from(&columns),
            ir::Statement::Select(_) => {}
        }
        self.steps.push(Step { cte: id, statement, unique: 0, single: false });
        self.level().ctes.push(Rc::new(CteInfo { id, name: cte.name.clone(), columns }));
        Ok(())
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
