//! A replication connection: slots, and the stream of one.
//!
//! Owns [`Replication`]. It must never confirm a place in the write-ahead log on its own:
//! the server forgets everything before a confirmed place. Start at
//! [`Replication::connect`].

use std::fmt;

use bytes::BufMut;

use super::connect::{Canceller, Connector};
use super::decode::Packet;
use super::server::{Server, parse_error};
use crate::error::{Culprit, Error, Result, state};
use crate::wire::write;

/// A place in the write-ahead log, shown as PostgreSQL does (`0/15D4E10`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl Lsn {
    /// Reads PostgreSQL's text form.
    pub fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let part = |t: &str| u32::from_str_radix(t, 16).ok();
        Some(Self(u64::from(part(high)?) << 32 | u64::from(part(low)?)))
    }
}

/// Which server and history a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `system_identifier`.
    pub system: u64,
    /// Timeline.
    pub timeline: u32,
    /// Flushed end of the write-ahead log.
    pub flushed: Lsn,
}

/// A connection in replication mode.
pub struct Replication {
    server: Server,
}

impl Replication {
    /// Connects. Values come in the text forms that our parsers read: ISO dates, UTC.
    ///
    /// # Errors
    /// 42501 when the role may not replicate; 08006 when no host answers; what PostgreSQL
    /// said otherwise.
    pub async fn connect(connector: &Connector, name: &str) -> Result<Self> {
        let parameters = [
            ("replication", "database"),
            ("application_name", name),
            ("datestyle", "ISO"),
            ("intervalstyle", "postgres"),
            ("extra_float_digits", "3"),
            ("timezone", "UTC"),
            ("bytea_output", "hex"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned()));
        Ok(Self { server: connector.raw(&parameters).await? })
    }

    /// The way to end what the connection does.
    pub fn canceller(&self) -> Option<Canceller> {
        self.server.canceller()
    }

    /// Runs one statement of SQL or of the replication grammar, before the stream starts.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.server.rows(sql).await
    }

    /// Asks which server this is.
    ///
    /// # Errors
    /// What PostgreSQL said; 08P01 for an answer of another shape.
    pub async fn identify(&mut self) -> Result<Identity> {
        let rows = self.rows("IDENTIFY_SYSTEM").await?;
        let field = |i: usize| rows.first().and_then(|row| row.get(i)).and_then(Option::as_deref);
        let read = || {
            Some(Identity {
                system: field(0)?.parse().ok()?,
                timeline: field(1)?.parse().ok()?,
                flushed: Lsn::parse(field(2)?)?,
            })
        };
        read().ok_or_else(|| protocol("IDENTIFY_SYSTEM was answered in another shape"))
    }

    /// Makes a logical slot; the place from which it sees everything. Waits until every
    /// transaction that runs now has ended: use a time limit and [`Replication::canceller`].
    ///
    /// # Errors
    /// 42710 when it exists, 55000 when `wal_level` is not `logical`.
    pub async fn create_slot(&mut self, slot: &str) -> Result<Lsn> {
        let sql = format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput NOEXPORT_SNAPSHOT");
        let rows = self.rows(&sql).await?;
        let point = rows.first().and_then(|row| row.get(1)).and_then(Option::as_deref);
        point
            .and_then(Lsn::parse)
            .ok_or_else(|| protocol("CREATE_REPLICATION_SLOT was answered in another shape"))
    }

    /// Starts the stream of a slot: transactions whose commit record starts at or after
    /// `from`.
    ///
    /// # Errors
    /// 55006, retryable, while another connection reads the slot; 42704 when it is gone.
    pub async fn start(&mut self, slot: &str, publication: &str, from: Lsn) -> Result<()> {
        let sql = format!(
            "START_REPLICATION SLOT {slot} LOGICAL {from} \
             (proto_version '1', publication_names '\"{publication}\"')"
        );
        let out = self.server.out();
        let mark = write::begin(out, b'Q');
        out.put_slice(sql.as_bytes());
        out.put_u8(0);
        write::end(out, &mark);
        self.server.flush().await?;
        loop {
            let Some(frame) = self.server.read_frame().await? else { return Err(lost()) };
            match frame.kind {
                b'W' => return Ok(()),
                b'E' => {
                    let error = parse_error(&frame.body, Culprit::Shadow);
                    let busy = error.sqlstate() == state::OBJECT_IN_USE;
                    return Err(if busy { error.retryable() } else { error });
                }
                b'N' | b'S' => {}
                _ => return Err(protocol("START_REPLICATION was answered in another shape")),
            }
        }
    }

    /// The next packet of the stream. Safe to cancel.
    ///
    /// # Errors
    /// 08006, retryable, when the connection is lost; what PostgreSQL said otherwise.
    pub async fn next(&mut self) -> Result<Packet> {
        loop {
            let Some(frame) = self.server.read_frame().await? else { return Err(lost()) };
            match frame.kind {
                b'd' => return Packet::decode(frame.body),
                b'E' => return Err(parse_error(&frame.body, Culprit::Shadow)),
                b'c' => return Err(lost()),
                _ => {}
            }
        }
    }

    /// Tells the server what is safe here: it may forget everything before. With `ask` it
    /// answers at once how far it has sent.
    ///
    /// # Errors
    /// 08006 when the connection is lost.
    pub async fn confirm(&mut self, safe: Lsn, now: i64, ask: bool) -> Result<()> {
        let out = self.server.out();
        let mark = write::begin(out, b'd');
        out.put_u8(b'r');
        // Written, flushed and applied are one for us.
        for _ in 0..3 {
            out.put_u64(safe.0);
        }
        out.put_i64(now);
        out.put_u8(u8::from(ask));
        write::end(out, &mark);
        self.server.flush().await
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.server.close().await;
    }
}

fn lost() -> Error {
    Error::new(
        Culprit::Shadow,
        state::CONNECTION_FAILURE,
        "the replication connection to PostgreSQL was lost",
    )
    .retryable()
}

fn protocol(text: &'static str) -> Error {
    Error::new(Culprit::Shadow, state::PROTOCOL_VIOLATION, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_shown() {
        for (text, number) in [("0/0", 0), ("0/15D4E10", 0x15d_4e10), ("A1/FF", 0xa1_0000_00ff)] {
            assert_eq!(Lsn::parse(text), Some(Lsn(number)));
            assert_eq!(Lsn(number).to_string(), text);
        }
        assert_eq!(Lsn::parse("x"), None);
        assert_eq!(Lsn::parse("1/123456789"), None);
    }
}
