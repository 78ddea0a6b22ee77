//! The proof that the way back works, before anybody depends on it.
//!
//! Owns the walk of one marker row: written on PostgreSQL, decoded from the slot, noted in
//! SQLite. Rows of the application that come along are read by SQLite's codecs and dropped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::apply::{Target, Trouble};
use super::left_out::LeftOut;
use super::schema::Known;
use super::{PUBLICATION, setup, triggers};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::decode::{Message, Packet, Tuple, Value};
use crate::backend::postgres::replication::{Lsn, Replication};
use crate::backend::sqlite::Sqlite;
use crate::clock::Clock;
use crate::error::{Error, Result, state};
use crate::journal;
use crate::value::Cell;

/// The last token that came through, in `_crossfade_state`.
const KEY_PROBE: &str = "way_back_probe";

pub(super) async fn probe(
    control: &Control,
    connector: &Connector,
    sqlite: &Sqlite,
    clock: &Clock,
    limit: Duration,
) -> Result<Duration> {
    let began = Instant::now();
    let walk = async {
        if triggers::is_there(control).await? {
            let token = format!("{:016x}", clock.random_u64());
            super::read::until_marked(control, &token).await?;
            note(sqlite, token).await?;
            return Ok(began.elapsed());
        }
        let slot = setup::slot(control).await?;
        let mut replication = Replication::connect(connector, super::follow::NAME).await?;
        replication.start(&slot, PUBLICATION, Lsn::default()).await?;
        let token = format!("{:016x}", clock.random_u64());
        setup::mark(control, &token).await?;
        let known = Known::before(setup::known(control).await?);
        let end = until_marked(&mut replication, sqlite, &known, &token).await?;
        note(sqlite, token).await?;
        // What was looked at need not be kept for the way back.
        replication.confirm(end, clock.postgres_micros(), false).await?;
        replication.close().await;
        Ok(began.elapsed())
    };
    match tokio::time::timeout(limit, walk).await {
        Ok(walked) => walked,
        Err(_) => {
            let message = "a marker row did not come back from PostgreSQL in time";
            Err(Error::shadow(state::QUERY_CANCELED, message).retryable())
        }
    }
}

/// The token has come through.
async fn note(sqlite: &Sqlite, token: String) -> Result<()> {
    let writer = sqlite.writer(None).await?;
    journal::set_state(&writer, KEY_PROBE, Cell::Text(token))?;
    let committed = writer.commit()?;
    sqlite.wait_committed(committed).await
}

/// Reads the stream until the transaction with the token has ended; its end.
async fn until_marked(
    replication: &mut Replication,
    sqlite: &Sqlite,
    known: &Known,
    token: &str,
) -> Result<Lsn> {
    let (mut targets, mut marked) = (HashMap::new(), false);
    let left_out = LeftOut::default();
    loop {
        let Packet::Data { body, .. } = replication.next().await? else { continue };
        match Message::decode(body)? {
            Message::Relation(table) => {
                let target =
                    Target::find(&table, &sqlite.catalog(), known, &left_out).map_err(refused)?;
                targets.insert(table.oid, target);
            }
            Message::Insert { table, new } | Message::Update { table, new, .. } => {
                match targets.get(&table) {
                    Some(Target::Marker) => marked |= holds(&new, token),
                    Some(Target::Table(shape)) => shape.check(&new).map_err(refused)?,
                    _ => {}
                }
            }
            Message::Commit { end_lsn, .. } if marked => return Ok(Lsn(end_lsn)),
            _ => {}
        }
    }
}

fn holds(row: &Tuple, token: &str) -> bool {
    row.0.iter().any(|value| matches!(value, Value::Text(text) if text == token.as_bytes()))
}

fn refused(trouble: Trouble) -> Error {
    match trouble {
        Trouble::Resync(reason) => Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, reason),
        Trouble::Failed(error) => error,
    }
}
