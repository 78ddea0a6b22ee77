//! Values of domains: written out as values of the base type under the domain's constraints.
//!
//! The conditions stand in the tree with the value in the place of VALUE, so that a value is
//! computed once for itself and once for each condition: one that would not come out the same
//! is 0A000. Start at [`Analyzer::in_domain`].

use std::sync::Arc;

use super::Analyzer;
use super::walk::visit;
use crate::error::{Error, Result, state};
use crate::schema::{Column, Relation, RelationKind};
use crate::sql::Context;
use crate::sql::ast::TypeName;
use crate::sql::ir::{Expr, ExprKind, InDomain};
use crate::sql::rewrite::{Part, children};
use crate::sql::types::tables;
use crate::value::Type;
use crate::value::domain::{Domain, is_domain};

/// The name by which conditions call the value.
pub(crate) const VALUE: &str = "value";

/// The domain a type name means; arrays of domains are 0A000.
pub(crate) fn named(name: &TypeName, context: &Context<'_>) -> Result<Option<Arc<Domain>>> {
    let known = |s: &str| s == "public" || context.catalog.schemas.contains_key(s);
    let own = name.schema.as_deref().is_none_or(|s| known(s) || s.starts_with("pg_temp"));
    if !own || (name.schema.is_none() && tables().type_oid(&name.name).is_some()) {
        return Ok(None);
    }
    let temporary_only = name.schema.as_deref().is_some_and(|s| s.starts_with("pg_temp"));
    let found = match temporary_only {
        true => context.catalog.enums.domain_named(&name.name),
        false => super::typename::domain(name, context),
    };
    let Some(domain) = found else { return Ok(None) };
    let temporary = name.schema.as_deref().map(|s| s.starts_with("pg_temp"));
    if temporary.is_some_and(|t| t != domain.temporary) {
        return Ok(None);
    }
    if name.array {
        return Err(Error::unsupported("an array of a domain").at(name.pos));
    }
    Ok(Some(Arc::clone(domain)))
}

/// A relation of one column, the value that conditions of a domain look at.
pub(crate) fn value_relation(ty: Type) -> Relation {
    let mut relation = Relation::new(0, "", RelationKind::Table);
    relation.columns.push(Column::new(1, VALUE, ty));
    relation
}

impl Analyzer<'_> {
    /// `value`, which has the base type already, as a value of a domain.
    pub(super) fn in_domain(&mut self, value: Expr, domain: &Domain) -> Result<Expr> {
        if !domain.not_null && domain.rules.is_empty() {
            return Ok(value);
        }
        if !domain.rules.is_empty() && !repeats(&value) {
            return Err(Error::unsupported("a value of a domain that is computed anew each time"));
        }
        let relation = value_relation(domain.base_type());
        // The statement's parameters are none of the condition's.
        let context = Context { param_types: &[], ..self.context }.stored();
        let mut conditions = Vec::with_capacity(domain.rules.len());
        for rule in &domain.rules {
            let mut condition = super::expression(&rule.expression, &relation, &context)?;
            put(&mut condition, &value);
            conditions.push((rule.name.clone(), condition));
        }
        let (ty, pos) = (value.ty, value.pos);
        let checked = InDomain {
            name: domain.name.clone(),
            temporary: domain.temporary,
            not_null: domain.not_null,
            value,
            conditions,
        };
        Ok(Expr { kind: ExprKind::Domain(Box::new(checked)), ty, pos })
    }

    /// A parameter without a type has the domain's from here on; its values are read as the
    /// base type's.
    pub(super) fn told(&mut self, value: Expr, domain: &Domain) -> Result<Expr> {
        match value.kind {
            ExprKind::Param(number) if value.ty.oid == crate::value::oid::UNKNOWN => {
                let mut expr = self.params.resolve(number, domain.oid, value.pos)?;
                expr.ty = Type::new(domain.base);
                Ok(expr)
            }
            _ => Ok(value),
        }
    }

    /// A use of parameter `number`; one of a domain is checked where it is used.
    pub(super) fn parameter(&mut self, number: u32, pos: u32) -> Result<Expr> {
        let mut expr = self.params.reference(number, pos)?;
        if !is_domain(expr.ty.oid) {
            return Ok(expr);
        }
        let found = self.context.catalog.enums.domain(expr.ty.oid).cloned();
        let Some(domain) = found else {
            let message = format!("type with OID {} does not exist", expr.ty.oid);
            return Err(Error::client(state::UNDEFINED_OBJECT, message).at(pos));
        };
        expr.ty = Type::new(domain.base);
        self.in_domain(expr, &domain)
    }

    /// The types of all parameters, and which of them are of domains.
    pub(super) fn parameters(&self) -> Result<(Vec<Type>, Vec<(usize, u32)>)> {
        let mut types = self.params.finish()?;
        let mut domains = Vec::new();
        for (index, ty) in types.iter_mut().enumerate() {
            if let Some(domain) = self.context.catalog.enums.domain(ty.oid) {
                *ty = Type::new(domain.base);
                domains.push((index, domain.oid));
            }
        }
        Ok((types, domains))
    }

    /// The domain of a column.
    pub(super) fn domain_of(&self, column: &Column) -> Result<Option<Arc<Domain>>> {
        let Some(wanted) = column.domain else { return Ok(None) };
        let found = self.context.catalog.enums.domain(wanted).cloned();
        found.map(Some).ok_or_else(|| Error::internal("a column of an unknown domain"))
    }
}

/// Whether an expression gives the same value each time it is computed for a row.
fn repeats(expr: &Expr) -> bool {
    let mut steady = true;
    visit(expr, &mut |e| {
        steady &= match &e.kind {
            ExprKind::Call(call) => {
                call.lite || tables().proc_by_oid(call.oid).is_some_and(|p| p.volatility != b'v')
            }
            ExprKind::Subquery(_)
            | ExprKind::Exists(_)
            | ExprKind::SubqueryCompare { .. }
            | ExprKind::ArraySubquery(_) => false,
            _ => true,
        };
        steady
    });
    steady
}

/// Puts a value in the place of the only column that a condition looks at.
fn put(condition: &mut Expr, value: &Expr) {
    if let ExprKind::Column(0, 0) = condition.kind {
        *condition = value.clone();
        return;
    }
    children(condition, &mut |part| {
        if let Part::Expr(e) = part {
            put(e, value);
        }
    });
}
