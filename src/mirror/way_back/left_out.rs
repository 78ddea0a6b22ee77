//! Rows of the file that PostgreSQL does not have: those that are in quarantine as a whole.
//!
//! Owns the list of their stored keys, read when the way back begins: nothing comes to it after a
//! promote. A change of PostgreSQL's is of none of them, whatever key it names. Start at [`query`].

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::divergence::changed::{Key, Part};
use crate::error::{Error, Result, state};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::value::{Cell, CellRef};

/// Values of keys that are looked at; beyond that they must be decided first.
const MAX: usize = 1_000_000;

/// Stored keys, by table.
#[derive(Debug, Default)]
pub(super) struct LeftOut(HashMap<String, HashSet<Key>>);

/// What gives the keys' values: table, row, column, storage class, bytes in hex.
pub(super) fn query(catalog: &Catalog) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let tables = catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
    let columns = tables.flat_map(|table| {
        let key = table.key().unwrap_or_default().iter();
        key.map(|i| format!("({}, {})", quoted(&table.name), quoted(&table.columns[*i].name)))
    });
    let columns: Vec<String> = columns.collect();
    let wanted = match columns.is_empty() {
        true => "false".to_owned(),
        false => format!("(q.table_name, q.column_name) IN ({})", columns.join(", ")),
    };
    format!(
        "SELECT q.table_name, q.row_key, q.column_name, q.class, encode(q.bytes, 'hex') \
         FROM crossfade.quarantine q WHERE {wanted} AND (q.table_name, q.row_key) IN \
         (SELECT table_name, row_key FROM crossfade.quarantine WHERE column_name = '') \
         ORDER BY 1, 2 LIMIT {}",
        MAX + 1
    )
}

impl LeftOut {
    /// What [`query`] gave.
    ///
    /// # Errors
    /// 54000 above a million values; when an entry is damaged.
    pub(super) fn of(rows: Vec<Vec<Option<String>>>, catalog: &Catalog) -> Result<Self> {
        if rows.len() > MAX {
            return Err(Error::shadow(
                state::PROGRAM_LIMIT_EXCEEDED,
                format!("more than {MAX} values of keys are in quarantine"),
            ));
        }
        let mut found: BTreeMap<(String, String), HashMap<String, Part>> = BTreeMap::new();
        for row in rows {
            let mut row = row.into_iter();
            let mut text = || row.next().flatten();
            let (Some(table), Some(name), Some(column), Some(class)) =
                (text(), text(), text(), text())
            else {
                continue;
            };
            if let Some(part) = part(&class, text())? {
                found.entry((table, name)).or_default().insert(column, part);
            }
        }
        let mut keys: HashMap<String, HashSet<Key>> = HashMap::new();
        for ((table, _), mut values) in found {
            let Some(relation) = catalog.relation(&table) else { continue };
            let key = relation.key().unwrap_or_default().iter();
            let key = key.map(|i| values.remove(&relation.columns[*i].name)).collect();
            if let Some(key) = key {
                keys.entry(table).or_default().insert(key);
            }
        }
        Ok(Self(keys))
    }

    /// The stored keys of a table's rows that PostgreSQL does not have.
    pub(super) fn of_table(&self, table: &Relation) -> HashSet<Key> {
        self.0.get(&table.name).cloned().unwrap_or_default()
    }
}

/// A stored value of a key; None for text that is no UTF-8, which no value of PostgreSQL's is.
fn part(class: &str, hex: Option<String>) -> Result<Option<Part>> {
    let damaged = || Error::internal("an entry of the quarantine is damaged");
    let Some(hex) = hex else { return Ok(Some(Part::Null)) };
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
    let bytes = bytes.ok_or_else(damaged)?;
    let number = || std::str::from_utf8(&bytes).map_err(|_| damaged());
    let cell = match class {
        "integer" => Cell::Integer(number()?.parse().map_err(|_| damaged())?),
        "real" => Cell::Real(number()?.parse().map_err(|_| damaged())?),
        "text" => return Ok(Part::of(CellRef::Text(&bytes))),
        _ => Cell::Blob(bytes),
    };
    Ok(Part::of(cell.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Column;
    use crate::value::{Type, oid};
    use std::sync::Arc;

    #[test]
    fn keys_are_those_that_the_file_stores() {
        let mut relation = Relation::new(1, "t", RelationKind::Table);
        relation.columns = vec![
            Column::new(1, "a", Type::new(oid::TEXT)),
            Column::new(2, "b", Type::new(oid::INT8)),
        ];
        relation.primary_key = Some(vec![1, 0]);
        let mut catalog = Catalog::default();
        catalog.relations.insert("t".into(), Arc::new(relation.clone()));
        assert!(query(&catalog).contains("('t', 'b'), ('t', 'a')"));
        let row = |name: &str, column: &str, class: &str, hex: &str| {
            ["t", name, column, class, hex].map(|t| Some(t.to_owned())).to_vec()
        };
        let rows = vec![
            row("1", "a", "text", "303037"),
            row("1", "b", "integer", "35"),
            // Not every value of the key is there: it names nothing.
            row("2", "a", "text", "30"),
        ];
        let left_out = LeftOut::of(rows, &catalog).unwrap();
        let keys = left_out.of_table(&relation);
        assert_eq!(keys, HashSet::from([vec![Part::Int(5), Part::Text("007".into())]]));
        assert!(LeftOut::of(vec![row("3", "a", "integer", "zz")], &catalog).is_err());
    }
}
