//! Views that decide something by how a value is spelled.
//!
//! SQLite compares, groups and sorts what is stored: of a column that holds one value in several
//! spellings (`2024-01-02T00:00`, `t` and `1`, text beside numbers) it makes several groups where
//! PostgreSQL makes one. Owns finding such a column. It must never miss one: what is not known to
//! look through the spelling counts. Start at [`decides`].

use std::collections::HashMap;

use crate::schema::{Codec, Column};
use crate::sql::ast::SetOp;
use crate::sql::ir::{Body, Call, CastKind, Expr, ExprKind, From, Query, Select, Sort};

/// Functions of SQLite's that give the same for every spelling of a value.
const BLIND: [&str; 7] =
    ["date", "time", "datetime", "strftime", "julianday", "unixepoch", "json_valid"];

/// The name of a column whose spellings a query tells apart; None where there is none.
pub(super) fn decides(query: &Query) -> Option<String> {
    let mut reader = Reader::default();
    reader.query(query);
    reader.found
}

/// For each column of a relation the name of the stored one that it shows, if that is spelled in
/// several ways.
type Columns = Vec<Option<String>>;

#[derive(Default)]
struct Reader {
    relations: HashMap<u32, Columns>,
    ctes: HashMap<u32, Columns>,
    found: Option<String>,
}

/// Whether programs write one value of a column in several ways.
fn is_spelled(column: &Column) -> bool {
    matches!(
        column.codec.plain(),
        Codec::NumericText
            | Codec::NumericAny
            | Codec::BoolLoose
            | Codec::DateTimeLoose
            | Codec::IntervalEpoch
            | Codec::UuidLoose
            | Codec::BytesLoose
            | Codec::TextLoose
            | Codec::JsonLoose
            | Codec::Coerced
            | Codec::CoercedEmpty
    )
}

impl Reader {
    fn query(&mut self, query: &Query) -> Columns {
        for cte in &query.ctes {
            let columns = self.query(&cte.query);
            self.ctes.insert(cte.id, columns);
        }
        let columns = match &query.body {
            Body::Select(select) => self.select(select),
            Body::Values(rows) => {
                rows.iter().flatten().for_each(|e| self.expr(e));
                vec![None; query.columns.len()]
            }
            Body::Set { op, all, left, right } => {
                let (left, right) = (self.query(left), self.query(right));
                let both = left.into_iter().zip(right).map(|(l, r)| l.or(r)).collect::<Columns>();
                if !(*op == SetOp::Union && *all) {
                    self.any(&both);
                }
                both
            }
        };
        // Without a limit the order of rows is nobody's.
        if query.limit.is_some() || query.offset.is_some() {
            self.sorts(&query.order_by, &columns);
        }
        columns
    }

    fn select(&mut self, select: &Select) -> Columns {
        select.from.iter().for_each(|item| self.from(item));
        let columns: Columns = select.targets.iter().map(|target| self.shown(target)).collect();
        for (target, column) in select.targets.iter().zip(&columns) {
            if column.is_none() {
                self.expr(target);
            }
        }
        if select.distinct.is_some() {
            self.any(&columns);
        }
        let further = select.distinct.iter().flatten().chain(&select.filter);
        further.chain(&select.group_by).chain(&select.having).for_each(|e| self.expr(e));
        columns
    }

    fn from(&mut self, item: &From) {
        let (rel, columns) = match item {
            From::Table { rel, table, .. } => {
                let name = |c: &Column| is_spelled(c).then(|| c.name.clone());
                (*rel, table.0.columns.iter().map(name).collect())
            }
            From::Cte { rel, cte, columns, .. } => {
                let none = || vec![None; columns.len()];
                (*rel, self.ctes.get(cte).cloned().unwrap_or_else(none))
            }
            From::Subquery { rel, query, .. } => (*rel, self.query(query)),
            From::Function { call, .. } => return self.call(call),
            From::Join { left, right, on, .. } => {
                self.from(left);
                self.from(right);
                on.iter().for_each(|e| self.expr(e));
                return;
            }
        };
        self.relations.insert(rel, columns);
    }

    fn any(&mut self, columns: &Columns) {
        if self.found.is_none() {
            self.found = columns.iter().flatten().next().cloned();
        }
    }

    fn sorts(&mut self, sorts: &[Sort], columns: &Columns) {
        for sort in sorts {
            match sort.expr.kind {
                ExprKind::OutputColumn(n) => {
                    let column = columns.get(n as usize).cloned().flatten();
                    self.any(&vec![column]);
                }
                _ => self.expr(&sort.expr),
            }
        }
    }

    /// The spelled column that an expression shows as it is.
    fn shown(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Column(rel, index) => {
                self.relations.get(rel)?.get(*index as usize).cloned().flatten()
            }
            ExprKind::Cast(inner, CastKind::Relabel) | ExprKind::Collate(inner, _) => {
                self.shown(inner)
            }
            ExprKind::Call(call)
                if call.lite && matches!(call.name.as_str(), "text_of" | "binary") =>
            {
                self.shown(call.args.first()?)
            }
            _ => None,
        }
    }

    fn call(&mut self, call: &Call) {
        let name = call.name.as_str();
        let json = name.starts_with("json") || name.starts_with("->");
        let blind = call.lite && (json || BLIND.contains(&name));
        let counts = name == "count" && !call.distinct;
        for (at, arg) in call.args.iter().enumerate() {
            let looks_through = (blind || counts) && at <= 1 && self.shown(arg).is_some();
            if !looks_through {
                self.expr(arg);
            }
        }
        call.filter.iter().for_each(|e| self.expr(e));
        call.order_by.iter().for_each(|s| self.expr(&s.expr));
        if let Some(window) = &call.over {
            window.partition_by.iter().for_each(|e| self.expr(e));
            window.order_by.iter().for_each(|s| self.expr(&s.expr));
        }
    }

    /// An expression that is computed.
    fn expr(&mut self, expr: &Expr) {
        if let Some(name) = self.shown(expr) {
            self.found.get_or_insert(name);
            return;
        }
        match &expr.kind {
            ExprKind::IsNull(inner, _) if self.shown(inner).is_some() => {}
            ExprKind::Call(call) => self.call(call),
            ExprKind::Exists(query) => drop(self.query(query)),
            ExprKind::Subquery(query) | ExprKind::ArraySubquery(query) => {
                let columns = self.query(query);
                self.any(&columns);
            }
            ExprKind::SubqueryCompare { row, query, .. } => {
                row.iter().for_each(|e| self.expr(e));
                let columns = self.query(query);
                self.any(&columns);
            }
            _ => {
                let mut children = Vec::new();
                expr.children(&mut |child| children.push(child.clone()));
                children.iter().for_each(|child| self.expr(child));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::schema::{Catalog, Relation, RelationKind};
    use crate::sql::analyze::analyze_as;
    use crate::sql::ir::Statement;
    use crate::sql::{lite, trigger};
    use crate::value::{Type, oid};

    fn catalog() -> Catalog {
        let column =
            |n, name: &str, ty, codec| Column { codec, ..Column::new(n, name, Type::new(ty)) };
        let mut table = Relation::new(1, "t", RelationKind::Table);
        table.columns = vec![
            column(1, "id", oid::INT8, Codec::Identity),
            column(2, "s", oid::TEXT, Codec::Identity),
            column(3, "at", oid::TIMESTAMP, Codec::DateTimeLoose),
            column(4, "m", oid::TEXT, Codec::TextLoose),
            column(5, "doc", oid::JSONB, Codec::JsonLoose),
        ];
        let mut catalog = Catalog::system_only();
        catalog.relations.insert("t".to_owned(), Arc::new(table));
        catalog
    }

    fn decided(query: &str) -> Option<String> {
        let catalog = catalog();
        let parsed = lite::parse(query, true).unwrap();
        let analysis = analyze_as(&parsed.statement, &trigger::context(&catalog), true)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
        let Statement::Select(query) = &analysis.statement else { panic!("{query}") };
        decides(query)
    }

    #[test]
    fn what_a_spelling_decides_is_found() {
        for query in [
            "SELECT at, count(*) FROM t GROUP BY at",
            "SELECT DISTINCT m FROM t",
            "SELECT a.id FROM t a JOIN t b ON a.m = b.m",
            "SELECT id FROM t WHERE at > '2020-01-01'",
            "SELECT at FROM t UNION SELECT at FROM t",
            "SELECT id, at FROM t ORDER BY at LIMIT 1",
            "SELECT max(at) FROM t",
            "SELECT count(DISTINCT m) FROM t",
            "SELECT m || '!' FROM t",
            "SELECT x FROM (SELECT m AS x FROM t) GROUP BY x",
            "WITH q AS (SELECT m AS x FROM t) SELECT a.x FROM q a JOIN t ON a.x = t.s",
            "SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE m = 'a')",
            "SELECT row_number() OVER (PARTITION BY m) FROM t",
        ] {
            assert!(decided(query).is_some(), "{query}");
        }
    }

    #[test]
    fn what_looks_through_the_spelling_is_not() {
        for query in [
            "SELECT id, at, m, doc FROM t",
            "SELECT s, count(*), count(m) FROM t WHERE at IS NOT NULL GROUP BY s",
            "SELECT date(at), count(*) FROM t GROUP BY date(at)",
            "SELECT json_extract(doc, '$.a') FROM t WHERE id > 1",
            "SELECT x FROM (SELECT m AS x, id FROM t) WHERE id > 2",
            "SELECT m FROM t UNION ALL SELECT m FROM t",
            "SELECT id, at FROM t ORDER BY at",
            "SELECT a.at FROM t a LEFT JOIN t b ON a.id = b.id",
        ] {
            assert_eq!(decided(query), None, "{query}");
        }
    }
}
