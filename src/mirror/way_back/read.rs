//! Reading the trigger journal: batch after batch, each between two snapshots of PostgreSQL.
//!
//! A batch is read in portions of bounded size, in the order of its transactions; one that is larger
//! than a portion is read alone, row by row. Where it ended is known by the place that SQLite has.
//!
//! Owns the order of things: a batch is noted on PostgreSQL's disk before anything of it is in
//! SQLite; each of its transactions is one SQLite transaction that also stores the place; rows are
//! removed there only after SQLite has synced them. It must never go on over a table that is not
//! what it was, nor in a journal that was read by somebody else. Start at [`Follower::read`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, pin_mut};
use tokio::time::Instant;
use tokio_postgres::Row;

use super::apply::{Shape, Target, Trouble};
use super::change::Note;
use super::follow::{CONFIRM_EVERY, Ended, Follower, LOOK_EVERY, ended, followed, from_the_past};
use super::left_out::{self, LeftOut};
use super::place::{self, Place, Written};
use super::schema::{Changing, Known};
use super::{State, notes, setup, store_lsn, store_place, stored_place};
use crate::backend::postgres::control::Control;
use crate::backend::postgres::decode::{Old, Table, TableColumn, Tuple, Value};
use crate::backend::postgres::replication::Lsn;
use crate::backend::sqlite::{Connection, Writer, blocking};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::name;
use crate::schema::Catalog;

/// How soon the journal is looked at again: while rows come, and at the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// How far a look at the journal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// There was nothing.
    Nothing,
    /// A part of the batch; the rest is there.
    Portion,
    /// To the end of the batch.
    Batch,
}

/// What is known while the journal is read.
struct Reading {
    /// Writes the marks, and is asked whatever is not of the batch's snapshot.
    control: Control,
    /// Reads.
    reader: Control,
    /// Tables by the numbers of their rows' shapes.
    tables: HashMap<i32, Table>,
    /// What those are here that had a change.
    targets: HashMap<i32, Target>,
    /// Rows that PostgreSQL does not have.
    left_out: LeftOut,
    known: Known,
    /// Schema changes are noted among the rows.
    noted: bool,
    catalog: Arc<Catalog>,
    /// Where SQLite stands.
    place: Place,
    /// The transactions of the batch that come next, and whether these are all.
    ahead: VecDeque<Written>,
    all_listed: bool,
    /// SQLite has everything up to here in PostgreSQL's log when the batch has ended; not known of
    /// one that was begun over another connection.
    reaches: Option<Lsn>,
    /// The place as SQLite has it.
    stored: Place,
    /// Everything that SQLite has is before this place in PostgreSQL's log.
    floor: Lsn,
    /// The snapshot whose rows were removed last, and its batch.
    trimmed: (String, u64),
}

/// The transaction that is being applied.
struct Open {
    /// Number of its last row, and its own.
    last: (i64, u64),
    writer: Option<Writer>,
    /// Tables that it has written to so far, each with the file its rows were in.
    written: HashSet<(i32, u32)>,
    /// Tables that it has emptied.
    emptied: HashSet<i32>,
    changing: Changing,
}

impl Follower {
    /// One connection's life.
    pub(super) async fn read(&self, control: Control, reached: Lsn) -> Result<Ended, Ended> {
        let progress = place::progress(&control).await?;
        let beginning = Place::beginning(&progress.token);
        let place = match stored_place(&self.conn)? {
            Some(place) if place.token == progress.token => place,
            _ => beginning.clone(),
        };
        if progress.batch < place.batch {
            return Err(from_the_past().into());
        }
        // Rows are removed of batches that SQLite has as a whole.
        if progress.trimmed > place.batch || (progress.trimmed == place.batch && place.to.is_some())
        {
            return Err(Ended::closed(
                "rows of the journal are gone that SQLite has not: the SQLite file was restored \
                 from a backup, or somebody else read the journal",
            ));
        }
        // The plans below are dear by name only: compiling them would take longer than running them.
        control.batch("SET jit = off").await?;
        let reader = control.another().await?;
        reader
            .batch(
                "SET default_transaction_isolation = 'repeatable read'; SET jit = off; \
                 SET enable_seqscan = off; SET enable_nestloop = off",
            )
            .await?;
        let catalog = self.sqlite.catalog();
        let left_out = control.rows(&left_out::query(&catalog)).await?;
        let text = |row: &Row| (0..row.len()).map(|i| row.get(i)).collect();
        let left_out = LeftOut::of(left_out.iter().map(text).collect(), &catalog)?;
        let mut tables = tables(&reader).await?;
        let shapes = tables.values().map(|t| (name::key(&t.schema, &t.name), t.signature()));
        let before = setup::known(&control).await?.with_shapes(shapes.collect());
        let known = Known::new(&self.conn, before, false)?;
        tables.extend(known.numbered());
        let noted = notes::are_there(&control).await?;
        let mut reading = Reading {
            control,
            reader,
            tables,
            targets: HashMap::new(),
            left_out,
            known,
            noted,
            catalog,
            stored: place.clone(),
            place,
            ahead: VecDeque::new(),
            all_listed: true,
            reaches: None,
            floor: reached,
            trimmed: (beginning.from, 0),
        };
        self.tell(State::Following);
        let outcome = self.read_on(&mut reading).await;
        if matches!(outcome, Err(Ended::Stopped)) {
            self.settle(&mut reading).await?;
        }
        outcome
    }

    async fn read_on(&self, reading: &mut Reading) -> Result<Ended, Ended> {
        let (mut settle_at, mut look_at) = (Instant::now() + CONFIRM_EVERY, Instant::now());
        let mut pause = AGAIN.0;
        loop {
            if Instant::now() >= look_at {
                self.look(&reading.control).await?;
                look_at = Instant::now() + LOOK_EVERY;
            }
            let began = Instant::now();
            pause = match self.batch(reading).await? {
                Read::Portion => Duration::ZERO,
                // What takes long is not done more often than it must.
                Read::Batch => AGAIN.0.max(began.elapsed()),
                Read::Nothing => (pause.max(AGAIN.0) * 2).min(AGAIN.1).max(began.elapsed()),
            };
            if Instant::now() >= settle_at {
                self.settle(reading).await?;
                settle_at = Instant::now() + CONFIRM_EVERY;
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Ended::Stopped),
                () = self.ask.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads what was committed since the last batch, or the next portion of it.
    async fn batch(&self, reading: &mut Reading) -> Result<Read, Ended> {
        // Before the snapshot: what is on disk then was committed, and is seen.
        let flushed = Lsn(reading.control.flushed_lsn().await?);
        reading.reader.batch("BEGIN READ ONLY").await?;
        let read = self.portion(reading, flushed).await?;
        reading.reader.batch("COMMIT").await?;
        if read != Read::Portion
            && let Some(reached) = reading.reaches.take()
        {
            self.view.send_modify(|view| {
                view.reached = view.reached.max(reached);
                view.end = view.end.map(|end| end.max(reached));
            });
        }
        Ok(read)
    }

    async fn portion(&self, reading: &mut Reading, flushed: Lsn) -> Result<Read, Ended> {
        let progress = place::progress(&reading.reader).await?;
        if progress.token != reading.place.token || progress.batch < reading.place.batch {
            return Err(from_the_past().into());
        }
        let begun = reading.place.to.clone();
        let (to, done) = match &begun {
            Some((to, done)) => (to.clone(), *done),
            None => {
                reading.reaches = Some(flushed);
                (progress.snapshot, (0, 0))
            }
        };
        if reading.ahead.is_empty() {
            let between = (reading.place.from.as_str(), to.as_str());
            reading.ahead = place::transactions(&reading.reader, between, done).await?;
            reading.all_listed = reading.ahead.len() < place::LISTED_MAX;
        }
        let xids = place::portion(&mut reading.ahead);
        if xids.is_empty() {
            // The rest of a batch that was begun may be nothing.
            reading.place = reading.place.clone().ended();
            return Ok(if begun.is_some() { Read::Batch } else { Read::Nothing });
        }
        if !reading.noted {
            let shapes = place::shapes(&reading.reader, &xids).await?;
            if let Some(table) = place::changed(&reading.reader, &shapes).await? {
                let reason = format!("table {table} was changed on PostgreSQL (DDL)");
                return Err(Ended::Closed { reason, table: Some(table) });
            }
        }
        reading.take_catalog(self.sqlite.catalog());
        reading.place.batch = progress.batch + 1;
        place::begin(&reading.control, reading.place.batch).await?;
        failpoint!("way_back.marked");
        reading.floor = Lsn(reading.control.flushed_lsn().await?);
        reading.place.to = Some((to, done));
        self.rows(reading, &xids).await?;
        if !reading.ahead.is_empty() || !reading.all_listed {
            return Ok(Read::Portion);
        }
        reading.place = reading.place.clone().ended();
        Ok(Read::Batch)
    }

    /// Reads these transactions' rows, and applies them.
    async fn rows(&self, reading: &mut Reading, xids: &[String]) -> Result<(), Ended> {
        let rows = {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&xids];
            let rows = reading.reader.client().query_raw(&place::rows_sql(), parameters).await;
            rows.map_err(|e| reading.reader.error(&e))?
        };
        pin_mut!(rows);
        let mut open: Option<Open> = None;
        while let Some(row) = rows.next().await {
            let row = row.map_err(|e| reading.reader.error(&e))?;
            let xid = row.get::<_, &str>(5).parse();
            let xid = xid.map_err(|_| Error::internal("a transaction without a number"))?;
            let last = (row.get(0), xid);
            if let Some(ended) = open.take_if(|open| open.last != last) {
                self.end(reading, ended)?;
                if self.stop.is_cancelled() {
                    return Err(Ended::Stopped);
                }
            }
            let open = open.get_or_insert_with(|| Open {
                last,
                writer: None,
                written: HashSet::new(),
                emptied: HashSet::new(),
                changing: Changing::default(),
            });
            self.row(reading, open, &row).await?;
        }
        if let Some(ended) = open {
            self.end(reading, ended)?;
        }
        Ok(())
    }

    /// The transaction is there as a whole.
    fn end(&self, reading: &mut Reading, open: Open) -> Result<(), Ended> {
        if let Some((_, done)) = &mut reading.place.to {
            *done = open.last;
        }
        if let Some(writer) = open.writer {
            let how = (self.now(), open.changing);
            self.commit(writer, reading.floor, Some(&reading.place), how)?;
            reading.stored = reading.place.clone();
            reading.take_catalog(self.sqlite.catalog());
        }
        Ok(())
    }

    async fn row(&self, reading: &mut Reading, open: &mut Open, row: &Row) -> Result<(), Ended> {
        let shape = row.get(2);
        if shape == super::triggers::NOTE {
            return self.note_of(reading, open, row).await;
        }
        let Some(shape) = followed(reading.target(shape, &open.changing)?)? else {
            return Ok(());
        };
        passes(open, row).map_err(|trouble| ended(trouble, shape.name()))?;
        let writer = self.writer(&mut open.writer).await?;
        blocking(|| self.apply(shape, writer, row)).map_err(|trouble| ended(trouble, shape.name()))
    }

    /// A note of a schema change: carried here and now, before what comes after it.
    async fn note_of(
        &self,
        reading: &mut Reading,
        open: &mut Open,
        row: &Row,
    ) -> Result<(), Ended> {
        let text: Option<&str> = row.get(4);
        let note = Note::read(text.ok_or_else(|| Error::internal("a note without its text"))?)?;
        let with = (&mut reading.known, &mut open.changing);
        self.change_schema(&note, with, &mut open.writer).await?;
        reading.tables.extend(reading.known.numbered());
        reading.targets.clear();
        Ok(())
    }

    fn apply(&self, shape: &Shape, conn: &Connection, row: &Row) -> Result<(), Trouble> {
        let image = |at: usize| -> Result<Tuple> {
            let text: &str = row
                .get::<_, Option<&str>>(at)
                .ok_or_else(|| Error::internal("a change without its row"))?;
            let value = |field: Option<String>| match field {
                None => Value::Null,
                Some(text) => Value::Text(Bytes::from(text)),
            };
            Ok(Tuple(place::fields(text)?.into_iter().map(value).collect()))
        };
        let old = || Ok::<_, Error>(Old { whole: true, tuple: image(3)? });
        match row.get::<_, &str>(1) {
            "I" => {
                let new = image(4)?;
                self.note(shape, [Some(&new)]);
                shape.insert(conn, &new)
            }
            "U" => {
                let (old, new) = (old()?, image(4)?);
                self.note(shape, [Some(&old.tuple), Some(&new)]);
                shape.update(conn, Some(&old), &new)
            }
            "D" => {
                let old = old()?;
                self.note(shape, [Some(&old.tuple)]);
                shape.delete(conn, &old)
            }
            "T" => {
                self.store.note_changed([(shape.name().to_owned(), None)]);
                shape.truncate(conn)
            }
            // A partition of a table that was emptied as a whole.
            _ => Ok(()),
        }
    }

    /// Stores the place, syncs SQLite, and removes on PostgreSQL what SQLite has for good.
    async fn settle(&self, reading: &mut Reading) -> Result<(), Ended> {
        if reading.stored != reading.place {
            let writer = self.sqlite.writer_on(&self.conn, None).await?;
            blocking(|| {
                store_lsn(&writer, reading.floor)?;
                store_place(&writer, &reading.place)?;
                writer.commit()
            })?;
            reading.stored = reading.place.clone();
        }
        let (from, batch) = (&reading.stored.from, reading.stored.batch);
        if reading.stored.to.is_none() && *from != reading.trimmed.0 {
            blocking(|| self.sqlite.sync());
            failpoint!("way_back.synced");
            place::trim(&reading.control, &reading.trimmed.0, from, batch).await?;
            failpoint!("way_back.trimmed");
            reading.trimmed = (from.clone(), batch);
        }
        self.trim().await
    }
}

impl Reading {
    /// The catalog from here on.
    fn take_catalog(&mut self, catalog: Arc<Catalog>) {
        if !Arc::ptr_eq(&self.catalog, &catalog) {
            self.catalog = catalog;
            self.targets.clear();
        }
    }

    /// What the table of a row's shape is here.
    fn target(&mut self, shape: i32, changing: &Changing) -> Result<Option<&Target>, Ended> {
        if !self.targets.contains_key(&shape) {
            let Some(table) = self.tables.get(&shape) else { return Ok(None) };
            let catalog = changing.catalog.as_ref().unwrap_or(&self.catalog);
            let target = Target::find(table, catalog, &self.known, &self.left_out);
            let target = target.map_err(|trouble| ended(trouble, &table.name))?;
            self.targets.insert(shape, target);
        }
        Ok(self.targets.get(&shape))
    }
}

/// The tables whose rows triggers write, by the numbers of their shapes.
async fn tables(control: &Control) -> Result<HashMap<i32, Table>> {
    let sql = "SELECT id, relid, schema::text, name::text, columns FROM crossfade.way_back_shapes";
    let rows = control.rows(sql).await?;
    rows.iter().map(|row| Ok((row.get(0), table(row)?))).collect()
}

/// Notes what a change does to its table, and stops where the order of the changes is not certain:
/// a table that was emptied in the middle of a transaction's writes, or a partition of one.
fn passes(open: &mut Open, row: &Row) -> Result<(), Trouble> {
    let (shape, file): (i32, u32) = (row.get(2), row.get(6));
    match row.get::<_, &str>(1) {
        "T" => {
            // Rows of the file that is there now were written behind it; a table that is
            // partitioned has none of its own.
            let after = |(of, at): &(i32, u32)| *of == shape && (file == 0 || *at == file);
            if open.written.iter().any(after) {
                return Err(Trouble::Resync(
                    "was emptied by a transaction that also wrote to it".into(),
                ));
            }
            open.emptied.insert(shape);
        }
        "P" if !open.emptied.contains(&shape) => {
            return Err(Trouble::Resync("had a partition emptied".into()));
        }
        "P" => {}
        _ => {
            open.written.insert((shape, file));
        }
    }
    Ok(())
}

/// A table as its shape was noted.
fn table(row: &Row) -> Result<Table> {
    let columns: Vec<(String, u32, i32)> = serde_json::from_str(row.get(4))
        .map_err(|e| Error::internal(format!("the shape of a table is damaged: {e}")))?;
    let column = |(name, type_oid, typmod): (String, u32, i32)| TableColumn {
        key: true,
        name,
        type_oid,
        typmod,
    };
    Ok(Table {
        oid: row.get(1),
        schema: row.get(2),
        name: row.get(3),
        identity: b'f',
        columns: columns.into_iter().map(column).collect(),
    })
}

/// Reads the journal until the marker with the token has come.
pub(super) async fn until_marked(control: &Control, token: &str) -> Result<()> {
    setup::mark(control, token).await?;
    let sql = "SELECT new FROM crossfade.way_back_journal WHERE shape = $1 ORDER BY n DESC LIMIT 1";
    let row = control.client().query_opt(sql, &[&super::triggers::MARKER]).await;
    let row = row.map_err(|e| control.error(&e))?;
    let found = match &row {
        Some(row) => place::fields(row.get(0))?,
        None => Vec::new(),
    };
    match found.get(1).and_then(Option::as_deref) == Some(token) {
        true => Ok(()),
        false => Err(Error::internal("the marker row was not written to the journal")),
    }
}
