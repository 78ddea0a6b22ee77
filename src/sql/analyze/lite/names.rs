//! Names by SQLite's rules: without case, with rowid, with the select list's aliases.

use super::super::scope::{Item, at};
use super::Analyzer;
use crate::error::{Error, Result, state};
use crate::schema::Relation;
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::lite::ROW;

/// SQLite's names of the row's number.
fn is_rowid(name: &str) -> bool {
    ["rowid", "oid", "_rowid_"].iter().any(|n| n.eq_ignore_ascii_case(name))
}

impl Analyzer<'_> {
    /// A column as SQLite resolves it.
    pub(super) fn lite_column(&mut self, parts: &[String]) -> Result<Expr> {
        let spelled = self.spelled(parts);
        if spelled.last().is_some_and(|n| n == ROW) {
            return self.row_identity(&spelled);
        }
        let error = match self.column(&spelled, 0) {
            Ok(found) => return Ok(found.expr),
            Err(error) if error.sqlstate() == state::UNDEFINED_COLUMN => error,
            Err(error) => return Err(error),
        };
        let name = spelled.last().map_or("", String::as_str);
        if is_rowid(name) {
            return self.rowid(&spelled);
        }
        if let [name] = spelled.as_slice()
            && let Some(aliased) = self.aliased(name)
        {
            // Not visible to itself.
            let aliases = std::mem::take(&mut self.level().aliases);
            let result = self.expr(&aliased);
            self.level().aliases = aliases;
            return result;
        }
        Err(error)
    }

    /// Where a plain column of the select list comes from.
    pub(in super::super) fn lite_target(&mut self, parts: &[String]) -> Result<(Expr, (u32, i16))> {
        let spelled = self.spelled(parts);
        if let Ok(found) = self.column(&spelled, 0) {
            return Ok((found.expr, found.origin));
        }
        let expr = self.lite_column(parts)?;
        Ok((expr, (0, 0)))
    }

    fn aliased(&mut self, name: &str) -> Option<ast::Expr> {
        let aliases = &self.level().aliases;
        aliases.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, e)| e.clone())
    }

    /// A column reference in the spelling of what it names.
    pub(in super::super) fn spelled(&self, parts: &[String]) -> Vec<String> {
        let mut out = parts.to_vec();
        let Some((name, qualifiers)) = out.split_last_mut() else { return out };
        if let Some(table) = qualifiers.last_mut() {
            let names = || self.visible_levels().flat_map(|(_, l)| &l.items);
            let named = |i: &&Item| i.name.as_deref() == Some(table.as_str());
            if !names().any(|i| named(&i))
                && let Some(found) = names()
                    .filter_map(|i| i.name.as_deref())
                    .find(|n| n.eq_ignore_ascii_case(table))
            {
                *table = found.to_owned();
            }
        }
        let table = qualifiers.last();
        for (_, level) in self.visible_levels() {
            let items = level.items.iter().filter(|i| table.is_none() || i.name.as_ref() == table);
            let mut columns = items.flat_map(|i| &i.columns).map(|c| &c.name);
            if columns.clone().any(|n| n == name) {
                return out;
            }
            if let Some(found) = columns.find(|n| n.eq_ignore_ascii_case(name)) {
                name.clone_from(found);
                return out;
            }
        }
        out
    }

    /// The relation that a reference to its row means.
    fn row_relation(&self, parts: &[String]) -> Result<(u32, std::sync::Arc<Relation>)> {
        let table = parts.len().checked_sub(2).and_then(|i| parts.get(i));
        for (_, level) in self.visible_levels() {
            let mut found = level
                .items
                .iter()
                .filter(|i| i.relation.is_some() && (table.is_none() || i.name.as_ref() == table));
            if let Some(item) = found.next() {
                if found.next().is_some() {
                    let message = "ambiguous column name: rowid";
                    return Err(Error::client(state::AMBIGUOUS_COLUMN, message));
                }
                if let Some((rel, relation)) = &item.relation {
                    return Ok((*rel, relation.clone()));
                }
            }
        }
        Err(Error::client(state::UNDEFINED_COLUMN, "no such column: rowid"))
    }

    /// rowid: the INTEGER PRIMARY KEY; other tables have no such value on PostgreSQL.
    fn rowid(&mut self, parts: &[String]) -> Result<Expr> {
        let (rel, relation) = self.row_relation(parts)?;
        match relation.rowid_alias {
            Some(index) => Ok(column(rel, &relation, index)),
            None => Err(Error::unsupported(format_args!(
                "rowid of \"{}\", which has no INTEGER PRIMARY KEY",
                relation.name
            ))
            .hint("Use the table's own key.")),
        }
    }

    /// The one column that tells a table's rows apart.
    fn row_identity(&mut self, parts: &[String]) -> Result<Expr> {
        let (rel, relation) = self.row_relation(parts)?;
        match (relation.rowid_alias, relation.key()) {
            (Some(index), _) | (None, Some(&[index])) => Ok(column(rel, &relation, index)),
            _ => Err(Error::unsupported(format_args!(
                "LIMIT in a change of \"{}\", whose rows have no key of one column",
                relation.name
            ))),
        }
    }

    /// A table's name in the spelling of the table.
    pub(in super::super) fn lite_table(&self, name: &ast::Name) -> ast::Name {
        let mut name = name.clone();
        let known = |n: &str| self.find_relation(name.schema.as_deref(), n).is_some();
        if self.find_cte(&name.name).is_some() || known(&name.name) {
            return name;
        }
        let ctes = self.visible_levels().flat_map(|(_, l)| l.ctes.iter()).map(|c| &c.name);
        let tables = self.context.catalog.relations.keys().chain(self.context.temporary.keys());
        let found = ctes.chain(tables).find(|n| n.eq_ignore_ascii_case(&name.name)).cloned();
        if let Some(found) = found {
            name.name = found;
        }
        name
    }

    /// A table's column by name.
    pub(in super::super) fn column_of(&self, relation: &Relation, name: &str) -> Option<usize> {
        let exact = relation.column(name);
        if exact.is_some() || !self.lite {
            return exact;
        }
        let found = relation.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
        found.or_else(|| relation.rowid_alias.filter(|_| is_rowid(name)))
    }
}

fn column(rel: u32, relation: &Relation, index: usize) -> Expr {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let ty = relation.columns[index].ty;
    at(Expr { kind: ExprKind::Column(rel, number), ty, pos: 0 }, 0)
}
