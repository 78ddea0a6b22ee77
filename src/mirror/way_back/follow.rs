//! The follower's task: the stream, its transactions, what is confirmed.
//!
//! Owns the order of things: rows, the stored place and the journal's record are one SQLite
//! transaction; only what SQLite has synced is confirmed. Rows go straight into that
//! transaction, so a large one needs no memory. Records of what PostgreSQL has are trimmed, but
//! for the last one: a rollback names it. It must never confirm ahead of SQLite, nor apply a
//! commit that the stored place covers. Start at [`Follower::run`].

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rusqlite::config::DbConfig;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::apply::{Shape, Target, Trouble};
use super::change::Note;
use super::left_out::{self, LeftOut};
use super::place::{self, Place};
use super::schema::{Changing, Known};
use super::{
    How, KEY_CLOSED, KEY_RESYNC, KEY_SYSTEM, PUBLICATION, State, View, notes, setup, store_lsn,
    store_place, stored_place, triggers,
};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::decode::{Message, Packet, Table, Tuple, Value};
use crate::backend::postgres::replication::{Identity, Lsn, Replication};
use crate::backend::sqlite::{Connection, Sqlite, Visible, Writer, blocking};
use crate::clock::Clock;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::journal::{self, Journal, Origin};
use crate::mirror::applier::fault;
use crate::schema::Catalog;
use crate::telemetry::names;
use crate::value::Cell;

/// First and longest pause before trying again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often SQLite is synced and the place confirmed.
pub(super) const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// How often PostgreSQL's tables are looked at for what the stream does not tell.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes of rows that may wait for the note of their table.
const EARLY_MAX: usize = 8 << 20;
/// How long taking down what a closed way back needed may take.
const TAKE_DOWN_MAX: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const LEAVE: Duration = Duration::from_secs(2);
/// Name of our connections, shown in pg_stat_activity; the fence spares them.
pub(super) const NAME: &str = "crossfade way back";

/// The task's state.
pub(super) struct Follower {
    pub(super) sqlite: Sqlite,
    pub(super) journal: Journal,
    pub(super) connector: Connector,
    pub(super) clock: Clock,
    pub(super) store: Arc<Store>,
    pub(super) visible: Arc<Visible>,
    pub(super) view: watch::Sender<View>,
    pub(super) stop: CancellationToken,
    pub(super) ask: Arc<Notify>,
    /// Our own connection to the file: triggers and foreign keys are off.
    pub(super) conn: Connection,
    /// What PostgreSQL may keep for us, in bytes.
    pub(super) kept_max: u64,
}

/// Why one connection's life ended.
pub(super) enum Ended {
    Stopped,
    Closed {
        reason: String,
        table: Option<String>,
    },
    /// Closed, by what is not the PostgreSQL that was prepared.
    Foreign(String),
    Failed(Error),
}

impl Ended {
    pub(super) fn closed(reason: impl Into<String>) -> Self {
        Self::Closed { reason: reason.into(), table: None }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What is known while the stream runs.
struct Stream {
    replication: Replication,
    known: Known,
    /// Rows that PostgreSQL does not have.
    left_out: LeftOut,
    /// Tables as the stream told of them last.
    tables: HashMap<u32, Table>,
    /// What those are here that had a change.
    targets: HashMap<u32, Target>,
    catalog: Arc<Catalog>,
    /// Everything up to here is in SQLite.
    reached: Lsn,
    /// The place stored in SQLite.
    stored: Lsn,
    /// SQLite has synced the stored place up to here: all that PostgreSQL may forget.
    safe: Lsn,
    open: Option<Open>,
}

/// The transaction being received.
struct Open {
    commit: Lsn,
    /// SQLite has it already.
    skip: bool,
    writer: Option<Writer>,
    changing: Changing,
    /// Rows of tables that SQLite has not yet: those of CREATE TABLE AS come before the note of
    /// the change. With their size.
    early: (Vec<(u32, Tuple)>, usize),
}

impl Follower {
    pub(super) fn new(
        sqlite: Sqlite,
        journal: Journal,
        connector: Connector,
        (clock, store, visible): (Clock, Arc<Store>, Arc<Visible>),
        view: watch::Sender<View>,
        (stop, ask, kept_max): (CancellationToken, Arc<Notify>, u64),
    ) -> Result<Self> {
        let conn = sqlite.dedicated()?;
        conn.follow();
        conn.with_rusqlite(|c| {
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)
        })
        .map_err(|e| Error::internal(format!("a connection could not be set up: {e}")))?;
        Ok(Self {
            sqlite,
            journal,
            connector,
            clock,
            store,
            visible,
            view,
            stop,
            ask,
            conn,
            kept_max,
        })
    }

    pub(super) async fn run(self) {
        let mut pause = BACK_OFF.0;
        loop {
            let started = Instant::now();
            let stop = self.stop.clone();
            // Following ends by itself when told to; what hangs elsewhere is left behind.
            let ended = tokio::select! {
                biased;
                // A fault of ours must not leave a way back behind that seems to be followed.
                ended = AssertUnwindSafe(self.follow()).catch_unwind() => {
                    ended.unwrap_or_else(|_| Ended::Failed(fault()))
                }
                () = async {
                    stop.cancelled().await;
                    tokio::time::sleep(LEAVE).await;
                } => Ended::Stopped,
            };
            match ended {
                Ended::Stopped => break self.tell(State::Stopped),
                Ended::Closed { reason, table } => {
                    self.close(&reason, table).await;
                    self.tell(State::Closed(reason));
                    break self.take_down().await;
                }
                Ended::Foreign(reason) => {
                    self.close(&reason, None).await;
                    self.tell(State::Closed(reason));
                    break self.clear().await;
                }
                Ended::Failed(_) if self.stop.is_cancelled() => break self.tell(State::Stopped),
                Ended::Failed(error) => {
                    tracing::warn!(%error, "SQLite does not follow for the moment; trying again");
                    self.tell(State::Connecting(error.to_string()));
                }
            }
            if started.elapsed() > BACK_OFF.1 {
                pause = BACK_OFF.0;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// Whether the journal there is the one that SQLite has read, or notes are that of its server: a
    /// standby that was promoted, or a server that was restored, brings the triggers along, and nobody
    /// reads what they write.
    async fn is_copied(&self) -> Result<bool> {
        let control = Control::connect(&self.connector).await?;
        let system = setup::identity(&control).await?.system.to_string();
        let followed = super::text(&self.conn, KEY_SYSTEM)?;
        let same = followed.is_some_and(|it| it.split('/').next() == Some(&system));
        if same && notes::are_there(&control).await? {
            return Ok(true);
        }
        let Some(place) = stored_place(&self.conn)? else { return Ok(false) };
        Ok(triggers::is_there(&control).await?
            && place::progress(&control).await?.token == place.token)
    }

    pub(super) fn tell(&self, state: State) {
        self.view.send_modify(|view| view.state = state);
    }

    async fn close(&self, reason: &str, table: Option<String>) {
        tracing::error!(reason, "the way back is closed: SQLite does not follow");
        if let Err(error) = self.store_closed(reason, table).await {
            tracing::error!(%error, "the reason could not be stored");
        }
    }

    /// A way back that was closed before this process began: what PostgreSQL keeps for it is taken
    /// down, if it is the PostgreSQL that was followed, or a copy of it with our triggers.
    pub(super) async fn clear(self) {
        loop {
            let ours = async { Ok(self.is_followed().await? || self.is_copied().await?) };
            let ours: Result<bool> = ours.await;
            match ours {
                Ok(true) => return self.take_down().await,
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "PostgreSQL cannot be asked who it is"),
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(TAKE_DOWN_MAX) => {}
            }
        }
    }

    async fn is_followed(&self) -> Result<bool> {
        let control = Control::connect(&self.connector).await?;
        let now = setup::identity(&control).await?;
        Ok(super::text(&self.conn, KEY_SYSTEM)? == Some(system_text(now)))
    }

    /// Nobody reads on: what PostgreSQL keeps for it would only grow. Transactions may be open
    /// there that are in the way for a while.
    async fn take_down(&self) {
        let mut pause = BACK_OFF.1;
        loop {
            let taken = async { setup::take_down(&Control::connect(&self.connector).await?).await };
            let error = match tokio::time::timeout(TAKE_DOWN_MAX, taken).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(_) => Error::shadow(state::QUERY_CANCELED, "it took too long"),
            };
            tracing::warn!(%error, "PostgreSQL still keeps what the way back needed; trying again");
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(TAKE_DOWN_MAX);
        }
    }

    async fn store_closed(&self, reason: &str, table: Option<String>) -> Result<()> {
        if let Some(table) = table {
            self.view.send_modify(|view| {
                view.resync.insert(table);
            });
        }
        let resync: Vec<String> = self.view.borrow().resync.iter().cloned().collect();
        let writer = self.sqlite.writer(None).await?;
        journal::set_state(&writer, KEY_CLOSED, Cell::Text(reason.to_owned()))?;
        journal::set_state(&writer, KEY_RESYNC, Cell::Text(resync.join("\n")))?;
        let committed = writer.commit()?;
        self.sqlite.wait_committed(committed).await
    }

    /// One connection's life.
    async fn follow(&self) -> Ended {
        match self.follow_inner().await {
            Ok(never) => never,
            Err(ended) => ended,
        }
    }

    async fn follow_inner(&self) -> Result<Ended, Ended> {
        // The stored place, not the one in memory: a commit's fate may have been unknown.
        let reached = super::stored_lsn(&self.conn)?
            .ok_or_else(|| Error::internal("the way back has no stored place"))?;
        let control = Control::connect(&self.connector).await?;
        let identity = setup::identity(&control).await?;
        self.check_system(identity).await?;
        if identity.flushed < reached {
            // What is followed was on disk there before it was sent. Recovery sees the same and
            // serves nobody until the right PostgreSQL is back, which is followed as before.
            let end = identity.flushed;
            let detail = format!("The log ends at {end}, SQLite has followed it to {reached}.");
            return Err(from_the_past().detail(detail).into());
        }
        let carries = notes::are_there(&control).await?;
        self.view.send_modify(|view| view.carries = carries);
        if triggers::is_there(&control).await? {
            self.view.send_modify(|view| view.how = How::Triggers);
            return self.read(control, reached).await;
        }
        self.view.send_modify(|view| view.how = How::Decoding);
        let slot = setup::slot(&control).await?;
        let mut replication = Replication::connect(&self.connector, NAME).await?;
        let confirmed = setup::confirmed(&control, &slot).await?;
        if confirmed > reached {
            // PostgreSQL would go on from there, over what this file has never seen.
            let reason = format!(
                "the slot {slot} was read up to {confirmed}, and SQLite has followed it to \
                 {reached}: the SQLite file was restored from a backup, or somebody else read the slot"
            );
            return Err(Ended::closed(reason));
        }
        let before = replication
            .rows(setup::BEFORE)
            .await?
            .into_iter()
            .filter_map(|row| {
                let mut row = row.into_iter();
                Some((row.next()??, row.next()??, row.next()?))
            })
            .collect();
        let catalog = self.sqlite.catalog();
        let left_out = replication.rows(&left_out::query(&catalog)).await?;
        let left_out = LeftOut::of(left_out, &catalog)?;
        replication.start(&slot, PUBLICATION, reached).await.map_err(final_or_not)?;
        self.tell(State::Following);
        let mut stream = Stream {
            replication,
            known: Known::new(&self.conn, before, true)?,
            tables: HashMap::new(),
            left_out,
            targets: HashMap::new(),
            catalog,
            reached,
            stored: reached,
            safe: Lsn::default(),
            open: None,
        };
        let outcome = self.stream(&mut stream, &control).await;
        // An open transaction is rolled back before anything else writes.
        stream.open = None;
        if matches!(outcome, Err(Ended::Stopped)) {
            self.confirm(&mut stream, false).await?;
            stream.replication.close().await;
        }
        outcome
    }

    /// Which server this is was noted when following began.
    async fn check_system(&self, identity: Identity) -> Result<(), Ended> {
        let now = system_text(identity);
        match super::text(&self.conn, KEY_SYSTEM)? {
            Some(before) if before == now => Ok(()),
            Some(_) => {
                let reason = "this is another PostgreSQL, or it was restored or failed over";
                Err(Ended::Foreign(reason.to_owned()))
            }
            None => {
                let writer = self.sqlite.writer(None).await?;
                journal::set_state(&writer, KEY_SYSTEM, Cell::Text(now))?;
                writer.commit()?;
                Ok(())
            }
        }
    }

    async fn stream(&self, stream: &mut Stream, control: &Control) -> Result<Ended, Ended> {
        let mut confirm_at = Instant::now() + CONFIRM_EVERY;
        let mut look_at = Instant::now();
        loop {
            // Fair: neither a busy stream nor somebody who asks again and again has it alone.
            tokio::select! {
                () = self.stop.cancelled() => return Err(Ended::Stopped),
                () = tokio::time::sleep_until(confirm_at) => {
                    self.confirm(stream, false).await?;
                    // An open transaction holds the writer that trimming needs.
                    if stream.open.as_ref().is_none_or(|open| open.writer.is_none()) {
                        self.trim().await?;
                    }
                    confirm_at = Instant::now() + CONFIRM_EVERY;
                }
                () = self.ask.notified() => {
                    stream.replication.confirm(stream.safe, self.now(), true).await?;
                }
                () = tokio::time::sleep_until(look_at) => {
                    self.look(control).await?;
                    look_at = Instant::now() + LOOK_EVERY;
                }
                packet = stream.replication.next() => {
                    let packet = packet.map_err(final_or_not)?;
                    self.packet(stream, packet).await?;
                }
            }
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.postgres_micros()
    }

    /// Syncs SQLite and tells PostgreSQL what it may forget: never more than SQLite has stored,
    /// so that a file put back from a backup is seen to be behind the slot.
    async fn confirm(&self, stream: &mut Stream, ask: bool) -> Result<(), Ended> {
        // What was skipped (nothing of ours) is stored between transactions.
        if stream.open.is_none() && stream.stored < stream.reached {
            let writer = self.sqlite.writer_on(&self.conn, None).await?;
            blocking(|| {
                store_lsn(&writer, stream.reached)?;
                writer.commit()
            })?;
            stream.stored = stream.reached;
        }
        if stream.safe < stream.stored {
            blocking(|| self.sqlite.sync());
            failpoint!("way_back.synced");
            stream.safe = stream.stored;
        }
        Ok(stream.replication.confirm(stream.safe, self.now(), ask).await?)
    }

    /// PostgreSQL has what SQLite follows, and had all before it when it became primary.
    pub(super) async fn trim(&self) -> Result<(), Ended> {
        let last = self.sqlite.durable();
        if self.journal.first(&self.conn)? < last {
            if let Err(error) = self.store.save_changed() {
                tracing::error!(%error, "the journal is not trimmed: what has changed is not saved");
                return Ok(());
            }
            self.journal.trim(last).await?;
        }
        Ok(())
    }

    /// What the stream does not tell: changed definitions, where the log ends, and how much of it
    /// is kept for us.
    pub(super) async fn look(&self, control: &Control) -> Result<(), Ended> {
        let end = control.flushed_lsn().await?;
        if let Some((table, reason)) = setup::unfollowed(control, true).await? {
            return Err(Ended::Closed { reason, table });
        }
        let kept = setup::kept(control).await?;
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!(names::WAY_BACK_KEPT).set(kept as f64);
        if kept > self.kept_max {
            return Err(Ended::closed(format!(
                "PostgreSQL kept {kept} bytes for it, and postgres.way_back_bytes_max is {}",
                self.kept_max
            )));
        }
        self.view.send_modify(|view| {
            view.end = Some(Lsn(end));
            view.kept = kept;
        });
        Ok(())
    }

    async fn packet(&self, stream: &mut Stream, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Keepalive { end, reply } => {
                // Between transactions all that was sent has arrived.
                if stream.open.is_none() {
                    self.reach(stream, Lsn(end));
                }
                if reply {
                    self.confirm(stream, false).await?;
                }
                Ok(())
            }
            Packet::Data { body, .. } => {
                let message = Message::decode(body)?;
                self.message(stream, message).await
            }
        }
    }

    fn reach(&self, stream: &mut Stream, place: Lsn) {
        if stream.reached < place {
            stream.reached = place;
            self.view.send_modify(|view| {
                view.reached = place;
                view.end = view.end.map(|end| end.max(place));
            });
        }
    }

    async fn message(&self, stream: &mut Stream, message: Message) -> Result<(), Ended> {
        match message {
            Message::Begin { commit_lsn, .. } => {
                let commit = Lsn(commit_lsn);
                // The stored place is the end of a commit record; a later record starts there
                // or after it.
                let skip = commit < stream.reached;
                let (changing, early) = Default::default();
                stream.open = Some(Open { commit, skip, writer: None, changing, early });
                Ok(())
            }
            Message::Commit { commit_lsn, end_lsn, committed_at } => {
                let open = stream.open.take().filter(|open| open.commit == Lsn(commit_lsn));
                let open = open.ok_or_else(|| Error::internal("a commit without its begin"))?;
                if let Some((table, _)) = open.early.0.first() {
                    followed(stream.targets.get(table))?;
                }
                if let Some(writer) = open.writer {
                    self.commit(writer, Lsn(end_lsn), None, (committed_at, open.changing))?;
                    stream.take_catalog(self.sqlite.catalog());
                    stream.stored = Lsn(end_lsn);
                }
                self.reach(stream, Lsn(end_lsn));
                Ok(())
            }
            Message::Relation(table) => {
                stream.take_catalog(self.sqlite.catalog());
                stream.targets.remove(&table.oid);
                stream.tables.insert(table.oid, table);
                Ok(())
            }
            Message::Insert { table, new } => {
                match stream.target(table)? {
                    Some(Target::Notes) => return self.noted(stream, table, &new).await,
                    Some(Target::Absent(_)) => return stream.keep(table, new),
                    _ => {}
                }
                self.change(stream, table, |shape, conn| {
                    self.note(shape, [Some(&new)]);
                    shape.insert(conn, &new)
                })
                .await
            }
            Message::Update { table, old, new } => {
                self.change(stream, table, |shape, conn| {
                    self.note(shape, [old.as_ref().map(|old| &old.tuple), Some(&new)]);
                    shape.update(conn, old.as_ref(), &new)
                })
                .await
            }
            Message::Delete { table, old } => {
                self.change(stream, table, |shape, conn| {
                    self.note(shape, [Some(&old.tuple)]);
                    shape.delete(conn, &old)
                })
                .await
            }
            Message::Truncate { tables } => {
                for table in tables {
                    self.change(stream, table, |shape, conn| {
                        self.store.note_changed([(shape.name().to_owned(), None)]);
                        shape.truncate(conn)
                    })
                    .await?;
                }
                Ok(())
            }
            Message::Origin { .. } | Message::Type { .. } | Message::Other(_) => Ok(()),
        }
    }

    async fn change(
        &self,
        stream: &mut Stream,
        table: u32,
        change: impl FnOnce(&Shape, &Connection) -> Result<(), Trouble>,
    ) -> Result<(), Ended> {
        if stream.target(table)?.is_none() {
            return Ok(());
        }
        let Some(shape) = followed(stream.targets.get(&table))? else { return Ok(()) };
        let open =
            stream.open.as_mut().ok_or_else(|| Error::internal("a change without its begin"))?;
        let writer = self.writer(&mut open.writer).await?;
        blocking(|| change(shape, writer)).map_err(|trouble| ended(trouble, shape.name()))
    }

    /// A note of a schema change: carried here and now, before what comes after it.
    async fn noted(&self, stream: &mut Stream, table: u32, row: &Tuple) -> Result<(), Ended> {
        let columns = stream.tables.get(&table).map(|table| table.columns.as_slice());
        let at = columns.and_then(|all| all.iter().position(|c| c.name == "note"));
        let note = match at.and_then(|at| row.0.get(at)) {
            Some(Value::Text(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        let note = Note::read(note.ok_or_else(|| Error::internal("a note without its text"))?)?;
        let open =
            stream.open.as_mut().ok_or_else(|| Error::internal("a change without its begin"))?;
        let with = (&mut stream.known, &mut open.changing);
        self.change_schema(&note, with, &mut open.writer).await?;
        stream.targets.clear();
        let (early, _) = std::mem::take(&mut open.early);
        for (table, row) in early {
            match stream.target(table)? {
                Some(Target::Absent(_)) => stream.keep(table, row)?,
                _ => {
                    self.change(stream, table, |shape, conn| shape.insert(conn, &row)).await?;
                }
            }
        }
        Ok(())
    }

    /// What is followed was not compared: a switch looks at it again.
    pub(super) fn note<'a>(
        &self,
        shape: &Shape,
        rows: impl IntoIterator<Item = Option<&'a Tuple>>,
    ) {
        let keys = rows.into_iter().flatten().map(|row| (shape.name().to_owned(), shape.key(row)));
        self.store.note_changed(keys);
    }

    /// The transaction that is open here, begun when it is not.
    pub(super) async fn writer<'a>(&self, open: &'a mut Option<Writer>) -> Result<&'a Writer> {
        let writer = match open.take() {
            Some(writer) => writer,
            None => self.begin().await?,
        };
        Ok(open.insert(writer))
    }

    pub(super) async fn begin(&self) -> Result<Writer> {
        let writer = self.sqlite.writer_on(&self.conn, None).await?;
        // PostgreSQL has these rows: the record carries the origin, not the images.
        writer.mute(true);
        Ok(writer)
    }

    pub(super) fn commit(
        &self,
        writer: Writer,
        end: Lsn,
        place: Option<&Place>,
        (committed_at, mut changing): (i64, Changing),
    ) -> Result<(), Ended> {
        changing.check()?;
        blocking(|| {
            store_lsn(&writer, end)?;
            if let Some(place) = place {
                store_place(&writer, place)?;
            }
            self.journal.set_origin(&writer, Origin::Postgres(end.0));
            failpoint!("way_back.before_commit");
            writer.commit_with(|committed| {
                // Nobody may write before the new catalog is what everyone sees.
                if let Some(catalog) = changing.catalog {
                    self.visible.publish(catalog, changing.steps, committed.position);
                }
            })?;
            failpoint!("way_back.after_commit");
            self.view.send_modify(|view| {
                view.commits += 1;
                view.committed_at = Some(committed_at);
            });
            Ok::<_, Error>(())
        })?;
        Ok(())
    }
}

impl Stream {
    /// The catalog from here on.
    fn take_catalog(&mut self, catalog: Arc<Catalog>) {
        if !Arc::ptr_eq(&self.catalog, &catalog) {
            self.catalog = catalog;
            self.targets.clear();
        }
    }

    /// What a table of the open transaction is here; None when SQLite has that transaction already.
    fn target(&mut self, table: u32) -> Result<Option<&Target>, Ended> {
        let open =
            self.open.as_ref().ok_or_else(|| Error::internal("a change without its begin"))?;
        if open.skip {
            return Ok(None);
        }
        if !self.targets.contains_key(&table) {
            let shape = self.tables.get(&table);
            let shape = shape.ok_or_else(|| Error::internal("a change of an unknown table"))?;
            let catalog = open.changing.catalog.as_ref().unwrap_or(&self.catalog);
            let target = Target::find(shape, catalog, &self.known, &self.left_out);
            let target = target.map_err(|trouble| ended(trouble, &shape.name))?;
            self.targets.insert(table, target);
        }
        Ok(self.targets.get(&table))
    }

    /// Keeps a row until its table is there.
    fn keep(&mut self, table: u32, row: Tuple) -> Result<(), Ended> {
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        let size = |value: &Value| match value {
            Value::Text(bytes) | Value::Binary(bytes) => bytes.len() + size_of::<Value>(),
            _ => size_of::<Value>(),
        };
        open.early.1 += row.0.iter().map(size).sum::<usize>();
        if open.early.1 > EARLY_MAX {
            let name = self.tables.get(&table).map_or("", |table| table.name.as_str());
            return Err(Ended::Closed {
                reason: format!("table {name} was made on PostgreSQL with too many rows at once"),
                table: Some(name.to_owned()),
            });
        }
        open.early.0.push((table, row));
        Ok(())
    }
}

/// Trying again cannot help when the slot or the publication is gone, or the log it needs.
fn final_or_not(error: Error) -> Ended {
    let code = error.sqlstate();
    if code == state::UNDEFINED_OBJECT || code == state::OBJECT_NOT_IN_PREREQUISITE_STATE {
        return Ended::closed(format!("PostgreSQL cannot go on: {}", error.message()));
    }
    Ended::Failed(error)
}

fn system_text(identity: Identity) -> String {
    format!("{}/{}", identity.system, identity.timeline)
}

/// PostgreSQL is older than what SQLite has of it.
pub(super) fn from_the_past() -> Error {
    Error::shadow(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "PostgreSQL's log ends before what SQLite has followed: it was restored from a backup",
    )
}

/// The table here of a change; None when it is none that is followed.
pub(super) fn followed(target: Option<&Target>) -> Result<Option<&Shape>, Ended> {
    match target {
        Some(Target::Table(shape)) => Ok(Some(shape)),
        Some(Target::Marker | Target::Notes | Target::Ignored) => Ok(None),
        Some(Target::Absent(name)) => {
            let reason = format!("table {name} is not in the SQLite file");
            Err(Ended::Closed { reason, table: Some(name.clone()) })
        }
        None => Err(Error::internal("a change of a table that is not known").into()),
    }
}

pub(super) fn ended(trouble: Trouble, table: &str) -> Ended {
    match trouble {
        Trouble::Resync(reason) => Ended::Closed { reason, table: Some(table.to_owned()) },
        Trouble::Failed(error) => Ended::Failed(error),
    }
}
