//! What a client may send once its session runs, parsed out of whole frames.
//!
//! Owns [`Frontend`] and its parsers. They must never read past the frame, never accept
//! a frame with bytes left over, and never panic whatever the bytes are. Start at
//! [`parse`].

use std::fmt;
use std::ops::{Deref, Range};

use bytes::Bytes;

use super::frame::{Frame, MAX_SMALL};
use crate::error::{Error, Result, state};
use crate::value::Format;

/// FunctionCall: a function by OID with its arguments (None is NULL).
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// pg_proc.oid
    pub oid: u32,
    /// Arguments with their formats.
    pub arguments: Vec<(Format, Option<Bytes>)>,
    /// Format of the result.
    pub result: Format,
}

/// A message from the client.
#[derive(Clone, Debug)]
pub enum Frontend {
    /// Simple query.
    Query(Text),
    /// Prepare a statement.
    Parse(Parse),
    /// Make a portal from a statement and parameter values.
    Bind(Bind),
    /// Describe a statement or portal.
    Describe {
        /// What is described.
        target: Target,
        /// Its name, empty for the unnamed one.
        name: Text,
    },
    /// Run a portal.
    Execute {
        /// The portal's name.
        portal: Text,
        /// Rows to return before suspending; 0 means all.
        max_rows: u32,
    },
    /// Close a statement or portal.
    Close {
        /// What is closed.
        target: Target,
        /// Its name.
        name: Text,
    },
    /// End of a run of extended-protocol messages.
    Sync,
    /// Send what is pending.
    Flush,
    /// A piece of COPY input.
    CopyData(Bytes),
    /// End of COPY input.
    CopyDone,
    /// The client gives up its COPY, with its reason.
    CopyFail(Text),
    /// Call of a function by OID; answered with ReadyForQuery.
    FunctionCall(FunctionCall),
    /// The client says good-bye.
    Terminate,
    /// The frame is whole but its content is not valid. The session answers `error` as it
    /// would answer any failure of a message of type `kind`.
    Malformed {
        /// Type byte of the message.
        kind: u8,
        /// What is wrong with it.
        error: Error,
    },
}

/// Statement or portal, in Describe and Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement (`S`).
    Statement,
    /// A portal (`P`).
    Portal,
}

/// Text inside a frame, checked to be UTF-8 without NUL; shares the frame's memory.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Bytes);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Checked once when parsed; the check is repeated as the alternative is unsafe code.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn new(bytes: Bytes) -> Result<Self> {
        check_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A Parse message.
#[derive(Clone, Debug)]
pub struct Parse {
    /// Name of the statement, empty for the unnamed one.
    pub name: Text,
    /// The statement's text.
    pub sql: Text,
    /// Type OIDs the client chose; 0 or absent means unspecified.
    pub types: Vec<u32>,
}

/// A Bind message. Values stay in the frame and are read through [`Bind::value`].
#[derive(Clone)]
pub struct Bind {
    /// Name of the portal, empty for the unnamed one.
    pub portal: Text,
    /// Name of the statement.
    pub statement: Text,
    body: Bytes,
    values: Vec<(u32, u32)>,
    parameter_formats: Codes,
    result_formats: Codes,
}

/// Marks NULL in the second place of a value's range.
const NULL: u32 = u32::MAX;

impl Bind {
    /// The message's body, as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Number of parameter values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no parameter values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The bytes of parameter `index` (0-based); `None` for NULL or out of range.
    #[inline]
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        match *self.values.get(index)? {
            (_, NULL) => None,
            (start, end) => self.body.get(start as usize..end as usize),
        }
    }

    /// The format of parameter `index` (0-based).
    pub fn parameter_format(&self, index: usize) -> Format {
        self.parameter_formats.get(&self.body, index)
    }

    /// Number of result format codes: 0, 1 or one for each column.
    pub fn result_format_count(&self) -> usize {
        self.result_formats.count as usize
    }

    /// The format wanted for result column `index` (0-based).
    pub fn result_format(&self, index: usize) -> Format {
        self.result_formats.get(&self.body, index)
    }

    /// The formats of `columns` result columns.
    ///
    /// # Errors
    /// 08P01 when the number of codes is neither 0, 1 nor `columns`.
    pub fn result_formats(&self, columns: usize) -> Result<Vec<Format>> {
        let count = self.result_format_count();
        if count > 1 && count != columns {
            return Err(protocol(format!(
                "bind message has {count} result formats but query has {columns} columns"
            )));
        }
        Ok((0..columns).map(|i| self.result_format(i)).collect())
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are left out: they are the application's data.
        f.debug_struct("Bind")
            .field("portal", &self.portal)
            .field("statement", &self.statement)
            .field("values", &self.values.len())
            .finish()
    }
}

/// A run of int2 format codes inside the frame, each checked to be 0 or 1.
#[derive(Clone, Copy, Default)]
struct Codes {
    start: u32,
    count: u16,
}

impl Codes {
    fn get(self, body: &[u8], index: usize) -> Format {
        let index = match self.count {
            0 => return Format::Text,
            1 => 0,
            _ => index,
        };
        if index >= self.count as usize {
            return Format::Text;
        }
        // The low byte decides: the code was checked to be 0 or 1.
        match body.get(self.start as usize + index * 2 + 1) {
            Some(1) => Format::Binary,
            _ => Format::Text,
        }
    }
}

/// The largest frame accepted for a message of this type in a running session.
///
/// # Errors
/// 08P01, fatal, when no such message exists.
#[inline]
pub fn limit(kind: u8, max_message: usize) -> Result<usize> {
    match kind {
        b'Q' | b'P' | b'B' | b'd' | b'F' => Ok(max_message),
        b'D' | b'E' | b'C' | b'S' | b'H' | b'c' | b'f' | b'X' => Ok(MAX_SMALL),
        _ => Err(protocol(format!("invalid frontend message type {kind}")).fatal()),
    }
}

/// Parses one frame. Content that is not valid becomes [`Frontend::Malformed`].
///
/// # Errors
/// 08P01, fatal, when the type is unknown.
pub fn parse(frame: Frame) -> Result<Frontend> {
    let Frame { kind, body } = frame;
    let mut reader = Reader { body, at: 0 };
    let parsed = match kind {
        b'Q' => reader.text().map(Frontend::Query),
        b'P' => parse_parse(&mut reader).map(Frontend::Parse),
        b'B' => parse_bind(&mut reader).map(Frontend::Bind),
        b'D' => parse_target(&mut reader, "DESCRIBE")
            .map(|(target, name)| Frontend::Describe { target, name }),
        b'C' => parse_target(&mut reader, "CLOSE")
            .map(|(target, name)| Frontend::Close { target, name }),
        b'E' => parse_execute(&mut reader),
        b'S' => Ok(Frontend::Sync),
        b'H' => Ok(Frontend::Flush),
        b'd' => Ok(Frontend::CopyData(reader.rest())),
        b'c' => Ok(Frontend::CopyDone),
        b'f' => reader.text().map(Frontend::CopyFail),
        b'F' => parse_function_call(&mut reader).map(Frontend::FunctionCall),
        b'X' => Ok(Frontend::Terminate),
        _ => return Err(protocol(format!("invalid frontend message type {kind}")).fatal()),
    };
    Ok(parsed
        .and_then(|message| reader.end().map(|()| message))
        .unwrap_or_else(|error| Frontend::Malformed { kind, error }))
}

fn parse_parse(reader: &mut Reader) -> Result<Parse> {
    let name = reader.text()?;
    let sql = reader.text()?;
    let count = reader.u16()? as usize;
    // The reservation is bounded by what the frame really holds.
    let mut types = Vec::with_capacity(count.min(reader.left() / 4));
    for _ in 0..count {
        types.push(reader.u32()?);
    }
    Ok(Parse { name, sql, types })
}

fn parse_function_call(reader: &mut Reader) -> Result<FunctionCall> {
    let oid = reader.u32()?;
    let formats = reader.codes()?;
    let count = reader.u16()?;
    if formats.count > 1 && formats.count != count {
        return Err(protocol(format!(
            "function call message contains {} argument formats but {count} arguments",
            formats.count
        )));
    }
    let code = |body: &Bytes, i: u16| {
        let slot = if formats.count == 1 { 0 } else { usize::from(i) };
        let at = formats.start as usize + slot * 2 + 1;
        let binary = formats.count > 0 && body.get(at) == Some(&1);
        if binary { Format::Binary } else { Format::Text }
    };
    let mut arguments = Vec::with_capacity(usize::from(count).min(reader.left() / 4));
    for i in 0..count {
        let (start, end) = reader.value()?;
        let format = code(&reader.body, i);
        let value = (end != NULL).then(|| reader.body.slice(start as usize..end as usize));
        arguments.push((format, value));
    }
    let result = match reader.u16()? {
        0 => Format::Text,
        1 => Format::Binary,
        other => {
            return Err(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            ));
        }
    };
    Ok(FunctionCall { oid, arguments, result })
}

fn parse_bind(reader: &mut Reader) -> Result<Bind> {
    let portal = reader.text()?;
    let statement = reader.text()?;
    let parameter_formats = reader.codes()?;
    let count = reader.u16()?;
    if parameter_formats.count > 1 && parameter_formats.count != count {
        return Err(protocol(format!(
            "bind message has {} parameter formats but {count} parameters",
            parameter_formats.count
        )));
    }
    let mut values = Vec::with_capacity((count as usize).min(reader.left() / 4));
    for _ in 0..count {
        values.push(reader.value()?);
    }
    let result_formats = reader.codes()?;
    let body = reader.body.clone();
    Ok(Bind { portal, statement, body, values, parameter_formats, result_formats })
}

fn parse_target(reader: &mut Reader, message: &str) -> Result<(Target, Text)> {
    let target = match reader.u8()? {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        other => return Err(protocol(format!("invalid {message} message subtype {other}"))),
    };
    Ok((target, reader.text()?))
}

fn parse_execute(reader: &mut Reader) -> Result<Frontend> {
    let portal = reader.text()?;
    // PostgreSQL takes zero and negative counts as "all rows".
    let max_rows = u32::try_from(reader.u32()? as i32).unwrap_or(0);
    Ok(Frontend::Execute { portal, max_rows })
}

/// Checked reads over one body.
pub(crate) struct Reader {
    body: Bytes,
    at: usize,
}

impl Reader {
    /// Starts at the first byte of `body`.
    pub(crate) fn new(body: Bytes) -> Self {
        Self { body, at: 0 }
    }

    /// Bytes not read yet.
    pub(crate) fn left(&self) -> usize {
        self.body.len() - self.at
    }

    fn range(&mut self, length: usize) -> Result<Range<usize>> {
        if length > self.left() {
            return Err(protocol("insufficient data left in message"));
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let range = self.range(N)?;
        self.body
            .get(range)
            .and_then(|s| s.try_into().ok())
            .ok_or_else(|| protocol("insufficient data left in message"))
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// A big-endian 16-bit number; counts are unsigned as in PostgreSQL.
    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian 32-bit number.
    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<Bytes> {
        self.range(length).map(|r| self.body.slice(r))
    }

    /// A NUL-terminated string, as bytes.
    pub(crate) fn c_string(&mut self) -> Result<Bytes> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|b| *b == 0) else {
            return Err(protocol("invalid string in message"));
        };
        let start = self.at;
        self.at += length + 1;
        Ok(self.body.slice(start..start + length))
    }

    /// A NUL-terminated string, checked to be UTF-8.
    pub(crate) fn text(&mut self) -> Result<Text> {
        self.c_string().and_then(Text::new)
    }

    /// Everything not read yet.
    pub(crate) fn rest(&mut self) -> Bytes {
        let start = std::mem::replace(&mut self.at, self.body.len());
        self.body.slice(start..)
    }

    /// Checks that the whole body was read.
    pub(crate) fn end(&self) -> Result<()> {
        if self.left() == 0 { Ok(()) } else { Err(protocol("invalid message format")) }
    }

    fn codes(&mut self) -> Result<Codes> {
        let count = self.u16()?;
        let range = self.range(count as usize * 2)?;
        let codes = self.body.get(range.clone()).unwrap_or_default();
        for pair in codes.chunks_exact(2) {
            let code = i16::from_be_bytes([pair[0], pair[1]]);
            if !matches!(code, 0 | 1) {
                return Err(Error::client(
                    state::INVALID_PARAMETER_VALUE,
                    format!("unsupported format code: {code}"),
                ));
            }
        }
        Ok(Codes { start: offset(range.start)?, count })
    }

    fn value(&mut self) -> Result<(u32, u32)> {
        let length = self.u32()? as i32;
        if length == -1 {
            return Ok((0, NULL));
        }
        let length =
            usize::try_from(length).map_err(|_| protocol("insufficient data left in message"))?;
        let range = self.range(length)?;
        Ok((offset(range.start)?, offset(range.end)?))
    }
}

fn offset(at: usize) -> Result<u32> {
    u32::try_from(at).ok().filter(|n| *n != NULL).ok_or_else(super::frame::invalid_length)
}

fn protocol(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::client(state::PROTOCOL_VIOLATION, message)
}

/// Checks text against UTF-8, with PostgreSQL's error for the first wrong sequence.
///
/// # Errors
/// 22021.
pub(crate) fn check_utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let rest = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let length = match rest.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        let shown: Vec<String> =
            rest.iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
        Error::client(
            state::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })
}
