//! Schema changes on the writer, temporary tables on the session's own connection, and what
//! the system tables show meanwhile.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::reply::Tag;
use super::{Session, Step, frozen, query};
use crate::backend::sqlite::ddl::{self, Environment};
use crate::backend::sqlite::functions::session::Scope;
use crate::backend::sqlite::system::{self, Identity, SHOW_SQL, Snapshot};
use crate::backend::sqlite::{Connection, Reader, moment};
use crate::error::{Error, Result, state};
use crate::schema::OnCommit;
use crate::sql::ast::Ddl;
use crate::sql::plan::{Frozen, FrozenSource, Plan};
use crate::value::{Cell, Format, Type, oid};
use crate::wire::Severity;

impl Session {
    /// Runs a schema change; the new catalog is this transaction's until it commits.
    pub(super) async fn ddl(&mut self, change: &Ddl, plan: &Plan) -> Step<Tag> {
        if self.transaction.read_only {
            return Err(query::read_only(&tag_of(&plan.text)).into());
        }
        if super::script::temporary::concerns(change) {
            return Ok(self.change_temporary(change)?.into());
        }
        if let Ddl::CreateIndex(create) = change
            && create.concurrently
        {
            self.outside_block("CREATE INDEX CONCURRENTLY")?;
        }
        self.set_aside_live()?;
        if is_temporary(change) {
            self.take_own_connection()?;
        }
        self.take_writer().await?;
        let (catalog, temporary) = (self.catalog(), Arc::clone(self.temporary()));
        let derived = Arc::clone(self.settings.derived());
        let scope = self.scope();
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        let freeze = |value: &Frozen| self.freeze_now(value);
        let environment = Environment {
            side: &self.shared.side,
            catalog: &catalog,
            temporary: &temporary,
            search_path: &derived.search_path,
            check_bodies: self.settings.show("check_function_bodies").as_deref() != Some("off"),
            freeze: &freeze,
        };
        self.cancel.running(writer.interrupter());
        writer.set_deadline(self.deadline);
        let noted = writer.schema_changes();
        let applied = block_in_place(|| {
            let _scope = Scope::enter(scope);
            ddl::apply(writer, change, &environment)
        });
        writer.set_deadline(None);
        self.cancel.stopped();
        let applied = applied?;
        let noted = writer.schema_changes() - noted;
        let mut next = applied.catalog;
        if next.version != catalog.version {
            // Versions are never used twice: a change that is rolled back leaves plans behind.
            Arc::make_mut(&mut next).version = self.shared.visible.new_version();
            self.transaction.catalog = Some(Arc::clone(&next));
        }
        self.transaction.schema_steps.extend(std::iter::repeat_n(next, noted));
        self.transaction.temporary = Some(applied.temporary);
        self.show_own()?;
        for detail in &applied.details {
            self.notice(Severity::Debug, detail);
        }
        for notice in &applied.notices {
            self.notice(Severity::Notice, notice);
        }
        Ok(applied.tag.into())
    }

    /// A frozen value without waiting, for statements a schema change itself runs.
    fn freeze_now(&self, value: &Frozen) -> Result<Cell> {
        let style = &self.settings.derived().style;
        let clock = &self.shared.clock;
        match &value.source {
            FrozenSource::TransactionTime => moment(self.transaction.started, value.ty, style),
            FrozenSource::StatementTime => moment(self.message_at, value.ty, style),
            FrozenSource::ClockTime => moment(clock.postgres_micros(), value.ty, style),
            FrozenSource::Random => Ok(Cell::Real(clock.random_unit())),
            FrozenSource::Uuid => Ok(Cell::Text(self.uuid())),
            FrozenSource::NextValue(name) => {
                let catalog = self.catalog();
                let sequence = frozen::sequence_of(&catalog, name)?;
                let writer =
                    self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
                frozen::draw(&self.shared, writer, sequence).map(Cell::Integer)
            }
            FrozenSource::Session(name, arguments) => self.steady(name, arguments),
            _ => Err(Error::unsupported("this function in a schema change")),
        }
    }

    /// The session's own connection, on which its temporary tables live.
    fn take_own_connection(&mut self) -> Result<()> {
        if self.own.is_some() {
            return Ok(());
        }
        // A transaction that writes already goes on where it is.
        self.own = Some(match self.transaction.writer_mut() {
            Some(writer) => writer.detach()?,
            None => block_in_place(|| self.shared.sqlite.dedicated())?,
        });
        Ok(())
    }

    /// ON COMMIT DROP and DELETE ROWS, on the writer just before COMMIT.
    pub(super) fn on_commit(&mut self) -> Result<()> {
        let temporary = Arc::clone(self.temporary());
        let Some(writer) = self.transaction.writer() else { return Ok(()) };
        if temporary.values().all(|r| r.on_commit == OnCommit::Preserve) {
            return Ok(());
        }
        let mut left = (*temporary).clone();
        for relation in temporary.values() {
            let name = relation.sqlite_name.replace('"', "\"\"");
            let sql = match relation.on_commit {
                OnCommit::Preserve => continue,
                OnCommit::Delete => format!("DELETE FROM temp.\"{name}\""),
                OnCommit::Drop => {
                    left.remove(&relation.name);
                    format!("DROP TABLE temp.\"{name}\"")
                }
            };
            block_in_place(|| writer.execute(&sql, &[]))?;
        }
        self.transaction.temporary = Some(Arc::new(left));
        Ok(())
    }

    /// DISCARD TEMP
    pub(super) fn discard_temporary(&mut self) {
        self.temporary = Arc::default();
        self.types = Arc::default();
        *self.overlaid.lock() = None;
        self.own = None;
    }

    fn identity(&self) -> Identity {
        Identity { database: self.database.clone(), user: self.user.clone() }
    }

    /// Makes the transaction's connection show the transaction's own catalog.
    pub(super) fn show_own(&mut self) -> Result<()> {
        let snapshot = Snapshot::new(self.catalog(), Arc::clone(self.temporary()), self.identity());
        let snapshot = snapshot.at_work(self.look());
        let Some(connection) = self.connection() else { return Ok(()) };
        show(connection, self.shared.system.stage(Some(snapshot)))?;
        self.transaction.shown = true;
        Ok(())
    }

    /// Makes the transaction's connection show what everybody sees again.
    pub(super) fn show_shared(&mut self) {
        if std::mem::take(&mut self.transaction.shown)
            && let Some(connection) = self.transaction.connection()
        {
            let ticket = self.shared.system.stage(None);
            if let Err(error) = show(connection, ticket) {
                tracing::error!(%error, "the system tables could not be reset");
            }
        }
    }

    /// Makes the connection of a query over the system tables show them to this session:
    /// its database name and role. A pooled reader is told anew when it goes back.
    pub(super) fn show_to(&mut self, reader: Option<&Reader>) -> Result<()> {
        if let Some(reader) = reader {
            let seen = match self.types.any_temporary() {
                true => {
                    let temporary = Arc::clone(self.temporary());
                    Snapshot::new(self.catalog(), temporary, self.identity())
                }
                false => self.seen(),
            };
            let seen = seen.at_work(self.look());
            let ticket = self.shared.system.stage(Some(seen));
            return show(reader, ticket);
        }
        // Anew each time: what sessions do changes without DDL.
        self.show_own()
    }

    /// The shared catalog as this session sees it; kept while it stays the same.
    fn seen(&mut self) -> Arc<Snapshot> {
        let current = self.shared.system.snapshot();
        if let Some((base, seen)) = &self.seen
            && Arc::ptr_eq(base, &current)
        {
            return Arc::clone(seen);
        }
        let seen = current.seen_by(self.identity());
        self.seen = Some((current, Arc::clone(&seen)));
        seen
    }

    /// The end of [`Session::show_to`] for a pooled reader.
    pub(super) fn show_again(&self, reader: &Reader) -> Result<()> {
        show(reader, self.shared.system.stage(None))
    }

    /// A parameter of a reg* type given as a name: only the catalog knows its OID.
    pub(super) fn named_object(
        &self,
        ty: Type,
        format: Format,
        bytes: &[u8],
    ) -> Option<Result<Cell>> {
        let reg = matches!(
            ty.oid,
            oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE | oid::REGCONFIG
        );
        if !reg || format != Format::Text {
            return None;
        }
        let name = std::str::from_utf8(bytes).ok()?;
        // The search path says what a name means.
        let _scope = Scope::enter(self.scope());
        let temporary = Arc::clone(self.temporary());
        let snapshot = Snapshot::new(self.catalog(), temporary, self.identity());
        system::reg_value(&snapshot, ty.oid, name)
    }

    /// 25001 inside a block or a multi-statement query.
    pub(super) fn outside_block(&self, what: &str) -> Result<()> {
        if self.transaction.block == super::transaction::Block::Open || self.many {
            return Err(Error::client(
                state::ACTIVE_SQL_TRANSACTION,
                format!("{what} cannot run inside a transaction block"),
            ));
        }
        Ok(())
    }
}

fn show(connection: &Connection, ticket: i64) -> Result<()> {
    block_in_place(|| connection.execute(SHOW_SQL, &[Cell::Integer(ticket)])).map(drop)
}

/// Whether the change makes a temporary object.
fn is_temporary(change: &Ddl) -> bool {
    let by_schema = |name: &crate::sql::ast::Name| {
        name.schema.as_deref().is_some_and(|s| s.starts_with("pg_temp"))
    };
    match change {
        Ddl::CreateTable(create) => create.temporary || by_schema(&create.name),
        Ddl::CreateTableAs { name, temporary, .. } | Ddl::CreateView { name, temporary, .. } => {
            *temporary || by_schema(name)
        }
        _ => false,
    }
}

/// The first two words of the statement: close enough to the tag for a message.
fn tag_of(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ").to_uppercase()
}
