//! Which keys a journal record changes, for the set of what must be verified again.
//!
//! Owns the way from an image to a key. It may name more than a record changed, never less.
//! Start at [`Noter::note`].

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::relation_of;
use super::history;
use crate::backend::Position;
use crate::backend::sqlite::{Sqlite, blocking};
use crate::divergence::Store;
use crate::divergence::changed::{Key, Part};
use crate::error::Result;
use crate::journal::{Event, EventStream, Events, Image, Journal, Limits, Op, Record, Row};
use crate::schema::{Catalog, Column, Relation, RelationKind};

/// A table's name, and a changed key; None for any row.
type Noted = (String, Option<Key>);

/// Notes what records change.
pub(super) struct Noter {
    sqlite: Sqlite,
    store: Arc<Store>,
    catalog: Option<Arc<Catalog>>,
    /// The catalog of positions before this process started, when it is known.
    earlier: Option<Arc<Catalog>>,
    tables: HashMap<String, Arc<Relation>>,
}

impl Noter {
    pub(super) fn new(sqlite: &Sqlite, store: &Arc<Store>) -> Self {
        Self {
            sqlite: sqlite.clone(),
            store: Arc::clone(store),
            catalog: None,
            earlier: None,
            tables: HashMap::new(),
        }
    }

    /// Notes what the records between the journal's beginning and `until` change: whoever had
    /// applied them may have ended before it was saved.
    pub(super) async fn note_again(&mut self, journal: &Journal, until: Position) -> Result<()> {
        let reader = journal.sqlite().reader(None).await?;
        let mut next = journal.first(&reader)?;
        let before = Position(next.0.saturating_sub(1));
        if self.sqlite.catalog_at(before).is_none()
            && !history::schema_changed(journal, before, until).await?
        {
            self.earlier = self.sqlite.catalog_at(until);
        }
        while next <= until {
            let limits = Limits { records: 500, bytes: 8 << 20, until };
            let records = blocking(|| crate::journal::read(&reader, next, limits))?;
            let Some(last) = records.last() else { return Ok(()) };
            next = last.position.next();
            for record in &records {
                self.note(record).await?;
            }
        }
        Ok(())
    }

    /// Notes what a record changes. To be called before its position counts as applied.
    pub(super) async fn note(&mut self, record: &Record) -> Result<()> {
        let before = Position(record.position.0.saturating_sub(1));
        match self.sqlite.catalog_at(before).or_else(|| self.earlier.clone()) {
            Some(catalog) => self.look_at(catalog),
            // Of a time before this process: whatever changed a table may have been DDL.
            None => return self.whole_tables(record).await,
        }
        match &record.events {
            Events::Loaded(events) => {
                let noted: Vec<Noted> =
                    events.iter().flat_map(|event| self.of_event(event, record.position)).collect();
                self.store.note_changed(noted);
            }
            Events::Large => {
                let reader = self.sqlite.reader(None).await?;
                let mut stream = EventStream::open(&reader, record.position)?;
                while let Some(event) = blocking(|| stream.next())? {
                    let noted = self.of_event(&event, record.position);
                    self.store.note_changed(noted);
                }
            }
        }
        Ok(())
    }

    fn look_at(&mut self, catalog: Arc<Catalog>) {
        if !self.catalog.as_ref().is_some_and(|known| Arc::ptr_eq(known, &catalog)) {
            self.tables.clear();
            self.catalog = Some(catalog);
        }
    }

    async fn whole_tables(&mut self, record: &Record) -> Result<()> {
        let catalog = self.sqlite.catalog();
        let tables = catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
        let all: Vec<Noted> = match &record.events {
            Events::Loaded(events) if !events.iter().any(|e| matches!(e, Event::Ddl(_))) => {
                let named = |sqlite_name: &str| {
                    relation_of(&catalog, sqlite_name).ok().map(|r| (r.name.clone(), None))
                };
                events
                    .iter()
                    .flat_map(|event| match event {
                        Event::Row(image) => vec![named(&image.table)],
                        Event::Truncate(t) => t.tables.iter().map(|t| named(t)).collect(),
                        _ => Vec::new(),
                    })
                    .flatten()
                    .collect()
            }
            _ => tables.map(|r| (r.name.clone(), None)).collect(),
        };
        self.store.note_changed(all);
        Ok(())
    }

    fn of_event(&mut self, event: &Event, position: Position) -> Vec<Noted> {
        match event {
            Event::Row(image) => self.of_image(image),
            Event::Truncate(truncate) => {
                let tables = truncate.tables.iter().filter_map(|t| self.relation(t));
                tables.map(|r| (r.name.clone(), None)).collect()
            }
            Event::Ddl(_) => self.of_ddl(position),
            Event::Statement(_) | Event::Sequence(_) => Vec::new(),
        }
    }

    fn relation(&mut self, sqlite_name: &str) -> Option<Arc<Relation>> {
        if let Some(known) = self.tables.get(sqlite_name) {
            return Some(Arc::clone(known));
        }
        let found = relation_of(self.catalog.as_ref()?, sqlite_name).ok()?;
        self.tables.insert(sqlite_name.to_owned(), Arc::clone(&found));
        Some(found)
    }

    fn of_image(&mut self, image: &Image) -> Vec<Noted> {
        let Some(relation) = self.relation(&image.table) else { return Vec::new() };
        let of = |row: &Row| (relation.name.clone(), key_of(&relation, row));
        match image.op {
            Op::Insert => vec![of(&image.new)],
            Op::Delete => vec![of(&image.old)],
            Op::Update => {
                let (old, new) = (of(&image.old), of(&image.new));
                if old == new { vec![new] } else { vec![old, new] }
            }
        }
    }

    /// Tables that a schema change touched: those that are new or look otherwise.
    fn of_ddl(&self, position: Position) -> Vec<Noted> {
        let after = self.sqlite.catalog_at(position).unwrap_or_else(|| self.sqlite.catalog());
        let same = |relation: &Arc<Relation>| {
            let before = self.catalog.as_ref().and_then(|c| c.relation(&relation.name));
            before.is_some_and(|before| is_alike(before, relation))
        };
        let tables = after.relations.values().filter(|r| r.kind == RelationKind::Table);
        tables.filter(|r| !same(r)).map(|r| (r.name.clone(), None)).collect()
    }
}

/// Whether two versions of a table hold the same rows under the same keys: one that was made anew
/// does not.
fn is_alike(a: &Arc<Relation>, b: &Arc<Relation>) -> bool {
    let column = |c: &Column| (c.name.clone(), c.sqlite_name.clone(), c.ty, c.codec);
    Arc::ptr_eq(a, b)
        || (a.oid == b.oid
            && a.key() == b.key()
            && a.sqlite_name == b.sqlite_name
            && a.columns.iter().map(column).eq(b.columns.iter().map(column)))
}

/// The key of a row as stored; None where there is none, or it cannot be told.
pub(super) fn key_of(relation: &Relation, row: &Row) -> Option<Key> {
    relation.key()?.iter().map(|column| Part::of(row.get(*column)?)).collect()
}
