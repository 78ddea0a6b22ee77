//! What taking over is told: overrides of the configuration, and how much may be looked at.
//!
//! Owns [`Planning`] and [`Bounds`]. Serving, backfill and assess plan with the same rules;
//! they differ only in these. Start at [`Planning`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::config::{self, Override};
use crate::schema::{Codec, Relation};

/// Rows of a table that are looked at while the proxy starts.
const ROWS: u64 = 2_000_000;

/// How much of each table is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Rows of a table; of a larger one, stretches spread over it are looked at.
    pub rows: u64,
    /// No table is looked at beyond this moment.
    pub until: Option<Instant>,
    /// Others write to the file: no lock is held for long.
    pub gentle: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: ROWS, until: None, gentle: false }
    }
}

impl Bounds {
    /// Whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Bounds for one of `left` tables: its share of the time that is left.
    pub(crate) fn share(&self, left: usize) -> Self {
        let Some(until) = self.until else { return *self };
        let now = Instant::now();
        let share = until.saturating_duration_since(now) / u32::try_from(left.max(1)).unwrap_or(1);
        Self { until: Some(now + share), ..*self }
    }
}

/// How the tables of a file are taken over.
#[derive(Clone, Debug, Default)]
pub struct Planning {
    /// `[tables.NAME]`, by PostgreSQL's name or the file's.
    pub tables: BTreeMap<String, config::Table>,
    /// How much is looked at.
    pub bounds: Bounds,
    /// SQLite does not hold rows to foreign keys, as the configuration says.
    pub foreign_keys_off: bool,
    /// What PostgreSQL holds copies of, made by the recorded types: those are not changed.
    pub copied: Copies,
}

/// Tables that PostgreSQL holds copies of.
#[derive(Clone, Debug, Default)]
pub enum Copies {
    /// None: nothing was ever copied, or the copy has not come to its end.
    #[default]
    None,
    /// All but these, by their names in the catalog.
    AllBut(BTreeSet<String>),
}

impl Copies {
    fn have(&self, table: &str) -> bool {
        match self {
            Self::None => false,
            Self::AllBut(list) => !list.contains(table),
        }
    }
}

impl Planning {
    /// Whether PostgreSQL holds a copy of a recorded table.
    pub(crate) fn is_copied(&self, table: &str) -> bool {
        self.copied.have(table)
    }

    /// The override of a column, by either name of table and column.
    pub(crate) fn column(&self, tables: [&str; 2], columns: [&str; 2]) -> Option<&Override> {
        let table = config::Table::of(&self.tables, tables)?;
        table.columns.iter().find(|(name, _)| config::is_named(name, columns)).map(|(_, ty)| ty)
    }

    /// How a column is stored whose values are to be changed to its type.
    pub(crate) fn coerced(&self, tables: [&str; 2], columns: [&str; 2]) -> Option<Codec> {
        config::Table::of(&self.tables, tables)?.coerced(columns)
    }

    /// PostgreSQL's name of a table, as a person wants it.
    pub(crate) fn name(&self, tables: [&str; 2]) -> Option<&str> {
        config::Table::of(&self.tables, tables)?.name.as_deref()
    }

    /// PostgreSQL's name of a column, as a person wants it.
    pub(crate) fn column_name(&self, tables: [&str; 2], columns: [&str; 2]) -> Option<&str> {
        let names = &config::Table::of(&self.tables, tables)?.column_names;
        names.iter().find(|(name, _)| config::is_named(name, columns)).map(|(_, new)| new.as_str())
    }

    /// Whether a recorded table has a column whose override says otherwise.
    pub(crate) fn contradicts(&self, relation: &Relation) -> bool {
        relation.columns.iter().any(|column| {
            let tables = [relation.name.as_str(), relation.sqlite_name.as_str()];
            let columns = [column.name.as_str(), column.sqlite_name.as_str()];
            let found = self.column(tables, columns);
            let wanted = self.coerced(tables, columns).or(found.and_then(|o| o.codec));
            found.is_some_and(|o| o.ty != column.ty)
                || wanted.is_some_and(|codec| codec != column.codec.plain())
        })
    }
}
