//! Rows out of COPY FROM data that arrives in pieces.
//!
//! Owns splitting bytes into rows and fields. It must never hold more than one row and
//! what has arrived behind it, never accept a row it had to guess, and never panic
//! whatever the bytes are. Start at [`Input`].

use super::options::{Header, Layout, Options};
use crate::error::{Error, Result, state};

/// Bytes one row may have, as PostgreSQL's own limit.
const ROW_BYTES_MAX: usize = (1 << 30) - 1;
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// What asking for the next row gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A row: see [`Input::field`].
    Row,
    /// More data is needed.
    More,
    /// The data has ended (`\.` or the binary trailer).
    End,
}

/// A splitter of COPY data.
#[derive(Debug)]
pub(crate) struct Input {
    options: Options,
    columns: Vec<String>,
    /// Per column: FORCE_NOT_NULL, FORCE_NULL.
    force: Vec<(bool, bool)>,
    buffer: Vec<u8>,
    start: usize,
    /// Where the search for the row's end goes on, and whether inside quotes there.
    scanned: usize,
    quoted: bool,
    /// Line the current row began at, and lines seen so far.
    line: u64,
    lines: u64,
    /// The current row's fields in `values`; None is NULL.
    fields: Vec<Option<(usize, usize)>>,
    values: Vec<u8>,
    row: (usize, usize),
    header_seen: bool,
    ended: bool,
    last: bool,
}

impl Input {
    /// A splitter for rows of these columns.
    pub(crate) fn new(options: Options, columns: Vec<String>) -> Self {
        let force = columns
            .iter()
            .map(|c| (options.force_not_null.contains(c), options.force_null.contains(c)))
            .collect();
        Self {
            header_seen: options.layout != Layout::Binary && options.header == Header::Off,
            options,
            columns,
            force,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            quoted: false,
            line: 0,
            lines: 0,
            fields: Vec::new(),
            values: Vec::new(),
            row: (0, 0),
            ended: false,
            last: false,
        }
    }

    /// Adds data.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<()> {
        if self.ended {
            return if self.options.layout == Layout::Binary && !data.is_empty() {
                Err(bad("received copy data after EOF marker"))
            } else {
                Ok(())
            };
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.len() + data.len() > ROW_BYTES_MAX {
            return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, "COPY row is too large"));
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// No more data will come: what is left is the last row.
    pub(crate) fn finish(&mut self) {
        self.last = true;
    }

    /// Number of fields of the current row.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field of the current row; None is NULL.
    pub(crate) fn field(&self, index: usize) -> Option<&[u8]> {
        let (start, end) = (*self.fields.get(index)?)?;
        self.values.get(start..end)
    }

    /// The CONTEXT line of an error in a field of the current row of `table`.
    pub(crate) fn field_context(&self, table: &str, index: usize) -> String {
        let column = self.columns.get(index).map_or("?", String::as_str);
        let line = self.line;
        match self.field(index) {
            _ if self.options.layout == Layout::Binary => {
                format!("COPY {table}, line {line}, column {column}")
            }
            Some(value) => {
                format!("COPY {table}, line {line}, column {column}: \"{}\"", shortened(value))
            }
            None => format!("COPY {table}, line {line}, column {column}: null input"),
        }
    }

    /// The CONTEXT line of an error in the current row of `table`.
    pub(crate) fn row_context(&self, table: &str) -> String {
        let line = self.line;
        match self.buffer.get(self.row.0..self.row.1) {
            Some(row) if self.options.layout != Layout::Binary && line > 0 => {
                format!("COPY {table}, line {line}: \"{}\"", shortened(row))
            }
            _ => format!("COPY {table}, line {line}"),
        }
    }

    /// Splits off the next row.
    pub(crate) fn next(&mut self) -> Result<Next> {
        loop {
            if self.ended {
                return Ok(Next::End);
            }
            if self.options.layout == Layout::Binary {
                return self.next_binary();
            }
            if !self.find_line()? {
                return Ok(if self.ended || self.last { Next::End } else { Next::More });
            }
            self.fields.clear();
            self.values.clear();
            if self.options.layout == Layout::Csv {
                self.split_csv()?;
            } else {
                self.split_text()?;
            }
            if !self.header_seen {
                self.header_seen = true;
                self.check_header()?;
                continue;
            }
            let wanted = self.columns.len();
            if self.fields.len() > wanted {
                return Err(bad("extra data after last expected column"));
            }
            if self.fields.len() < wanted {
                let column = &self.columns[self.fields.len()];
                return Err(bad(format!("missing data for column \"{column}\"")));
            }
            return Ok(Next::Row);
        }
    }

    fn check_header(&self) -> Result<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        let (got, wanted) = (self.fields.len(), self.columns.len());
        if got != wanted {
            return Err(bad(format!(
                "wrong number of fields in header line: got {got}, expected {wanted}"
            )));
        }
        for (i, column) in self.columns.iter().enumerate() {
            let name = self.field(i).unwrap_or_default();
            if name != column.as_bytes() {
                return Err(bad(format!(
                    "column name mismatch in header line field {}: got \"{}\", expected \"{column}\"",
                    i + 1,
                    String::from_utf8_lossy(name)
                )));
            }
        }
        Ok(())
    }

    /// Finds the next line (CSV: the next record) and makes it `row`.
    fn find_line(&mut self) -> Result<bool> {
        let csv = self.options.layout == Layout::Csv;
        let (quote, escape) = (self.options.quote, self.options.escape);
        let mut at = self.scanned;
        let mut newlines = 0;
        while let Some(&byte) = self.buffer.get(at) {
            if csv {
                if self.quoted && byte == escape && escape != quote {
                    if at + 1 >= self.buffer.len() && !self.last {
                        break;
                    }
                    at += 1;
                } else if byte == quote {
                    self.quoted = !self.quoted;
                }
            } else if byte == b'\\' {
                if at + 1 >= self.buffer.len() && !self.last {
                    break;
                }
                if self.buffer.get(at + 1) == Some(&b'\n') {
                    newlines += 1;
                }
                at += 2;
                continue;
            }
            if byte == b'\n' {
                if !self.quoted {
                    return Ok(self.take_line(at, at + 1, newlines));
                }
                newlines += 1;
            }
            at += 1;
        }
        self.lines += newlines;
        self.scanned = at.min(self.buffer.len());
        if !self.last || self.start >= self.buffer.len() {
            return Ok(false);
        }
        if self.quoted {
            self.line = self.lines + 1;
            self.row = (self.start, self.buffer.len());
            return Err(bad("unterminated CSV quoted field"));
        }
        let end = self.buffer.len();
        Ok(self.take_line(end, end, 0))
    }

    /// Makes `start..end` the row; false when it is the end marker.
    fn take_line(&mut self, end: usize, next: usize, newlines: u64) -> bool {
        self.line = self.lines + 1;
        self.lines += newlines + 1;
        let trimmed = if end > self.start && self.buffer[end - 1] == b'\r' { end - 1 } else { end };
        self.row = (self.start, trimmed);
        self.start = next;
        self.scanned = next;
        if &self.buffer[self.row.0..self.row.1] == b"\\." {
            self.ended = true;
            return false;
        }
        true
    }

    fn split_text(&mut self) -> Result<()> {
        let line = &self.buffer[self.row.0..self.row.1];
        let delimiter = self.options.delimiter;
        let null = self.options.null.as_bytes();
        // A table without columns has one empty field on each line.
        if self.columns.is_empty() && line.is_empty() {
            return Ok(());
        }
        let mut at = 0;
        loop {
            let from = at;
            let start = self.values.len();
            while let Some(&byte) = line.get(at).filter(|b| **b != delimiter) {
                at += 1;
                if byte != b'\\' {
                    self.values.push(byte);
                    continue;
                }
                let Some(&escaped) = line.get(at) else { break };
                at += 1;
                at += unescape(escaped, &line[at..], &mut self.values);
            }
            let raw = &line[from..at];
            if raw == null {
                self.values.truncate(start);
                self.fields.push(None);
            } else {
                self.fields.push(Some((start, self.values.len())));
            }
            if at >= line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn split_csv(&mut self) -> Result<()> {
        let line = &self.buffer[self.row.0..self.row.1];
        let Options { delimiter, quote, escape, .. } = self.options;
        let null = self.options.null.as_bytes();
        if self.columns.is_empty() && line.is_empty() {
            return Ok(());
        }
        let mut at = 0;
        loop {
            let start = self.values.len();
            let mut was_quoted = false;
            let mut inside = false;
            while let Some(&byte) = line.get(at) {
                if inside {
                    if byte == escape
                        && line.get(at + 1).is_some_and(|n| *n == quote || *n == escape)
                    {
                        self.values.push(line[at + 1]);
                        at += 2;
                        continue;
                    }
                    if byte == quote {
                        inside = false;
                        at += 1;
                        continue;
                    }
                } else if byte == delimiter {
                    break;
                } else if byte == quote {
                    was_quoted = true;
                    inside = true;
                    at += 1;
                    continue;
                }
                self.values.push(byte);
                at += 1;
            }
            if inside {
                return Err(bad("unterminated CSV quoted field"));
            }
            let (not_null, force_null) =
                self.force.get(self.fields.len()).copied().unwrap_or_default();
            let is_null = &self.values[start..] == null
                && if was_quoted { force_null } else { !not_null || force_null };
            self.fields.push((!is_null).then_some((start, self.values.len())));
            if at >= line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn next_binary(&mut self) -> Result<Next> {
        if !self.header_seen {
            let data = &self.buffer[self.start..];
            let Some(header) = data.first_chunk::<19>() else {
                return self.short("COPY file signature not recognized");
            };
            if &header[..11] != SIGNATURE {
                return Err(bad("COPY file signature not recognized"));
            }
            let flags = i32::from_be_bytes([header[11], header[12], header[13], header[14]]);
            if flags & (1 << 16) != 0 {
                return Err(bad("invalid COPY file header (WITH OIDS)"));
            }
            if flags & !0xffff != 0 {
                return Err(bad("unrecognized critical flags in COPY file header"));
            }
            let extension = i32::from_be_bytes([header[15], header[16], header[17], header[18]]);
            let extension = usize::try_from(extension)
                .map_err(|_| bad("invalid COPY file header (missing length)"))?;
            if data.len() - 19 < extension {
                return self.short("invalid COPY file header (wrong length)");
            }
            self.start += 19 + extension;
            self.scanned = self.start;
            self.header_seen = true;
        }
        self.binary_row()
    }

    fn binary_row(&mut self) -> Result<Next> {
        let data = &self.buffer[self.start..];
        let Some((count, mut rest)) = data.split_first_chunk::<2>() else {
            // PostgreSQL takes the end of the data for the trailer, too.
            return if self.last && data.is_empty() {
                Ok(Next::End)
            } else {
                self.short("unexpected EOF in COPY data")
            };
        };
        let count = i16::from_be_bytes(*count);
        self.line = self.lines + 1;
        if count == -1 {
            self.ended = true;
            return if rest.is_empty() {
                Ok(Next::End)
            } else {
                Err(bad("received copy data after EOF marker"))
            };
        }
        let wanted = self.columns.len();
        if usize::try_from(count) != Ok(wanted) {
            return Err(bad(format!("row field count is {count}, expected {wanted}")));
        }
        self.fields.clear();
        self.values.clear();
        for _ in 0..wanted {
            let Some((length, tail)) = rest.split_first_chunk::<4>() else {
                return self.short("unexpected EOF in COPY data");
            };
            let length = i32::from_be_bytes(*length);
            if length == -1 {
                self.fields.push(None);
                rest = tail;
                continue;
            }
            let length = usize::try_from(length).map_err(|_| bad("invalid field size"))?;
            let Some((value, tail)) = tail.split_at_checked(length) else {
                return self.short("unexpected EOF in COPY data");
            };
            let start = self.values.len();
            self.values.extend_from_slice(value);
            self.fields.push(Some((start, start + length)));
            rest = tail;
        }
        let used = data.len() - rest.len();
        self.row = (self.start, self.start + used);
        self.start += used;
        self.scanned = self.start;
        self.lines += 1;
        Ok(Next::Row)
    }

    fn short(&self, message: &'static str) -> Result<Next> {
        if self.last { Err(bad(message)) } else { Ok(Next::More) }
    }
}

/// Writes what `\c…` stands for; returns how many of the following bytes it used up.
fn unescape(escaped: u8, following: &[u8], out: &mut Vec<u8>) -> usize {
    let digits = |radix: u32, most: usize| {
        following
            .iter()
            .take(most)
            .take_while(|b| (**b as char).is_digit(radix))
            .fold((0_u32, 0), |(v, n), b| {
                (v * radix + (*b as char).to_digit(radix).unwrap_or(0), n + 1)
            })
    };
    match escaped {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        b'0'..=b'7' => {
            let (tail, used) = digits(8, 2);
            let value = u32::from(escaped - b'0') * 8_u32.pow(used) + tail;
            out.push((value & 0xff) as u8);
            return used as usize;
        }
        b'x' => {
            let (value, used) = digits(16, 2);
            if used == 0 {
                out.push(b'x');
            } else {
                out.push((value & 0xff) as u8);
            }
            return used as usize;
        }
        other => out.push(other),
    }
    0
}

/// 22P04
fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::client(state::BAD_COPY_FILE_FORMAT, message)
}

/// At most 100 characters, then dots, as PostgreSQL prints input in CONTEXT.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= 100 {
        return text.into_owned();
    }
    let mut end = 100;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(options: &[(&str, &str)], columns: &[&str], data: &[u8], piece: usize) -> Vec<String> {
        let list: Vec<_> =
            options.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
        let options = Options::parse(&list, true).expect("options");
        let mut input = Input::new(options, columns.iter().map(|c| (*c).to_owned()).collect());
        let mut found = Vec::new();
        let mut pieces = data.chunks(piece);
        loop {
            match input.next() {
                Ok(Next::Row) => {
                    let fields = (0..input.len()).map(|i| {
                        input
                            .field(i)
                            .map_or("NULL".into(), |f| String::from_utf8_lossy(f).into_owned())
                    });
                    found.push(fields.collect::<Vec<_>>().join("|"));
                }
                Ok(Next::More) => match pieces.next() {
                    Some(piece) => input.push(piece).expect("push"),
                    None => input.finish(),
                },
                Ok(Next::End) => return found,
                Err(e) => {
                    found.push(format!("{} {}", e.message(), input.row_context("t")));
                    return found;
                }
            }
        }
    }

    #[test]
    fn text_and_csv_split_as_postgresql_splits_them_however_they_arrive() {
        let text = &[][..];
        let csv = &[("format", "csv")][..];
        let cases: &[(&[(&str, &str)], &[&str], &[u8], &[&str])] = &[
            (text, &["a", "b"], b"1\tx\\ty\n\\N\t\n\\.\nrest", &["1|x\ty", "NULL|"]),
            (text, &["a"], b"a\\\nb\r\n\\x41\\101\\\\N", &["a\nb", "AA\\N"]),
            (text, &["a", "b"], b"1\n", &["missing data for column \"b\" COPY t, line 1: \"1\""]),
            (
                text,
                &["a"],
                b"1\n2\t3\n",
                &["1", "extra data after last expected column COPY t, line 2: \"2\t3\""],
            ),
            (csv, &["a", "b"], b"1,\"x, \"\"y\"\"\nz\"\r\n,\"\"\n", &["1|x, \"y\"\nz", "NULL|"]),
            (
                csv,
                &["a", "b"],
                b"1,\"x\n",
                &["unterminated CSV quoted field COPY t, line 2: \"1,\"x\n\""],
            ),
            (
                &[("format", "csv"), ("header", "match")],
                &["a", "b"],
                b"a,c\n1,2\n",
                &[
                    "column name mismatch in header line field 2: got \"c\", expected \"b\" COPY t, line 1: \"a,c\"",
                ],
            ),
            (&[("format", "csv"), ("header", "on")], &["a"], b"zzz\n5\n", &["5"]),
            (&[("format", "csv"), ("escape", "\\")], &["a"], b"\"x\\\"y\"\n", &["x\"y"]),
            (
                &[("format", "csv"), ("force_null", "a"), ("force_not_null", "b")],
                &["a", "b"],
                b"\"\",\n",
                &["NULL|"],
            ),
        ];
        for (options, columns, data, expected) in cases {
            for piece in [1, 3, 1000] {
                assert_eq!(&rows(options, columns, data, piece), expected, "{data:?} by {piece}");
            }
        }
    }

    #[test]
    fn binary_rows_are_bounded_and_checked() {
        let mut data = Vec::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
        data.extend(b"\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\x01y\xff\xff");
        for piece in [1, 7, 1000] {
            assert_eq!(rows(&[("format", "binary")], &["a", "b"], &data, piece), ["x|NULL", "|y"]);
        }
        let broken =
            rows(&[("format", "binary")], &["a"], b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x07", 5);
        assert_eq!(broken, ["row field count is 7, expected 1 COPY t, line 1"]);
    }
}
