//! Unique indexes that the file cannot keep, because their keys or their condition need our
//! functions, and exclusion constraints: a row that repeats a key, or conflicts with another by
//! the constraint's operators, is refused by a temporary trigger.
//!
//! Owns what such an index means. It looks through the whole table for each row that is
//! written with another key. Start at [`texts`].

use std::borrow::Cow;
use std::sync::Arc;

use super::fire::{Fire, Moment, raise_where, text_literal};
use super::walk::Event;
use crate::error::{Error, Result};
use crate::schema::{Catalog, Index, IndexExtras, IndexKey, Relation};
use crate::sql::print::quoted;

/// The temporary triggers of a table.
pub(super) fn texts(relation: &Arc<Relation>, catalog: &Catalog) -> Vec<String> {
    let mut texts = Vec::new();
    for (number, index) in kept_here(relation).iter().enumerate() {
        for event in [Event::Insert, Event::Update] {
            let moment = Moment { relation, catalog, before: false, event, queued: false };
            let text = statement(moment, index).unwrap_or_else(|e| raise_where(&e, "TRUE"));
            texts.push(moment.text(&[], &[text], 3000 + number));
        }
    }
    texts
}

/// Checks that an index can be kept.
///
/// # Errors
/// 0A000 when it cannot.
pub(super) fn check(relation: &Arc<Relation>, catalog: &Catalog) -> Result<()> {
    let moment = Moment { relation, catalog, before: false, event: Event::Update, queued: false };
    kept_here(relation).iter().try_for_each(|index| statement(moment, index).map(|_| ()))
}

/// The indexes that the file does not have, and those that it has for a part of their keys.
fn kept_here(relation: &Relation) -> Vec<Cow<'_, Index>> {
    let absent = relation.indexes.iter().filter(|i| i.by_trigger()).map(Cow::Borrowed);
    let looked_for = relation.looked_for().map(|unique| {
        Cow::Owned(Index {
            name: unique.name.clone(),
            oid: unique.oid,
            keys: unique.columns.iter().map(|c| IndexKey::Column(*c, false)).collect(),
            unique: true,
            predicate: None,
            definition: String::new(),
            sqlite: false,
            absent: true,
            extras: IndexExtras::default(),
        })
    });
    absent.chain(looked_for).collect()
}

/// The query that finds keys which occur more than once, PostgreSQL's dialect.
pub(crate) fn duplicates(relation: &Relation, index: &Index, table: &str) -> String {
    let keys = keys(relation, index);
    let given: Vec<String> = keys.iter().map(|k| format!("({k}) IS NOT NULL")).collect();
    let list: Vec<String> = keys.iter().map(|k| format!("({k})")).collect();
    format!(
        "SELECT 1 FROM {table} WHERE {} AND {} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
        given.join(" AND "),
        condition(index),
        list.join(", ")
    )
}

fn keys(relation: &Relation, index: &Index) -> Vec<String> {
    let text = |key: &IndexKey| match key {
        IndexKey::Column(position, _) => quoted(&relation.columns[*position].name),
        IndexKey::Expression(text, _) => text.clone(),
    };
    index.keys.iter().map(text).collect()
}

fn condition(index: &Index) -> String {
    index.predicate.as_ref().map_or_else(|| "true".to_owned(), |p| format!("({p})"))
}

/// The query that finds rows which an exclusion constraint does not allow beside each other,
/// PostgreSQL's dialect.
pub(crate) fn conflicts(relation: &Relation, index: &Index, table: &str) -> String {
    let keys = keys(relation, index);
    let list: Vec<String> =
        keys.iter().enumerate().map(|(i, k)| format!("({k}) AS k{i}")).collect();
    let rows = format!(
        "(SELECT {}, row_number() OVER () AS n FROM {table} WHERE {})",
        list.join(", "),
        condition(index)
    );
    let operators = index.extras.operators.iter().enumerate();
    let both: Vec<String> = operators.map(|(i, op)| format!("a.k{i} {op} b.k{i}")).collect();
    format!(
        "SELECT 1 FROM {rows} AS a, {rows} AS b WHERE a.n < b.n AND {} LIMIT 1",
        both.join(" AND ")
    )
}

/// Raises 23505 where another row has the key of NEW.
fn statement(moment: Moment<'_>, index: &Index) -> Result<String> {
    let relation = moment.relation;
    let keys = keys(relation, index);
    // The row as a table of its own, so that the index's own words mean its columns.
    let row = |variable: &str| {
        let columns: Vec<String> = relation
            .columns
            .iter()
            .map(|c| format!("{variable}.{name} AS {name}", name = quoted(&c.name)))
            .collect();
        let items: Vec<String> =
            keys.iter().enumerate().map(|(i, k)| format!("({k}) AS k{i}")).collect();
        format!(
            "(SELECT {}, {} AS kept FROM (SELECT {}) AS {})",
            items.join(", "),
            condition(index),
            columns.join(", "),
            quoted(relation.bare())
        )
    };
    let numbers = 0..keys.len();
    let shown: Vec<String> = numbers.clone().map(|i| format!("n.k{i}::text")).collect();
    let operator = |i: usize| index.extras.operators.get(i).map_or("=", String::as_str);
    let equal: Vec<String> =
        keys.iter().enumerate().map(|(i, k)| format!("({k}) {} n.k{i}", operator(i))).collect();
    let given: Vec<String> = numbers.clone().map(|i| format!("n.k{i} IS NOT NULL")).collect();
    let (before, changed) = match moment.event {
        Event::Update => {
            let differ = numbers.clone().map(|i| format!("n.k{i} IS DISTINCT FROM o.k{i}"));
            let differ: Vec<String> = differ.chain(["o.kept IS NOT TRUE".to_owned()]).collect();
            (format!(", {} AS o", row("old")), format!("({})", differ.join(" OR ")))
        }
        _ => (String::new(), "true".to_owned()),
    };
    let names: Vec<String> = keys.iter().map(|k| k.trim_matches('"').to_owned()).collect();
    let names = names.join(", ").replace('\'', "''");
    let table = crate::name::quoted(&relation.name);
    let (equal, given) = (equal.join(" AND "), given.join(" AND "));
    // The row itself is among those that are looked through; whether it conflicts with itself is
    // a matter of the operators.
    let (detail, own) = match index.is_exclusion() {
        false => (
            format!("concat_ws(', ', {}) || ') already exists.'", shown.join(", ")),
            "1".to_owned(),
        ),
        true => {
            let theirs: Vec<String> = keys.iter().map(|k| format!("({k})::text")).collect();
            let same: Vec<String> = keys
                .iter()
                .enumerate()
                .map(|(i, k)| format!("({k}) IS NOT DISTINCT FROM n.k{i}"))
                .collect();
            let itself: Vec<String> =
                numbers.map(|i| format!("n.k{i} {} n.k{i}", operator(i))).collect();
            let detail = format!(
                "concat_ws(', ', {}) || ') conflicts with existing key ({names})=(' || (SELECT \
                 concat_ws(', ', {}) FROM {table} WHERE {equal} AND {} ORDER BY CASE WHEN {} THEN 1 \
                 ELSE 0 END LIMIT 1) || ').'",
                shown.join(", "),
                theirs.join(", "),
                condition(index),
                same.join(" AND ")
            );
            (detail, format!("CASE WHEN {} THEN 1 ELSE 0 END", itself.join(" AND ")))
        }
    };
    let text = format!(
        "SELECT 'Key ({names})=(' || {detail} FROM {} AS n{before} \
         WHERE CASE WHEN n.kept AND {given} AND {changed} THEN (SELECT count(*) FROM {table} \
         WHERE {equal} AND {}) ELSE 0 END > {own}",
        row("new"),
        condition(index),
    );
    let parsed = crate::sql::parse(&text)?;
    let one = parsed.first().ok_or_else(|| Error::internal("no statement"))?;
    let (select, sequences) = Fire::new(moment).printed(&one.statement)?;
    if !sequences.is_empty() {
        return Err(Error::unsupported("nextval() in an index"));
    }
    let (code, kind) = match index.is_exclusion() {
        true => ("23P01", "conflicting key value violates exclusion"),
        false => ("23505", "duplicate key value violates unique"),
    };
    let message = format!("{kind} constraint \"{}\"", index.name);
    Ok(format!(
        "SELECT pg_raise('{code}', {}, \"c1\", NULL, {}, {}, NULL) FROM ({select})",
        text_literal(&message),
        text_literal(&relation.name),
        text_literal(&index.name),
    ))
}
