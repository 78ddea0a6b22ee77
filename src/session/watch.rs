//! What is learnt from a statement while its rows pass: digests, samples, notes.

use std::sync::Arc;
use std::time::Duration;

use super::observer::{Limits, Sample};
use super::query::Call;
use crate::backend::Position;
use crate::backend::sqlite::events::Note;
use crate::backend::sqlite::functions::session::Session as Scope;
use crate::backend::sqlite::owned;
use crate::compare::Digest;
use crate::error::Result;
use crate::schema::Codec;
use crate::sql::plan::{Plan, QueryPlan};
use crate::value::{Cell, CellRef, Type};

/// Digests the rows of one statement and keeps the first ones.
pub(super) struct Watch {
    digest: Digest,
    columns: Vec<(Codec, Type)>,
    kept: Vec<Vec<Cell>>,
    bytes_left: usize,
    rows_left: usize,
    /// Position of the snapshot read.
    position: Option<Position>,
    frozen: Vec<Cell>,
}

fn columns(call: &Call, query: &QueryPlan) -> Vec<(Codec, Type)> {
    let codecs = query.codecs.iter().copied().chain(std::iter::repeat(Codec::Identity));
    call.plan.columns.iter().zip(codecs).map(|(c, codec)| (codec, c.ty)).collect()
}

fn size(cell: CellRef<'_>) -> usize {
    match cell {
        CellRef::Text(b) | CellRef::Blob(b) => b.len() + 16,
        _ => 16,
    }
}

impl Watch {
    /// Watches a read of the given snapshot.
    pub(super) fn read(
        call: &Call,
        query: &QueryPlan,
        frozen: Vec<Cell>,
        limits: Limits,
        position: Position,
    ) -> Self {
        Self {
            digest: Digest::default(),
            columns: columns(call, query),
            kept: Vec::new(),
            bytes_left: limits.bytes,
            rows_left: limits.rows,
            position: Some(position),
            frozen,
        }
    }

    /// Watches rows of which only the digest counts: RETURNING, reads after own writes.
    pub(super) fn returning(call: &Call, query: &QueryPlan) -> Self {
        let limits = Limits { rows: 0, bytes: 0 };
        Self { position: None, ..Self::read(call, query, Vec::new(), limits, Position(0)) }
    }

    /// Takes a row in.
    pub(super) fn row<'a>(&mut self, cell: impl Fn(usize) -> CellRef<'a>) -> Result<()> {
        self.digest.row();
        for (i, (codec, ty)) in self.columns.iter().enumerate() {
            self.digest.cell(*codec, *ty, cell(i))?;
        }
        if self.rows_left == 0 {
            return Ok(());
        }
        let width: usize = (0..self.columns.len()).map(|i| size(cell(i))).sum();
        if width > self.bytes_left {
            self.rows_left = 0;
            return Ok(());
        }
        self.rows_left -= 1;
        self.bytes_left -= width;
        let cells = (0..self.columns.len()).map(|i| owned(cell(i)));
        self.kept.push(cells.collect::<Result<_>>()?);
        Ok(())
    }

    /// The digest over all rows.
    pub(super) fn digest(self) -> [u8; 32] {
        self.digest.finish()
    }

    /// The sample for the observer.
    pub(super) fn sample(
        self,
        call: &Call,
        took: Duration,
        settings: Arc<[(String, String)]>,
        scope: Arc<Scope>,
    ) -> Sample {
        Sample {
            settings,
            scope,
            position: self.position,
            plan: Arc::clone(&call.plan),
            params: call.params.to_vec(),
            frozen: self.frozen,
            rows: self.digest.rows(),
            digest: self.digest.finish(),
            kept: self.kept,
            took,
        }
    }
}

/// The note that a write, or a read after its transaction's own writes, leaves in the journal.
pub(super) fn note(
    call: &Call,
    query: &QueryPlan,
    (settings, deferred): (&[(String, String)], bool),
    frozen: Vec<Cell>,
    affected: u64,
    digest: Option<[u8; 32]>,
) -> Note {
    let plan = &call.plan;
    let typed = |(ty, cell): (u32, &Cell)| (ty, cell.clone());
    let skip = match query {
        // Whether constraints wait for COMMIT is not known to the shadow's transaction.
        _ if deferred => Some("session_state"),
        q if q.volatile => Some("volatile"),
        q if q.temporary => Some("session_state"),
        q if q.postgres.is_none() => Some("unsupported"),
        _ => None,
    };
    Note {
        fingerprint: plan.fingerprint.id,
        text: query.postgres.clone(),
        params: plan.params.iter().map(|t| t.oid).zip(call.params.iter()).map(typed).collect(),
        frozen: query.frozen.iter().map(|f| f.ty.oid).zip(frozen).collect(),
        table: query.writes.clone(),
        tag: query.tag.to_owned(),
        affected,
        columns: match &digest {
            Some(_) => plan.columns.iter().map(|c| c.ty.oid).collect(),
            None => Vec::new(),
        },
        returning: digest.map(Vec::from),
        skip: skip.map(str::to_owned),
        settings: settings.to_vec(),
        undetermined: query.unordered_limit,
    }
}

/// The note of COPY: its rows are compared by their images alone.
pub(super) fn copy_note(plan: &Plan, query: &QueryPlan, affected: u64) -> Note {
    Note {
        fingerprint: plan.fingerprint.id,
        table: query.writes.clone(),
        tag: "COPY".to_owned(),
        affected,
        skip: Some("copy".to_owned()),
        ..Note::default()
    }
}
