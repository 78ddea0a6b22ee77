//! Whether a pooler stands before PostgreSQL, and what breaks then.
//!
//! Owns the questions that only a pooler answers otherwise than PostgreSQL. It must never leave a
//! transaction open. Start at [`look`].

use std::time::Duration;

use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::replication::Replication;
use crate::error::Result;

/// Connections that take the pool's servers away.
const OTHERS: usize = 3;
/// How long one of them may take: a pool that is full lets it wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stands between Crossfade and PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooler {
    /// Nothing that shows.
    None,
    /// A server for each transaction.
    Transaction,
}

/// Asks for the same session's back end before and after others have taken one.
///
/// # Errors
/// What the server said.
pub(super) async fn look(connector: &Connector) -> Result<Pooler> {
    let name = "crossfade check";
    let connect = async || {
        let (client, driver) = connector.client(name).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "the connection ended");
            }
        });
        Ok::<_, crate::error::Error>(client)
    };
    let pid = "SELECT pg_backend_pid()";
    let of = |messages: Vec<tokio_postgres::SimpleQueryMessage>| {
        messages.into_iter().find_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    };
    let ask = |e: tokio_postgres::Error| connector.error_of(&e);
    let client = connect().await?;
    let before = of(client.simple_query(pid).await.map_err(ask)?);
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        let other = tokio::time::timeout(PATIENCE, async {
            let other = connect().await?;
            other.simple_query("BEGIN; SELECT 1").await.map_err(ask)?;
            Ok::<_, crate::error::Error>(other)
        });
        match other.await {
            Ok(Ok(other)) => others.push(other),
            // Full, or it takes no more: what is there has to do.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let after = tokio::time::timeout(PATIENCE, client.simple_query(pid)).await;
    let after = match after {
        Ok(after) => of(after.map_err(ask)?),
        // The others hold every server there is.
        Err(_) => None,
    };
    for other in others {
        other.simple_query("ROLLBACK").await.map_err(ask)?;
    }
    Ok(if before == after { Pooler::None } else { Pooler::Transaction })
}

/// Whether the log can be read through this address: pg_hba.conf and poolers have a say.
///
/// # Errors
/// What the server said.
pub(super) async fn replicates(connector: &Connector) -> Result<()> {
    Replication::connect(connector, "crossfade check").await?.close().await;
    Ok(())
}
