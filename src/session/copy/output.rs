//! Rows into COPY TO data.
//!
//! Owns escaping and quoting. Field values arrive as their text (or binary) wire form.

use bytes::{BufMut, BytesMut};

use super::options::{Header, Layout, Options};

/// A printer of COPY rows.
#[derive(Debug)]
pub(crate) struct Output {
    options: Options,
    force_quote: Vec<bool>,
}

impl Output {
    /// A printer for rows of these columns.
    pub(crate) fn new(options: Options, columns: &[String]) -> Self {
        let force_quote = columns.iter().map(|c| options.force_quote.contains(c)).collect();
        Self { options, force_quote }
    }

    /// Whether fields are wanted in binary.
    pub(crate) fn binary(&self) -> bool {
        self.options.layout == Layout::Binary
    }

    /// What precedes the rows: a binary signature or a header line.
    pub(crate) fn head(&self, columns: &[String], out: &mut BytesMut) -> bool {
        if self.binary() {
            out.put_slice(b"PGCOPY\n\xff\r\n\0");
            out.put_u64(0);
            return true;
        }
        if self.options.header == Header::Off {
            return false;
        }
        for (i, column) in columns.iter().enumerate() {
            self.text_field(i, Some(column.as_bytes()), false, columns.len() == 1, out);
        }
        out.put_u8(b'\n');
        true
    }

    /// What follows the rows.
    pub(crate) fn tail(&self, out: &mut BytesMut) -> bool {
        if self.binary() {
            out.put_i16(-1);
        }
        self.binary()
    }

    /// Appends one row whose fields are length-prefixed wire values (as in DataRow).
    pub(crate) fn row(&self, count: usize, mut fields: &[u8], out: &mut BytesMut) {
        if self.binary() {
            out.put_i16(i16::try_from(count).unwrap_or(i16::MAX));
            out.put_slice(fields);
            return;
        }
        for i in 0..count {
            let Some((length, rest)) = fields.split_first_chunk::<4>() else { break };
            let value = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (value, rest) = match value.and_then(|n| rest.split_at_checked(n)) {
                Some((value, rest)) => (Some(value), rest),
                None => (None, rest),
            };
            fields = rest;
            let force = self.force_quote.get(i).copied().unwrap_or(false);
            self.text_field(i, value, force, count == 1, out);
        }
        out.put_u8(b'\n');
    }

    fn text_field(
        &self,
        index: usize,
        value: Option<&[u8]>,
        force: bool,
        single: bool,
        out: &mut BytesMut,
    ) {
        if index > 0 {
            out.put_u8(self.options.delimiter);
        }
        match value {
            None => out.put_slice(self.options.null.as_bytes()),
            Some(value) if self.options.layout == Layout::Csv => {
                self.csv_value(value, force, single, out);
            }
            Some(value) => self.text_value(value, out),
        }
    }

    fn text_value(&self, value: &[u8], out: &mut BytesMut) {
        for &byte in value {
            let letter = match byte {
                8 => b'b',
                12 => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                11 => b'v',
                b'\\' => b'\\',
                _ if byte == self.options.delimiter => byte,
                _ => {
                    out.put_u8(byte);
                    continue;
                }
            };
            out.put_u8(b'\\');
            out.put_u8(letter);
        }
    }

    fn csv_value(&self, value: &[u8], force: bool, single: bool, out: &mut BytesMut) {
        let Options { delimiter, quote, escape, .. } = self.options;
        let needs = force
            || value == self.options.null.as_bytes()
            // A lone `\.` on a line would end the data.
            || (single && value == b"\\.")
            || value.iter().any(|b| *b == delimiter || *b == quote || matches!(b, b'\n' | b'\r'));
        if !needs {
            out.put_slice(value);
            return;
        }
        out.put_u8(quote);
        for &byte in value {
            if byte == quote || byte == escape {
                out.put_u8(escape);
            }
            out.put_u8(byte);
        }
        out.put_u8(quote);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(options: &[(&str, &str)], fields: &[Option<&str>]) -> String {
        let list: Vec<_> =
            options.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
        let names: Vec<String> = (0..fields.len()).map(|i| format!("c{i}")).collect();
        let output = Output::new(Options::parse(&list, false).expect("options"), &names);
        let mut wire = BytesMut::new();
        for field in fields {
            match field {
                None => wire.put_i32(-1),
                Some(f) => {
                    wire.put_i32(i32::try_from(f.len()).expect("small"));
                    wire.put_slice(f.as_bytes());
                }
            }
        }
        let mut out = BytesMut::new();
        output.head(&names, &mut out);
        output.row(fields.len(), &wire, &mut out);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn values_are_escaped_and_quoted_as_postgresql_does() {
        let fields = [Some("a\tb\\\n"), None, Some("")];
        assert_eq!(print(&[], &fields), "a\\tb\\\\\\n\t\\N\t\n");
        let csv = [("format", "csv"), ("header", "on"), ("force_quote", "c2")];
        let fields = [Some("x\"y"), Some(""), Some("z"), None];
        assert_eq!(print(&csv, &fields), "c0,c1,c2,c3\n\"x\"\"y\",\"\",\"z\",\n");
    }
}
