//! FROM: tables, subqueries, functions, joins.

use super::{Printer, output_name};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::ast::JoinKind;
use crate::sql::ir::From;
use crate::sql::print::quoted;
use crate::sql::types::{needs_definitions, sql_name_with_typmod};

/// A relation's qualified name.
pub(super) fn table_name(table: &Relation) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(table.bare()))
}

/// A relation's column names.
pub(super) fn column_names(table: &Relation) -> Vec<String> {
    table.columns.iter().map(|c| quoted(&c.name)).collect()
}

impl Printer<'_> {
    /// ` FROM …` by the given word, or nothing.
    pub(super) fn tables_clause(&mut self, word: &str, items: &[From]) -> Result<String> {
        if items.is_empty() {
            return Ok(String::new());
        }
        let items = items.iter().map(|i| self.table_item(i)).collect::<Result<Vec<_>>>()?;
        Ok(format!(" {word} {}", items.join(", ")))
    }

    fn table_item(&mut self, item: &From) -> Result<String> {
        match item {
            From::Table { rel, table, alias } => {
                let alias = self.bind(*rel, alias, column_names(&table.0));
                Ok(format!("{} AS {alias}", table_name(&table.0)))
            }
            From::Cte { rel, cte, alias, columns } => {
                let name = self
                    .ctes
                    .get(cte)
                    .cloned()
                    .ok_or_else(|| Error::internal("a CTE is used before it is defined"))?;
                let names = (0..columns.len()).map(output_name).collect();
                let alias = self.bind(*rel, alias, names);
                Ok(format!("{name} AS {alias}"))
            }
            From::Subquery { rel, query, alias, columns, lateral } => {
                let sql = self.query(query, false)?;
                let names = (0..columns.len()).map(output_name).collect();
                let alias = self.bind(*rel, alias, names);
                let lateral = if *lateral { "LATERAL " } else { "" };
                Ok(format!("{lateral}({sql}) AS {alias}"))
            }
            From::Function { rel, call, alias, columns, .. } if call.lite => {
                let sql = self.json_each(call)?;
                let names: Vec<String> = (0..columns.len()).map(output_name).collect();
                let alias = self.bind(*rel, alias, names.clone());
                Ok(format!("LATERAL {sql} AS {alias}({})", names.join(", ")))
            }
            From::Function { rel, call, alias, columns, ordinality, lateral } => {
                let sql = self.call(call)?;
                // Names that a definition list gives are those of the object's fields.
                let defined = needs_definitions(&call.name, call.oid);
                let names: Vec<String> = if defined {
                    columns.iter().map(|c| quoted(&c.name)).collect()
                } else {
                    (0..columns.len()).map(output_name).collect()
                };
                let alias = self.bind(*rel, alias, names.clone());
                let lateral = if *lateral { "LATERAL " } else { "" };
                let ordinality = if *ordinality { " WITH ORDINALITY" } else { "" };
                let names: Vec<String> = if defined {
                    let types = columns.iter().map(|c| sql_name_with_typmod(c.ty));
                    names.iter().zip(types).map(|(name, ty)| format!("{name} {ty}")).collect()
                } else {
                    names
                };
                Ok(format!("{lateral}{sql}{ordinality} AS {alias}({})", names.join(", ")))
            }
            From::Join { kind, left, right, on } => {
                let (a, b) = (self.table_item(left)?, self.table_item(right)?);
                let word = match kind {
                    JoinKind::Inner => "INNER JOIN",
                    JoinKind::Cross => "CROSS JOIN",
                    JoinKind::Left => "LEFT JOIN",
                    JoinKind::Right => "RIGHT JOIN",
                    JoinKind::Full => "FULL JOIN",
                };
                let on = match on {
                    Some(on) => format!(" ON {}", self.expr(on)?),
                    None if *kind == JoinKind::Cross => String::new(),
                    None => " ON TRUE".to_owned(),
                };
                Ok(format!("({a} {word} {b}{on})"))
            }
        }
    }
}
