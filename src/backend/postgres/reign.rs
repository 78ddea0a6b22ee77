//! Proof that a server session leads to the PostgreSQL that was made primary.
//!
//! Owns the question each new server session begins with, and the judgement of its answer.
//! It must never let a session go on when the answer is another reign, another server, or a
//! past of the right one. Start at [`Reign::broken_by`].

use super::replication::Lsn;
use super::server::Server;
use crate::error::{Error, Result, SqlState};

/// What a server session must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Epoch that belongs to PostgreSQL.
    pub epoch: u64,
    /// `system_identifier`; None while it is not known.
    pub system: Option<u64>,
    /// SQLite has followed up to here: an older end of the log is a restored backup.
    pub floor: Lsn,
    /// The timeline of `floor`: after a failover places are not comparable.
    pub timeline: Option<u32>,
}

/// Latest record, fence, system, timeline, and the end of the log. On a standby there is no
/// flushed end: how far it has replayed is the same to us.
const QUESTION: &str = "\
SELECT e.epoch, e.record, s.fenced, c.system_identifier, t.timeline_id, \
  (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
   ELSE pg_catalog.pg_current_wal_flush_lsn() END - '0/0'::pg_catalog.pg_lsn)::bigint \
FROM crossfade.state s CROSS JOIN pg_catalog.pg_control_system() c \
CROSS JOIN pg_catalog.pg_control_checkpoint() t \
LEFT JOIN LATERAL (SELECT epoch, record FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1) e \
  ON true";

impl Reign {
    /// Asks a fresh session; why it is not the reign that was expected, or None when it is.
    ///
    /// # Errors
    /// When the session is lost.
    pub async fn broken_by(&self, server: &mut Server) -> Result<Option<String>> {
        let rows = match server.rows(QUESTION).await {
            Ok(rows) => rows,
            // No such schema or table, or no right to it.
            Err(error) if error.sqlstate().class() == "42" || is_no_schema(&error) => {
                return Ok(Some(format!(
                    "the PostgreSQL that answers shows no record of the switch ({})",
                    error.message()
                )));
            }
            Err(error) => return Err(error),
        };
        let field = |i: usize| {
            rows.first().and_then(|row| row.get(i)).cloned().flatten().unwrap_or_default()
        };
        let found = Found {
            latest: field(0).parse().ok().map(|epoch| (epoch, field(1))),
            fenced: field(2) == "t",
            system: field(3).parse::<i64>().unwrap_or(0).cast_unsigned(),
            timeline: field(4).parse().unwrap_or(0),
            end: Lsn(field(5).parse().unwrap_or(0)),
        };
        Ok(self.judge(&found))
    }

    fn judge(&self, found: &Found) -> Option<String> {
        if self.system.is_some_and(|system| system != found.system) {
            return Some(format!(
                "the PostgreSQL that answers is system {}, not the one of the switch",
                found.system
            ));
        }
        match &found.latest {
            Some((epoch, record)) if *epoch == self.epoch && record == "decided" => {}
            Some((epoch, record)) => {
                return Some(format!(
                    "this proxy serves epoch {}, PostgreSQL's last record is epoch {epoch} \
                     ({record})",
                    self.epoch
                ));
            }
            None => return Some(format!("PostgreSQL has no record of epoch {}", self.epoch)),
        }
        if found.fenced {
            return Some("PostgreSQL is fenced: another switch is under way".to_owned());
        }
        if self.timeline == Some(found.timeline) && found.end < self.floor {
            return Some(format!(
                "PostgreSQL's log ends at {}, and SQLite has followed it to {}",
                found.end, self.floor
            ));
        }
        None
    }
}

fn is_no_schema(error: &Error) -> bool {
    error.sqlstate() == SqlState::from_code("3F000")
}

struct Found {
    latest: Option<(u64, String)>,
    fenced: bool,
    system: u64,
    timeline: u32,
    end: Lsn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_reign_passes() {
        let reign = Reign { epoch: 2, system: Some(7), floor: Lsn(100), timeline: Some(1) };
        let found = |epoch: u64, record: &str| Found {
            latest: Some((epoch, record.to_owned())),
            fenced: false,
            system: 7,
            timeline: 1,
            end: Lsn(100),
        };
        assert_eq!(reign.judge(&found(2, "decided")), None);
        for (epoch, record) in [(2, "abandoned"), (2, "returned"), (4, "decided"), (1, "decided")] {
            assert!(reign.judge(&found(epoch, record)).is_some(), "{epoch} {record}");
        }
        let right = || found(2, "decided");
        for wrong in [
            Found { latest: None, ..right() },
            Found { fenced: true, ..right() },
            Found { system: 8, ..right() },
            Found { end: Lsn(99), ..right() },
        ] {
            assert!(reign.judge(&wrong).is_some());
        }
        // After a failover places cannot be compared.
        assert_eq!(reign.judge(&Found { end: Lsn(9), timeline: 2, ..right() }), None);
    }
}
