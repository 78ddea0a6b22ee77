//! client_encoding: which names there are, and which of them are served.
//!
//! Texts go as they are; an encoding that would have to be converted is 0A000, a name that is
//! none 22023. Start at [`chosen`].

use crate::error::{Error, Result, state};

/// The encoding that a name means.
pub(super) fn chosen(value: &str) -> Result<String> {
    let folded: String =
        value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match folded.as_str() {
        "utf8" | "unicode" => Ok("UTF8".into()),
        // Bytes pass unchanged; ours are UTF-8 whatever the client calls them.
        "sqlascii" => Ok("SQL_ASCII".into()),
        known if ENCODINGS.contains(&known) => {
            Err(Error::unsupported(format_args!("client_encoding \"{value}\""))
                .hint("Crossfade speaks UTF8 only."))
        }
        _ => {
            let message = format!("invalid value for parameter \"client_encoding\": \"{value}\"");
            Err(Error::client(state::INVALID_PARAMETER_VALUE, message))
        }
    }
}

/// Names of PostgreSQL's other encodings, in small letters without signs.
const ENCODINGS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "windows866",
    "windows874",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];
