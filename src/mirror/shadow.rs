//! What the applier knows of the shadow's tables, and a row's change as they should take it.
//!
//! Owns the applier's view of columns, refused tables and the quarantine, valid for one
//! transaction and carried to the next while nobody else writes the quarantine. It must
//! never send a row. Start at [`Shadow::look`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::SimpleQueryMessage;

use crate::backend::postgres::apply::{Apply, Shape};
use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied;
use crate::backend::postgres::project::{Projected, Projection};
use crate::backend::postgres::quarantine::{self, Entry, Known, ROW};
use crate::compare;
use crate::error::{Error, Result, state};
use crate::journal::{Image, Note, Op, Row};
use crate::schema::{Catalog, Relation};
use crate::value::{CellRef, Datum, Type};

/// One table on PostgreSQL.
pub(super) struct Table {
    pub(super) projection: Projection,
    pub(super) shape: Shape,
}

impl Table {
    /// PostgreSQL's name.
    pub(super) fn name(&self) -> &str {
        &self.projection.relation.name
    }

    /// Types of the written columns.
    pub(super) fn written_types(&self) -> Vec<Type> {
        self.projection.written().iter().map(|i| self.projection.columns[*i].ty).collect()
    }

    /// Where its key is among the written columns; all of it is where rows are read together.
    pub(super) fn key_in_written(&self) -> Vec<usize> {
        let written = self.projection.written();
        let key = self.projection.key.iter().flatten();
        key.filter_map(|i| written.iter().position(|w| w == i)).collect()
    }

    /// A row's key: names and values in text form, for evidence.
    pub(super) fn key_text(&self, row: &Projected) -> Vec<(String, Option<String>)> {
        let key = self.projection.key.iter().flatten();
        key.map(|i| {
            let column = &self.projection.columns[*i];
            (column.name.clone(), compare::text(&row.values[*i], column.ty))
        })
        .collect()
    }

    /// A row's key.
    pub(super) fn key_of(&self, row: &Projected) -> Vec<Datum> {
        self.projection.key.iter().flatten().map(|i| row.values[*i].clone()).collect()
    }

    fn cell<'a>(&self, row: &'a Row, column: usize) -> CellRef<'a> {
        let generated = self.projection.columns[column].generated;
        let is_key = self.projection.key.as_ref().is_some_and(|key| key.contains(&column));
        match generated && !is_key {
            // PostgreSQL computes its own.
            true => CellRef::Null,
            false => {
                let index = self.projection.columns[column].index;
                row.get(index).unwrap_or(CellRef::Null)
            }
        }
    }
}

/// One side of an image.
pub(super) struct Side {
    pub(super) row: Projected,
    /// No other row can have its key on PostgreSQL.
    owns_its_key: bool,
    /// The row's name in the quarantine; only where it may be needed.
    name: Option<String>,
}

impl Side {
    fn fits(&self) -> bool {
        self.row.misfits.is_empty() && !self.row.left_out
    }
}

/// An image as PostgreSQL should take it.
pub(super) struct Change<'a> {
    pub(super) table: Arc<Table>,
    pub(super) image: &'a Image,
    pub(super) old: Option<Side>,
    pub(super) new: Option<Side>,
    /// Columns of the row with an entry before the change; [`ROW`] for a row left out.
    before: HashSet<String>,
}

impl Change<'_> {
    /// Nothing of the row is, or comes, into quarantine.
    pub(super) fn is_plain(&self) -> bool {
        !self.was_held() && self.new.as_ref().is_none_or(Side::fits)
    }

    /// Something of the row was in quarantine: PostgreSQL held other values, or no row.
    pub(super) fn was_held(&self) -> bool {
        !self.before.is_empty() || self.old.as_ref().is_some_and(|old| !old.fits())
    }

    /// The row before the change is not on PostgreSQL, and that is known.
    pub(super) fn was_out(&self) -> bool {
        self.image.op != Op::Insert
            && (self.before.contains(ROW) || self.old.as_ref().is_some_and(|old| old.row.left_out))
    }

    /// The row after the change cannot be on PostgreSQL.
    pub(super) fn is_out(&self) -> bool {
        self.new.as_ref().is_some_and(|new| new.row.left_out)
    }

    /// The new row's entries for the quarantine.
    pub(super) fn entries(&self, refused: Option<&str>) -> Vec<Entry> {
        let Some(new) = &self.new else { return Vec::new() };
        let cell = |i: usize| self.table.cell(&self.image.new, i);
        let named = new.name.clone();
        let name = named
            .unwrap_or_else(|| name_of(&self.table, &self.image.new, &new.row, self.image.rowid.1));
        quarantine::entries(&self.table.projection, cell, &new.row, &name, refused)
    }

    /// Whether any of these was not in quarantine before.
    pub(super) fn has_news(&self, entries: &[Entry]) -> bool {
        !self.before.contains(ROW) && entries.iter().any(|e| !self.before.contains(&e.column))
    }

    /// The statement that does the change, or a part of it.
    pub(super) fn statement(&self, op: Op) -> Result<Apply> {
        fn values(side: Option<&Side>) -> &[Datum] {
            side.map_or(&[], |s| &s.row.values)
        }
        let (old, new) = (self.old.as_ref(), self.new.as_ref());
        // A new row that must not be there is found by the key it would have.
        let owns = new.is_some_and(|new| new.owns_its_key);
        self.table.shape.statement(op, values(old.or(new)), values(new), owns)
    }

    /// Whether the table has a key here by which PostgreSQL cannot tell its rows apart.
    pub(super) fn lacks_its_key(&self) -> bool {
        let projection = &self.table.projection;
        projection.key.is_none() && projection.named_by.is_some()
    }

    /// Whether the new row's key can be looked up.
    pub(super) fn new_key_fits(&self) -> bool {
        let (Some(key), Some(new)) = (&self.table.projection.key, &self.new) else { return false };
        !new.row.misfits.iter().any(|m| key.contains(&m.column))
    }

    /// Whether what PostgreSQL has under the new row's key can only be that row.
    pub(super) fn owns_new_key(&self) -> bool {
        self.new_key_fits() && self.new.as_ref().is_some_and(|new| new.owns_its_key)
    }

    /// The row's identity changes: its key, or anything where there is none.
    pub(super) fn moves(&self) -> bool {
        let (Some(old), Some(new)) = (&self.old, &self.new) else { return true };
        self.table.projection.key.is_none()
            || self.table.key_of(&old.row) != self.table.key_of(&new.row)
    }

    /// A changed row that can be put in whole where it is not there to be changed.
    pub(super) fn leaves_a_row(&self) -> bool {
        self.image.op == Op::Update
            && self.is_plain()
            && (self.table.projection.key.is_none() || self.new_key_fits())
    }

    /// Whether both may be about one row; of a table without a key any two may.
    pub(super) fn meets(&self, other: &Change<'_>) -> bool {
        self.table.name() == other.table.name()
            && (self.table.projection.key.is_none()
                || self.keys().iter().any(|key| other.keys().contains(key)))
    }

    fn keys(&self) -> Vec<Vec<Datum>> {
        let sides = [&self.old, &self.new].into_iter().flatten();
        sides.map(|side| self.table.key_of(&side.row)).collect()
    }

    /// The key of the row, for evidence.
    pub(super) fn key_text(&self) -> Vec<(String, Option<String>)> {
        let side = self.old.as_ref().or(self.new.as_ref());
        side.map(|s| self.table.key_text(&s.row)).unwrap_or_default()
    }
}

/// Whether a text may name a table: as a word of its own, or at all where the name is none.
fn names(sql: &str, table: &str) -> bool {
    let of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    match table.chars().all(of_word) {
        true => sql.split(|c| !of_word(c)).any(|word| word == table),
        false => sql.contains(&table.replace('"', "\"\"")),
    }
}

fn name_of(table: &Table, row: &Row, projected: &Projected, rowid: i64) -> String {
    let rowid = table.projection.relation.rowid_name().map(|_| rowid);
    quarantine::row_key(&table.projection, |i| table.cell(row, i), projected, rowid)
}

/// The shadow's tables, as far as the applier has met them.
#[derive(Default)]
pub(super) struct Shadow {
    tables: HashMap<u32, Arc<Table>>,
    refused: HashSet<String>,
    known: HashMap<String, Known>,
    /// The newest entry that `known` accounts for; None while the quarantine is empty.
    newest: Option<i64>,
}

impl Shadow {
    /// Reads which tables are refused.
    pub(super) async fn load(control: &Control) -> Result<Self> {
        let marks = copied::load(control).await?;
        let refused =
            marks.into_iter().filter(|(_, mark)| mark.refused.is_some()).map(|(name, _)| name);
        Ok(Self { refused: refused.collect(), ..Self::default() })
    }

    /// Opens a transaction, and learns whether somebody else (repair) wrote the quarantine.
    pub(super) async fn begin(&mut self, control: &Control) -> Result<()> {
        let sql = "BEGIN; SELECT max(id) FROM crossfade.quarantine";
        let messages = control.client().simple_query(sql).await.map_err(|e| control.error(&e))?;
        let newest = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).and_then(|id| id.parse().ok()),
            _ => None,
        });
        if newest != self.newest {
            self.known.clear();
        }
        self.newest = newest;
        Ok(())
    }

    /// The newest entry when the transaction ends.
    pub(super) fn settled(&mut self, newest: Option<i64>) {
        self.newest = newest;
    }

    /// What the transaction did to the quarantine is undone.
    pub(super) fn rolled_back(&mut self) {
        self.known.clear();
    }

    /// Whether PostgreSQL could not make the table.
    pub(super) fn is_refused(&self, table: &str) -> bool {
        self.refused.contains(table)
    }

    /// PostgreSQL holds none of a table's rows from here on.
    pub(super) fn refuse(&mut self, table: &str) {
        self.refused.insert(table.to_owned());
        self.known.remove(table);
    }

    /// Whether something of these tables is in quarantine: PostgreSQL cannot answer for them.
    pub(super) async fn holds_any(
        &self,
        control: &Control,
        tables: impl Iterator<Item = &String>,
    ) -> Result<bool> {
        let tables: Vec<&String> = tables.collect();
        if self.newest.is_none() || tables.is_empty() {
            return Ok(false);
        }
        quarantine::holds_any(control, &tables).await
    }

    /// Whether one of these statements names a table of which something is in quarantine.
    pub(super) async fn holds_named(&self, control: &Control, notes: &[&Note]) -> Result<bool> {
        if self.newest.is_none() {
            return Ok(false);
        }
        let sql = "SELECT DISTINCT table_name FROM crossfade.quarantine";
        let held: Vec<String> = control.rows(sql).await?.iter().map(|row| row.get(0)).collect();
        let texts = notes.iter().filter_map(|n| n.text.as_deref());
        Ok(texts.into_iter().any(|text| held.iter().any(|name| names(text, name))))
    }

    /// Whether a statement names a table that PostgreSQL could not make.
    pub(super) fn names_refused(&self, sql: &str) -> bool {
        self.refused.iter().any(|name| names(sql, name))
    }

    /// The table; None when it is refused.
    pub(super) async fn table(
        &mut self,
        control: &Control,
        relation: &Arc<Relation>,
    ) -> Result<Option<Arc<Table>>> {
        if self.is_refused(&relation.name) {
            return Ok(None);
        }
        let found = self.tables.get(&relation.oid);
        if let Some(table) = found.filter(|t| Arc::ptr_eq(&t.projection.relation, relation)) {
            return Ok(Some(Arc::clone(table)));
        }
        let actual = actual_columns(control, relation).await?;
        let projection = Projection::over(relation, &actual);
        let table = Arc::new(Table { shape: Shape::new(&projection), projection });
        self.tables.insert(relation.oid, Arc::clone(&table));
        Ok(Some(table))
    }

    /// An image as PostgreSQL should take it; None for a table that is refused.
    pub(super) async fn look<'a>(
        &mut self,
        control: &Control,
        image: &'a Image,
        catalog: &Catalog,
    ) -> Result<Option<Change<'a>>> {
        let relation = super::batch::relation_of(catalog, &image.table)?;
        let Some(table) = self.table(control, &relation).await? else { return Ok(None) };
        for row in [&image.old, &image.new] {
            if !row.is_empty() && row.len() != relation.columns.len() {
                return Err(Error::shadow(
                    state::DATA_CORRUPTED,
                    format!("a journalled row of {} has another shape", relation.name),
                ));
            }
        }
        let known = self.known(control, table.name()).await?;
        let named = !known.is_empty();
        let side = |row: &Row, rowid: i64| {
            (!row.is_empty()).then(|| {
                let projected = table.projection.project(|i| table.cell(row, i));
                let name = named.then(|| name_of(&table, row, &projected, rowid));
                let owns_its_key =
                    table.projection.owns_its_key(|i| table.cell(row, i), &projected);
                Side { row: projected, owns_its_key, name }
            })
        };
        let (old, new) = (side(&image.old, image.rowid.0), side(&image.new, image.rowid.1));
        let mut before = HashSet::new();
        for name in [&old, &new].into_iter().flatten().filter_map(|s| s.name.as_deref()) {
            if known.has_any(name) {
                let columns = table.projection.columns.iter().map(|c| c.name.as_str());
                before
                    .extend(columns.chain([ROW]).filter(|c| known.has(name, c)).map(str::to_owned));
            }
        }
        Ok(Some(Change { table, image, old, new, before }))
    }

    async fn known(&mut self, control: &Control, table: &str) -> Result<&Known> {
        if !self.known.contains_key(table) {
            let known = match self.newest {
                None => Known::default(),
                Some(_) => Known::load(control, table).await?,
            };
            self.known.insert(table.to_owned(), known);
        }
        Ok(&self.known[table])
    }

    /// Drops the entries of a row that is written anew.
    pub(super) async fn release(&mut self, control: &Control, change: &Change<'_>) -> Result<()> {
        let table = change.table.name();
        let sides = [&change.old, &change.new].into_iter().flatten();
        let keys: Vec<String> = sides.filter_map(|s| s.name.clone()).collect();
        if change.before.is_empty() || keys.is_empty() {
            return Ok(());
        }
        quarantine::clear_rows(control, table, &keys).await?;
        if let Some(known) = self.known.get_mut(table) {
            keys.iter().for_each(|key| known.remove(key, &change.table.projection));
        }
        Ok(())
    }

    /// Stores entries of a row.
    pub(super) async fn hold(
        &mut self,
        control: &Control,
        change: &Change<'_>,
        position: crate::backend::Position,
        entries: &[Entry],
    ) -> Result<()> {
        quarantine::store(control, position, entries).await?;
        if let Some(known) = self.known.get_mut(change.table.name()) {
            known.add(entries);
        }
        Ok(())
    }

    /// A table was emptied.
    pub(super) async fn emptied(&mut self, control: &Control, table: &str) -> Result<()> {
        quarantine::clear(control, table).await?;
        self.known.remove(table);
        Ok(())
    }

    /// The schema changed: what is in quarantine follows renamed tables and leaves with
    /// dropped ones.
    pub(super) async fn schema_changed(
        &mut self,
        control: &Control,
        before: &Catalog,
        after: &Catalog,
    ) -> Result<()> {
        self.tables.clear();
        self.known.clear();
        if self.newest.is_none() {
            return Ok(());
        }
        let of = |catalog: &Catalog| -> BTreeMap<u32, String> {
            catalog.relations.values().map(|r| (r.oid, r.name.clone())).collect()
        };
        let after = of(after);
        for (oid, name) in of(before) {
            match after.get(&oid) {
                Some(now) if *now == name => {}
                Some(now) => {
                    for table in ["quarantine", "backfill"] {
                        let sql = format!(
                            "UPDATE crossfade.{table} SET table_name = $2 WHERE table_name = $1"
                        );
                        let changed = control.client().execute(&sql, &[&name, now]).await;
                        changed.map_err(|e| control.error(&e))?;
                    }
                    if self.refused.remove(&name) {
                        self.refused.insert(now.clone());
                    }
                }
                None => {
                    quarantine::clear(control, &name).await?;
                    if self.refused.remove(&name) {
                        let sql = "DELETE FROM crossfade.backfill WHERE table_name = $1";
                        let gone = control.client().execute(sql, &[&name]).await;
                        gone.map_err(|e| control.error(&e))?;
                    }
                }
            }
        }
        Ok(())
    }
}
