//! Schema changes carried from PostgreSQL to SQLite.
//!
//! Owns what is known of the followed tables' shapes, and the change itself: the client's own
//! statement, run on SQLite at its place in the transaction as a client's of SQLite would be. The
//! shapes are stored in the same transaction. It must never carry a change whose effect on rows only
//! PostgreSQL knows, nor one that SQLite does not take as a whole. Start at
//! [`Follower::change_schema`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::apply::{Target, Trouble};
use super::change::{Counts, Note, Noted};
use super::follow::{Ended, Follower, ended};
use super::left_out::LeftOut;
use super::{KEY_TABLES, text};
use crate::backend::postgres::control::Control;
use crate::backend::postgres::decode::{Table, TableColumn};
use crate::backend::postgres::schemas;
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::ddl::{self, Environment, Temporary};
use crate::backend::sqlite::functions::session::{Scope, Session};
use crate::backend::sqlite::{Connection, Sqlite, Writer, blocking, moment};
use crate::error::{Error, Result, state};
use crate::journal;
use crate::name::{self, shown};
use crate::schema::Catalog;
use crate::sql::ast::{AlterAction, ConstraintKind, Ddl, ObjectKind, Parsed, Statement};
use crate::sql::plan::{Frozen, FrozenSource};
use crate::value::{Cell, Style, zone};

/// The tables when the way back was prepared.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// What is followed: shapes by key, as [`Table::signature`] has them.
    shapes: HashMap<String, String>,
    /// Tables that only PostgreSQL has: keys by OID. Their rows are nobody's business here.
    own: HashMap<u32, String>,
}

impl FromIterator<(String, String, Option<String>)> for Before {
    /// From rows of [`super::setup::BEFORE`].
    fn from_iter<I: IntoIterator<Item = (String, String, Option<String>)>>(rows: I) -> Self {
        let mut before = Self::default();
        for (key, shape, own) in rows {
            match own.and_then(|oid| oid.parse().ok()) {
                Some(oid) => drop(before.own.insert(oid, key)),
                None => drop(before.shapes.insert(key, shape)),
            }
        }
        before
    }
}

impl Before {
    /// With these shapes in place of those that were noted.
    pub(super) fn with_shapes(self, shapes: HashMap<String, String>) -> Self {
        Self { shapes, ..self }
    }
}

/// What is known of the shapes of PostgreSQL's tables, as of SQLite's place.
#[derive(Debug, Default)]
pub(super) struct Known {
    before: Before,
    /// The stream tells its tables' shapes itself: they must be the ones that are known.
    compares: bool,
    /// Tables that were made or changed since, by key.
    changed: BTreeMap<String, Noted>,
}

impl Known {
    /// The shapes of before, and what SQLite has stored of changes since.
    ///
    /// # Errors
    /// When that is damaged.
    pub(super) fn new(conn: &Connection, before: Before, compares: bool) -> Result<Self> {
        let changed = match text(conn, KEY_TABLES)? {
            None => BTreeMap::new(),
            Some(stored) => serde_json::from_str::<Vec<Noted>>(&stored)
                .map_err(|e| Error::internal(format!("the shapes of tables are damaged: {e}")))?
                .into_iter()
                .map(|table| (table.key(), table))
                .collect(),
        };
        Ok(Self { before, compares, changed })
    }

    /// The shapes of before, of which nothing has changed since.
    pub(super) fn before(before: Before) -> Self {
        Self { before, compares: true, changed: BTreeMap::new() }
    }

    /// Whether a table has another shape than the one that is known.
    pub(super) fn is_another(&self, key: &str, table: &Table) -> bool {
        if !self.compares {
            return false;
        }
        match self.changed.get(key) {
            Some(changed) => changed.streamed().signature() != table.signature(),
            None => self.before.shapes.get(key).is_some_and(|known| *known != table.signature()),
        }
    }

    /// Whether a table had a column, as it is now, when the way back was prepared.
    pub(super) fn had(&self, key: &str, column: &TableColumn) -> bool {
        let column = format!(",{}:{}:{},", column.name, column.type_oid, column.typmod);
        self.before.shapes.get(key).is_some_and(|before| format!(",{before},").contains(&column))
    }

    /// Whether a column that SQLite has not may be there: it was PostgreSQL's own before the switch.
    pub(super) fn is_own(&self, key: &str, column: &TableColumn) -> bool {
        self.had(key, column)
    }

    /// Whether a table is PostgreSQL's own: SQLite had none of it at the switch.
    pub(super) fn is_own_table(&self, oid: u32) -> bool {
        self.before.own.contains_key(&oid)
    }

    /// Whether a change is about tables of PostgreSQL's own alone.
    fn is_about_own(&self, note: &Note, statement: Option<&Statement>) -> bool {
        if !note.tables.is_empty() {
            return note.tables.iter().all(|table| self.is_own_table(table.relid));
        }
        let Some(Statement::Ddl(ddl)) = statement else { return false };
        let table = match &**ddl {
            Ddl::CreateIndex(made) => &made.table,
            Ddl::CreateTrigger(made) => &made.table,
            _ => return false,
        };
        let path = note.search_path();
        let schemas = table.schema.as_ref().map_or(&path[..], std::slice::from_ref);
        let is = |schema: &String| {
            let key = name::key(schema, &table.name);
            self.before.own.values().any(|own| *own == key)
        };
        // The first that there is: a table that is followed may come before one of that name.
        let there = |schema: &&String| {
            let key = name::key(schema, &table.name);
            is(schema) || self.keys().any(|known| *known == key)
        };
        schemas.iter().find(there).is_some_and(is)
    }

    /// Whether a column was made by a change that was carried.
    pub(super) fn is_new(&self, key: &str, column: &TableColumn) -> bool {
        self.changed.contains_key(key) && !self.had(key, column)
    }

    /// Tables that were there before, or were made or changed since.
    fn keys(&self) -> impl Iterator<Item = &String> {
        self.before.shapes.keys().chain(self.changed.keys())
    }

    /// Tables of the trigger journal that were made or changed, by their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (i32, Table)> {
        self.changed.values().filter_map(|table| Some((table.id?, table.table())))
    }

    /// Notes what tables are now, also in SQLite's open transaction.
    fn note(&mut self, conn: &Connection, tables: &[Noted]) -> Result<()> {
        for table in tables {
            // A renamed table leaves no other shape behind.
            self.changed.retain(|_, known| known.relid != table.relid);
            self.changed.insert(table.key(), table.clone());
        }
        let all: Vec<&Noted> = self.changed.values().collect();
        let stored = serde_json::to_string(&all)
            .map_err(|e| Error::internal(format!("the shapes of tables cannot be written: {e}")))?;
        journal::set_state(conn, KEY_TABLES, Cell::Text(stored))
    }
}

/// What a transaction has done to the schema so far.
#[derive(Default)]
pub(super) struct Changing {
    counts: Counts,
    /// The catalog after it.
    pub(super) catalog: Option<Arc<Catalog>>,
    /// The catalog behind each change that the journal has.
    pub(super) steps: Vec<Arc<Catalog>>,
    /// Functions and triggers that SQLite does not take, and why: the transaction may drop them again.
    refused: Vec<(ObjectKind, String, Ended)>,
}

impl Changing {
    /// A change that SQLite does not take: what does not outlive the transaction may be left out.
    fn refused(&mut self, parsed: &Parsed, why: Ended) -> Result<(), Ended> {
        let Statement::Ddl(ddl) = &parsed.statement else { return Err(why) };
        match &**ddl {
            Ddl::CreateFunction(made) => {
                self.refused.push((ObjectKind::Function, made.name.name.clone(), why));
            }
            Ddl::CreateTrigger(made) => {
                self.refused.push((ObjectKind::Trigger, made.name.clone(), why));
            }
            Ddl::Drop { kind, names, .. } => {
                for name in names {
                    let is = |(of, known, _): &(ObjectKind, String, Ended)| {
                        of == kind && *known == name.name
                    };
                    match self.refused.iter().position(is) {
                        Some(at) => drop(self.refused.remove(at)),
                        None => return Err(why),
                    }
                }
            }
            _ => return Err(why),
        }
        Ok(())
    }

    /// The transaction ends, and what SQLite did not take is still there.
    pub(super) fn check(&mut self) -> Result<(), Ended> {
        match self.refused.pop() {
            Some((.., why)) => Err(why),
            None => Ok(()),
        }
    }
}

impl Follower {
    /// Carries a change, in the transaction that is open here or begins with it.
    pub(super) async fn change_schema(
        &self,
        note: &Note,
        (known, changing): (&mut Known, &mut Changing),
        writer: &mut Option<Writer>,
    ) -> Result<(), Ended> {
        let closed = |why: &str| {
            let reason = format!(
                "the schema change \"{}\" cannot be carried to SQLite: {why}",
                note.shown()
            );
            Ended::Closed { reason, table: note.tables.first().map(Noted::key) }
        };
        if let Some(why) = &note.lost {
            return Err(closed(&format!("it could not be noted on PostgreSQL: {why}")));
        }
        if note.pass {
            note.pass_by(&mut changing.counts);
            return Ok(());
        }
        let of_extension = note.is_of_extension();
        let rights = matches!(note.tag.as_str(), "GRANT" | "REVOKE");
        if rights || (of_extension && !note.tag.ends_with(" EXTENSION")) {
            return Ok(());
        }
        // What SQLite has nothing for changes nothing that it has.
        let lesser = of_extension || note.is_lesser();
        let parsed = match note.statement(&mut changing.counts) {
            Ok(parsed) => parsed,
            Err(_) if lesser || known.is_about_own(note, None) => return Ok(()),
            Err(why) => return Err(closed(&why)),
        };
        if known.is_about_own(note, Some(&parsed.statement)) {
            return Ok(());
        }
        // Its rows come as those of the table it is a part of.
        let part = !note.tables.is_empty() && note.tables.iter().all(|table| table.partition);
        if part && note.tag == "CREATE TABLE" {
            return Ok(());
        }
        let writer = self.writer(writer).await?;
        match blocking(|| self.run_change(writer, note, &parsed, (known, changing))) {
            Ok(()) => Ok(()),
            Err(Trouble::Resync(_)) if lesser => Ok(()),
            Err(Trouble::Resync(why)) => changing.refused(&parsed, closed(&why)),
            Err(trouble) => Err(ended(trouble, "")),
        }
    }

    fn run_change(
        &self,
        writer: &Writer,
        note: &Note,
        parsed: &Parsed,
        (known, changing): (&mut Known, &mut Changing),
    ) -> Result<(), Trouble> {
        let catalog = changing.catalog.clone().unwrap_or_else(|| self.sqlite.catalog());
        let ddl = carried(&parsed.statement)?;
        self.given_by_postgres(writer, note, &ddl, &catalog)?;
        let path = note.search_path();
        let mut style = Style { timezone: zone(&note.zone).map_err(refused)?, ..Style::default() };
        style.enums = Arc::clone(&catalog.enums);
        style.now = Some(note.began);
        let freeze = |value: &Frozen| match &value.source {
            FrozenSource::TransactionTime => moment(note.began, value.ty, &style),
            FrozenSource::StatementTime => moment(note.at, value.ty, &style),
            _ => Err(Error::unsupported("a value that PostgreSQL chose")),
        };
        let temporary = Arc::<Temporary>::default();
        let environment = Environment {
            side: self.visible.side(),
            catalog: &catalog,
            temporary: &temporary,
            search_path: &path,
            check_bodies: true,
            freeze: &freeze,
        };
        let session = Session {
            style: style.clone(),
            path: Some(Arc::new(path.clone())),
            catalog: changing.catalog.clone(),
            ..Session::default()
        };
        let before = writer.schema_changes();
        let applied = {
            let _scope = Scope::enter(Arc::new(session));
            ddl::apply(writer, &ddl, &environment)
        };
        // A change leaves images switched on.
        writer.mute(true);
        let applied = applied.map_err(refused)?;
        let mut next = applied.catalog;
        if next.version != catalog.version {
            Arc::make_mut(&mut next).version = self.visible.new_version();
            changing.catalog = Some(Arc::clone(&next));
        }
        let steps = writer.schema_changes() - before;
        changing.steps.extend(std::iter::repeat_n(next, steps));
        known.note(writer, &note.tables)?;
        self.store.note_changed(note.tables.iter().map(|table| (table.key(), None)));
        Ok(())
    }

    /// Numbers that PostgreSQL gave to rows that are there, in an order of its own.
    fn given_by_postgres(
        &self,
        writer: &Writer,
        note: &Note,
        ddl: &Ddl,
        catalog: &Catalog,
    ) -> Result<(), Trouble> {
        let Ddl::AlterTable { actions, .. } = ddl else { return Ok(()) };
        let numbers = |action: &AlterAction| match action {
            AlterAction::AddColumn(column, _) => {
                let identity = |k: &ConstraintKind| matches!(k, ConstraintKind::Identity(..));
                ddl::is_serial(&column.ty) || column.constraints.iter().any(|c| identity(&c.kind))
            }
            _ => false,
        };
        if !actions.iter().any(numbers) {
            return Ok(());
        }
        for table in &note.tables {
            let Some(relation) = catalog.relation(&table.key()) else { continue };
            let name = quoted(&relation.sqlite_name);
            let sql = format!("SELECT 1 FROM \"public\".{name} LIMIT 1");
            if writer.query_integer(&sql, &[])?.is_some() {
                let why = "PostgreSQL has numbered the rows in an order of its own";
                return Err(Trouble::Resync(why.to_owned()));
            }
        }
        Ok(())
    }
}

/// Every table that is followed, as PostgreSQL has it.
const THERE: &str = "\
SELECT jsonb_build_object('relid', c.oid::bigint, 'schema', s.nspname, 'name', c.relname, 'columns', \
  (SELECT coalesce(jsonb_agg(jsonb_build_array(a.attname, a.atttypid::bigint, a.atttypmod, \
     a.attgenerated <> '') ORDER BY a.attnum), '[]') FROM pg_attribute a \
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::text \
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.relnamespace IN $ours \
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";

/// Why the tables here are not those of PostgreSQL, when both stand still: a change that was carried
/// as another one, or not at all. None when they are.
///
/// # Errors
/// What either side said.
pub(super) async fn disagreement(control: &Control, sqlite: &Sqlite) -> Result<Option<String>> {
    let before = super::setup::known(control).await?;
    let known = Known::new(&*sqlite.reader(None).await?, before, true)?;
    let catalog = sqlite.catalog();
    let mut there = BTreeSet::new();
    for row in control.rows(&THERE.replace("$ours", schemas::OURS)).await? {
        let table: Noted = serde_json::from_str(row.get(0))
            .map_err(|e| Error::internal(format!("a table of PostgreSQL cannot be read: {e}")))?;
        match Target::find(&table.streamed(), &catalog, &known, &LeftOut::default()) {
            Ok(Target::Absent(_)) => {
                return Ok(Some(format!(
                    "table {} is not in the SQLite file",
                    shown(&table.key())
                )));
            }
            Err(Trouble::Resync(reason)) => return Ok(Some(reason)),
            Err(Trouble::Failed(error)) => return Err(error),
            Ok(_) => {}
        }
        there.insert(table.key());
    }
    let left = known.keys().find(|key| !there.contains(*key) && catalog.relation(key).is_some());
    Ok(left.map(|key| format!("table {} is not on PostgreSQL any more", shown(key))))
}

/// The change as it is made here: the rows of a new table come from PostgreSQL.
fn carried(statement: &Statement) -> Result<Ddl, Trouble> {
    match statement {
        Statement::Ddl(ddl) => {
            let mut ddl = Ddl::clone(ddl);
            match &mut ddl {
                Ddl::CreateTableAs { with_data, .. } => *with_data = false,
                // What is not here was PostgreSQL's own.
                Ddl::Drop { kind: ObjectKind::Table | ObjectKind::Index, if_exists, .. } => {
                    *if_exists = true;
                }
                _ => {}
            }
            Ok(ddl)
        }
        Statement::Unsupported(what) => Err(Trouble::Resync(format!("SQLite has no {what}"))),
        _ => Err(Trouble::Resync("it is no schema change there".to_owned())),
    }
}

/// Whether trying again may help, or SQLite will never take it.
fn refused(error: Error) -> Trouble {
    let code = error.sqlstate();
    match code.class() {
        "08" | "53" | "57" | "58" => Trouble::Failed(error),
        _ if code == state::LOCK_NOT_AVAILABLE => Trouble::Failed(error),
        _ => Trouble::Resync(error.message().to_owned()),
    }
}
