//! What passed through a relay, counted by the tags PostgreSQL answers with.
//!
//! Owns [`Tally`]. A statement's text is never read for it. Start at [`Tally::completed`].

/// Kinds of statements, as `/metrics` names them; `unknown` is what failed.
pub const KINDS: [&str; 7] = ["read", "write", "ddl", "transaction", "session", "copy", "unknown"];

/// Statements that ended, by kind (see [`KINDS`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ended well, by kind.
    pub ended: [u32; KINDS.len()],
    /// Failed.
    pub failures: u32,
}

impl Tally {
    /// A CommandComplete's body.
    pub(super) fn completed(&mut self, body: &[u8]) {
        let word = body.split(|b| matches!(b, b' ' | 0)).next().unwrap_or_default();
        let kind = match word {
            b"SELECT" | b"FETCH" | b"VALUES" => 0,
            b"INSERT" | b"UPDATE" | b"DELETE" | b"MERGE" => 1,
            b"BEGIN" | b"START" | b"COMMIT" | b"ROLLBACK" | b"SAVEPOINT" | b"RELEASE" => 3,
            b"SET" | b"RESET" | b"SHOW" | b"DISCARD" | b"LISTEN" | b"UNLISTEN" | b"NOTIFY"
            | b"PREPARE" | b"DEALLOCATE" | b"DECLARE" | b"CLOSE" | b"MOVE" | b"LOCK" => 4,
            b"COPY" => 5,
            _ => 2,
        };
        if let Some(count) = self.ended.get_mut(kind) {
            *count = count.saturating_add(1);
        }
    }

    /// An error.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// How many ended, well or not.
    pub fn count(&self) -> u64 {
        self.ended.iter().chain([&self.failures]).map(|n| u64::from(*n)).sum()
    }

    /// Nothing ended.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_the_kind() {
        let tags: [(&[u8], &str); 7] = [
            (b"SELECT 3\0", "read"),
            (b"INSERT 0 1\0", "write"),
            (b"CREATE TABLE\0", "ddl"),
            (b"COMMIT\0", "transaction"),
            (b"SET\0", "session"),
            (b"COPY 12\0", "copy"),
            (b"\0", "ddl"),
        ];
        for (tag, kind) in tags {
            let mut tally = Tally::default();
            assert!(tally.is_empty());
            tally.completed(tag);
            let index = KINDS.iter().position(|k| *k == kind).unwrap();
            assert_eq!(tally.ended[index], 1, "{kind}");
        }
    }
}
