//! Backend messages, written straight into an output buffer.
//!
//! Owns the encoders and the rendering of errors: the only place in Crossfade that turns
//! an [`Error`] into what a client reads. It must never let an error of the shadow out,
//! nor write a NUL inside a string. Start at [`error`] and [`data_row`].

use bytes::{BufMut, BytesMut};

use crate::error::{Culprit, Error, SqlState, state};
use crate::name;
use crate::value::{Format, Type};

/// Where a message began; given back to [`end`].
#[must_use]
pub struct Mark(usize);

/// Starts a message of type `kind`; [`end`] fills in the length.
#[inline]
pub fn begin(out: &mut BytesMut, kind: u8) -> Mark {
    out.put_u8(kind);
    let mark = Mark(out.len());
    out.put_i32(0);
    mark
}

/// Ends the message begun at `mark`.
#[inline]
pub fn end(out: &mut BytesMut, mark: &Mark) {
    let length = out.len().saturating_sub(mark.0);
    // A message of 2 GiB cannot be built: rows are bounded far below by the back ends.
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(mark.0..mark.0 + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

/// Undoes everything written since the message of `mark` began.
pub fn abandon(out: &mut BytesMut, mark: &Mark) {
    out.truncate(mark.0.saturating_sub(1));
}

fn c_string(out: &mut BytesMut, text: &str) {
    let text = text.as_bytes();
    let length = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    out.put_slice(&text[..length]);
    out.put_u8(0);
}

/// Saturates: counts above 65,535 are refused long before by the planner.
fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn format_code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// One column in RowDescription.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Column name.
    pub name: &'a str,
    /// OID of the table it comes from, or 0.
    pub table: u32,
    /// Attribute number in that table, or 0.
    pub column: i16,
    /// Its type.
    pub ty: Type,
    /// Format in which values are sent.
    pub format: Format,
}

/// RowDescription (`T`).
pub fn row_description<'a>(out: &mut BytesMut, fields: impl ExactSizeIterator<Item = Field<'a>>) {
    let mark = begin(out, b'T');
    out.put_u16(count(fields.len()));
    for field in fields {
        c_string(out, field.name);
        out.put_u32(field.table);
        out.put_i16(field.column);
        out.put_u32(field.ty.oid);
        out.put_i16(field.ty.len());
        out.put_i32(field.ty.typmod);
        out.put_i16(format_code(field.format));
    }
    end(out, &mark);
}

/// Starts a DataRow (`D`) of `columns` fields. The caller writes each field with its int4
/// length (`value::wire::write` does) and calls [`end`], or [`abandon`] on failure.
#[inline]
pub fn data_row_begin(out: &mut BytesMut, columns: usize) -> Mark {
    let mark = begin(out, b'D');
    out.put_u16(count(columns));
    mark
}

/// A DataRow (`D`) from ready bytes; `None` is NULL.
pub fn data_row<'a>(out: &mut BytesMut, values: impl ExactSizeIterator<Item = Option<&'a [u8]>>) {
    let mark = data_row_begin(out, values.len());
    for value in values {
        field(out, value);
    }
    end(out, &mark);
}

/// One field of a DataRow with its length; `None` is NULL.
#[inline]
pub fn field(out: &mut BytesMut, value: Option<&[u8]>) {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            out.put_slice(bytes);
        }
    }
}

/// CommandComplete (`C`) with its tag, for example `INSERT 0 1`.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    let mark = begin(out, b'C');
    c_string(out, tag);
    end(out, &mark);
}

/// The transaction status in ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not in a transaction block (`I`).
    Idle,
    /// In a transaction block (`T`).
    InTransaction,
    /// In a failed transaction block (`E`).
    Failed,
}

impl Status {
    /// The byte sent in ReadyForQuery.
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// ReadyForQuery (`Z`).
pub fn ready(out: &mut BytesMut, status: Status) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status.byte()]);
}

fn empty(out: &mut BytesMut, kind: u8) {
    out.put_slice(&[kind, 0, 0, 0, 4]);
}

/// ParseComplete (`1`).
pub fn parse_complete(out: &mut BytesMut) {
    empty(out, b'1');
}

/// BindComplete (`2`).
pub fn bind_complete(out: &mut BytesMut) {
    empty(out, b'2');
}

/// CloseComplete (`3`).
pub fn close_complete(out: &mut BytesMut) {
    empty(out, b'3');
}

/// NoData (`n`).
pub fn no_data(out: &mut BytesMut) {
    empty(out, b'n');
}

/// PortalSuspended (`s`).
pub fn portal_suspended(out: &mut BytesMut) {
    empty(out, b's');
}

/// EmptyQueryResponse (`I`).
pub fn empty_query(out: &mut BytesMut) {
    empty(out, b'I');
}

/// CopyDone (`c`).
pub fn copy_done(out: &mut BytesMut) {
    empty(out, b'c');
}

/// ParameterDescription (`t`).
pub fn parameter_description(out: &mut BytesMut, types: impl ExactSizeIterator<Item = u32>) {
    let mark = begin(out, b't');
    out.put_u16(count(types.len()));
    for oid in types {
        out.put_u32(oid);
    }
    end(out, &mark);
}

/// ParameterStatus (`S`).
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    let mark = begin(out, b'S');
    c_string(out, name);
    c_string(out, value);
    end(out, &mark);
}

/// BackendKeyData (`K`).
pub fn backend_key(out: &mut BytesMut, key: &super::cancel::Key) {
    let mark = begin(out, b'K');
    out.put_i32(key.pid());
    out.put_slice(key.secret());
    end(out, &mark);
}

/// NotificationResponse (`A`).
pub fn notification(out: &mut BytesMut, pid: i32, channel: &str, payload: &str) {
    let mark = begin(out, b'A');
    out.put_i32(pid);
    c_string(out, channel);
    c_string(out, payload);
    end(out, &mark);
}

/// NegotiateProtocolVersion (`v`): the newest version and the options not understood.
pub fn negotiate(out: &mut BytesMut, version: (u16, u16), options: &[String]) {
    let mark = begin(out, b'v');
    out.put_u16(version.0);
    out.put_u16(version.1);
    out.put_u32(u32::try_from(options.len()).unwrap_or(u32::MAX));
    for option in options {
        c_string(out, option);
    }
    end(out, &mark);
}

/// CopyInResponse (`G`): the client is to send data.
pub fn copy_in_response(out: &mut BytesMut, overall: Format, columns: &[Format]) {
    copy_response(out, b'G', overall, columns);
}

/// CopyOutResponse (`H`): data follows.
pub fn copy_out_response(out: &mut BytesMut, overall: Format, columns: &[Format]) {
    copy_response(out, b'H', overall, columns);
}

/// CopyBothResponse (`W`): streaming replication.
pub fn copy_both_response(out: &mut BytesMut) {
    copy_response(out, b'W', Format::Text, &[]);
}

fn copy_response(out: &mut BytesMut, kind: u8, overall: Format, columns: &[Format]) {
    let mark = begin(out, kind);
    out.put_u8(u8::from(matches!(overall, Format::Binary)));
    out.put_u16(count(columns.len()));
    for format in columns {
        out.put_i16(format_code(*format));
    }
    end(out, &mark);
}

/// CopyData (`d`).
pub fn copy_data(out: &mut BytesMut, data: &[u8]) {
    let mark = begin(out, b'd');
    out.put_slice(data);
    end(out, &mark);
}

/// Severity of a notice; never localised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// DEBUG1
    Debug,
    /// LOG
    Log,
    /// INFO
    Info,
    /// NOTICE
    Notice,
    /// WARNING
    Warning,
}

impl Severity {
    /// The word in the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Log => "LOG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
        }
    }
}

/// ErrorResponse (`E`); FATAL when the error says so, else ERROR.
pub fn error(out: &mut BytesMut, error: &Error) {
    let severity = if error.fields().fatal { "FATAL" } else { "ERROR" };
    if error.fields().culprit == Culprit::Shadow {
        // The shadow's troubles are not the client's; to get here is a fault of ours.
        tracing::error!(sqlstate = %error.sqlstate(), "an error of the shadow reached a client");
        fields(out, b'E', severity, &Error::internal("internal error"), state::INTERNAL_ERROR);
    } else {
        fields(out, b'E', severity, error, error.sqlstate());
    }
}

/// NoticeResponse (`N`). A notice without a code of its own carries 00000 (01000 for
/// warnings): pass an error made with that code.
pub fn notice(out: &mut BytesMut, severity: Severity, error: &Error) {
    fields(out, b'N', severity.as_str(), error, error.sqlstate());
}

/// Where the error comes from. Drivers prepare a statement anew when they meet the name of
/// PostgreSQL's function that finds a result changed; to them the SQLSTATE does not tell.
fn routine(error: &Error) -> &'static str {
    let raised = error.fields().context.as_deref().is_some_and(|c| c.ends_with(" at RAISE"));
    match error.message() {
        "cached plan must not change result type" => "RevalidateCachedQuery",
        _ if raised => "exec_stmt_raise",
        _ => "crossfade",
    }
}

fn fields(out: &mut BytesMut, kind: u8, severity: &str, error: &Error, code: SqlState) {
    let fields = error.fields();
    let position = (fields.position > 0).then(|| fields.position.to_string());
    let mark = begin(out, kind);
    let mut put = |tag: u8, text: Option<&str>| {
        if let Some(text) = text {
            out.put_u8(tag);
            c_string(out, text);
        }
    };
    put(b'S', Some(severity));
    put(b'V', Some(severity));
    put(b'C', Some(code.as_str()));
    put(b'M', Some(&fields.message));
    put(b'D', fields.detail.as_deref());
    put(b'H', fields.hint.as_deref());
    put(b'P', position.as_deref());
    put(b'W', fields.context.as_deref());
    // What is not of public says so in its name.
    let keyed = [&fields.object.table, &fields.object.data_type];
    let keyed = keyed.into_iter().flatten().find(|named| name::is_key(named));
    let schema = keyed.map(|named| name::schema(named));
    put(b's', schema.or(fields.object.schema.as_deref()));
    put(b't', fields.object.table.as_deref().map(name::bare));
    put(b'c', fields.object.column.as_deref());
    put(b'd', fields.object.data_type.as_deref().map(name::bare));
    put(b'n', fields.object.constraint.as_deref());
    put(b'F', Some("crossfade"));
    put(b'L', Some("0"));
    put(b'R', Some(routine(error)));
    out.put_u8(0);
    end(out, &mark);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Object;

    fn text_fields(message: &[u8]) -> Vec<(u8, String)> {
        message[5..message.len() - 1]
            .split(|b| *b == 0)
            .filter(|f| !f.is_empty())
            .map(|f| (f[0], String::from_utf8(f[1..].to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn an_error_carries_all_its_fields() {
        let mut out = BytesMut::new();
        let object = Object {
            schema: Some("public".into()),
            table: Some("t".into()),
            column: Some("c".into()),
            data_type: Some("int4".into()),
            constraint: Some("t_pkey".into()),
        };
        let e = Error::client(state::UNIQUE_VIOLATION, "duplicate\0 key")
            .detail("Key (a)=(1) already exists.")
            .hint("Use another.")
            .at(7)
            .object(object);
        error(&mut out, &e);
        assert_eq!(out.len(), 1 + u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize);
        let expected = [
            (b'S', "ERROR"),
            (b'V', "ERROR"),
            (b'C', "23505"),
            (b'M', "duplicate"),
            (b'D', "Key (a)=(1) already exists."),
            (b'H', "Use another."),
            (b'P', "7"),
            (b's', "public"),
            (b't', "t"),
            (b'c', "c"),
            (b'd', "int4"),
            (b'n', "t_pkey"),
            (b'F', "crossfade"),
            (b'L', "0"),
            (b'R', "crossfade"),
        ];
        let expected: Vec<_> = expected.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        assert_eq!(text_fields(&out), expected);
    }

    #[test]
    fn fatal_errors_say_so_and_the_shadow_stays_silent() {
        let mut out = BytesMut::new();
        error(&mut out, &Error::client(state::INVALID_PASSWORD, "no").fatal());
        assert_eq!(text_fields(&out)[0], (b'S', "FATAL".to_owned()));
        out.clear();
        error(&mut out, &Error::shadow(state::UNIQUE_VIOLATION, "secret of the shadow"));
        let fields = text_fields(&out);
        assert_eq!(fields[2].1, "XX000");
        assert!(!fields.iter().any(|(_, text)| text.contains("secret")));
    }

    #[test]
    fn rows_are_framed() {
        let mut out = BytesMut::new();
        data_row(&mut out, [Some(&b"ab"[..]), None].into_iter());
        assert_eq!(&out[..], b"D\0\0\0\x10\0\x02\0\0\0\x02ab\xff\xff\xff\xff");
        let before = out.clone();
        let mark = data_row_begin(&mut out, 3);
        field(&mut out, Some(b"half"));
        abandon(&mut out, &mark);
        assert_eq!(out, before);
    }
}
