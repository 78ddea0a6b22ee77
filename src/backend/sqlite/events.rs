//! What a transaction changed, as data and as bytes.
//!
//! Owns [`Event`] and its encoding: one tag byte, the body's length (u32, little-endian),
//! the body. The stream of a transaction's events is what the journal keeps. It must
//! never drop a byte of a value: TEXT that is not UTF-8 stays as it is. Start at
//! [`Event`].

use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef};

/// One thing that happened in a transaction, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A row changed.
    Row(Image),
    /// A client's statement ended; the images since the previous `Statement` are its
    /// effect (triggers and cascades included).
    Statement(Box<Note>),
    /// The schema changed; capture was muted meanwhile.
    Ddl(DdlEvent),
    /// Tables were emptied by TRUNCATE.
    Truncate(TruncateEvent),
    /// A sequence was moved.
    Sequence(SequenceEvent),
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A new row.
    Insert,
    /// A changed row; the key may have changed too.
    Update,
    /// A row is gone.
    Delete,
}

/// A row before and after a change, as stored (not decoded by the column's codec).
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Table name in the SQLite file.
    pub table: String,
    /// What happened.
    pub op: Op,
    /// 0 for the client's own statement; deeper in triggers and cascades.
    pub depth: u16,
    /// Rowid before and after (equal unless the rowid changed); 0 in WITHOUT ROWID tables.
    pub rowid: (i64, i64),
    /// Row before; empty on insert.
    pub old: Row,
    /// Row after; empty on delete.
    pub new: Row,
}

/// The stored cells of one row, in the order of the table's columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(Vec<Slot>);

#[derive(Clone, Debug, PartialEq)]
enum Slot {
    /// A virtual generated column: nothing is stored.
    Absent,
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Row {
    /// Columns, absent ones included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Column `i`; None when there is none or it is a virtual generated column.
    pub fn get(&self, i: usize) -> Option<CellRef<'_>> {
        self.0.get(i).and_then(Slot::as_ref)
    }

    /// All columns; None stands for virtual generated ones.
    pub fn iter(&self) -> impl Iterator<Item = Option<CellRef<'_>>> {
        self.0.iter().map(Slot::as_ref)
    }

    /// A row of given cells.
    pub fn from_cells<'a>(cells: impl IntoIterator<Item = Option<CellRef<'a>>>) -> Self {
        Self(cells.into_iter().map(Slot::from).collect())
    }
}

impl Slot {
    fn as_ref(&self) -> Option<CellRef<'_>> {
        Some(match self {
            Self::Absent => return None,
            Self::Null => CellRef::Null,
            Self::Integer(i) => CellRef::Integer(*i),
            Self::Real(r) => CellRef::Real(*r),
            Self::Text(t) => CellRef::Text(t),
            Self::Blob(b) => CellRef::Blob(b),
        })
    }
}

impl From<Option<CellRef<'_>>> for Slot {
    fn from(cell: Option<CellRef<'_>>) -> Self {
        match cell {
            None => Self::Absent,
            Some(CellRef::Null) => Self::Null,
            Some(CellRef::Integer(i)) => Self::Integer(i),
            Some(CellRef::Real(r)) => Self::Real(r),
            Some(CellRef::Text(t)) => Self::Text(t.to_vec()),
            Some(CellRef::Blob(b)) => Self::Blob(b.to_vec()),
        }
    }
}

/// A client's statement, for lane B.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// Hash of the statement's shape.
    pub fingerprint: u64,
    /// Text in PostgreSQL's dialect; None when it could not be printed.
    pub text: Option<String>,
    /// Parameters: type OID and logical cell.
    pub params: Vec<(u32, Cell)>,
    /// Frozen values, bound after the parameters: type OID and logical cell.
    pub frozen: Vec<(u32, Cell)>,
    /// User table written, PostgreSQL's name.
    pub table: Option<String>,
    /// Command tag as sent, without its row count.
    pub tag: String,
    /// Row count of the command tag.
    pub affected: u64,
    /// Digest of the rows RETURNING, or a read after own writes, gave, in canonical form.
    pub returning: Option<Vec<u8>>,
    /// Type OIDs of those rows.
    pub columns: Vec<u32>,
    /// Why lane B must not compare it; None when it may.
    pub skip: Option<String>,
    /// Settings of the session under which it ran, where they differ from the mirror's.
    pub settings: Vec<(String, String)>,
    /// More than one effect is right: a difference is ambiguous.
    pub undetermined: bool,
}

/// A schema change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DdlEvent {
    /// Command tag, for example `CREATE TABLE`.
    pub tag: String,
    /// The same change for PostgreSQL, statement by statement.
    pub postgres: Vec<String>,
}

/// TRUNCATE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TruncateEvent {
    /// Tables, SQLite's names, those reached by CASCADE included.
    pub tables: Vec<String>,
    /// RESTART IDENTITY.
    pub restart_identity: bool,
}

/// A sequence's new state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceEvent {
    /// Name.
    pub name: String,
    /// Last value.
    pub value: i64,
    /// Whether `value` has been issued.
    pub called: bool,
}

const ROW: u8 = 1;
const STATEMENT: u8 = 2;
const DDL: u8 = 3;
const TRUNCATE: u8 = 4;
const SEQUENCE: u8 = 5;

const HEAD: usize = 5;

impl Event {
    /// Appends the encoded event.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Row(image) => {
                let start = begin(out, ROW);
                row_head(out, &image.table, image.op, image.depth, image.rowid);
                encode_row(out, &image.old);
                encode_row(out, &image.new);
                end(out, start);
            }
            Self::Statement(note) => {
                let start = begin(out, STATEMENT);
                note.encode(out);
                end(out, start);
            }
            Self::Ddl(ddl) => {
                let start = begin(out, DDL);
                put_bytes(out, ddl.tag.as_bytes());
                put_strings(out, &ddl.postgres);
                end(out, start);
            }
            Self::Truncate(event) => {
                let start = begin(out, TRUNCATE);
                put_strings(out, &event.tables);
                out.push(u8::from(event.restart_identity));
                end(out, start);
            }
            Self::Sequence(event) => {
                let start = begin(out, SEQUENCE);
                put_bytes(out, event.name.as_bytes());
                out.extend_from_slice(&event.value.to_le_bytes());
                out.push(u8::from(event.called));
                end(out, start);
            }
        }
    }

    /// Length of the first event in `bytes`, its head included; None when more bytes are
    /// needed to tell.
    pub fn frame(bytes: &[u8]) -> Option<usize> {
        let length = bytes.get(1..HEAD)?.try_into().ok()?;
        Some(HEAD + u32::from_le_bytes(length) as usize)
    }

    /// Decodes the first event of `bytes`; the event and the bytes it took. XX001 when they
    /// are damaged or from a later version.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize)> {
        let frame = Self::frame(bytes).filter(|f| *f <= bytes.len()).ok_or_else(damaged)?;
        let mut input = Input(&bytes[HEAD..frame]);
        let event = match bytes[0] {
            ROW => Self::Row(input.image()?),
            STATEMENT => Self::Statement(Box::new(input.note()?)),
            DDL => Self::Ddl(DdlEvent { tag: input.string()?, postgres: input.strings()? }),
            TRUNCATE => Self::Truncate(TruncateEvent {
                tables: input.strings()?,
                restart_identity: input.byte()? != 0,
            }),
            SEQUENCE => Self::Sequence(SequenceEvent {
                name: input.string()?,
                value: input.fixed()?,
                called: input.byte()? != 0,
            }),
            _ => return Err(damaged()),
        };
        if input.0.is_empty() { Ok((event, frame)) } else { Err(damaged()) }
    }

    /// Decodes a whole stream.
    pub fn decode_all(mut bytes: &[u8]) -> Result<Vec<Self>> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (event, used) = Self::decode(bytes)?;
            events.push(event);
            bytes = &bytes[used..];
        }
        Ok(events)
    }
}

impl Note {
    /// A read after its transaction's own writes: it changed nothing.
    pub fn is_read(&self) -> bool {
        self.tag.starts_with("SELECT")
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        put_optional(out, self.text.as_deref().map(str::as_bytes));
        for values in [&self.params, &self.frozen] {
            put_number(out, values.len() as u64);
            for (oid, cell) in values {
                out.extend_from_slice(&oid.to_le_bytes());
                put_cell(out, Some(cell.as_ref()));
            }
        }
        put_optional(out, self.table.as_deref().map(str::as_bytes));
        put_bytes(out, self.tag.as_bytes());
        put_number(out, self.affected);
        put_optional(out, self.returning.as_deref());
        put_number(out, self.columns.len() as u64);
        self.columns.iter().for_each(|oid| out.extend_from_slice(&oid.to_le_bytes()));
        put_optional(out, self.skip.as_deref().map(str::as_bytes));
        put_number(out, self.settings.len() as u64);
        for (name, value) in &self.settings {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value.as_bytes());
        }
        put_number(out, u64::from(self.undetermined));
    }
}

/// Starts an event; give the result to [`end`].
pub(super) fn begin(out: &mut Vec<u8>, tag: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    start
}

/// Starts a row event, for the hook, which writes cells as it reads them.
pub(super) fn begin_row(
    out: &mut Vec<u8>,
    table: &str,
    op: Op,
    depth: u16,
    rowid: (i64, i64),
) -> usize {
    let start = begin(out, ROW);
    row_head(out, table, op, depth, rowid);
    start
}

/// Fills in the length of the event that began at `start`.
pub(super) fn end(out: &mut [u8], start: usize) {
    // A value is at most 1 GB in SQLite and a row holds two images of it: the stream is
    // cut long before (the capture's spill limit), so the length fits.
    let length = u32::try_from(out.len() - start - HEAD).unwrap_or(u32::MAX);
    out[start + 1..start + HEAD].copy_from_slice(&length.to_le_bytes());
}

fn row_head(out: &mut Vec<u8>, table: &str, op: Op, depth: u16, rowid: (i64, i64)) {
    put_bytes(out, table.as_bytes());
    out.push(op as u8);
    out.extend_from_slice(&depth.to_le_bytes());
    out.extend_from_slice(&rowid.0.to_le_bytes());
    out.extend_from_slice(&rowid.1.to_le_bytes());
}

fn encode_row(out: &mut Vec<u8>, row: &Row) {
    put_number(out, row.len() as u64);
    row.iter().for_each(|cell| put_cell(out, cell));
}

/// Appends a cell; None is a virtual generated column.
pub(super) fn put_cell(out: &mut Vec<u8>, cell: Option<CellRef<'_>>) {
    match cell {
        Some(CellRef::Null) => out.push(0),
        Some(CellRef::Integer(i)) => {
            out.push(1);
            // Zigzag keeps small negative numbers short.
            put_number(out, ((i << 1) ^ (i >> 63)) as u64);
        }
        Some(CellRef::Real(r)) => {
            out.push(2);
            out.extend_from_slice(&r.to_bits().to_le_bytes());
        }
        Some(CellRef::Text(t)) => {
            out.push(3);
            put_bytes(out, t);
        }
        Some(CellRef::Blob(b)) => {
            out.push(4);
            put_bytes(out, b);
        }
        None => out.push(5),
    }
}

/// Appends a number in groups of seven bits.
pub(super) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

fn put_strings(out: &mut Vec<u8>, strings: &[String]) {
    put_number(out, strings.len() as u64);
    strings.iter().for_each(|s| put_bytes(out, s.as_bytes()));
}

fn damaged() -> Error {
    Error::primary(state::DATA_CORRUPTED, "journal record is damaged")
}

/// A reader that checks every access.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged())
    }

    fn fixed(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(damaged())
    }

    /// A count of things that take at least one byte each.
    fn count(&mut self) -> Result<usize> {
        let n = usize::try_from(self.number()?).map_err(|_| damaged())?;
        if n <= self.0.len() { Ok(n) } else { Err(damaged()) }
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let n = self.count()?;
        self.take(n)
    }

    fn string(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| damaged())
    }

    fn strings(&mut self) -> Result<Vec<String>> {
        (0..self.count()?).map(|_| self.string()).collect()
    }

    fn optional(&mut self) -> Result<Option<&'a [u8]>> {
        match self.byte()? {
            0 => Ok(None),
            _ => self.bytes().map(Some),
        }
    }

    fn optional_string(&mut self) -> Result<Option<String>> {
        let bytes = self.optional()?;
        bytes.map(|b| String::from_utf8(b.to_vec()).map_err(|_| damaged())).transpose()
    }

    fn slot(&mut self) -> Result<Slot> {
        Ok(match self.byte()? {
            0 => Slot::Null,
            1 => {
                let n = self.number()?;
                Slot::Integer((n >> 1) as i64 ^ -((n & 1) as i64))
            }
            2 => Slot::Real(f64::from_bits(u64::from_le_bytes(self.array()?))),
            3 => Slot::Text(self.bytes()?.to_vec()),
            4 => Slot::Blob(self.bytes()?.to_vec()),
            5 => Slot::Absent,
            _ => return Err(damaged()),
        })
    }

    fn row(&mut self) -> Result<Row> {
        let n = self.count()?;
        (0..n).map(|_| self.slot()).collect::<Result<_>>().map(Row)
    }

    fn image(&mut self) -> Result<Image> {
        let table = self.string()?;
        let op = match self.byte()? {
            0 => Op::Insert,
            1 => Op::Update,
            2 => Op::Delete,
            _ => return Err(damaged()),
        };
        let depth = u16::from_le_bytes(self.array()?);
        let rowid = (self.fixed()?, self.fixed()?);
        Ok(Image { table, op, depth, rowid, old: self.row()?, new: self.row()? })
    }

    fn values(&mut self) -> Result<Vec<(u32, Cell)>> {
        let n = self.count()?;
        (0..n)
            .map(|_| {
                let oid = u32::from_le_bytes(self.array()?);
                let slot = self.slot()?;
                let cell = slot.as_ref().ok_or_else(damaged)?;
                Ok((oid, super::connection::owned(cell)?))
            })
            .collect()
    }

    fn note(&mut self) -> Result<Note> {
        Ok(Note {
            fingerprint: u64::from_le_bytes(self.array()?),
            text: self.optional_string()?,
            params: self.values()?,
            frozen: self.values()?,
            table: self.optional_string()?,
            tag: self.string()?,
            affected: self.number()?,
            returning: self.optional()?.map(<[u8]>::to_vec),
            columns: {
                let count = self.number()?;
                (0..count).map(|_| Ok(u32::from_le_bytes(self.array()?))).collect::<Result<_>>()?
            },
            skip: self.optional_string()?,
            settings: {
                let count = self.number()?;
                let pairs = (0..count).map(|_| Ok((self.string()?, self.string()?)));
                pairs.collect::<Result<_>>()?
            },
            undetermined: self.number()? != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<Event> {
        let old = [Some(CellRef::Integer(-1)), None, Some(CellRef::Text(b"\xff\x00a"))];
        let new = [Some(CellRef::Integer(i64::MIN)), None, Some(CellRef::Blob(b""))];
        vec![
            Event::Row(Image {
                table: "T".into(),
                op: Op::Update,
                depth: 3,
                rowid: (1, i64::MAX),
                old: Row::from_cells(old),
                new: Row::from_cells(new),
            }),
            Event::Statement(Box::new(Note {
                fingerprint: 7,
                text: Some("UPDATE t".into()),
                params: vec![(23, Cell::Integer(5)), (25, Cell::Text("x".into()))],
                frozen: vec![(701, Cell::Real(-0.0))],
                table: None,
                tag: "UPDATE".into(),
                affected: 300,
                returning: Some(vec![1, 2]),
                columns: vec![23, 25],
                skip: Some("volatile".into()),
                settings: vec![("timezone".into(), "Asia/Tokyo".into())],
                undetermined: true,
            })),
            Event::Ddl(DdlEvent { tag: "CREATE TABLE".into(), postgres: vec!["a".into()] }),
            Event::Truncate(TruncateEvent { tables: vec!["t".into()], restart_identity: true }),
            Event::Sequence(SequenceEvent { name: "s".into(), value: -3, called: true }),
        ]
    }

    #[test]
    fn events_survive_the_encoding() {
        let mut bytes = Vec::new();
        sample().iter().for_each(|e| e.encode(&mut bytes));
        assert_eq!(Event::decode_all(&bytes).unwrap(), sample());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut in any::<usize>()) {
            let mut bytes = Vec::new();
            sample().iter().for_each(|e| e.encode(&mut bytes));
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = Event::decode_all(&bytes);
        }

        #[test]
        fn integers_survive(i in any::<i64>()) {
            let mut out = Vec::new();
            put_cell(&mut out, Some(CellRef::Integer(i)));
            prop_assert_eq!(Input(&out).slot().unwrap(), Slot::Integer(i));
        }
    }
}
