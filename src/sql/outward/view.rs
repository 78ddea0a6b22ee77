//! A view: its query, with the types that its columns have here.

use super::{MARK, Outward};
use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation};
use crate::sql::analyze::analyze_as;
use crate::sql::print::{postgres, quoted};
use crate::sql::{ir, lite, stored, trigger};
use crate::value::{Type, oid};

/// CREATE VIEW for a view of the file.
///
/// # Errors
/// 0A000 when it has no counterpart that gives the same, and what analysis says.
pub fn view(sql: &str, relation: &Relation, catalog: &Catalog) -> Result<Outward> {
    let stored::Object::View(view) = stored::read(sql)? else {
        return Err(Error::unsupported("a view that is none"));
    };
    let parsed = lite::parse(&view.query, true)?;
    let analysis = analyze_as(&parsed.statement, &trigger::context(catalog), true)?;
    if analysis.system {
        return Err(Error::unsupported("a view that asks SQLite itself"));
    }
    if let ir::Statement::Select(query) = &analysis.statement
        && let Some(column) = super::spelled::decides(query)
    {
        return Err(Error::unsupported(format_args!(
            "a view that compares, groups or computes by column {column:?}, which holds values in \
             several spellings"
        )));
    }
    let outputs = analysis.columns();
    if outputs.len() != relation.columns.len() {
        return Err(Error::unsupported("a view with other columns than it is served with"));
    }
    let query = postgres::print_live(&analysis)?;
    let mut names = Vec::with_capacity(outputs.len());
    let mut list = Vec::with_capacity(outputs.len());
    for (n, (output, column)) in outputs.iter().zip(&relation.columns).enumerate() {
        let own = format!("q.{}", quoted(&format!("c{}", n + 1)));
        let shown = shown(output.ty, column.ty, &own).ok_or_else(|| {
            Error::unsupported(format_args!(
                "column {:?}, which has another type when PostgreSQL computes it",
                column.name
            ))
        })?;
        list.push(shown);
        names.push(quoted(&column.name));
    }
    let name = format!("\"public\".{}", quoted(&relation.name));
    let inner: Vec<String> = (1..=outputs.len()).map(|n| quoted(&format!("c{n}"))).collect();
    let create = format!(
        "CREATE VIEW {name} ({}) AS SELECT {} FROM ({query}) AS q({})",
        names.join(", "),
        list.join(", "),
        inner.join(", ")
    );
    let mark = format!("COMMENT ON VIEW {name} IS '{MARK}'");
    Ok(Outward { texts: vec![create, mark], tables: analysis.reads })
}

/// A value that PostgreSQL computes as the type it is served with; None where they could differ.
/// Where only the value tells, another one is an error when it is read.
pub(super) fn shown(from: Type, to: Type, sql: &str) -> Option<String> {
    let from_oid = match from.oid {
        oid::NUMERIC if from.typmod < -1 => oid::FLOAT8,
        oid::JSONB if from.typmod < -1 => return None,
        other => other,
    };
    let integer = |ty| matches!(ty, oid::INT2 | oid::INT4 | oid::INT8);
    let text = |ty| matches!(ty, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::UNKNOWN);
    let cast =
        |sql: &str, ty: u32| Some(format!("CAST({sql} AS {})", crate::sql::types::sql_name(ty)));
    match (from_oid, to.oid) {
        (from, to) if text(from) && text(to) => cast(sql, oid::TEXT),
        (same, other) if same == other => {
            let kept = from_oid != oid::NUMERIC || to.typmod == -1 || from.typmod == to.typmod;
            kept.then(|| sql.to_owned())
        }
        (from, to)
            if integer(from) && (integer(to) || matches!(to, oid::NUMERIC | oid::FLOAT8)) =>
        {
            cast(sql, to)
        }
        (from, to) if integer(from) && text(to) => cast(sql, oid::TEXT),
        (oid::BOOL, to) if integer(to) => cast(&cast(sql, oid::INT4)?, to),
        (oid::BOOL, to) if text(to) => cast(&cast(sql, oid::INT4)?, oid::TEXT),
        // Through the shortest text: every digit stays, and a fraction is no integer.
        (oid::FLOAT8, to) if (to == oid::NUMERIC || integer(to)) => {
            cast(&cast(sql, oid::TEXT)?, to)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_the_same_is_cast() {
        let of = |from, to| shown(Type::new(from), Type::new(to), "x");
        assert_eq!(of(oid::INT4, oid::INT8).as_deref(), Some("CAST(x AS bigint)"));
        assert_eq!(of(oid::DATE, oid::DATE).as_deref(), Some("x"));
        assert!(of(oid::FLOAT8, oid::TEXT).is_none());
        assert!(of(oid::TEXT, oid::INT8).is_none());
        assert!(of(oid::FLOAT8, oid::INT8).is_some_and(|sql| sql.contains("text")));
    }
}
