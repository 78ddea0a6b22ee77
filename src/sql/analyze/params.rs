//! Types of the client's parameters.
//!
//! Owns what $1 … are, as declared or inferred from the first place that asks; it must never
//! guess from a value. Start at [`Params`].

use std::collections::BTreeMap;

use super::errors;
use crate::error::{Result, state};
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::types::sql_name;
use crate::value::{Type, oid};

/// Largest parameter number of the protocol.
const MAX_PARAMS: u32 = 65_535;

/// The parameters of one statement.
#[derive(Default)]
pub(super) struct Params {
    types: Vec<u32>,
    /// Uses of a parameter that have no type yet: (position, number).
    open: BTreeMap<(u32, u32), ()>,
}

impl Params {
    pub(super) fn new(declared: &[u32]) -> Self {
        Self { types: declared.to_vec(), open: BTreeMap::new() }
    }

    /// A use of parameter `number`; of type unknown until something asks for a type.
    pub(super) fn reference(&mut self, number: u32, pos: u32) -> Result<Expr> {
        if number == 0 || number > MAX_PARAMS {
            let message = format!("there is no parameter ${number}");
            return Err(errors::client(state::UNDEFINED_PARAMETER, pos, message));
        }
        let index = number as usize - 1;
        if self.types.len() <= index {
            self.types.resize(index + 1, 0);
        }
        let mut ty = self.types[index];
        if ty == 0 || ty == oid::UNKNOWN {
            ty = oid::UNKNOWN;
            self.types[index] = oid::UNKNOWN;
            self.open.insert((pos, number), ());
        }
        Ok(Expr { kind: ExprKind::Param(number), ty: Type::new(ty), pos })
    }

    /// Gives a use of an unknown parameter the type its place asks for.
    pub(super) fn resolve(&mut self, number: u32, target: u32, pos: u32) -> Result<Expr> {
        let index = number as usize - 1;
        let current = self.types.get(index).copied().unwrap_or(oid::UNKNOWN);
        if current == oid::UNKNOWN || current == 0 {
            if let Some(slot) = self.types.get_mut(index) {
                *slot = target;
            }
        } else if current != target {
            let message = format!("inconsistent types deduced for parameter ${number}");
            let detail = format!("{} versus {}", sql_name(current), sql_name(target));
            return Err(errors::client(state::AMBIGUOUS_PARAMETER, pos, message).detail(detail));
        }
        self.open.remove(&(pos, number));
        Ok(Expr { kind: ExprKind::Param(number), ty: Type::new(target), pos })
    }

    /// All types; every use must have one.
    pub(super) fn finish(&self) -> Result<Vec<Type>> {
        let undetermined =
            |number: u32| format!("could not determine data type of parameter ${number}");
        if let Some((pos, number)) = self.open.keys().next() {
            let known = self.types.get(*number as usize - 1).copied().unwrap_or(oid::UNKNOWN);
            let code = if known == oid::UNKNOWN {
                state::INDETERMINATE_DATATYPE
            } else {
                state::AMBIGUOUS_PARAMETER
            };
            let pos = if known == oid::UNKNOWN { 0 } else { *pos };
            return Err(errors::client(code, pos, undetermined(*number)));
        }
        if let Some(gap) = self.types.iter().position(|t| *t == 0 || *t == oid::UNKNOWN) {
            let number = u32::try_from(gap + 1).unwrap_or(MAX_PARAMS);
            let message = undetermined(number);
            return Err(errors::client(state::INDETERMINATE_DATATYPE, 0, message));
        }
        Ok(self.types.iter().map(|t| Type::new(*t)).collect())
    }
}
