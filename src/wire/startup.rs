//! From an accepted socket to an authenticated session: TLS, version, parameters.
//!
//! Owns the negotiation. It must never act on a byte that arrived in clear ahead of a TLS
//! handshake, and never start a session before authentication. Start at [`negotiate`].

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsStream;

use super::cancel::Registry;
use super::connection::Connection;
use super::frontend::{Reader, check_utf8};
use super::stream::{Preceded, Socket, Stream};
use super::tls::{self, Tls};
use super::{Peer, write};
use crate::error::{Error, Result, state};

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// The newest protocol version spoken.
pub(super) const NEWEST: (u16, u16) = (3, 2);

/// What a client said when it connected.
#[derive(Clone, Debug)]
pub struct Startup {
    /// Role name.
    pub user: String,
    /// Database name; the user's name when none was given.
    pub database: String,
    /// Settings for the session, in the order in which they apply: those of `options`
    /// first. Without user, database, options and replication.
    pub parameters: Vec<(String, String)>,
    /// Who is at the other end.
    pub peer: Peer,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Protocol version in force, (3, 0) to (3, 2).
    pub protocol: (u16, u16),
}

/// What an accepted connection turned out to be.
pub(super) enum Opened {
    /// A session, not yet authenticated.
    Session(Box<(Connection, Startup)>),
    /// A cancel request, already delivered, or a client that went away.
    Done,
    /// To be answered with this error and closed.
    Refused(Box<(Connection, Error)>),
}

/// Runs the negotiation up to the start-up packet.
pub(super) async fn negotiate(
    socket: Socket,
    peer: Peer,
    tls: Option<&Tls>,
    registry: &Registry,
    max_message: usize,
) -> Opened {
    let mut connection = Connection::new(Stream::Plain(socket), BytesMut::new(), max_message, peer);
    if !connection.fill_to(1).await {
        return Opened::Done;
    }
    if connection.input().first() == Some(&TLS_HANDSHAKE) {
        let Some(tls) = tls else { return Opened::Done };
        match secure(connection, tls, true).await {
            Some(secured) => connection = secured,
            None => return Opened::Done,
        }
    }
    let (mut ssl_done, mut gss_done) = (false, false);
    loop {
        let packet = match connection.read_untyped().await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Opened::Done,
            Err(error) => return Opened::Refused(Box::new((connection, error))),
        };
        let mut reader = Reader::new(packet);
        // The length was checked to leave room for the code.
        let code = reader.u32().unwrap_or(0);
        match code {
            CANCEL_REQUEST => {
                if let (Ok(pid), secret) = (reader.u32(), reader.rest()) {
                    registry.cancel(pid.cast_signed(), &secret).await;
                }
                return Opened::Done;
            }
            SSL_REQUEST if !ssl_done && !connection.is_tls() => {
                ssl_done = true;
                if !connection.input().is_empty() {
                    return ahead_of_encryption(connection, "SSL");
                }
                let Some(tls) = tls else {
                    if !answer(&mut connection, b'N').await {
                        return Opened::Done;
                    }
                    continue;
                };
                if !answer(&mut connection, b'S').await {
                    return Opened::Done;
                }
                match secure(connection, tls, false).await {
                    Some(secured) => connection = secured,
                    None => return Opened::Done,
                }
            }
            GSSENC_REQUEST if !gss_done && !connection.is_tls() => {
                gss_done = true;
                if !connection.input().is_empty() {
                    return ahead_of_encryption(connection, "GSSAPI encryption");
                }
                if !answer(&mut connection, b'N').await {
                    return Opened::Done;
                }
            }
            _ => {
                return match parse(code, reader, &connection) {
                    Ok((startup, unknown)) => {
                        let (asked, protocol) = (version(code), startup.protocol);
                        if asked > protocol || !unknown.is_empty() {
                            write::negotiate(connection.out(), protocol, &unknown);
                        }
                        Opened::Session(Box::new((connection, startup)))
                    }
                    Err(error) => Opened::Refused(Box::new((connection, error))),
                };
            }
        }
    }
}

fn version(code: u32) -> (u16, u16) {
    ((code >> 16) as u16, (code & 0xffff) as u16)
}

/// Whatever lies behind the request was injected by someone in the middle or sent by a
/// client that does not wait: it would later pass for encrypted input.
fn ahead_of_encryption(connection: Connection, kind: &str) -> Opened {
    let error = Error::client(
        state::PROTOCOL_VIOLATION,
        format!("received unencrypted data after {kind} request"),
    )
    .detail(
        "This could be either a client-software bug or evidence of an attempted \
         man-in-the-middle attack.",
    )
    .fatal();
    Opened::Refused(Box::new((connection, error)))
}

async fn answer(connection: &mut Connection, byte: u8) -> bool {
    connection.out().extend_from_slice(&[byte]);
    connection.flush().await.is_ok()
}

/// The TLS handshake. `direct` connections have sent its first bytes already and must
/// name the protocol in ALPN. `None` when it fails; there is no way to answer then.
async fn secure(connection: Connection, tls: &Tls, direct: bool) -> Option<Connection> {
    let (peer, max_message) = (connection.peer().clone(), connection.max_message());
    let (stream, input) = connection.into_parts();
    let Stream::Plain(socket) = stream else { return None };
    let input = if direct { input } else { BytesMut::new() };
    let accepted = tls.acceptor().accept(Preceded::new(input, socket)).await;
    let mut stream = match accepted {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, %peer, "TLS handshake failed");
            return None;
        }
    };
    if direct && stream.get_ref().1.alpn_protocol() != Some(tls::ALPN) {
        tracing::debug!(%peer, "direct TLS without ALPN \"postgresql\"");
        let _ = stream.shutdown().await;
        return None;
    }
    let stream = Stream::Tls(Box::new(TlsStream::Server(stream)));
    Some(Connection::new(stream, BytesMut::new(), max_message, peer))
}

/// Parses the start-up packet behind its version. The second part of the result are
/// protocol options (`_pq_.…`) that are not known here.
fn parse(code: u32, mut reader: Reader, connection: &Connection) -> Result<(Startup, Vec<String>)> {
    let (major, minor) = version(code);
    if major != NEWEST.0 {
        let message = format!(
            "unsupported frontend protocol {major}.{minor}: server supports 3.0 to {}.{}",
            NEWEST.0, NEWEST.1
        );
        return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message).fatal());
    }
    let layout = |error: Error| {
        if error.sqlstate() == state::CHARACTER_NOT_IN_REPERTOIRE {
            return error.fatal();
        }
        let message = "invalid startup packet layout: expected terminator as last byte";
        Error::client(state::PROTOCOL_VIOLATION, message).fatal()
    };
    let (mut user, mut database, mut options) = (None, None, None);
    let (mut settings, mut unknown) = (Vec::new(), Vec::new());
    loop {
        let name = text(&reader.c_string().map_err(layout)?).map_err(layout)?;
        if name.is_empty() {
            break;
        }
        let value = text(&reader.c_string().map_err(layout)?).map_err(layout)?;
        match name.as_str() {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "options" => options = Some(value),
            "replication" => {
                if !matches!(value.as_str(), "false" | "off" | "no" | "0") {
                    return Err(Error::unsupported("replication").fatal());
                }
            }
            _ if name.starts_with("_pq_.") => unknown.push(name),
            _ => settings.push((name, value)),
        }
    }
    reader.end().map_err(layout)?;
    let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
        let message = "no PostgreSQL user name specified in startup packet";
        Error::client(state::INVALID_AUTHORIZATION, message).fatal()
    })?;
    let database = database.filter(|d| !d.is_empty()).unwrap_or_else(|| user.clone());
    let mut parameters = match options {
        Some(options) => parse_options(&options)?,
        None => Vec::new(),
    };
    parameters.append(&mut settings);
    let startup = Startup {
        user,
        database,
        parameters,
        peer: connection.peer().clone(),
        tls: connection.is_tls(),
        protocol: (major, minor.min(NEWEST.1)),
    };
    Ok((startup, unknown))
}

fn text(bytes: &Bytes) -> Result<String> {
    check_utf8(bytes).map(str::to_owned)
}

/// Settings out of the `options` parameter: `-c name=value` and `--name=value`, words
/// separated by blanks, a backslash protecting the next character.
fn parse_options(options: &str) -> Result<Vec<(String, String)>> {
    let mut words = split_words(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = if let Some(rest) = word.strip_prefix("--") {
            rest.to_owned()
        } else if word == "-c" {
            words.next().unwrap_or_default()
        } else if let Some(rest) = word.strip_prefix("-c") {
            rest.to_owned()
        } else {
            return Err(bad_option(&word));
        };
        let Some((name, value)) = assignment.split_once('=').filter(|(n, _)| !n.is_empty()) else {
            return Err(bad_option(&word));
        };
        // A dash in a name stands for an underscore, as on PostgreSQL's command line.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                inside = true;
                word.extend(characters.next());
            }
            c if c.is_ascii_whitespace() => {
                if std::mem::take(&mut inside) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                inside = true;
                word.push(c);
            }
        }
    }
    if inside {
        words.push(word);
    }
    words
}

fn bad_option(word: &str) -> Error {
    let message = format!("invalid command-line argument for server process: {word}");
    Error::client(state::SYNTAX_ERROR, message).fatal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_hold_settings() {
        let parsed = parse_options(r"-c geqo=off -cDateStyle=ISO\ MDY --statement-timeout=5min");
        let expected = [("geqo", "off"), ("DateStyle", "ISO MDY"), ("statement_timeout", "5min")];
        let expected: Vec<_> =
            expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(parsed.unwrap(), expected);
        for bad in ["-x", "-c", "-c geqo", "--=1", "word"] {
            let error = parse_options(bad).unwrap_err();
            assert!(error.fields().fatal && error.sqlstate() == state::SYNTAX_ERROR, "{bad}");
        }
        assert!(parse_options("  ").unwrap().is_empty());
    }
}
