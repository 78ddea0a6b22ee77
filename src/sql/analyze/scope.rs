//! Which names are visible where, and what a column reference means.
//!
//! Owns the stack of query levels and PostgreSQL's visibility rules (JOIN aliases, LATERAL,
//! outer queries). It must never type an expression. Start at [`Level`].

use std::rc::Rc;
use std::sync::Arc;

use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::Relation;
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind, Output};
use crate::value::{Cell, Type, oid};

/// attnum of the system column `tableoid`.
const TABLEOID: i16 = -6;

/// Which part of a statement is being analysed: decides what may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Place {
    #[default]
    Target,
    Where,
    JoinOn,
    FromFunction,
    Having,
    GroupBy,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    Values,
    UpdateSource,
    Returning,
    Filter,
    WindowPartition,
    WindowOrder,
    Stored,
}

impl Place {
    /// Its name in "aggregate functions are not allowed in …".
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Target => "SELECT",
            Self::Where => "WHERE",
            Self::JoinOn => "JOIN conditions",
            Self::FromFunction => "functions in FROM",
            Self::Having => "HAVING",
            Self::GroupBy => "GROUP BY",
            Self::OrderBy => "ORDER BY",
            Self::DistinctOn => "DISTINCT ON",
            Self::Limit => "LIMIT",
            Self::Offset => "OFFSET",
            Self::Values => "VALUES",
            Self::UpdateSource => "UPDATE",
            Self::Returning => "RETURNING",
            Self::Filter => "FILTER",
            Self::WindowPartition => "window PARTITION BY",
            Self::WindowOrder => "window ORDER BY",
            Self::Stored => "stored expressions",
        }
    }

    pub(super) fn allows_aggregates(self) -> bool {
        matches!(
            self,
            Self::Target
                | Self::Having
                | Self::OrderBy
                | Self::DistinctOn
                | Self::WindowPartition
                | Self::WindowOrder
        )
    }

    pub(super) fn allows_windows(self) -> bool {
        matches!(self, Self::Target | Self::OrderBy | Self::DistinctOn)
    }

    pub(super) fn allows_sets(self) -> bool {
        matches!(self, Self::Target | Self::OrderBy | Self::GroupBy | Self::DistinctOn)
    }
}

/// One query being analysed.
#[derive(Default)]
pub(super) struct Level {
    pub(super) items: Vec<Item>,
    pub(super) ctes: Vec<Rc<CteInfo>>,
    /// Items of the FROM list under construction may be used (LATERAL).
    pub(super) lateral: bool,
    /// Expressions are evaluated once for each row of something.
    pub(super) per_row: bool,
    pub(super) place: Place,
    pub(super) aggregates: bool,
    pub(super) windows_used: bool,
    /// Set-returning calls seen in the select list.
    pub(super) sets: usize,
    /// Inside an aggregate's arguments.
    pub(super) in_aggregate: bool,
    /// Inside a window function's arguments.
    pub(super) in_window: bool,
    pub(super) windows: Vec<(String, ast::Window)>,
    /// SQLite: names of the select list, visible where no column has the name.
    pub(super) aliases: Vec<(String, ast::Expr)>,
    /// A barrier: outer levels are not visible (an expanded view).
    pub(super) sealed: bool,
}

/// What a CTE looks like to those who use it.
#[derive(Debug)]
pub(super) struct CteInfo {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) columns: Vec<Output>,
}

/// An entry of FROM as names see it.
#[derive(Clone)]
pub(super) struct Item {
    /// Alias or table name; None for an unnamed join.
    pub(super) name: Option<String>,
    /// Schema, when the table is used under its own name.
    pub(super) schema: Option<String>,
    pub(super) columns: Vec<Column>,
    /// The relation number and catalog entry of a base table.
    pub(super) relation: Option<(u32, Arc<Relation>)>,
    /// A function with one scalar result: its name alone is its value.
    pub(super) scalar: bool,
    pub(super) rel_visible: bool,
    pub(super) cols_visible: bool,
    /// Only visible to LATERAL items.
    pub(super) lateral_only: bool,
    pub(super) lateral_ok: bool,
    /// The table that the statement writes.
    pub(super) target: bool,
}

/// A column as names see it.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) expr: Expr,
    pub(super) origin: (u32, i16),
}

impl Item {
    pub(super) fn new(name: Option<String>, columns: Vec<Column>) -> Self {
        Self {
            name,
            schema: None,
            columns,
            relation: None,
            scalar: false,
            rel_visible: true,
            cols_visible: true,
            lateral_only: false,
            lateral_ok: true,
            target: false,
        }
    }
}

/// What a column reference resolved to.
pub(super) struct Resolved {
    pub(super) expr: Expr,
    pub(super) origin: (u32, i16),
}

impl Analyzer<'_> {
    pub(super) fn push_level(&mut self) {
        self.levels.push(Level::default());
    }

    pub(super) fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// Runs `inner` with the current level at `place`.
    pub(super) fn at_place<T>(
        &mut self,
        place: Place,
        inner: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = std::mem::replace(&mut self.level().place, place);
        let result = inner(self);
        self.level().place = before;
        result
    }

    /// Whether an expression here is evaluated once per execution.
    pub(super) fn once(&self) -> bool {
        self.freeze && !self.levels.iter().any(|l| l.per_row)
    }

    /// Levels visible from here, innermost first, with their index.
    pub(super) fn visible_levels(&self) -> impl Iterator<Item = (usize, &Level)> {
        let floor = self.levels.iter().rposition(|l| l.sealed).unwrap_or(0);
        self.levels.iter().enumerate().skip(floor).rev()
    }

    /// The CTE an unqualified table name means.
    pub(super) fn find_cte(&self, name: &str) -> Option<Rc<CteInfo>> {
        self.visible_levels()
            .find_map(|(_, level)| level.ctes.iter().rev().find(|c| c.name == name))
            .map(Rc::clone)
    }

    /// Resolves a column reference of one to three parts.
    pub(super) fn column(&mut self, parts: &[String], pos: u32) -> Result<Resolved> {
        match parts {
            [name] => self.unqualified(name, pos),
            [table, name] => self.qualified(None, table, name, pos),
            [schema, table, name] | [_, schema, table, name] => {
                self.qualified(Some(schema), table, name, pos)
            }
            _ => Err(errors::too_many_dots(parts, pos)),
        }
    }

    fn unqualified(&self, name: &str, pos: u32) -> Result<Resolved> {
        for (_, level) in self.visible_levels() {
            let mut found: Option<Resolved> = None;
            for item in level.items.iter().filter(|i| i.cols_visible) {
                if item.lateral_only && !level.lateral {
                    continue;
                }
                let Some(hit) = item_column(item, name, pos)? else { continue };
                if found.is_some() {
                    return Err(errors::ambiguous_column(name, pos));
                }
                check_lateral(item, pos)?;
                found = Some(hit);
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
        for (_, level) in self.visible_levels() {
            let visible = |i: &&Item| {
                i.rel_visible
                    && i.name.as_deref() == Some(name)
                    && (!i.lateral_only || level.lateral)
            };
            if let Some(item) = level.items.iter().find(visible) {
                return match item.columns.as_slice() {
                    [only] if item.scalar => {
                        Ok(Resolved { expr: at(only.expr.clone(), pos), origin: (0, 0) })
                    }
                    _ => Err(errors::whole_row(name, pos)),
                };
            }
        }
        Err(self.explain_missing(errors::undefined_column(name, pos), None, name))
    }

    fn qualified(
        &self,
        schema: Option<&str>,
        table: &str,
        name: &str,
        pos: u32,
    ) -> Result<Resolved> {
        let Some(item) = self.find_item(schema, table, pos)? else {
            return Err(self.missing_table(table, pos));
        };
        match item_column(item, name, pos)? {
            Some(hit) => {
                let same = item.columns.iter().filter(|c| c.name == name).count();
                if same > 1 {
                    return Err(errors::ambiguous_column(name, pos));
                }
                Ok(hit)
            }
            None => {
                let error = errors::undefined_qualified_column(table, name, pos);
                Err(self.explain_missing(error, Some(table), name))
            }
        }
    }

    /// The visible item of that name, nearest level first.
    pub(super) fn find_item(
        &self,
        schema: Option<&str>,
        table: &str,
        pos: u32,
    ) -> Result<Option<&Item>> {
        for (_, level) in self.visible_levels() {
            let mut found: Option<&Item> = None;
            for item in level.items.iter().filter(|i| i.rel_visible) {
                if item.lateral_only && !level.lateral {
                    continue;
                }
                let fits = item.name.as_deref() == Some(table)
                    && (schema.is_none() || item.schema.as_deref() == schema);
                if !fits {
                    continue;
                }
                if found.is_some() {
                    let message = format!("table reference \"{table}\" is ambiguous");
                    return Err(errors::client(state::AMBIGUOUS_ALIAS, pos, message));
                }
                check_lateral(item, pos)?;
                found = Some(item);
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// 42P01 for a qualifier that names nothing visible.
    pub(super) fn missing_table(&self, table: &str, pos: u32) -> Error {
        let all = || self.visible_levels().flat_map(|(_, l)| l.items.iter());
        let invalid = format!("invalid reference to FROM-clause entry for table \"{table}\"");
        if all().any(|i| i.name.as_deref() == Some(table)) {
            return errors::client(state::UNDEFINED_TABLE, pos, invalid).hint(format!(
                "There is an entry for table \"{table}\", but it cannot be referenced from this \
                 part of the query."
            ));
        }
        let renamed = all().find(|i| {
            i.relation.as_ref().is_some_and(|(_, r)| r.bare() == table) && i.name.is_some()
        });
        if let Some(alias) = renamed.and_then(|i| i.name.as_deref()) {
            return errors::client(state::UNDEFINED_TABLE, pos, invalid)
                .hint(format!("Perhaps you meant to reference the table alias \"{alias}\"."));
        }
        let message = format!("missing FROM-clause entry for table \"{table}\"");
        errors::client(state::UNDEFINED_TABLE, pos, message)
    }

    /// Adds PostgreSQL's hint or detail about what may have been meant.
    fn explain_missing(&self, error: Error, table: Option<&str>, name: &str) -> Error {
        let mut best: Vec<String> = Vec::new();
        let mut best_distance = usize::MAX;
        for (_, level) in self.visible_levels() {
            for item in &level.items {
                let Some(item_name) = &item.name else { continue };
                if table.is_none()
                    && (!item.cols_visible || item.lateral_only && !level.lateral)
                    && item.columns.iter().any(|c| c.name == name)
                    && !level.items.iter().any(|i| i.name.is_none())
                {
                    return error.hint(format!(
                        "There is a column named \"{name}\" in table \"{item_name}\", but it \
                         cannot be referenced from this part of the query."
                    ));
                }
                if table.is_some_and(|t| t != item_name) {
                    continue;
                }
                for column in &item.columns {
                    let distance = strsim::levenshtein(&column.name, name);
                    if distance > 3 || distance > name.chars().count() / 2 {
                        continue;
                    }
                    if distance < best_distance {
                        best.clear();
                        best_distance = distance;
                    }
                    if distance == best_distance {
                        best.push(format!("\"{item_name}.{}\"", column.name));
                    }
                }
            }
        }
        match best.as_slice() {
            [one] => error.hint(format!("Perhaps you meant to reference the column {one}.")),
            [one, two] => error.hint(format!(
                "Perhaps you meant to reference the column {one} or the column {two}."
            )),
            _ => error,
        }
    }
}

fn check_lateral(item: &Item, pos: u32) -> Result<()> {
    if item.lateral_ok {
        return Ok(());
    }
    let name = item.name.as_deref().unwrap_or("");
    let message = format!("invalid reference to FROM-clause entry for table \"{name}\"");
    let error = errors::client(state::INVALID_COLUMN_REFERENCE, pos, message);
    if item.target {
        return Err(error.hint(format!(
            "There is an entry for table \"{name}\", but it cannot be referenced from this part \
             of the query."
        )));
    }
    Err(error.detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."))
}

/// A column of one item by name, `tableoid` included; duplicates are an error.
fn item_column(item: &Item, name: &str, pos: u32) -> Result<Option<Resolved>> {
    let mut hits = item.columns.iter().filter(|c| c.name == name);
    if let Some(hit) = hits.next() {
        if hits.next().is_some() {
            return Err(errors::ambiguous_column(name, pos));
        }
        return Ok(Some(Resolved { expr: at(hit.expr.clone(), pos), origin: hit.origin }));
    }
    let Some((_, relation)) = &item.relation else { return Ok(None) };
    match name {
        "tableoid" => Ok(Some(Resolved {
            expr: Expr {
                kind: ExprKind::Const(Cell::Integer(i64::from(relation.oid))),
                ty: Type::new(oid::OID),
                pos,
            },
            origin: (relation.oid, TABLEOID),
        })),
        "ctid" | "xmin" | "xmax" | "cmin" | "cmax" => {
            Err(Error::unsupported(format!("system column \"{name}\"")).at(pos))
        }
        _ => Ok(None),
    }
}

/// The expression at another position.
pub(super) fn at(mut expr: Expr, pos: u32) -> Expr {
    expr.pos = pos;
    expr
}
