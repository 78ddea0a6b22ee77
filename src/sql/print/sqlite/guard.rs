//! What SQLite does not refuse by itself: CHECK constraints that only the plan can
//! enforce, and a second touch of one row by INSERT … ON CONFLICT DO UPDATE.
//!
//! A guard wraps one value that is written: it is evaluated for exactly the rows that are.

use super::Value;
use super::codec::{Class, comparable};
use super::names::{Column, Printer, Rel};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::ir::{Expr, ExprKind, InDomain};

/// The relation number that stored expressions use for their own table.
const OWN: u32 = 0;

impl Printer {
    /// `written` under every check of the table; `new` is the new row, column by column,
    /// None where the plan does not know the value.
    pub(super) fn checked(
        &mut self,
        table: &Relation,
        written: String,
        new: &[Option<Value>],
    ) -> Result<String> {
        if self.checks.is_empty() {
            return Ok(written);
        }
        let checks = std::mem::take(&mut self.checks);
        let columns = new
            .iter()
            .zip(&table.columns)
            .map(|(value, column)| Column {
                name: value.as_ref().map_or_else(|| "NULL".to_owned(), |v| v.sql.clone()),
                codec: column.codec,
                ty: column.ty,
                collated: column.collation.is_some(),
                not_null: false,
            })
            .collect();
        let former = self.rels.insert(OWN, Rel { qualifier: String::new(), columns });
        let wrapped = self.wrap(table, written, &checks, new);
        match former {
            Some(former) => self.rels.insert(OWN, former),
            None => self.rels.remove(&OWN),
        };
        self.checks = checks;
        wrapped
    }

    /// A value under a domain's constraints, NOT NULL first.
    pub(super) fn in_domain(&mut self, domain: &InDomain) -> Result<String> {
        let text = |s: &str| format!("'{}'", s.replace('\'', "''"));
        let mut sql = self.logical(&domain.value)?;
        let name = text(&domain.name);
        if domain.not_null {
            sql = format!("pg_domain_required({sql}, {name})");
        }
        for (rule, condition) in &domain.conditions {
            let condition = self.logical(condition)?;
            sql = format!("pg_in_domain({sql}, {condition}, {name}, {})", text(rule));
        }
        Ok(sql)
    }

    fn wrap(
        &mut self,
        table: &Relation,
        written: String,
        checks: &[super::Enforced],
        new: &[Option<Value>],
    ) -> Result<String> {
        let mut sql = written;
        for check in checks {
            if unknown(&check.condition, new) {
                return Err(Error::unsupported(format_args!(
                    "a value SQLite computes under check constraint \"{}\"",
                    check.name
                )));
            }
            let condition = self.logical(&check.condition)?;
            let text = |s: &str| format!("'{}'", s.replace('\'', "''"));
            if let Some(upper) = check.folds {
                let name = text(&check.name);
                sql = format!("pg_folds({sql}, {condition}, {}, {name})", u8::from(upper));
                continue;
            }
            sql = format!(
                "pg_checked({sql}, {condition}, {}, {})",
                text(&table.name),
                text(&check.name)
            );
        }
        Ok(sql)
    }
}

/// A value for the column that is SQLite's rowid, refused when it is NULL; others as they are.
pub(super) fn required(table: &Relation, index: usize, sql: String, sure: bool) -> String {
    if table.rowid_alias != Some(index) || sure {
        return sql;
    }
    let text = |s: &str| format!("'{}'", s.replace('\'', "''"));
    let name = table.columns.get(index).map_or("", |c| c.name.as_str());
    format!("pg_required({sql}, {}, {})", text(&table.name), text(name))
}

/// Whether an expression is never NULL: a constant, or a value drawn before the statement.
pub(super) fn never_null(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Const(cell) => !cell.is_null(),
        ExprKind::Frozen(_) => true,
        _ => false,
    }
}

/// Whether a condition looks at a column whose new value the plan does not know.
fn unknown(expr: &Expr, new: &[Option<Value>]) -> bool {
    if let ExprKind::Column(OWN, index) = expr.kind {
        return new.get(index as usize).is_none_or(Option::is_none);
    }
    let mut found = false;
    expr.children(&mut |e| found |= unknown(e, new));
    found
}

/// `written`, refused where another row of the same command has the same key.
pub(super) fn once(written: &str, keys: &[Value]) -> String {
    let keys: Vec<String> = keys.iter().map(|k| comparable(k, Class::Equality)).collect();
    let keys = keys.join(", ");
    format!("pg_once({written}, count(*) OVER (PARTITION BY {keys}), {keys})")
}
