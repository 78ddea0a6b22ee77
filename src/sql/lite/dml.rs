//! INSERT, REPLACE, UPDATE, DELETE.

use sqlite3_parser::ast::Limit;
use sqlite3_parser::ast::{InsertBody, ResolveType, Set, SortedColumn, Stmt, Upsert, UpsertDo};

use super::expr::bare;
use super::select::name_of;
use super::{Lower, refused};
use crate::error::{Error, Result};
use crate::sql::ast::{self, Conflict, ExprKind};
use crate::sql::stored::unquote;

/// The column under which a row without a name for it is found again.
pub(crate) const ROW: &str = "rowid";

impl Lower {
    pub(super) fn insert(&mut self, statement: &Stmt<'_>) -> Result<ast::Insert> {
        let Stmt::Insert { with, or_conflict, tbl_name, columns, body, returning } = statement
        else {
            return Err(Error::internal("not an INSERT"));
        };
        let with = with.as_ref().map(|w| self.with(w)).transpose()?;
        let mut or = match or_conflict {
            None | Some(ResolveType::Abort) => Conflict::Abort,
            Some(ResolveType::Ignore) => Conflict::Ignore,
            Some(ResolveType::Replace) => Conflict::Replace,
            Some(ResolveType::Fail) => return Err(refused("INSERT OR FAIL")),
            Some(ResolveType::Rollback) => return Err(refused("INSERT OR ROLLBACK")),
        };
        let columns: Vec<String> =
            columns.iter().flat_map(|list| list.iter()).map(|n| unquote(n.0)).collect();
        let (source, on_conflict) = match body {
            InsertBody::DefaultValues => (None, None),
            InsertBody::Select(select, upsert) => {
                let source = Some(Box::new(self.select(select)?));
                (source, upsert.map(|u| self.upsert(u)).transpose()?)
            }
        };
        let on_conflict = match (on_conflict, or) {
            (clause, Conflict::Abort) => clause,
            (None, Conflict::Ignore) => {
                or = Conflict::Abort;
                Some(ast::OnConflict {
                    keys: Vec::new(),
                    filter: None,
                    constraint: None,
                    update: None,
                })
            }
            (None, Conflict::Replace) => None,
            (Some(_), _) => return Err(refused("INSERT OR … together with ON CONFLICT")),
        };
        Ok(ast::Insert {
            with,
            table: name_of(tbl_name),
            alias: tbl_name.alias.as_ref().map(|a| unquote(a.0)),
            column_positions: vec![0; columns.len()],
            columns,
            source,
            overriding: None,
            on_conflict,
            or,
            returning: self.targets(returning.unwrap_or_default())?,
        })
    }

    fn upsert(&mut self, upsert: &Upsert<'_>) -> Result<ast::OnConflict> {
        if upsert.next.is_some() {
            return Err(refused("several ON CONFLICT clauses"));
        }
        let (keys, filter) = match &upsert.index {
            None => (Vec::new(), None),
            Some(index) => {
                let keys =
                    index.targets.iter().map(|k| self.expr(&k.expr)).collect::<Result<_>>()?;
                (keys, index.where_clause.as_ref().map(|e| self.expr(e)).transpose()?)
            }
        };
        let update = match &upsert.do_clause {
            UpsertDo::Nothing => None,
            UpsertDo::Set { .. } if keys.is_empty() => {
                return Err(refused("ON CONFLICT DO UPDATE without its columns"));
            }
            UpsertDo::Set { sets, where_clause } => {
                let filter = where_clause.as_ref().map(|e| self.expr(e)).transpose()?;
                Some((self.assignments(sets)?, filter))
            }
        };
        Ok(ast::OnConflict { keys, filter, constraint: None, update })
    }

    fn assignments(&mut self, sets: &[Set<'_>]) -> Result<Vec<ast::Assignment>> {
        sets.iter()
            .map(|set| {
                let columns = set.col_names.iter().map(|n| unquote(n.0)).collect();
                let value = self.expr(&set.expr)?;
                Ok(ast::Assignment { columns, element: None, value, pos: 0 })
            })
            .collect()
    }

    pub(super) fn update(&mut self, statement: &Stmt<'_>) -> Result<ast::Update> {
        let Stmt::Update {
            with,
            or_conflict,
            tbl_name,
            sets,
            from,
            where_clause,
            returning,
            order_by,
            limit,
            ..
        } = statement
        else {
            return Err(Error::internal("not an UPDATE"));
        };
        if !matches!(or_conflict, None | Some(ResolveType::Abort)) {
            return Err(refused("UPDATE OR …"));
        }
        let with = with.as_ref().map(|w| self.with(w)).transpose()?;
        let assignments = self.assignments(sets)?;
        let from: Vec<ast::TableRef> = match from {
            Some(from) => self.from(from)?.into_iter().collect(),
            None => Vec::new(),
        };
        if limit.is_some() && !from.is_empty() {
            return Err(refused("UPDATE … FROM with LIMIT"));
        }
        let filter = where_clause.as_ref().map(|e| self.expr(e)).transpose()?;
        let (table, alias) = (name_of(tbl_name), tbl_name.alias.as_ref().map(|a| unquote(a.0)));
        let rows = order_by.unwrap_or_default();
        let filter = self.limited(&table, alias.as_deref(), filter, rows, *limit)?;
        let returning = self.targets(returning.unwrap_or_default())?;
        Ok(ast::Update { with, table, alias, assignments, from, filter, returning })
    }

    pub(super) fn delete(&mut self, statement: &Stmt<'_>) -> Result<ast::Delete> {
        let Stmt::Delete { with, tbl_name, where_clause, returning, order_by, limit, .. } =
            statement
        else {
            return Err(Error::internal("not a DELETE"));
        };
        let with = with.as_ref().map(|w| self.with(w)).transpose()?;
        let filter = where_clause.as_ref().map(|e| self.expr(e)).transpose()?;
        let (table, alias) = (name_of(tbl_name), tbl_name.alias.as_ref().map(|a| unquote(a.0)));
        let rows = order_by.unwrap_or_default();
        let filter = self.limited(&table, alias.as_deref(), filter, rows, *limit)?;
        let returning = self.targets(returning.unwrap_or_default())?;
        Ok(ast::Delete { with, table, alias, using: Vec::new(), filter, returning })
    }

    /// `… ORDER BY … LIMIT …` of a change: the rows that a query with them finds.
    fn limited(
        &mut self,
        table: &ast::Name,
        alias: Option<&str>,
        filter: Option<ast::Expr>,
        order_by: &[SortedColumn<'_>],
        limit: Option<&Limit<'_>>,
    ) -> Result<Option<ast::Expr>> {
        if limit.is_none() {
            // Without LIMIT the order changes nothing.
            return Ok(filter);
        }
        let order_by = self.sorts(order_by)?;
        let (limit, offset) = self.limit(limit)?;
        let qualifier = alias.unwrap_or(&table.name).to_owned();
        let row = |q: &str| bare(ExprKind::Column(vec![q.to_owned(), ROW.to_owned()]));
        let alias = alias.map(|a| ast::Alias { name: a.to_owned(), columns: Vec::new() });
        let simple = ast::SimpleSelect {
            targets: vec![ast::Target { expr: row(&qualifier), alias: None }],
            from: vec![ast::TableRef::Table { name: table.clone(), alias }],
            filter,
            ..ast::SimpleSelect::default()
        };
        let query = ast::Select {
            body: ast::SelectBody::Simple(Box::new(simple)),
            order_by,
            limit,
            offset,
            ..ast::Select::default()
        };
        Ok(Some(bare(ExprKind::SubqueryCompare {
            expr: Box::new(row(&qualifier)),
            op: "=".to_owned(),
            query: Box::new(query),
            all: false,
        })))
    }
}
