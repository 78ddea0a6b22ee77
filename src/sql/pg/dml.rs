//! INSERT, UPDATE, DELETE.

use pg_query::protobuf::{self, OnConflictAction, OverridingKind, node::Node as N};

use super::expr::{collation, plain_column};
use super::{Lower, Lowered, Stop, missing, text_of};
use crate::sql::ast::{
    Assignment, Conflict, Delete, Expr, ExprKind, Insert, OnConflict, Overriding, Target, Update,
};

type Node = protobuf::Node;

impl Lower<'_> {
    pub(super) fn insert(&mut self, insert: protobuf::InsertStmt) -> Lowered<Insert> {
        let with = insert.with_clause.map(|with| self.with(with)).transpose()?;
        let mut range = insert.relation.ok_or_else(missing)?;
        let alias = range.alias.take().map(|alias| alias.aliasname);
        let table = self.name(&mut range);
        let mut columns = Vec::with_capacity(insert.cols.len());
        let mut column_positions = Vec::with_capacity(insert.cols.len());
        for node in insert.cols {
            let (name, location) = target_column(node)?;
            columns.push(name);
            column_positions.push(self.pos(location));
        }
        let source = match insert.select_stmt {
            None => None,
            query => Some(Box::new(self.subquery(query)?)),
        };
        let overriding = match OverridingKind::try_from(insert.r#override) {
            Ok(OverridingKind::OverridingUserValue) => Some(Overriding::User),
            Ok(OverridingKind::OverridingSystemValue) => Some(Overriding::System),
            _ => None,
        };
        let on_conflict = insert.on_conflict_clause.map(|c| self.on_conflict(*c)).transpose()?;
        let returning = self.returning(insert.returning_clause)?;
        Ok(Insert {
            with,
            table,
            alias,
            columns,
            column_positions,
            source,
            overriding,
            on_conflict,
            or: Conflict::Abort,
            returning,
        })
    }

    fn on_conflict(&mut self, clause: protobuf::OnConflictClause) -> Lowered<OnConflict> {
        let mut keys = Vec::new();
        let mut filter = None;
        let mut constraint = None;
        if let Some(infer) = clause.infer {
            let infer = *infer;
            for node in infer.index_elems {
                keys.push(self.conflict_key(node)?);
            }
            filter = self.maybe(infer.where_clause)?;
            constraint = text_of(infer.conname);
        }
        let update = if clause.action == OnConflictAction::OnconflictUpdate as i32 {
            let assignments = self.assignments(clause.target_list)?;
            Some((assignments, self.maybe(clause.where_clause)?))
        } else {
            None
        };
        Ok(OnConflict { keys, filter, constraint, update })
    }

    fn conflict_key(&mut self, node: Node) -> Lowered<Expr> {
        let Some(N::IndexElem(element)) = node.node else { return Err(missing()) };
        let element = *element;
        let expr = match element.expr {
            Some(node) => self.expr(*node)?,
            None => plain_column(element.name, 0),
        };
        Ok(match collation(element.collation, expr.pos)? {
            Some(name) => {
                let pos = expr.pos;
                Expr { kind: ExprKind::Collate(Box::new(expr), name), pos }
            }
            None => expr,
        })
    }

    pub(super) fn update(&mut self, update: protobuf::UpdateStmt) -> Lowered<Update> {
        let with = update.with_clause.map(|with| self.with(with)).transpose()?;
        let mut range = update.relation.ok_or_else(missing)?;
        let alias = range.alias.take().map(|alias| alias.aliasname);
        Ok(Update {
            with,
            table: self.name(&mut range),
            alias,
            assignments: self.assignments(update.target_list)?,
            from: self.from(update.from_clause)?,
            filter: self.maybe(update.where_clause)?,
            returning: self.returning(update.returning_clause)?,
        })
    }

    pub(super) fn delete(&mut self, delete: protobuf::DeleteStmt) -> Lowered<Delete> {
        let with = delete.with_clause.map(|with| self.with(with)).transpose()?;
        let mut range = delete.relation.ok_or_else(missing)?;
        let alias = range.alias.take().map(|alias| alias.aliasname);
        Ok(Delete {
            with,
            table: self.name(&mut range),
            alias,
            using: self.from(delete.using_clause)?,
            filter: self.maybe(delete.where_clause)?,
            returning: self.returning(delete.returning_clause)?,
        })
    }

    fn returning(&mut self, clause: Option<protobuf::ReturningClause>) -> Lowered<Vec<Target>> {
        match clause {
            Some(clause) => {
                self.refuse_returning_options(&clause)?;
                self.targets(clause.exprs)
            }
            None => Ok(Vec::new()),
        }
    }

    /// SET. The tree repeats the source of `(a, b) = …` in each of its columns.
    pub(super) fn assignments(&mut self, nodes: Vec<Node>) -> Lowered<Vec<Assignment>> {
        let mut assignments: Vec<Assignment> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(N::ResTarget(target)) = node.node else { return Err(missing()) };
            let target = *target;
            let element = self.element(target.indirection)?;
            let pos = self.pos(target.location);
            let value = target.val.ok_or_else(missing)?;
            let value = match value.node {
                Some(N::MultiAssignRef(reference)) if reference.colno > 1 => {
                    let group = assignments.last_mut().ok_or_else(missing)?;
                    group.columns.push(target.name);
                    continue;
                }
                Some(N::MultiAssignRef(reference)) => self.some(reference.source)?,
                node => self.expr(Node { node })?,
            };
            assignments.push(Assignment { columns: vec![target.name], element, value, pos });
        }
        Ok(assignments)
    }
}

impl Lower<'_> {
    /// The subscript of an assigned array element, or the bounds of a slice as one of nothing;
    /// fields and further dimensions are refused.
    fn element(&mut self, mut indirection: Vec<Node>) -> Lowered<Option<Box<Expr>>> {
        let refused = Stop::Unsupported("assignment to a field or an inner array");
        let Some(step) = indirection.pop() else { return Ok(None) };
        match step.node {
            Some(N::AIndices(indices)) if indirection.is_empty() && !indices.is_slice => {
                self.boxed(indices.uidx).map(Some)
            }
            Some(N::AIndices(indices)) if indirection.is_empty() => {
                let indices = *indices;
                let lower = indices.lidx.map(|n| self.boxed(Some(n))).transpose()?;
                let upper = indices.uidx.map(|n| self.boxed(Some(n))).transpose()?;
                let nothing = Box::new(Expr { kind: ExprKind::Default, pos: 0 });
                let kind = ExprKind::Subscript { expr: nothing, lower, upper, slice: true };
                Ok(Some(Box::new(Expr { kind, pos: 0 })))
            }
            _ => Err(refused),
        }
    }
}

/// A column of INSERT and its byte location.
pub(super) fn target_column(node: Node) -> Lowered<(String, i32)> {
    match node.node {
        Some(N::ResTarget(target)) if target.indirection.is_empty() => {
            Ok((target.name, target.location))
        }
        Some(N::ResTarget(_)) => {
            Err(Stop::Unsupported("assignment to an array element or a field"))
        }
        _ => Err(missing()),
    }
}
