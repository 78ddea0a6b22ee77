//! The schema as everybody sees it, and how another one takes its place.
//!
//! Owns [`Visible`]: what a schema change needs beside its own transaction, and the one way in
//! which its catalog becomes that of all. It must never show a catalog before its commit. Start at
//! [`Visible::publish`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::catalog::Side;
use super::{Sqlite, ddl, system};
use crate::backend::Position;
use crate::error::Result;
use crate::schema::{Catalog, Codec};
use crate::value::{Cell, Datum, Style, Type, coerce, datetime, oid, storage};

/// What everybody sees of the schema.
pub struct Visible {
    sqlite: Sqlite,
    system: Arc<system::State>,
    side: Arc<Side>,
    /// The highest version of a catalog so far.
    versions: AtomicU64,
}

impl Visible {
    /// The schema of a file that was prepared.
    pub fn new(sqlite: Sqlite, system: Arc<system::State>, side: Arc<Side>) -> Self {
        let versions = AtomicU64::new(sqlite.catalog().version);
        Self { sqlite, system, side, versions }
    }

    /// The side catalog: OIDs and sequences.
    pub fn side(&self) -> &Side {
        &self.side
    }

    /// A number no catalog has had.
    pub fn new_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a catalog what everyone sees from a commit on, with those behind each change on the
    /// way; called inside that commit.
    pub fn publish(&self, mut catalog: Arc<Catalog>, steps: Vec<Arc<Catalog>>, from: Position) {
        ddl::enums::settle(&mut catalog);
        self.system.set_catalog(Arc::clone(&catalog));
        self.sqlite.set_catalog_after(catalog, steps, from);
    }
}

/// A moment as a cell of the wanted type, in the zone of a style.
///
/// # Errors
/// 22008 for one that the type does not hold.
pub fn moment(micros: i64, ty: Type, style: &Style) -> Result<Cell> {
    const DAY: i64 = 86_400_000_000;
    let local = || datetime::utc_to_local(&style.timezone, micros);
    let datum = match ty.oid {
        oid::DATE => Datum::Date(i32::try_from(local()?.div_euclid(DAY)).unwrap_or(i32::MAX)),
        oid::TIME => Datum::Time(local()?.rem_euclid(DAY)),
        oid::TIMESTAMP => Datum::Timestamp(local()?),
        _ => Datum::Timestamptz(micros),
    };
    // CURRENT_TIMESTAMP(p) rounds.
    let datum = if ty.typmod >= 0 { coerce(datum, ty, true)? } else { datum };
    storage::encode(Codec::Identity, ty, &datum)
}
