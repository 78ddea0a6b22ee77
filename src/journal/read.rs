//! Reading records, checked against their hashes.
//!
//! Owns the reader's queries. It must never give out a record whose hash does not hold or
//! that does not follow the one before it. Start at [`read`].

use sha2::{Digest, Sha256};

use super::chain::{Hash, Head};
use super::record::{Events, Header, Record, damaged};
use super::state;
use crate::backend::Position;
use crate::backend::sqlite::events::Event;
use crate::backend::sqlite::{Connection, Statement};
use crate::error::{Error, Result, state as sqlstate};
use crate::value::{Cell, CellRef};

/// How much one [`read`] may return. The first record is always returned.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records at most.
    pub records: usize,
    /// Bytes of event streams at most; a record above it comes as `Events::Large`.
    pub bytes: u64,
    /// Last position to read: the durable one, for whatever leaves the process.
    pub until: Position,
}

/// The last record of the journal, or where the lineage began (or was trimmed); None
/// when no lineage was ever attached.
pub fn head(conn: &Connection) -> Result<Option<Head>> {
    match last(conn)? {
        Some(position) => {
            find(conn, position)?.map(|hash| Some(Head { position, hash })).ok_or_else(damaged)
        }
        None => trim_mark(conn),
    }
}

/// Position the connection's snapshot sees: of the last record in it.
pub fn position(conn: &Connection) -> Result<Position> {
    match last(conn)? {
        Some(position) => Ok(position),
        None => state::position(state::integer(conn, state::TRIM_POSITION)?.unwrap_or(0)),
    }
}

/// The hash of a record, or of the trim mark; None when the journal has neither.
pub fn find(conn: &Connection, position: Position) -> Result<Option<Hash>> {
    if let Some((_, hash, _)) = closing(conn, position)? {
        return Ok(Some(hash));
    }
    Ok(trim_mark(conn)?.filter(|mark| mark.position == position).map(|mark| mark.hash))
}

/// The last position trimmed, with its hash; the lineage's start before the first trim.
pub(super) fn trim_mark(conn: &Connection) -> Result<Option<Head>> {
    let position = state::integer(conn, state::TRIM_POSITION)?;
    let hash = state::blob(conn, state::TRIM_HASH)?;
    match (position, hash) {
        (Some(position), Some(hash)) => {
            Ok(Some(Head { position: state::position(position)?, hash: Hash(hash) }))
        }
        _ => Ok(None),
    }
}

/// Records from a position on, in order, without gaps. Empty when `from` is not there yet;
/// XX001 when it was trimmed or a record is damaged.
pub fn read(conn: &Connection, from: Position, limits: Limits) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    if trim_mark(conn)?.is_some_and(|mark| mark.position >= from) {
        return Err(gap(from));
    }
    let mut before = match from.0.checked_sub(1) {
        Some(before) => find(conn, Position(before))?,
        None => None,
    };
    let (mut next, mut bytes) = (from, 0u64);
    let mut statement = conn.prepare(
        "SELECT position, part, body FROM \"_crossfade_journal\" \
         WHERE position >= ?1 AND position <= ?2 AND part = 0 ORDER BY position",
    )?;
    statement.bind(1, state::cell(from).as_ref())?;
    statement.bind(2, state::cell(limits.until).as_ref())?;
    while records.len() < limits.records.max(1) && statement.step()? {
        let CellRef::Integer(at) = statement.column(0) else { return Err(damaged()) };
        let CellRef::Blob(body) = statement.column(2) else { return Err(damaged()) };
        let position = state::position(at)?;
        let (header, hash, rest) = Header::read(body)?;
        if position != next || before.is_some_and(|before| before != header.previous) {
            return Err(gap(next));
        }
        let fits = header.bytes <= limits.bytes;
        if !records.is_empty() && bytes.saturating_add(header.bytes) > limits.bytes {
            break;
        }
        let events = if fits {
            let stream = whole(conn, position, &header, hash, rest)?;
            Events::Loaded(Event::decode_all(&stream)?)
        } else {
            Events::Large
        };
        bytes = bytes.saturating_add(header.bytes);
        before = Some(hash);
        next = position.next();
        records.push(header.record(position, hash, events));
    }
    Ok(records)
}

/// The whole event stream of a record, checked.
fn whole(
    conn: &Connection,
    position: Position,
    header: &Header,
    hash: Hash,
    rest: &[u8],
) -> Result<Vec<u8>> {
    let mut stream = Vec::new();
    if header.parts > 0 {
        let mut parts = Parts::open(conn, position)?;
        while let Some(part) = parts.next()? {
            stream.extend_from_slice(part);
        }
    }
    stream.extend_from_slice(rest);
    let mut digest = Sha256::new();
    digest.update(&stream);
    let same =
        stream.len() as u64 == header.bytes && Hash::of(position, &header.bare(), digest) == hash;
    if same { Ok(stream) } else { Err(damaged()) }
}

/// Checks every record from a position on, with memory for one part; the last one.
pub fn verify(conn: &Connection, from: Position) -> Result<Option<Head>> {
    let mut head = None;
    let mut next = from;
    loop {
        let limits = Limits { records: 256, bytes: 1 << 20, until: Position(u64::MAX >> 1) };
        let records = read(conn, next, limits)?;
        let Some(last) = records.last() else { return Ok(head) };
        head = Some(Head { position: last.position, hash: last.hash });
        next = last.position.next();
        for record in records.iter().filter(|r| r.events == Events::Large) {
            let mut stream = EventStream::open(conn, record.position)?;
            while stream.next()?.is_some() {}
        }
    }
}

/// The events of one record, one after the other, with memory for one part and one event.
pub struct EventStream {
    parts: Option<Parts>,
    header: Header,
    hash: Hash,
    position: Position,
    rest: Option<Vec<u8>>,
    digest: Sha256,
    bytes: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl EventStream {
    /// Opens a record's stream; it holds a snapshot of the connection until it is dropped.
    pub fn open(conn: &Connection, position: Position) -> Result<Self> {
        let (header, hash, rest) = closing(conn, position)?.ok_or_else(|| gap(position))?;
        Ok(Self {
            parts: Some(Parts::open(conn, position)?),
            header,
            hash,
            position,
            rest: Some(rest),
            digest: Sha256::new(),
            bytes: 0,
            buffer: Vec::new(),
            at: 0,
        })
    }

    /// The next event; None after the last one, once the record's hash has been checked.
    /// On XX001 everything given out before must be undone.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot fail")]
    pub fn next(&mut self) -> Result<Option<Event>> {
        loop {
            let ready = &self.buffer[self.at..];
            if Event::frame(ready).is_some_and(|frame| frame <= ready.len()) {
                let (event, used) = Event::decode(ready)?;
                self.at += used;
                return Ok(Some(event));
            }
            if !self.more()? {
                return if self.at == self.buffer.len() { Ok(None) } else { Err(damaged()) };
            }
        }
    }

    /// Reads on; false at the end of the record.
    fn more(&mut self) -> Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let start = self.buffer.len();
        if let Some(parts) = &mut self.parts {
            match parts.next()? {
                Some(part) => self.buffer.extend_from_slice(part),
                None => self.parts = None,
            }
        }
        if self.parts.is_none() && self.buffer.len() == start {
            let Some(rest) = self.rest.take() else { return Ok(false) };
            self.buffer.extend_from_slice(&rest);
            self.count(start);
            let digest = std::mem::take(&mut self.digest);
            let same = self.bytes == self.header.bytes
                && Hash::of(self.position, &self.header.bare(), digest) == self.hash;
            return if same { Ok(true) } else { Err(damaged()) };
        }
        self.count(start);
        Ok(true)
    }

    fn count(&mut self, start: usize) {
        self.digest.update(&self.buffer[start..]);
        self.bytes += (self.buffer.len() - start) as u64;
    }
}

/// Parts 1 and up of a record.
struct Parts {
    statement: Statement,
    next: i64,
}

impl Parts {
    fn open(conn: &Connection, position: Position) -> Result<Self> {
        let mut statement = conn.prepare(
            "SELECT part, body FROM \"_crossfade_journal\" \
             WHERE position = ?1 AND part > 0 ORDER BY part",
        )?;
        statement.bind(1, state::cell(position).as_ref())?;
        Ok(Self { statement, next: 1 })
    }

    fn next(&mut self) -> Result<Option<&[u8]>> {
        if !self.statement.step()? {
            return Ok(None);
        }
        if self.statement.column(0) != CellRef::Integer(self.next) {
            return Err(damaged());
        }
        self.next += 1;
        match self.statement.column(1) {
            CellRef::Blob(body) => Ok(Some(body)),
            _ => Err(damaged()),
        }
    }
}

fn last(conn: &Connection) -> Result<Option<Position>> {
    let sql = "SELECT position FROM \"_crossfade_journal\" \
               ORDER BY position DESC, part DESC LIMIT 1";
    conn.query_integer(sql, &[])?.map(state::position).transpose()
}

/// Part 0 of a record.
fn closing(conn: &Connection, position: Position) -> Result<Option<(Header, Hash, Vec<u8>)>> {
    let sql = "SELECT body FROM \"_crossfade_journal\" WHERE position = ?1 AND part = 0";
    match conn.query_row(sql, &[state::cell(position)])?.as_deref() {
        None => Ok(None),
        Some([Cell::Blob(body)]) => {
            let (header, hash, rest) = Header::read(body)?;
            Ok(Some((header, hash, rest.to_vec())))
        }
        Some(_) => Err(damaged()),
    }
}

fn gap(position: Position) -> Error {
    Error::primary(
        sqlstate::DATA_CORRUPTED,
        format!("the journal does not continue at position {position}"),
    )
    .detail("The record is missing or does not follow the one before it.")
}
