//! COPY's options, checked as PostgreSQL checks them.

use crate::error::{Error, Result, state};
use crate::session::settings::table::boolean;

/// Layout of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub(crate) enum Layout {
    #[default]
    Text,
    Csv,
    Binary,
}

/// HEADER
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Header {
    /// None.
    #[default]
    Off,
    /// Written, or skipped.
    On,
    /// Skipped after its names were compared.
    Match,
}

/// Columns an option names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Columns {
    /// None.
    #[default]
    None,
    /// `*`
    All,
    /// By name.
    Named(Vec<String>),
}

impl Columns {
    /// Whether the option names this column.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(|n| n == name),
        }
    }
}

/// All options of one COPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// FORMAT
    pub(crate) layout: Layout,
    /// DELIMITER
    pub(crate) delimiter: u8,
    /// NULL
    pub(crate) null: String,
    /// HEADER
    pub(crate) header: Header,
    /// QUOTE
    pub(crate) quote: u8,
    /// ESCAPE
    pub(crate) escape: u8,
    /// FORCE_QUOTE
    pub(crate) force_quote: Columns,
    /// FORCE_NOT_NULL
    pub(crate) force_not_null: Columns,
    /// FORCE_NULL
    pub(crate) force_null: Columns,
}

impl Options {
    /// Reads the options of COPY FROM (`from`) or COPY TO.
    pub(crate) fn parse(list: &[(String, Option<String>)], from: bool) -> Result<Self> {
        let mut given: Vec<&str> = Vec::new();
        for (name, _) in list {
            if given.contains(&name.as_str()) {
                return Err(syntax("conflicting or redundant options"));
            }
            given.push(name);
        }
        let mut options = Self {
            layout: layout(list)?,
            delimiter: b'\t',
            null: "\\N".into(),
            header: Header::Off,
            quote: b'"',
            escape: b'"',
            force_quote: Columns::None,
            force_not_null: Columns::None,
            force_null: Columns::None,
        };
        if options.layout == Layout::Csv {
            options.delimiter = b',';
            options.null = String::new();
        }
        for (name, value) in list {
            options.apply(name, value.as_deref(), from)?;
        }
        if !given.contains(&"escape") {
            options.escape = options.quote;
        }
        options.check(&given)?;
        Ok(options)
    }

    fn apply(&mut self, name: &str, value: Option<&str>, from: bool) -> Result<()> {
        let csv = self.layout == Layout::Csv;
        let only_csv = |what: &str| {
            if csv {
                Ok(())
            } else {
                Err(refused(format!("COPY {what} available only in CSV mode")))
            }
        };
        match name {
            "format" => {}
            "delimiter" | "delimiters" => {
                self.delimiter = one_byte("delimiter", value)?;
                self.not_binary("DELIMITER")?;
            }
            "null" => {
                self.null = value.unwrap_or_default().to_owned();
                self.not_binary("NULL")?;
            }
            "header" => {
                self.header = header(value)?;
                if self.header == Header::Match && !from {
                    return Err(refused("cannot use \"match\" with HEADER in COPY TO"));
                }
                if self.layout == Layout::Binary && self.header != Header::Off {
                    return Err(syntax("cannot specify HEADER in BINARY mode"));
                }
            }
            "quote" => {
                only_csv("quote")?;
                self.quote = one_byte("quote", value)?;
            }
            "escape" => {
                only_csv("escape")?;
                self.escape = one_byte("escape", value)?;
            }
            "force_quote" => {
                only_csv("force quote")?;
                if from {
                    return Err(refused("COPY force quote only available using COPY TO"));
                }
                self.force_quote = columns(value);
            }
            "force_not_null" => {
                only_csv("force not null")?;
                if !from {
                    return Err(refused("COPY force not null only available using COPY FROM"));
                }
                self.force_not_null = columns(value);
            }
            "force_null" => {
                only_csv("force null")?;
                if !from {
                    return Err(refused("COPY force null only available using COPY FROM"));
                }
                self.force_null = columns(value);
            }
            "freeze" => flag("freeze", value).map(drop)?,
            "encoding" => encoding(value)?,
            _ => return Err(syntax(format!("option \"{name}\" not recognized"))),
        }
        Ok(())
    }

    fn not_binary(&self, what: &str) -> Result<()> {
        if self.layout == Layout::Binary {
            return Err(syntax(format!("cannot specify {what} in BINARY mode")));
        }
        Ok(())
    }

    fn check(&self, given: &[&str]) -> Result<()> {
        let wrong = |text: &'static str| Error::client(state::INVALID_PARAMETER_VALUE, text);
        if matches!(self.delimiter, b'\n' | b'\r') {
            return Err(wrong("COPY delimiter cannot be newline or carriage return"));
        }
        if self.null.contains(['\n', '\r']) {
            return Err(wrong("COPY null representation cannot use newline or carriage return"));
        }
        if self.layout == Layout::Text
            && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter)
        {
            return Err(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("COPY delimiter cannot be \"{}\"", self.delimiter as char),
            ));
        }
        if self.layout == Layout::Csv && self.delimiter == self.quote {
            return Err(wrong("COPY delimiter and quote must be different"));
        }
        if self.layout != Layout::Binary && self.null.as_bytes().contains(&self.delimiter) {
            return Err(refused("COPY delimiter must not appear in the NULL specification"));
        }
        if self.layout == Layout::Csv
            && given.contains(&"null")
            && self.null.as_bytes().contains(&self.quote)
        {
            return Err(refused("CSV quote character must not appear in the NULL specification"));
        }
        Ok(())
    }
}

fn layout(list: &[(String, Option<String>)]) -> Result<Layout> {
    match list.iter().find(|(n, _)| n == "format").map(|(_, v)| v.as_deref().unwrap_or_default()) {
        None | Some("text") => Ok(Layout::Text),
        Some("csv") => Ok(Layout::Csv),
        Some("binary") => Ok(Layout::Binary),
        Some(other) => Err(Error::client(
            state::INVALID_PARAMETER_VALUE,
            format!("COPY format \"{other}\" not recognized"),
        )),
    }
}

fn syntax(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::client(state::SYNTAX_ERROR, text)
}

fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::client(state::FEATURE_NOT_SUPPORTED, text)
}

fn one_byte(what: &str, value: Option<&str>) -> Result<u8> {
    match value.map(str::as_bytes) {
        Some([byte]) => Ok(*byte),
        _ => Err(refused(format!("COPY {what} must be a single one-byte character"))),
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool> {
    value
        .map_or(Some(true), boolean)
        .ok_or_else(|| syntax(format!("{name} requires a Boolean value")))
}

fn header(value: Option<&str>) -> Result<Header> {
    match value {
        Some(v) if v.eq_ignore_ascii_case("match") => Ok(Header::Match),
        value => match value.map_or(Some(true), boolean) {
            Some(true) => Ok(Header::On),
            Some(false) => Ok(Header::Off),
            None => Err(syntax("header requires a Boolean value or \"match\"")),
        },
    }
}

fn encoding(value: Option<&str>) -> Result<()> {
    let folded: String = value
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    match folded.as_str() {
        "utf8" | "unicode" | "sqlascii" => Ok(()),
        _ => {
            Err(Error::unsupported(format_args!("COPY encoding \"{}\"", value.unwrap_or_default())))
        }
    }
}

fn columns(value: Option<&str>) -> Columns {
    match value {
        None | Some("*") => Columns::All,
        Some(list) => Columns::Named(list.split(',').map(|c| c.trim().to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[(&str, &str)], from: bool) -> String {
        let list: Vec<_> =
            list.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
        match Options::parse(&list, from) {
            Ok(_) => "ok".into(),
            Err(e) => format!("{} {}", e.sqlstate(), e.message()),
        }
    }

    #[test]
    fn options_are_refused_with_postgresqls_words() {
        for (list, from, expected) in [
            (&[("format", "csv"), ("header", "true")][..], true, "ok"),
            (&[("format", "foo")][..], true, "22023 COPY format \"foo\" not recognized"),
            (&[("foo", "1")][..], true, "42601 option \"foo\" not recognized"),
            (&[("quote", "a")][..], true, "0A000 COPY quote available only in CSV mode"),
            (
                &[("delimiter", "ab")][..],
                true,
                "0A000 COPY delimiter must be a single one-byte character",
            ),
            (&[("delimiter", "a")][..], true, "22023 COPY delimiter cannot be \"a\""),
            (
                &[("format", "binary"), ("delimiter", ",")][..],
                true,
                "42601 cannot specify DELIMITER in BINARY mode",
            ),
            (
                &[("null", "a\tb")][..],
                true,
                "0A000 COPY delimiter must not appear in the NULL specification",
            ),
            (
                &[("format", "csv"), ("delimiter", "\"")][..],
                true,
                "22023 COPY delimiter and quote must be different",
            ),
            (
                &[("header", "maybe")][..],
                true,
                "42601 header requires a Boolean value or \"match\"",
            ),
            (
                &[("freeze", "on"), ("freeze", "on")][..],
                true,
                "42601 conflicting or redundant options",
            ),
        ] {
            assert_eq!(parse(list, from), expected, "{list:?}");
        }
    }
}
