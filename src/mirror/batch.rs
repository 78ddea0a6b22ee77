//! One transaction of the shadow: several source transactions, then the position, all or nothing.
//!
//! The fast way pipelines everything and gives up on the first error; then the same records are
//! applied again the careful way, each image behind a savepoint, and what PostgreSQL cannot
//! hold goes to the quarantine. A row that has something in quarantine always goes that way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio_postgres::types::ToSql;

use super::Shared;
use super::counters::Counters;
use super::failures;
use super::lane_b::{self, Tested};
use super::shadow::{Change, Shadow};
use super::{slow, together};
use crate::backend::Position;
use crate::backend::postgres::apply::{Apply, Prepared};
use crate::backend::postgres::control::Control;
use crate::backend::postgres::picture::Follower;
use crate::backend::postgres::triggers::Quiet;
use crate::divergence::Sample;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::journal::{Event, EventStream, Events, Image, Op, Record};
use crate::schema::{Action, Catalog, Relation};

/// Statements in flight at once.
const PIPELINE: usize = 200;
/// The same where clients are left time between them: a millisecond's work.
const PIECE: usize = 32;
/// The shortest and the longest rest.
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_millis(20);
/// The way to a PostgreSQL that is near.
const NEAR: Duration = Duration::from_millis(1);
/// How long it is believed that a table has no trigger, rule or row security.
const GUARDED_FOR: Duration = Duration::from_secs(1);

/// Comparing goes on when the lag is this many times smaller than where it stopped.
const LAG_SMALL: u64 = 10;

/// The applier's connection with its prepared statements.
pub(super) struct Batch {
    pub(super) shared: Arc<Shared>,
    pub(super) prepared: Prepared,
    /// What is known of its tables.
    pub(super) shadow: Shadow,
    /// The role may switch triggers and foreign keys off for itself.
    pub(super) replica: bool,
    /// Tables whose statements may have effects that the images do not account for.
    pub(super) guarded: HashMap<String, (bool, bool)>,
    /// When that was asked for the first of them.
    guarded_since: Instant,
    /// The release of a kept savepoint that was not sent yet.
    pub(super) release: Option<String>,
    /// The transaction waits for PostgreSQL's disk.
    flush: bool,
    /// Nothing is compared until the lag is small again.
    behind: bool,
    /// Triggers that are switched off for images.
    pub(super) quiet: Quiet,
    /// Records that are tested together next.
    pub(super) together: usize,
    /// Where sequences must stand.
    pub(super) counters: Counters,
    /// There is a picture of the schema to compare with.
    pub(super) pictured: bool,
    /// What is known of it.
    pub(super) follower: Follower,
    /// Clients' statements run under time limits, which images must not have.
    limited: bool,
    /// Up to here it is told what statements did: when a batch is tried again they are not tested
    /// twice.
    told: Position,
    /// The last record too large for memory whose statements were counted.
    large: Position,
    /// Schema changes that are refused are left out: they have been tried often enough.
    pub(super) gives_up: bool,
    /// What is to be told of how long writes take.
    pub(super) slow: Vec<slow::News>,
    /// How long the way to PostgreSQL and back takes.
    pub(super) round_trip: Duration,
    /// Rest for each unit of work, while clients are left time: see `catching_up`.
    pub(super) rests: Option<f64>,
    /// What is owed of it.
    owed: Duration,
}

impl Batch {
    pub(super) async fn new(shared: Arc<Shared>, control: Control) -> Result<Self> {
        control.batch("SET synchronous_commit = off").await?;
        let began = Instant::now();
        let replica = control.batch("SET session_replication_role = replica").await.is_ok();
        // Far behind no savepoint is set, which measures it later.
        let round_trip = began.elapsed();
        if !replica {
            tracing::warn!("no right to set session_replication_role: constraint order applies");
        }
        let shadow = Shadow::load(&control).await?;
        let counters = Counters::load(&control).await?;
        let prepared = Prepared::new(control);
        Ok(Self {
            shared,
            prepared,
            shadow,
            replica,
            guarded: HashMap::new(),
            guarded_since: Instant::now(),
            release: None,
            flush: false,
            behind: false,
            quiet: Quiet::default(),
            together: together::MAX,
            counters,
            pictured: false,
            follower: Follower::default(),
            limited: false,
            told: Position(0),
            large: Position(0),
            gives_up: false,
            slow: Vec::new(),
            round_trip,
            rests: None,
            owed: Duration::ZERO,
        })
    }

    pub(super) fn control(&self) -> Control {
        self.prepared.control().clone()
    }

    /// Applies records that follow `before`, with the new position in the same transaction;
    /// with `flush` it is on PostgreSQL's disk afterwards.
    pub(super) async fn apply(
        &mut self,
        records: &[Record],
        before: (Position, [u8; 32]),
        flush: bool,
    ) -> Result<()> {
        self.flush = flush;
        let Err(error) = self.attempt(records, before, false).await else { return Ok(()) };
        if !is_about_data(&error) {
            return Err(error);
        }
        self.rollback().await?;
        let (first, rest) = records.split_at(records.len() / 2);
        let Some(last) = first.last() else {
            tracing::warn!(%error, "applying row by row");
            return self.attempt(records, before, true).await;
        };
        // Only the record that PostgreSQL refuses goes the careful way, in which nothing is
        // compared.
        Box::pin(self.apply(first, before, flush)).await?;
        Box::pin(self.apply(rest, (last.position, last.hash.0), flush)).await
    }

    /// Sets the time limits of clients' statements, unless they are set; before a savepoint.
    pub(super) fn limits(&mut self) -> String {
        if std::mem::replace(&mut self.limited, true) {
            return String::new();
        }
        let ms = self.shared.settings.timeout.as_millis();
        format!("SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}; ")
    }

    /// Sets a savepoint with what else is to be sent before it; how long that took is about the
    /// way there and back.
    pub(super) async fn savepoint(&mut self, sql: &str) -> Result<()> {
        let began = Instant::now();
        let set = self.control().batch(sql).await;
        self.round_trip = began.elapsed();
        set
    }

    /// Sends a release that is still owed, and ends the limits.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let mut owed = self.release.take().unwrap_or_default();
        if std::mem::take(&mut self.limited) {
            owed.push_str("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0");
        }
        if owed.is_empty() { Ok(()) } else { self.control().batch(&owed).await }
    }

    /// Runs failed statements that wait for the position where the shadow stands.
    pub(super) async fn failures(&mut self, at: Position) -> Result<()> {
        let control = self.control();
        self.shadow.begin(&control).await?;
        failures::at(self, at).await?;
        control.batch("ROLLBACK").await
    }

    async fn rollback(&mut self) -> Result<()> {
        self.release = None;
        self.limited = false;
        self.follower.forget();
        self.shadow.rolled_back();
        let control = self.control();
        control.batch("ROLLBACK").await?;
        self.quiet = Quiet::load(&control).await?;
        Ok(())
    }

    async fn attempt(
        &mut self,
        records: &[Record],
        before: (Position, [u8; 32]),
        careful: bool,
    ) -> Result<()> {
        let control = self.control();
        self.shadow.begin(&control).await?;
        failpoint!("mirror.begun");
        self.limited = false;
        if self.guarded_since.elapsed() > GUARDED_FOR {
            self.guarded.clear();
            self.guarded_since = Instant::now();
        }
        let compares = self.shared.settings.compare_writes && !careful;
        let behind = self.is_behind(before.0);
        let mut rest = records;
        while let Some(record) = rest.first() {
            let catalog = self.catalog(record.position)?;
            if compares {
                failures::at(self, Position(record.position.0.saturating_sub(1))).await?;
            }
            if !careful && (behind || !compares) {
                // Nothing is looked at between these transactions: one pipeline for all.
                let plain = rest.iter().take_while(|r| is_plain(r)).count();
                if plain > 0 {
                    if compares {
                        let told = self.told;
                        for record in rest[..plain].iter().filter(|r| r.position > told) {
                            lane_b::skip_all(self, record, "sampled_out");
                            self.told = record.position;
                        }
                    }
                    self.stretch(&rest[..plain], &catalog).await?;
                    rest = &rest[plain..];
                    continue;
                }
            }
            let told = record.position <= self.told;
            if compares && !behind && !told {
                let run = self.run(rest);
                let kept = together::test(self, run, &catalog).await?;
                if kept > 0 {
                    self.told = rest[kept - 1].position;
                    rest = &rest[kept..];
                    continue;
                }
            }
            rest = &rest[1..];
            if !told && careful && self.shared.settings.compare_writes {
                lane_b::skip_all(self, record, "unsupported");
            }
            if compares && !told {
                let tested = if behind {
                    lane_b::skip_all(self, record, "sampled_out")
                } else {
                    lane_b::test(self, record, &catalog).await?
                };
                self.told = record.position;
                if tested == Tested::Kept {
                    self.sequences(record, &catalog).await?;
                    continue;
                }
            }
            self.images(record, &catalog, careful).await?;
        }
        let Some(last) = records.last() else { return control.batch("ROLLBACK").await };
        slow::writes(self).await?;
        self.position(last, before).await?;
        failpoint!("mirror.before_commit");
        let commit = match self.flush {
            true => "SET LOCAL synchronous_commit = on; COMMIT",
            false => "COMMIT",
        };
        if let Err(error) = control.batch(commit).await {
            if compares && is_about_data(&error) {
                match records.len() {
                    1 => self.ended_otherwise(last.position, &error),
                    // Which of them it was, only their statements can tell.
                    _ => self.told = before.0,
                }
            }
            return Err(error);
        }
        failpoint!("mirror.after_commit");
        Ok(())
    }

    /// What a record whose statements did its rows sets besides.
    async fn sequences(&mut self, record: &Record, catalog: &Catalog) -> Result<()> {
        let Events::Loaded(events) = &record.events else { return Ok(()) };
        for event in events.iter().filter(|e| matches!(e, Event::Sequence(_))) {
            self.other(event, (catalog, None)).await?;
        }
        Ok(())
    }

    /// The first of these records, as far as only their rows and statements matter: under one
    /// catalog, and with no failed statement that waits for a position between them.
    fn run<'a>(&self, records: &'a [Record]) -> &'a [Record] {
        let first = self.shared.failures.first();
        let within = |r: &&Record| is_plain(r) && first.is_none_or(|at| r.position <= at);
        &records[..records.iter().take_while(within).count()]
    }

    /// Whether carrying comes before comparing. Once it does, it does until the lag is small:
    /// else comparing would keep the shadow at the very lag at which it begins anew.
    fn is_behind(&mut self, applied: Position) -> bool {
        let lag = self.shared.sqlite.position().0.saturating_sub(applied.0);
        let max = self.shared.settings.lane_b_lag_max;
        self.behind = lag > if self.behind { max / LAG_SMALL } else { max };
        self.behind || !self.shared.compares()
    }

    fn catalog(&self, position: Position) -> Result<Arc<Catalog>> {
        // The catalog a record was written under is the one before its own schema change.
        let before = Position(position.0.saturating_sub(1));
        self.shared
            .sqlite
            .catalog_at(before)
            .ok_or_else(|| Error::internal("the catalog of an old position is not known"))
    }

    /// Stores the new position if PostgreSQL still stands where we believe it does.
    async fn position(&mut self, last: &Record, before: (Position, [u8; 32])) -> Result<()> {
        self.settle().await?;
        let control = self.control();
        let number = |p: Position| i64::try_from(p.0).unwrap_or(i64::MAX);
        let changed = control
            .client()
            .query_opt(
                "UPDATE crossfade.state SET position = $1, hash = $2, updated_at = now() \
                 WHERE position = $3 AND hash = $4 AND lineage = $5 \
                 RETURNING (SELECT max(id) FROM crossfade.quarantine)",
                &[
                    &number(last.position),
                    &last.hash.0.as_slice(),
                    &number(before.0),
                    &before.1.as_slice(),
                    &last.lineage.0.as_slice(),
                ],
            )
            .await
            .map_err(|e| control.error(&e))?;
        if let Some(row) = changed {
            self.shadow.settled(row.get(0));
            return Ok(());
        }
        Err(Error::shadow(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "somebody else moved the applied position",
        )
        .retryable())
    }

    /// Lane A for transactions that hold nothing but rows: under one catalog, because only
    /// DDL changes it.
    async fn stretch(&mut self, records: &[Record], catalog: &Catalog) -> Result<()> {
        self.settle().await?;
        let mut images = Vec::new();
        let most = self.in_flight();
        for record in records {
            let Events::Loaded(events) = &record.events else { continue };
            for event in events {
                let Event::Row(image) = event else { continue };
                images.push(image);
                if images.len() >= most {
                    self.rows(&images, catalog, record.position, false).await?;
                    images.clear();
                }
            }
        }
        let position = records.last().map_or(Position(0), |r| r.position);
        self.rows(&images, catalog, position, false).await
    }

    /// Leaves clients their time, once enough of it is owed.
    pub(super) async fn rest(&mut self) {
        if self.owed < REST_MIN {
            return;
        }
        let owed = std::mem::take(&mut self.owed).min(REST_MAX);
        if !self.shared.hurries() {
            tokio::time::sleep(owed).await;
        }
    }

    /// Statements in flight at once: few where clients are left time and PostgreSQL is near, as one
    /// that shares their machine is.
    fn in_flight(&self) -> usize {
        let near = self.rests.is_some() && self.round_trip < NEAR;
        if near { PIECE } else { PIPELINE }
    }

    /// Lane A: the images and the other events, in order.
    async fn images(&mut self, record: &Record, catalog: &Catalog, careful: bool) -> Result<()> {
        self.settle().await?;
        match &record.events {
            Events::Loaded(events) => {
                let mut images = Vec::new();
                let (mut later, mut changes) = (None, 0);
                for event in events {
                    let catalog = later.as_deref().unwrap_or(catalog);
                    if let Event::Row(image) = event {
                        images.push(image);
                        if images.len() < PIPELINE {
                            continue;
                        }
                    }
                    if !images.is_empty() && !matches!(event, Event::Statement(_)) {
                        self.rows(&images, catalog, record.position, careful).await?;
                        images.clear();
                    }
                    changes += usize::from(matches!(event, Event::Ddl(_)));
                    // Rows behind a schema change are of the tables it made.
                    let after = self.shared.sqlite.catalog_within(record.position, changes);
                    let after = after.filter(|_| changes > 0);
                    self.other(event, (catalog, after.as_deref())).await?;
                    later = after;
                }
                let catalog = later.as_deref().unwrap_or(catalog);
                self.rows(&images, catalog, record.position, careful).await
            }
            Events::Large => self.large(record, catalog, careful).await,
        }
    }

    /// A record too big for memory is read part by part.
    async fn large(&mut self, record: &Record, catalog: &Catalog, careful: bool) -> Result<()> {
        let reader = self.shared.sqlite.reader(None).await?;
        let mut stream = EventStream::open(&reader, record.position)?;
        let mut images: Vec<Image> = Vec::new();
        let (mut later, mut changes) = (None, 0);
        // Another pass over the record counts nothing twice.
        let counted = record.position <= self.large || !self.shared.settings.compare_writes;
        self.large = self.large.max(record.position);
        while let Some(event) = crate::backend::sqlite::blocking(|| stream.next())? {
            let catalog = later.as_deref().unwrap_or(catalog);
            let full = images.len() >= PIPELINE;
            if full || !matches!(event, Event::Row(_) | Event::Statement(_)) {
                let borrowed: Vec<&Image> = images.iter().collect();
                self.rows(&borrowed, catalog, record.position, careful).await?;
                images.clear();
            }
            match event {
                Event::Row(image) => images.push(image),
                Event::Statement(_) if counted => {}
                Event::Statement(note) => lane_b::skip(self, &note, "too_large"),
                other => {
                    changes += usize::from(matches!(other, Event::Ddl(_)));
                    let after = self.shared.sqlite.catalog_within(record.position, changes);
                    let after = after.filter(|_| changes > 0);
                    self.other(&other, (catalog, after.as_deref())).await?;
                    later = after;
                }
            }
        }
        let catalog = later.as_deref().unwrap_or(catalog);
        let borrowed: Vec<&Image> = images.iter().collect();
        self.rows(&borrowed, catalog, record.position, careful).await
    }

    async fn rows(
        &mut self,
        images: &[&Image],
        catalog: &Catalog,
        position: Position,
        careful: bool,
    ) -> Result<()> {
        let began = Instant::now();
        self.rows_at_once(images, catalog, position, careful).await?;
        if let Some(share) = self.rests {
            self.owed += began.elapsed().mul_f64(share);
            self.rest().await;
        }
        Ok(())
    }

    async fn rows_at_once(
        &mut self,
        images: &[&Image],
        catalog: &Catalog,
        position: Position,
        careful: bool,
    ) -> Result<()> {
        let control = self.control();
        let mut plain = Vec::with_capacity(images.len());
        for image in images {
            let Some(change) = self.shadow.look(&control, image, catalog).await? else { continue };
            if change.is_plain() && !careful {
                plain.push(change);
                continue;
            }
            self.pipeline(&plain, position).await?;
            plain.clear();
            self.row_carefully(&change, position).await?;
        }
        self.pipeline(&plain, position).await
    }

    /// Changes that nothing of is in quarantine, all in flight at once.
    async fn pipeline(&mut self, changes: &[Change<'_>], position: Position) -> Result<()> {
        let mut ready = Vec::with_capacity(changes.len());
        for change in changes {
            let apply = change.statement(change.image.op)?;
            ready.push((self.prepared.get(&apply.sql, &apply.types).await?, apply));
        }
        let control = self.control();
        let sent = changes
            .iter()
            .zip(&ready)
            .map(|(change, (statement, apply))| send(&control, statement, apply, change.image.op));
        let mut missed = Vec::new();
        for (n, outcome) in join_all(sent).await.into_iter().enumerate() {
            if !outcome? && !self.was_done_there(&changes[n]) {
                self.unexpected(&changes[n], position);
                missed.push(n);
            }
        }
        for n in missed {
            // A later image of the same row has put it right, or is one of these itself.
            if changes[n].leaves_a_row() && !changes[n + 1..].iter().any(|c| c.meets(&changes[n])) {
                let apply = changes[n].statement(Op::Insert)?;
                let statement = self.prepared.get(&apply.sql, &apply.types).await?;
                send(&control, &statement, &apply, Op::Insert).await?;
            }
        }
        Ok(())
    }

    /// Without the replica role a foreign key's action is PostgreSQL's own: it came with the
    /// row that is referenced, whose image is the earlier one. Verify finds what it left.
    fn was_done_there(&self, change: &Change<'_>) -> bool {
        let acts = |action: Action| !matches!(action, Action::NoAction | Action::Restrict);
        let mut keys = change.table.projection.relation.foreign_keys.iter();
        // An update that leaves the row's identity alone finds it all the same.
        let may_miss = match change.image.op {
            Op::Insert => false,
            Op::Delete => true,
            Op::Update => change.moves(),
        };
        !self.replica && may_miss && keys.any(|key| acts(key.on_delete) || acts(key.on_update))
    }

    /// One change, with what PostgreSQL cannot hold of its row put in quarantine.
    async fn row_carefully(&mut self, change: &Change<'_>, position: Position) -> Result<()> {
        let control = self.control();
        self.shadow.release(&control, change).await?;
        let was_out = change.was_out();
        let op = match (change.image.op, change.is_out()) {
            // A row that is there under its key must go.
            (Op::Insert, true) => change.owns_new_key().then_some(Op::Delete),
            (Op::Update, true) | (Op::Delete, _) => (!was_out).then_some(Op::Delete),
            (Op::Update, false) if was_out => Some(Op::Insert),
            (op, false) => Some(op),
        };
        let mut refused = None;
        if let Some(op) = op {
            match self.try_one(change, op).await? {
                Ok(true) => {}
                Ok(false) if self.was_done_there(change) => {}
                Ok(false) if was_out || (change.image.op == Op::Insert && op == Op::Delete) => {}
                Ok(false) => {
                    self.unexpected(change, position);
                    if op == Op::Update && change.leaves_a_row() {
                        refused = self.try_one(change, Op::Insert).await?.err();
                    }
                }
                Err(error) => {
                    let there = match change.image.op {
                        Op::Insert => change.owns_new_key(),
                        Op::Update => !was_out,
                        Op::Delete => false,
                    };
                    let removed = !there || self.try_one(change, Op::Delete).await?.is_ok();
                    if op == Op::Delete || !removed {
                        self.not_removed(change, position, &error);
                    }
                    refused = (op != Op::Delete).then_some(error);
                }
            }
        }
        let reason =
            refused.as_ref().map(|e| format!("PostgreSQL refuses the row: {}", e.message()));
        let entries = change.entries(reason.as_deref());
        self.shadow.hold(&control, change, position, &entries).await?;
        if change.has_news(&entries) {
            self.shared.store.record(Sample {
                class: "untranslatable".to_owned(),
                table: Some(change.table.name().to_owned()),
                columns: entries
                    .iter()
                    .map(|e| e.column.clone())
                    .filter(|c| !c.is_empty())
                    .collect(),
                key: change.key_text(),
                shadow_sqlstate: refused.as_ref().map(|e| e.sqlstate().to_string()),
                position_primary: position.0,
                position_shadow: position.0,
                message: "PostgreSQL cannot hold a row of the primary, or a value of it; it is in \
                          crossfade.quarantine"
                    .to_owned(),
                ..Sample::default()
            });
        }
        Ok(())
    }

    /// One statement behind a savepoint; the inner error is PostgreSQL's about the row.
    async fn try_one(
        &mut self,
        change: &Change<'_>,
        op: Op,
    ) -> Result<std::result::Result<bool, Error>> {
        let control = self.control();
        control.batch("SAVEPOINT crossfade_row").await?;
        let outcome = async {
            let apply = change.statement(op)?;
            let statement = self.prepared.get(&apply.sql, &apply.types).await?;
            send(&control, &statement, &apply, op).await
        }
        .await;
        match outcome {
            Ok(as_expected) => {
                control.batch("RELEASE crossfade_row").await?;
                Ok(Ok(as_expected))
            }
            Err(error) if refuses_a_row(&error) => {
                control.batch("ROLLBACK TO crossfade_row; RELEASE crossfade_row").await?;
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The shadow keeps a row that must go: verify finds it, too.
    fn not_removed(&self, change: &Change<'_>, position: Position, error: &Error) {
        self.shared.store.record(Sample {
            class: "error_shadow_only".to_owned(),
            table: Some(change.table.name().to_owned()),
            key: change.key_text(),
            shadow_sqlstate: Some(error.sqlstate().to_string()),
            position_primary: position.0,
            position_shadow: position.0,
            message: format!("PostgreSQL refuses to delete a row: {}", error.message()),
            ..Sample::default()
        });
    }

    /// PostgreSQL refuses at its end what was committed on the primary: a constraint that is
    /// checked then. Images are applied instead.
    fn ended_otherwise(&self, position: Position, error: &Error) {
        self.shared.store.record(Sample {
            class: "tx_state".to_owned(),
            table: error.fields().object.table.clone(),
            shadow_sqlstate: Some(error.sqlstate().to_string()),
            position_primary: position.0,
            position_shadow: position.0,
            message: format!("a transaction failed at its end on PostgreSQL: {}", error.message()),
            ..Sample::default()
        });
    }

    /// The shadow did not hold what the image says it held: somebody else wrote it.
    fn unexpected(&self, change: &Change<'_>, position: Position) {
        let what = match change.image.op {
            Op::Insert => "a new row was there already",
            Op::Update | Op::Delete => "a row to change was not there",
        };
        self.shared.store.record(Sample {
            class: "foreign_write".to_owned(),
            table: Some(change.table.name().to_owned()),
            key: change.key_text(),
            position_primary: position.0,
            position_shadow: position.0,
            message: format!("{what}: somebody else wrote to PostgreSQL"),
            ..Sample::default()
        });
    }
}

/// The catalog's relation of a table in the SQLite file.
pub(super) fn relation_of(catalog: &Catalog, sqlite_name: &str) -> Result<Arc<Relation>> {
    catalog
        .relations
        .get(sqlite_name)
        .filter(|r| r.sqlite_name == sqlite_name)
        .or_else(|| catalog.relations.values().find(|r| r.sqlite_name == sqlite_name))
        .cloned()
        .ok_or_else(|| Error::internal("the journal names a table the catalog does not know"))
}

/// Whether a record holds rows and notes only.
fn is_plain(record: &Record) -> bool {
    let Events::Loaded(events) = &record.events else { return false };
    events.iter().all(|e| matches!(e, Event::Row(_) | Event::Statement(_)))
}

/// Whether an error is about the data, so that the careful way may help.
fn is_about_data(error: &Error) -> bool {
    matches!(error.sqlstate().class(), "22" | "23" | "0A" | "42" | "54")
}

/// Whether PostgreSQL refuses this row, and not everything that is sent.
fn refuses_a_row(error: &Error) -> bool {
    // No right, no table, no column: no row is taken before that is put right.
    is_about_data(error) && !matches!(error.sqlstate().as_str(), "42501" | "42P01" | "42703")
}

/// Sends one image; whether the row was as the image says.
async fn send(
    control: &Control,
    statement: &tokio_postgres::Statement,
    apply: &Apply,
    op: Op,
) -> Result<bool> {
    let params: Vec<&(dyn ToSql + Sync)> =
        apply.params.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
    let client = control.client();
    match op {
        Op::Insert if !statement.columns().is_empty() => {
            let rows = client.query(statement, &params).await.map_err(|e| control.error(&e))?;
            Ok(rows.first().is_some_and(|row| row.get(0)))
        }
        _ => {
            let changed = client.execute(statement, &params).await;
            Ok(changed.map_err(|e| control.error(&e))? == 1)
        }
    }
}
