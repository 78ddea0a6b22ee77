//! MERGE.

use pg_query::protobuf::{self, CmdType, MergeMatchKind, OverridingKind, node::Node as N};

use super::dml::target_column;
use super::{Lower, Lowered, missing};
use crate::sql::ast::{Merge, MergeAction, Overriding, When};

impl Lower<'_> {
    pub(super) fn merge(&mut self, merge: protobuf::MergeStmt) -> Lowered<Merge> {
        let with = merge.with_clause.map(|with| self.with(with)).transpose()?;
        let mut range = merge.relation.ok_or_else(missing)?;
        let alias = range.alias.take().map(|alias| alias.aliasname);
        let table = self.name(&mut range);
        let source = self.table_ref(*merge.source_relation.ok_or_else(missing)?)?;
        let on = self.some(merge.join_condition)?;
        let mut clauses = Vec::with_capacity(merge.merge_when_clauses.len());
        for node in merge.merge_when_clauses {
            let Some(N::MergeWhenClause(clause)) = node.node else { return Err(missing()) };
            clauses.push(self.merge_when(*clause)?);
        }
        Ok(Merge { with, table, alias, source, on, clauses })
    }

    fn merge_when(&mut self, clause: protobuf::MergeWhenClause) -> Lowered<When> {
        let matched = match MergeMatchKind::try_from(clause.match_kind) {
            Ok(MergeMatchKind::MergeWhenMatched) => true,
            Ok(MergeMatchKind::MergeWhenNotMatchedByTarget) => false,
            _ => return Err(self.refuse_word(-1, "by")),
        };
        let condition = self.maybe(clause.condition)?;
        let action = match CmdType::try_from(clause.command_type) {
            Ok(CmdType::CmdNothing) => MergeAction::Nothing,
            Ok(CmdType::CmdUpdate) => MergeAction::Update(self.assignments(clause.target_list)?),
            Ok(CmdType::CmdDelete) => MergeAction::Delete,
            Ok(CmdType::CmdInsert) => {
                let mut columns = Vec::with_capacity(clause.target_list.len());
                for node in clause.target_list {
                    let (name, location) = target_column(node)?;
                    columns.push((name, self.pos(location)));
                }
                let overriding = match OverridingKind::try_from(clause.r#override) {
                    Ok(OverridingKind::OverridingUserValue) => Some(Overriding::User),
                    Ok(OverridingKind::OverridingSystemValue) => Some(Overriding::System),
                    _ => None,
                };
                MergeAction::Insert { columns, overriding, values: self.exprs(clause.values)? }
            }
            _ => return Err(missing()),
        };
        Ok(When { matched, condition, action })
    }
}
