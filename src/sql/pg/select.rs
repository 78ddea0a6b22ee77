//! Queries: SELECT, VALUES, set operations, FROM, WITH.

use pg_query::protobuf::{
    self, CteMaterialize, JoinType, LimitOption, LockClauseStrength, LockWaitPolicy, SetOperation,
    SortByDir, SortByNulls, node::Node as N,
};

use super::{Lower, Lowered, Stop, missing, strings, text_of};
use crate::error::{Error, state};
use crate::sql::ast::{
    Alias, Cte, Expr, ExprKind, JoinCondition, JoinKind, Locking, OrderItem, Select, SelectBody,
    SetOp, SimpleSelect, TableRef, Target, With,
};

type Node = protobuf::Node;

impl Lower<'_> {
    /// A query in parentheses.
    pub(super) fn subquery(&mut self, node: Option<Box<Node>>) -> Lowered<Select> {
        match node.and_then(|node| node.node) {
            Some(N::SelectStmt(select)) => self.select(*select),
            _ => Err(missing()),
        }
    }

    /// A query. SELECT INTO has been taken out before where it is allowed.
    pub(super) fn select(&mut self, select: protobuf::SelectStmt) -> Lowered<Select> {
        self.nested(|lower| lower.select_here(select))
    }

    fn select_here(&mut self, mut select: protobuf::SelectStmt) -> Lowered<Select> {
        if let Some(into) = select.into_clause {
            let pos = into.rel.map_or(0, |rel| self.pos(rel.location));
            let error =
                Error::client(state::SYNTAX_ERROR, "SELECT ... INTO is not allowed here").at(pos);
            return Err(Stop::Error(error));
        }
        let with = select.with_clause.take().map(|with| self.with(with)).transpose()?;
        let order = std::mem::take(&mut select.sort_clause);
        let limit = select.limit_count.take();
        let offset = select.limit_offset.take();
        let with_ties = select.limit_option == LimitOption::WithTies as i32;
        let locking = std::mem::take(&mut select.locking_clause);
        let body = self.body(select)?;
        Ok(Select {
            with,
            body,
            order_by: self.order_by(order)?,
            limit: self.limit(limit)?,
            with_ties,
            offset: self.maybe(offset)?,
            locking: locking.into_iter().map(|node| self.locking(node)).collect::<Lowered<_>>()?,
        })
    }

    fn body(&mut self, select: protobuf::SelectStmt) -> Lowered<SelectBody> {
        let op = match SetOperation::try_from(select.op).unwrap_or(SetOperation::Undefined) {
            SetOperation::SetopUnion => SetOp::Union,
            SetOperation::SetopIntersect => SetOp::Intersect,
            SetOperation::SetopExcept => SetOp::Except,
            SetOperation::SetopNone | SetOperation::Undefined if select.values_lists.is_empty() => {
                return Ok(SelectBody::Simple(Box::new(self.simple(select)?)));
            }
            SetOperation::SetopNone | SetOperation::Undefined => {
                return self.values(select.values_lists);
            }
        };
        let left = Box::new(self.select(*select.larg.ok_or_else(missing)?)?);
        let right = Box::new(self.select(*select.rarg.ok_or_else(missing)?)?);
        Ok(SelectBody::SetOperation { op, all: select.all, left, right })
    }

    fn values(&mut self, lists: Vec<Node>) -> Lowered<SelectBody> {
        let mut rows = Vec::with_capacity(lists.len());
        for list in lists {
            let Some(N::List(list)) = list.node else { return Err(missing()) };
            rows.push(self.exprs(list.items)?);
        }
        Ok(SelectBody::Values(rows))
    }

    fn simple(&mut self, select: protobuf::SelectStmt) -> Lowered<SimpleSelect> {
        if select.group_distinct {
            return Err(Stop::Unsupported("GROUP BY DISTINCT"));
        }
        Ok(SimpleSelect {
            distinct: self.distinct(select.distinct_clause)?,
            targets: self.targets(select.target_list)?,
            from: self.from(select.from_clause)?,
            filter: self.maybe(select.where_clause)?,
            group_by: self.exprs(select.group_clause)?,
            having: self.maybe(select.having_clause)?,
            windows: select
                .window_clause
                .into_iter()
                .map(|node| self.named_window(node))
                .collect::<Lowered<_>>()?,
        })
    }

    /// DISTINCT without ON is a list with one empty node.
    fn distinct(&mut self, nodes: Vec<Node>) -> Lowered<Option<Vec<Expr>>> {
        if nodes.is_empty() {
            return Ok(None);
        }
        let nodes = nodes.into_iter().filter(|node| node.node.is_some()).collect();
        self.exprs(nodes).map(Some)
    }

    /// A select list or RETURNING list.
    pub(super) fn targets(&mut self, nodes: Vec<Node>) -> Lowered<Vec<Target>> {
        let mut targets = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(N::ResTarget(target)) = node.node else { return Err(missing()) };
            let target = *target;
            targets.push(Target { alias: text_of(target.name), expr: self.some(target.val)? });
        }
        Ok(targets)
    }

    /// ORDER BY.
    pub(super) fn order_by(&mut self, nodes: Vec<Node>) -> Lowered<Vec<OrderItem>> {
        nodes.into_iter().map(|node| self.order_item(node)).collect()
    }

    fn order_item(&mut self, node: Node) -> Lowered<OrderItem> {
        let Some(N::SortBy(sort)) = node.node else { return Err(missing()) };
        let sort = *sort;
        if sort.sortby_dir == SortByDir::SortbyUsing as i32 {
            return Err(Stop::Unsupported("ORDER BY … USING"));
        }
        Ok(OrderItem {
            expr: self.some(sort.node)?,
            descending: sort.sortby_dir == SortByDir::SortbyDesc as i32,
            nulls_first: nulls_first(sort.sortby_nulls),
        })
    }

    /// LIMIT ALL is a NULL constant.
    fn limit(&mut self, node: Option<Box<Node>>) -> Lowered<Option<Expr>> {
        match node.as_ref().and_then(|node| node.node.as_ref()) {
            Some(N::AConst(c)) if c.isnull => Ok(None),
            _ => self.maybe(node),
        }
    }

    fn locking(&mut self, node: Node) -> Lowered<Locking> {
        let Some(N::LockingClause(lock)) = node.node else { return Err(missing()) };
        let tables = self.relations(lock.locked_rels)?;
        Ok(Locking {
            update: lock.strength == LockClauseStrength::LcsForupdate as i32
                || lock.strength == LockClauseStrength::LcsFornokeyupdate as i32,
            tables: tables.into_iter().map(|name| name.name).collect(),
            nowait: lock.wait_policy == LockWaitPolicy::LockWaitError as i32,
            skip_locked: lock.wait_policy == LockWaitPolicy::LockWaitSkip as i32,
        })
    }

    /// WITH
    pub(super) fn with(&mut self, with: protobuf::WithClause) -> Lowered<With> {
        let ctes = with.ctes.into_iter().map(|node| self.cte(node)).collect::<Lowered<_>>()?;
        Ok(With { recursive: with.recursive, ctes })
    }

    fn cte(&mut self, node: Node) -> Lowered<Cte> {
        let Some(N::CommonTableExpr(cte)) = node.node else { return Err(missing()) };
        let cte = *cte;
        if cte.search_clause.is_some() {
            return Err(Stop::Unsupported("SEARCH in WITH RECURSIVE"));
        }
        if cte.cycle_clause.is_some() {
            return Err(Stop::Unsupported("CYCLE in WITH RECURSIVE"));
        }
        let materialized = match CteMaterialize::try_from(cte.ctematerialized) {
            Ok(CteMaterialize::Always) => Some(true),
            Ok(CteMaterialize::Never) => Some(false),
            _ => None,
        };
        Ok(Cte {
            name: cte.ctename,
            columns: strings(cte.aliascolnames),
            materialized,
            query: Box::new(self.nested_statement(cte.ctequery)?),
            pos: self.pos(cte.location),
        })
    }

    /// FROM or USING.
    pub(super) fn from(&mut self, nodes: Vec<Node>) -> Lowered<Vec<TableRef>> {
        nodes.into_iter().map(|node| self.table_ref(node)).collect()
    }

    pub(super) fn table_ref(&mut self, node: Node) -> Lowered<TableRef> {
        self.nested(|lower| match node.node {
            Some(N::RangeVar(mut range)) => {
                let name = lower.name(&mut range);
                Ok(TableRef::Table { name, alias: range.alias.map(alias) })
            }
            Some(N::RangeSubselect(sub)) => lower.derived(*sub),
            Some(N::RangeFunction(function)) => lower.table_function(function),
            Some(N::JoinExpr(join)) => lower.join(*join),
            Some(N::RangeTableSample(_)) => Err(Stop::Unsupported("TABLESAMPLE")),
            Some(N::RangeTableFunc(_)) => Err(Stop::Unsupported("XMLTABLE")),
            Some(N::JsonTable(_)) => Err(Stop::Unsupported("JSON_TABLE")),
            _ => Err(missing()),
        })
    }

    fn derived(&mut self, sub: protobuf::RangeSubselect) -> Lowered<TableRef> {
        let query = Box::new(self.subquery(sub.subquery)?);
        let pos = self.first_position(&query);
        let Some(name) = sub.alias else {
            return Err(Stop::Error(Self::without_alias(&query, pos)));
        };
        Ok(TableRef::Subquery { query, alias: Some(alias(name)), lateral: sub.lateral, pos })
    }

    fn table_function(&mut self, function: protobuf::RangeFunction) -> Lowered<TableRef> {
        if function.functions.len() > 1 {
            return self.rows_from(function);
        }
        let first = function.functions.into_iter().next().ok_or_else(missing)?;
        let Some(N::List(list)) = first.node else { return Err(missing()) };
        let mut parts = list.items.into_iter();
        let call = Box::new(self.expr(parts.next().ok_or_else(missing)?)?);
        let own = match parts.next().and_then(|node| node.node) {
            Some(N::List(list)) => list.items,
            _ => Vec::new(),
        };
        let definitions = if function.coldeflist.is_empty() { own } else { function.coldeflist };
        let mut columns = Vec::with_capacity(definitions.len());
        for node in definitions {
            let Some(N::ColumnDef(column)) = node.node else { return Err(missing()) };
            columns.push((column.colname, self.some_type(column.type_name)?));
        }
        Ok(TableRef::Function {
            call,
            alias: function.alias.map(alias),
            lateral: function.lateral,
            ordinality: function.ordinality,
            columns,
        })
    }

    /// ROWS FROM (f(…), g(…)): the calls as one row.
    fn rows_from(&mut self, function: protobuf::RangeFunction) -> Lowered<TableRef> {
        let mut calls = Vec::with_capacity(function.functions.len());
        for node in function.functions {
            let Some(N::List(list)) = node.node else { return Err(missing()) };
            let mut parts = list.items.into_iter();
            calls.push(self.expr(parts.next().ok_or_else(missing)?)?);
            if matches!(parts.next().and_then(|n| n.node), Some(N::List(l)) if !l.items.is_empty())
            {
                return Err(Stop::Unsupported("a column definition list in ROWS FROM"));
            }
        }
        let pos = calls.first().map_or(0, |c| c.pos);
        Ok(TableRef::Function {
            call: Box::new(Expr { kind: ExprKind::Row(calls), pos }),
            alias: function.alias.map(alias),
            lateral: function.lateral,
            ordinality: function.ordinality,
            columns: Vec::new(),
        })
    }

    fn join(&mut self, join: protobuf::JoinExpr) -> Lowered<TableRef> {
        if join.join_using_alias.is_some() {
            return Err(Stop::Unsupported("an alias of JOIN … USING"));
        }
        let left = Box::new(self.table_ref(*join.larg.ok_or_else(missing)?)?);
        let right = Box::new(self.table_ref(*join.rarg.ok_or_else(missing)?)?);
        let condition = if join.is_natural {
            JoinCondition::Natural
        } else if !join.using_clause.is_empty() {
            JoinCondition::Using(strings(join.using_clause))
        } else {
            self.maybe(join.quals)?.map_or(JoinCondition::None, JoinCondition::On)
        };
        let kind = match JoinType::try_from(join.jointype).unwrap_or(JoinType::Undefined) {
            JoinType::JoinLeft => JoinKind::Left,
            JoinType::JoinRight => JoinKind::Right,
            JoinType::JoinFull => JoinKind::Full,
            JoinType::JoinInner if condition == JoinCondition::None => JoinKind::Cross,
            JoinType::JoinInner => JoinKind::Inner,
            _ => return Err(missing()),
        };
        Ok(TableRef::Join { kind, left, right, condition, alias: join.alias.map(alias) })
    }
}

/// AS name (columns)
pub(super) fn alias(alias: protobuf::Alias) -> Alias {
    Alias { name: alias.aliasname, columns: strings(alias.colnames) }
}

/// NULLS FIRST or LAST, when written.
pub(super) fn nulls_first(nulls: i32) -> Option<bool> {
    match SortByNulls::try_from(nulls) {
        Ok(SortByNulls::SortbyNullsFirst) => Some(true),
        Ok(SortByNulls::SortbyNullsLast) => Some(false),
        _ => None,
    }
}
