//! What a statement answers: command tags, descriptions, small text results.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::error::Result;
use crate::schema::Codec;
use crate::sql::CALL;
use crate::sql::ir::Output;
use crate::value::{CellRef, Format, Style, Type, oid, wire as codec};
use crate::wire::write;

/// A command tag.
pub(super) type Tag = Cow<'static, str>;

/// A result column of a statement the session answers by itself.
pub(super) fn text_column(name: &str) -> Output {
    Output { name: name.to_owned(), ty: Type::new(oid::TEXT), origin: (0, 0) }
}

/// The format of column `index` when the client gave none, one or all codes.
pub(super) fn format_of(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        each => each.get(index).copied().unwrap_or_default(),
    }
}

/// Appends RowDescription.
pub(super) fn describe_columns(out: &mut BytesMut, columns: &[Output], formats: &[Format]) {
    write::row_description(
        out,
        columns.iter().enumerate().map(|(i, c)| write::Field {
            name: &c.name,
            table: c.origin.0,
            column: c.origin.1,
            ty: c.ty,
            format: format_of(formats, i),
        }),
    );
}

/// Appends one DataRow; nothing on an error.
pub(super) fn data_row<'a>(
    out: &mut BytesMut,
    columns: &[Output],
    codecs: &[Codec],
    formats: &[Format],
    style: &Style,
    cell: impl Fn(usize) -> CellRef<'a>,
) -> Result<()> {
    let mark = write::data_row_begin(out, columns.len());
    for (i, column) in columns.iter().enumerate() {
        let stored = codecs.get(i).copied().unwrap_or(Codec::Identity);
        let format = format_of(formats, i);
        if let Err(error) = codec::write(cell(i), stored, column.ty, format, style, out) {
            write::abandon(out, &mark);
            return Err(error);
        }
    }
    write::end(out, &mark);
    Ok(())
}

/// Appends a DataRow of texts.
pub(super) fn text_row(out: &mut BytesMut, values: &[Option<&str>]) {
    write::data_row(out, values.iter().map(|v| v.map(str::as_bytes)));
}

/// The tag of a query: its word(s) and the number of rows.
pub(super) fn counted(word: &'static str, rows: u64) -> Tag {
    if word == CALL {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("{word} {rows}"))
}
