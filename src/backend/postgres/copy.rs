//! COPY … FROM STDIN in binary form, with a bounded buffer.
//!
//! Owns the framing of rows. It must never send a row in part. Start at [`CopyIn::begin`].

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use super::apply::quoted;
use super::control::Control;
use super::project::Projection;
use crate::error::Result;
use crate::value::{Datum, Type, binary};

/// Bytes collected before they are sent.
pub const BUFFER: usize = 64 << 10;
/// Signature, flags, and the length of no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1 ends the stream.
const TRAILER: &[u8] = &[0xff, 0xff];

/// A running COPY into one table. Dropped before [`CopyIn::finish`] it is undone.
pub struct CopyIn {
    control: Control,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: Vec<u8>,
    bytes: u64,
}

/// The statement that copies into the written columns of a table.
pub fn statement(projection: &Projection, table: &str) -> String {
    let names: Vec<String> =
        projection.written().iter().map(|i| quoted(&projection.columns[*i].name)).collect();
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", names.join(", "))
}

impl CopyIn {
    /// Starts the statement on the connection, which does nothing else until the end.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn begin(control: &Control, sql: &str) -> Result<Self> {
        let sink = control.client().copy_in(sql).await.map_err(|e| control.error(&e))?;
        let mut buffer = Vec::with_capacity(BUFFER + BUFFER / 4);
        buffer.extend_from_slice(HEADER);
        Ok(Self { control: control.clone(), sink: Box::pin(sink), buffer, bytes: 0 })
    }

    /// Adds a row. On an error nothing of it stays.
    ///
    /// # Errors
    /// When a value has no binary form in its type.
    pub fn row<'a>(
        &mut self,
        values: impl ExactSizeIterator<Item = (&'a Datum, Type)>,
    ) -> Result<()> {
        let start = self.buffer.len();
        let encoded = encode_row(values, &mut self.buffer);
        if encoded.is_err() {
            self.buffer.truncate(start);
        }
        encoded
    }

    /// Adds a row of so many fields that `fill` writes, each with its length; false, and nothing of
    /// it stays, when `fill` says so.
    pub fn filled(&mut self, fields: usize, fill: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&count(fields));
        let filled = fill(&mut self.buffer);
        if !filled {
            self.buffer.truncate(start);
        }
        filled
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.bytes
    }

    /// Bytes collected and not sent: at [`BUFFER`] of them [`CopyIn::send`] is due.
    pub fn collected(&self) -> usize {
        self.buffer.len()
    }

    /// Sends what was collected; waits while PostgreSQL takes no more.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.bytes += self.buffer.len() as u64;
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER)));
        self.sink.send(chunk).await.map_err(|e| self.control.error(&e))
    }

    /// Ends the COPY; rows and bytes copied.
    ///
    /// # Errors
    /// What PostgreSQL said about the rows; its CONTEXT names the line.
    pub async fn finish(mut self) -> Result<(u64, u64)> {
        self.buffer.extend_from_slice(TRAILER);
        self.send().await?;
        let rows = self.sink.as_mut().finish().await.map_err(|e| self.control.error(&e))?;
        Ok((rows, self.bytes))
    }
}

/// A row's number of fields: at most 1600.
fn count(fields: usize) -> [u8; 2] {
    i16::try_from(fields).unwrap_or(i16::MAX).to_be_bytes()
}

fn encode_row<'a>(
    values: impl ExactSizeIterator<Item = (&'a Datum, Type)>,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.extend_from_slice(&count(values.len()));
    for (datum, ty) in values {
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if !datum.is_null() {
            binary::encode(datum, ty, out)?;
            let length = i32::try_from(out.len() - at - 4).map_err(|_| too_long())?;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

fn too_long() -> crate::error::Error {
    crate::error::Error::shadow(
        crate::error::state::PROGRAM_LIMIT_EXCEEDED,
        "a value is longer than PostgreSQL can receive",
    )
}

/// The row (from 0) that PostgreSQL's CONTEXT of a failed COPY names.
pub fn failed_row(error: &crate::error::Error) -> Option<usize> {
    let context = error.fields().context.as_deref()?;
    let rest = &context[context.find(", line ")? + 7..];
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, state};
    use crate::value::oid;

    #[test]
    fn rows_are_framed() {
        let mut out = Vec::new();
        let int = Type::new(oid::INT4);
        encode_row([(&Datum::Int(7), int), (&Datum::Null, int)].into_iter(), &mut out).unwrap();
        assert_eq!(out, b"\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff");
    }

    #[test]
    fn the_failed_line_is_found() {
        let error = Error::shadow(state::UNIQUE_VIOLATION, "x").context("COPY t, line 12");
        assert_eq!(failed_row(&error), Some(11));
        let error = Error::shadow(state::UNIQUE_VIOLATION, "x").context("COPY t, line 3, column a");
        assert_eq!(failed_row(&error), Some(2));
        assert_eq!(failed_row(&Error::shadow(state::UNIQUE_VIOLATION, "x")), None);
    }
}
