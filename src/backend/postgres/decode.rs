//! PostgreSQL's logical replication stream, decoded: pgoutput, protocol version 1.
//!
//! Owns [`Message`], what one piece of the stream says. Pure: bytes in, values out. It must
//! never panic or reserve memory for a length it was merely told, whatever the bytes are.
//! Start at [`Packet::decode`], then [`Message::decode`].

use bytes::{Buf, Bytes};

use crate::error::{Culprit, Error, Result, state};

/// What a CopyData message of a replication connection holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A piece of the stream.
    Data {
        /// Where its record starts in the write-ahead log; 0 for some messages.
        start: u64,
        /// How far the server has sent.
        end: u64,
        /// The message, for [`Message::decode`].
        body: Bytes,
    },
    /// A sign of life.
    Keepalive {
        /// Everything up to here has been sent.
        end: u64,
        /// The server wants an answer at once.
        reply: bool,
    },
}

/// One message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A committed transaction begins.
    Begin {
        /// Where its commit record starts.
        commit_lsn: u64,
        /// When it was committed, PostgreSQL microseconds (since 2000).
        committed_at: i64,
        /// Its number.
        xid: u32,
    },
    /// Its end.
    Commit {
        /// Where the commit record starts.
        commit_lsn: u64,
        /// Where it ends: the place to go on from.
        end_lsn: u64,
        /// When it was committed, PostgreSQL microseconds (since 2000).
        committed_at: i64,
    },
    /// The transaction was replicated from elsewhere.
    Origin {
        /// Name of the origin.
        name: String,
    },
    /// A table, before its first change and again after each change of its shape.
    Relation(Table),
    /// A data type that is not built in.
    Type {
        /// OID.
        oid: u32,
    },
    /// A new row.
    Insert {
        /// OID of the table.
        table: u32,
        /// The row.
        new: Tuple,
    },
    /// A changed row.
    Update {
        /// OID of the table.
        table: u32,
        /// The row before, as far as it is known: its key when that has changed, the whole
        /// row under REPLICA IDENTITY FULL.
        old: Option<Old>,
        /// The row after.
        new: Tuple,
    },
    /// A deleted row.
    Delete {
        /// OID of the table.
        table: u32,
        /// The row before.
        old: Old,
    },
    /// Emptied tables.
    Truncate {
        /// OIDs of the tables.
        tables: Vec<u32>,
    },
    /// pg_logical_emit_message, or a kind this version does not know.
    Other(u8),
}

/// A row as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// All columns are there; otherwise only those of the replica identity.
    pub whole: bool,
    /// The columns; those that are not known are NULL.
    pub tuple: Tuple,
}

/// A table as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// OID.
    pub oid: u32,
    /// Schema; empty for pg_catalog.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Replica identity: `d`, `n`, `f` or `i`.
    pub identity: u8,
    /// Columns in order; generated ones are not sent.
    pub columns: Vec<TableColumn>,
}

/// One column of a table in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Part of the replica identity.
    pub key: bool,
    /// Name.
    pub name: String,
    /// Type OID.
    pub type_oid: u32,
    /// Type modifier; -1 for none.
    pub typmod: i32,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL
    Null,
    /// A large value that was not touched and is not sent.
    Unchanged,
    /// PostgreSQL's text form.
    Text(Bytes),
    /// PostgreSQL's binary form.
    Binary(Bytes),
}

/// The values of a row, in the order of its table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuple(pub Vec<Value>);

impl Table {
    /// Names and types as one text: what is compared to notice a changed shape.
    pub fn signature(&self) -> String {
        let column = |c: &TableColumn| format!("{}:{}:{}", c.name, c.type_oid, c.typmod);
        self.columns.iter().map(column).collect::<Vec<_>>().join(",")
    }
}

impl Packet {
    /// Reads the body of a CopyData message.
    ///
    /// # Errors
    /// 08P01 when it has another shape.
    pub fn decode(mut body: Bytes) -> Result<Self> {
        let from = &mut body;
        match byte(from)? {
            b'w' => {
                let (start, end) = (lsn(from)?, lsn(from)?);
                int8(from)?;
                Ok(Self::Data { start, end, body })
            }
            b'k' => {
                let end = lsn(from)?;
                int8(from)?;
                Ok(Self::Keepalive { end, reply: byte(from)? != 0 })
            }
            _ => Err(malformed()),
        }
    }
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// 08P01 when it is cut short or has another shape.
    pub fn decode(mut body: Bytes) -> Result<Self> {
        let from = &mut body;
        Ok(match byte(from)? {
            b'B' => {
                let (commit_lsn, committed_at) = (lsn(from)?, int8(from)?);
                Self::Begin { commit_lsn, committed_at, xid: oid(from)? }
            }
            b'C' => {
                byte(from)?;
                let (commit_lsn, end_lsn) = (lsn(from)?, lsn(from)?);
                Self::Commit { commit_lsn, end_lsn, committed_at: int8(from)? }
            }
            b'O' => {
                lsn(from)?;
                Self::Origin { name: text(from)? }
            }
            b'R' => Self::Relation(table(from)?),
            b'Y' => Self::Type { oid: oid(from)? },
            b'I' => {
                let table = oid(from)?;
                expect(from, b'N')?;
                Self::Insert { table, new: tuple(from)? }
            }
            b'U' => {
                let table = oid(from)?;
                let old = match byte(from)? {
                    b'N' => None,
                    kind => {
                        let old = old(kind, from)?;
                        expect(from, b'N')?;
                        Some(old)
                    }
                };
                Self::Update { table, old, new: tuple(from)? }
            }
            b'D' => {
                let table = oid(from)?;
                let kind = byte(from)?;
                Self::Delete { table, old: old(kind, from)? }
            }
            b'T' => {
                let count = oid(from)?;
                byte(from)?;
                Self::Truncate { tables: (0..count).map(|_| oid(from)).collect::<Result<_>>()? }
            }
            kind => Self::Other(kind),
        })
    }
}

fn malformed() -> Error {
    Error::new(Culprit::Shadow, state::PROTOCOL_VIOLATION, "the replication stream is malformed")
}

fn byte(from: &mut Bytes) -> Result<u8> {
    from.try_get_u8().map_err(|_| malformed())
}

fn expect(from: &mut Bytes, kind: u8) -> Result<()> {
    if byte(from)? == kind { Ok(()) } else { Err(malformed()) }
}

fn int8(from: &mut Bytes) -> Result<i64> {
    from.try_get_i64().map_err(|_| malformed())
}

fn lsn(from: &mut Bytes) -> Result<u64> {
    from.try_get_u64().map_err(|_| malformed())
}

fn oid(from: &mut Bytes) -> Result<u32> {
    from.try_get_u32().map_err(|_| malformed())
}

fn text(from: &mut Bytes) -> Result<String> {
    let end = from.iter().position(|b| *b == 0).ok_or_else(malformed)?;
    let text = from.split_to(end);
    from.advance(1);
    String::from_utf8(text.to_vec()).map_err(|_| malformed())
}

fn table(from: &mut Bytes) -> Result<Table> {
    let oid = oid(from)?;
    let (schema, name) = (text(from)?, text(from)?);
    let identity = byte(from)?;
    let count = from.try_get_u16().map_err(|_| malformed())?;
    let column = |from: &mut Bytes| {
        Ok(TableColumn {
            key: byte(from)? & 1 != 0,
            name: text(from)?,
            type_oid: self::oid(from)?,
            typmod: from.try_get_i32().map_err(|_| malformed())?,
        })
    };
    let columns = (0..count).map(|_| column(from)).collect::<Result<_>>()?;
    Ok(Table { oid, schema, name, identity, columns })
}

fn old(kind: u8, from: &mut Bytes) -> Result<Old> {
    let whole = match kind {
        b'O' => true,
        b'K' => false,
        _ => return Err(malformed()),
    };
    Ok(Old { whole, tuple: tuple(from)? })
}

fn tuple(from: &mut Bytes) -> Result<Tuple> {
    let count = from.try_get_u16().map_err(|_| malformed())?;
    (0..count).map(|_| value(from)).collect::<Result<_>>().map(Tuple)
}

fn value(from: &mut Bytes) -> Result<Value> {
    let kind = byte(from)?;
    if kind == b'n' {
        return Ok(Value::Null);
    }
    if kind == b'u' {
        return Ok(Value::Unchanged);
    }
    let length = from.try_get_i32().map_err(|_| malformed())?;
    let length = usize::try_from(length).ok().filter(|n| *n <= from.len()).ok_or_else(malformed)?;
    let bytes = from.split_to(length);
    match kind {
        b't' => Ok(Value::Text(bytes)),
        b'b' => Ok(Value::Binary(bytes)),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(parts: &[&[u8]]) -> Bytes {
        Bytes::from(parts.concat())
    }

    fn samples() -> Vec<Bytes> {
        vec![
            bytes(&[b"B", &7_u64.to_be_bytes(), &5_i64.to_be_bytes(), &9_u32.to_be_bytes()]),
            bytes(&[b"C\0", &7_u64.to_be_bytes(), &8_u64.to_be_bytes(), &5_i64.to_be_bytes()]),
            bytes(&[
                b"R",
                &16_u32.to_be_bytes(),
                b"public\0t\0d\0\x02\x01id\0",
                &23_u32.to_be_bytes(),
                &(-1_i32).to_be_bytes(),
                b"\0body\0",
                &25_u32.to_be_bytes(),
                &(-1_i32).to_be_bytes(),
            ]),
            bytes(&[b"I", &16_u32.to_be_bytes(), b"N\0\x02t\0\0\0\x011n"]),
            bytes(&[b"U", &16_u32.to_be_bytes(), b"K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u"]),
            bytes(&[b"U", &16_u32.to_be_bytes(), b"N\0\x02t\0\0\0\x012t\0\0\0\x02ab"]),
            bytes(&[b"D", &16_u32.to_be_bytes(), b"O\0\x02t\0\0\0\x012b\0\0\0\x01x"]),
            bytes(&[b"T", &1_u32.to_be_bytes(), b"\x01", &16_u32.to_be_bytes()]),
            bytes(&[b"O", &1_u64.to_be_bytes(), b"elsewhere\0"]),
        ]
    }

    #[test]
    fn every_kind_is_read() {
        let read: Vec<Message> =
            samples().into_iter().map(|b| Message::decode(b).expect("a message")).collect();
        assert_eq!(read[0], Message::Begin { commit_lsn: 7, committed_at: 5, xid: 9 });
        assert_eq!(read[1], Message::Commit { commit_lsn: 7, end_lsn: 8, committed_at: 5 });
        let Message::Relation(table) = &read[2] else { panic!("{:?}", read[2]) };
        assert_eq!(table.signature(), "id:23:-1,body:25:-1");
        assert_eq!((table.columns[0].key, table.columns[1].key), (true, false));
        let text = |t: &'static str| Value::Text(Bytes::from_static(t.as_bytes()));
        assert_eq!(
            read[3],
            Message::Insert { table: 16, new: Tuple(vec![text("1"), Value::Null]) }
        );
        let Message::Update { old: Some(old), new, .. } = &read[4] else { panic!() };
        assert!(!old.whole && old.tuple.0[0] == text("1"));
        assert_eq!(new.0, [text("2"), Value::Unchanged]);
        assert!(matches!(&read[6], Message::Delete { old: Old { whole: true, .. }, .. }));
        assert_eq!(read[7], Message::Truncate { tables: vec![16] });
    }

    #[test]
    fn whatever_is_cut_short_is_refused() {
        for sample in samples() {
            for end in 0..sample.len() {
                assert!(Message::decode(sample.slice(..end)).is_err(), "{sample:?} cut at {end}");
            }
        }
        assert!(Packet::decode(Bytes::from_static(b"k\0\0")).is_err());
        let packet = bytes(&[b"k", &9_u64.to_be_bytes(), &0_i64.to_be_bytes(), b"\x01"]);
        assert_eq!(
            Packet::decode(packet).expect("a packet"),
            Packet::Keepalive { end: 9, reply: true }
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = Packet::decode(bytes.clone());
            let _ = Message::decode(bytes);
        }

        #[test]
        fn no_damage_panics(which in 0_usize..9, at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut bytes = samples()[which].to_vec();
            let at = at.index(bytes.len());
            bytes[at] = to;
            let _ = Message::decode(bytes.into());
        }
    }
}
