//! Making a server session what a client's session is: settings, prepared statements, an
//! open transaction without writes; and asking it, before it is left, what it has become.
//!
//! Owns [`SetUp`] and [`Inventory`]. It must never lose a statement in silence: what
//! PostgreSQL refuses or describes otherwise is in the [`Report`]. Start at [`open`].

use bytes::{BufMut, Bytes, BytesMut};

use super::connect::Connector;
use super::reign::Reign;
use super::server::{Server, parse_error};
use crate::error::{Culprit, Error, Result, state};
use crate::wire::{Frame, write};

/// What a session may hold that cannot move.
pub const CURSOR: &str = "a cursor WITH HOLD";
/// See [`CURSOR`].
pub const TEMPORARY: &str = "temporary tables";
/// See [`CURSOR`].
pub const ADVISORY: &str = "advisory locks";

/// Bytes of statements sent before their answers are read.
const CHUNK: usize = 16 << 10;

/// A prepared statement to be made anew.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// Name; empty for the unnamed one.
    pub name: String,
    /// Text.
    pub text: String,
    /// Parameter types: what the client was told or said itself; 0 is unspecified.
    pub types: Vec<u32>,
    /// Name and type OID of each result column that the client knows; None when it returns
    /// no rows or that is not known.
    pub columns: Option<Vec<(String, u32)>>,
}

/// What a fresh server session is to become.
#[derive(Clone, Debug, Default)]
pub struct SetUp {
    /// Start-up parameters: what RESET returns to.
    pub parameters: Vec<(String, String)>,
    /// Settings of the session.
    pub settings: Vec<(String, String)>,
    /// Prepared statements.
    pub statements: Vec<Statement>,
    /// Channels listened to.
    pub channels: Vec<String>,
    /// An open transaction: BEGIN with its modes, then its settings and savepoints in order.
    pub transaction: Vec<String>,
}

/// What did not come out as the client knows it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Statements PostgreSQL refused: name and its error.
    pub refused: Vec<(String, Error)>,
    /// Statements whose result columns differ: name and how.
    pub differing: Vec<(String, String)>,
    /// Settings PostgreSQL refused: name and its error.
    pub settings: Vec<(String, Error)>,
    /// Parse bodies of the statements that were made.
    pub made: Vec<(Bytes, Bytes)>,
}

/// What a server session has become.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Settings of the session: name and value in base units.
    pub settings: Vec<(String, String)>,
    /// Prepared statements; those made by SQL have the whole PREPARE as their text.
    pub statements: Vec<(Statement, bool)>,
    /// Channels listened to.
    pub channels: Vec<String>,
    /// It acts as another role than the one that logged in.
    pub as_another_role: bool,
    /// Why the session cannot move, when it cannot.
    pub immovable: Option<&'static str>,
}

/// Name of our own statement on a client's server session, while it is asked.
const OWN: &str = "_crossfade_inventory";

const INVENTORY: &str = "\
SELECT 'set', name, setting, '', '' FROM pg_catalog.pg_settings WHERE source = 'session' \
UNION ALL SELECT 'statement', name, statement, \
  pg_catalog.array_to_string(parameter_types::oid[], ' '), from_sql::text \
  FROM pg_catalog.pg_prepared_statements WHERE name <> '_crossfade_inventory' \
UNION ALL SELECT 'channel', c, '', '', '' FROM pg_catalog.pg_listening_channels() c \
UNION ALL SELECT 'role', '', '', '', '' WHERE current_user <> \
  (SELECT usename FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a \
   JOIN pg_catalog.pg_user u USING (usesysid)) \
UNION ALL SELECT 'cursor', '', '', '', '' WHERE EXISTS \
  (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable) \
UNION ALL SELECT 'temporary', '', '', '', '' WHERE EXISTS \
  (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()) \
UNION ALL SELECT 'lock', '', '', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks \
  WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())";

/// What a pooler says of a start-up parameter that it does not know.
const UNSUPPORTED: &str = "unsupported startup parameter";

/// What [`open`] found.
#[derive(Debug)]
pub enum Opened {
    /// A session that is set up.
    Ready(Box<(Server, Report)>),
    /// A PostgreSQL that is not the primary: why. Nothing was done there.
    Foreign(String),
}

/// Opens a server session, proves that it leads to the primary, and sets it up.
///
/// # Errors
/// When PostgreSQL cannot be reached, or refuses the log-in or the open transaction.
pub async fn open(connector: &Connector, set_up: &SetUp, reign: Option<&Reign>) -> Result<Opened> {
    let mut report = Report::default();
    let mut late = Vec::new();
    let mut server = match connector.raw(&set_up.parameters).await {
        Ok(server) => server,
        // A start-up value that PostgreSQL does not take, or a parameter that a pooler in front of it
        // does not know: without any, then one by one.
        Err(error)
            if matches!(error.sqlstate().class(), "22" | "42" | "55")
                || error.message().starts_with(UNSUPPORTED) =>
        {
            late.extend(set_up.parameters.iter());
            connector.raw(&[]).await?
        }
        Err(error) => return Err(error),
    };
    if let Some(reign) = reign
        && let Some(reason) = reign.broken_by(&mut server).await?
    {
        server.close().await;
        return Ok(Opened::Foreign(reason));
    }
    for (name, value) in late.into_iter().chain(&set_up.settings) {
        if server.parameters().get(name) == Some(value) {
            continue;
        }
        if let Err(error) = server.batch(&set_config(name, value, false)).await {
            lost(&error)?;
            report.settings.push((name.clone(), error));
        }
    }
    statements(&mut server, &set_up.statements, &mut report).await?;
    for channel in &set_up.channels {
        server.batch(&format!("LISTEN {}", quoted(channel))).await?;
    }
    for sql in &set_up.transaction {
        server.batch(sql).await?;
    }
    if !(set_up.channels.is_empty() && set_up.transaction.is_empty()) {
        unnamed(&mut server, &report).await?;
    }
    Ok(Opened::Ready(Box::new((server, report))))
}

/// Makes the unnamed statement once more: every simple query ends it.
async fn unnamed(server: &mut Server, report: &Report) -> Result<()> {
    let Some((_, body)) = report.made.iter().rev().find(|(name, _)| name.is_empty()) else {
        return Ok(());
    };
    let out = server.out();
    let mark = write::begin(out, b'P');
    out.extend_from_slice(body);
    write::end(out, &mark);
    let mark = write::begin(out, b'S');
    write::end(out, &mark);
    server.flush().await?;
    match answer(server).await? {
        Made::As(_) => Ok(()),
        Made::Refused(error) => Err(error),
    }
}

/// Asks an idle session what it has become, and leaves it as it was: a simple query would end
/// the unnamed statement, which the client may have made and not used yet.
///
/// # Errors
/// When the server is gone.
pub async fn inventory(server: &mut Server) -> Result<Inventory> {
    let mut found = Inventory::default();
    for row in server.ask(OWN, INVENTORY).await? {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        match next().as_str() {
            "set" => found.settings.push((next(), next())),
            "statement" => {
                let (name, text, types, from_sql) = (next(), next(), next(), next());
                let types = types.split(' ').filter_map(|t| t.parse().ok()).collect();
                let statement = Statement { name, text, types, columns: None };
                found.statements.push((statement, from_sql == "true"));
            }
            "channel" => found.channels.push(next()),
            "role" => found.as_another_role = true,
            "cursor" => found.immovable = Some(CURSOR),
            "temporary" => found.immovable = Some(TEMPORARY),
            "lock" => found.immovable = Some(ADVISORY),
            _ => {}
        }
    }
    Ok(found)
}

/// Values of settings that PostgreSQL does not list: those that a client has made up.
///
/// # Errors
/// When the server is gone.
pub async fn made_up(server: &mut Server, names: &[String]) -> Result<Vec<(String, String)>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = names.iter().map(|name| format!("({})", literal(name))).collect();
    let sql = format!(
        "SELECT n, pg_catalog.current_setting(n, true) FROM (VALUES {}) AS names(n)",
        names.join(", ")
    );
    let rows = server.ask(OWN, &sql).await?;
    let pair = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        Some((row.next()??, row.next()??))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// Passes on only what ends the session.
fn lost(error: &Error) -> Result<()> {
    let ended = error.fields().fatal || error.sqlstate().class() == "08";
    if ended { Err(error.clone()) } else { Ok(()) }
}

async fn statements(server: &mut Server, all: &[Statement], report: &mut Report) -> Result<()> {
    let mut rest = all;
    while !rest.is_empty() {
        let mut count = 0;
        while let Some(statement) = rest.get(count) {
            if count > 0 && server.out().len() + statement.text.len() > CHUNK {
                break;
            }
            write_statement(server.out(), statement, true);
            count += 1;
        }
        let (chunk, after) = rest.split_at(count);
        rest = after;
        server.flush().await?;
        for statement in chunk {
            let made = answer(server).await?;
            match made {
                Made::As(columns) => note(report, statement, columns),
                Made::Refused(error) => report.refused.push((statement.name.clone(), error)),
            }
        }
    }
    // With PostgreSQL's own types, where it does not take ours.
    for (name, error) in std::mem::take(&mut report.refused) {
        let Some(old) = all.iter().find(|s| s.name == name && s.types.iter().any(|t| *t != 0))
        else {
            report.refused.push((name, error));
            continue;
        };
        let statement = Statement { types: Vec::new(), ..old.clone() };
        write_statement(server.out(), &statement, true);
        server.flush().await?;
        match answer(server).await? {
            Made::As(columns) => note(report, &statement, columns),
            Made::Refused(_) => report.refused.push((name, error)),
        }
    }
    Ok(())
}

enum Made {
    As(Option<Vec<(String, u32)>>),
    Refused(Error),
}

/// Reads one statement's answers up to ReadyForQuery.
async fn answer(server: &mut Server) -> Result<Made> {
    let mut made = Made::As(None);
    loop {
        let Some(frame) = server.read_frame().await? else {
            let message = "the connection to PostgreSQL was lost";
            return Err(
                Error::new(Culprit::Primary, state::CONNECTION_FAILURE, message).retryable()
            );
        };
        server.note(&frame);
        match frame.kind {
            b'E' => {
                let error = parse_error(&frame.body, Culprit::Primary);
                lost(&error)?;
                made = Made::Refused(error);
            }
            b'T' => made = Made::As(row_description(&frame)),
            b'Z' => return Ok(made),
            _ => {}
        }
    }
}

fn note(report: &mut Report, statement: &Statement, columns: Option<Vec<(String, u32)>>) {
    let name = Bytes::copy_from_slice(statement.name.as_bytes());
    report.made.push((name, body_of(statement)));
    let Some(known) = &statement.columns else { return };
    let found = columns.unwrap_or_default();
    if *known != found {
        let show = |columns: &[(String, u32)]| {
            columns.iter().map(|(n, t)| format!("{n} {t}")).collect::<Vec<_>>().join(", ")
        };
        let how = format!("was ({}), is ({})", show(known), show(&found));
        report.differing.push((statement.name.clone(), how));
    }
}

/// Parse, and with `alone` also Describe and Sync.
fn write_statement(out: &mut BytesMut, statement: &Statement, alone: bool) {
    let mark = write::begin(out, b'P');
    c_string(out, &statement.name);
    c_string(out, &statement.text);
    out.put_u16(u16::try_from(statement.types.len()).unwrap_or(0));
    for ty in statement.types.iter().take(usize::from(u16::MAX)) {
        out.put_u32(*ty);
    }
    write::end(out, &mark);
    if alone {
        let mark = write::begin(out, b'D');
        out.put_u8(b'S');
        c_string(out, &statement.name);
        write::end(out, &mark);
        let mark = write::begin(out, b'S');
        write::end(out, &mark);
    }
}

/// The body of the Parse message that makes it; [`parse_body`] reads it.
pub fn body_of(statement: &Statement) -> Bytes {
    let mut frame = BytesMut::new();
    write_statement(&mut frame, statement, false);
    frame.freeze().slice(5..)
}

fn c_string(out: &mut BytesMut, text: &str) {
    out.extend(text.bytes().filter(|b| *b != 0));
    out.put_u8(0);
}

/// Names and type OIDs of a RowDescription.
fn row_description(frame: &Frame) -> Option<Vec<(String, u32)>> {
    use bytes::Buf;
    let mut body = frame.body.clone();
    let count = body.try_get_u16().ok()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let end = body.iter().position(|b| *b == 0)?;
        let name = String::from_utf8_lossy(&body.split_to(end)).into_owned();
        body.advance(1);
        body.try_get_u32().ok()?;
        body.try_get_u16().ok()?;
        let ty = body.try_get_u32().ok()?;
        if body.len() < 8 {
            return None;
        }
        body.advance(8);
        columns.push((name, ty));
    }
    Some(columns)
}

/// What a Parse body says: name, text, types.
pub fn parse_body(body: &[u8]) -> Option<Statement> {
    use bytes::Buf;
    let mut parts = body.splitn(3, |b| *b == 0);
    let text = |part: Option<&[u8]>| String::from_utf8(part?.to_vec()).ok();
    let (name, sql) = (text(parts.next())?, text(parts.next())?);
    let mut rest = parts.next()?;
    let count = rest.try_get_u16().ok()?;
    let types = (0..count).map(|_| rest.try_get_u32().ok()).collect::<Option<_>>()?;
    Some(Statement { name, text: sql, types, columns: None })
}

/// A statement that sets a setting, for the session or (`local`) the transaction.
pub fn set_config(name: &str, value: &str, local: bool) -> String {
    format!("SELECT pg_catalog.set_config({}, {}, {local})", literal(name), literal(value))
}

/// A string literal.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A quoted identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_body_reads_as_it_was_written() {
        let statement = Statement {
            name: "s".into(),
            text: "SELECT $1, 'ü'".into(),
            types: vec![23, 0],
            columns: None,
        };
        let mut out = BytesMut::new();
        write_statement(&mut out, &statement, false);
        let read = parse_body(&out[5..]).expect("a body");
        assert_eq!(
            (read.name, read.text, read.types),
            (statement.name, statement.text, statement.types)
        );
        for end in 0..out.len() - 5 {
            assert!(parse_body(&out[5..5 + end]).is_none());
        }
    }

    #[test]
    fn literals_are_quoted() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
