//! Where SQLite stands in the trigger journal.
//!
//! Owns [`Place`]: PostgreSQL's snapshot whose transactions SQLite has, the one it is reading up
//! to, and how far it has come in between. It is stored in the same SQLite transaction as the rows,
//! and it alone decides what comes next. It must never be stored before everything that its
//! snapshots have seen is on PostgreSQL's disk: after a crash there the same numbers would mean
//! other transactions.

use std::collections::VecDeque;
use std::fmt;

use crate::backend::postgres::control::Control;
use crate::error::{Error, Result, state};

/// Transactions whose numbers are held at once.
pub(super) const LISTED_MAX: usize = 200_000;
/// What is read at once, but for a transaction that is larger: it is one in SQLite, too.
const PORTION_TRANSACTIONS: usize = 5_000;
const PORTION_ROWS: u64 = 50_000;
const PORTION_BYTES: u64 = 32 << 20;

/// A snapshot that has seen nothing.
const NOTHING: &str = "3:3:";

/// A place in the trigger journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which journal: each is made with a token of its own.
    pub(super) token: String,
    /// Number of the batch that was begun last.
    pub(super) batch: u64,
    /// Everything this snapshot has seen is in SQLite.
    pub(super) from: String,
    /// The snapshot that ends the batch, and the last transaction that SQLite has of it: the number of
    /// its last row, and its own.
    pub(super) to: Option<(String, (i64, u64))>,
}

impl Place {
    /// The beginning of a journal.
    pub(super) fn beginning(token: &str) -> Self {
        Self { token: token.to_owned(), batch: 0, from: NOTHING.to_owned(), to: None }
    }

    /// Reads what [`Place`] shows.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let (first, to) = match words[..] {
            [token, batch, from] => ([token, batch, from], None),
            [token, batch, from, to, last, xid] => {
                let done = (last.parse().ok()?, xid.parse().ok()?);
                ([token, batch, from], Some((to.to_owned(), done)))
            }
            _ => return None,
        };
        let [token, batch, from] = first;
        Some(Self {
            token: token.to_owned(),
            batch: batch.parse().ok()?,
            from: from.to_owned(),
            to,
        })
    }

    /// The batch is in SQLite as a whole.
    pub(super) fn ended(mut self) -> Self {
        if let Some((to, _)) = self.to.take() {
            self.from = to;
        }
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.token, self.batch, self.from)?;
        match &self.to {
            Some((to, (last, xid))) => write!(f, " {to} {last} {xid}"),
            None => Ok(()),
        }
    }
}

/// What PostgreSQL stores of the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Which journal it is.
    pub(super) token: String,
    /// The batch that was begun last.
    pub(super) batch: u64,
    /// The last batch whose rows were removed.
    pub(super) trimmed: u64,
    /// Transactions that this snapshot has seen can be read now.
    pub(super) snapshot: String,
}

/// Asks how far the reading has come; 55000 when there is no journal.
pub(super) async fn progress(control: &Control) -> Result<Progress> {
    let sql = "SELECT token, batch, trimmed, pg_current_snapshot()::text \
               FROM crossfade.way_back_progress";
    let rows = control.rows(sql).await?;
    let row = rows.first().ok_or_else(|| {
        let message = "the journal of the way back is gone";
        Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    })?;
    let number = |i: usize| u64::try_from(row.get::<_, i64>(i)).unwrap_or(0);
    let (batch, trimmed) = (number(1), number(2));
    Ok(Progress { token: row.get(0), batch, trimmed, snapshot: row.get(3) })
}

/// Notes the beginning of a batch, in a commit that waits for PostgreSQL's disk: everything its
/// snapshot has seen is there then, and no number below is given again.
pub(super) async fn begin(control: &Control, batch: u64) -> Result<()> {
    control
        .batch(&format!(
            "BEGIN; SET LOCAL synchronous_commit = on; \
             UPDATE crossfade.way_back_progress SET batch = {batch}; COMMIT"
        ))
        .await
}

/// Rows of the journal between two snapshots, as a condition without the snapshots' texts: `$1` has
/// not seen them, `$2` has. By the numbers of transactions, which the index has.
const RANGES: [&str; 2] = [
    "xid >= pg_snapshot_xmax($1::text::pg_snapshot) \
     AND xid < pg_snapshot_xmax($2::text::pg_snapshot) \
     AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)",
    "xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))) \
     AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)",
];

fn either(select: &str) -> String {
    let [new, late] = RANGES;
    format!("{select} WHERE {new} UNION ALL {select} WHERE {late}")
}

/// A transaction of the journal: the number of its last row and its own, and how much it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) last: (i64, u64),
    rows: u64,
    bytes: u64,
}

/// The next transactions between two snapshots, in the order in which they are read, after one of
/// them; at most [`LISTED_MAX`].
pub(super) async fn transactions(
    control: &Control,
    (from, to): (&str, &str),
    after: (i64, u64),
) -> Result<VecDeque<Written>> {
    let all = either(
        "SELECT xid, n, coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0) AS size \
         FROM crossfade.way_back_journal",
    );
    let sql = format!(
        "SELECT max(r.n), r.xid::text, count(*), coalesce(sum(r.size), 0)::bigint FROM ({all}) r \
         GROUP BY r.xid HAVING (max(r.n), r.xid) > ($3::bigint, $4::text::xid8) \
         ORDER BY max(r.n), r.xid LIMIT {LISTED_MAX}"
    );
    let (last, xid) = (after.0, after.1.to_string());
    let rows = control.client().query(&sql, &[&from, &to, &last, &xid]).await;
    let number = |row: &tokio_postgres::Row, i: usize| u64::try_from(row.get::<_, i64>(i)).ok();
    let written = |row: &tokio_postgres::Row| -> Result<Written> {
        let xid: &str = row.get(1);
        let xid = xid.parse().map_err(|_| Error::internal("a transaction without a number"))?;
        Ok(Written {
            last: (row.get(0), xid),
            rows: number(row, 2).unwrap_or_default(),
            bytes: number(row, 3).unwrap_or_default(),
        })
    };
    rows.map_err(|e| control.error(&e))?.iter().map(written).collect()
}

/// Takes what is read at once: as many transactions as the bounds let, and always one.
pub(super) fn portion(ahead: &mut VecDeque<Written>) -> Vec<String> {
    let (mut taken, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while let Some(next) = ahead.front() {
        rows += next.rows;
        bytes += next.bytes;
        let fits =
            taken.len() < PORTION_TRANSACTIONS && rows <= PORTION_ROWS && bytes <= PORTION_BYTES;
        if !fits && !taken.is_empty() {
            break;
        }
        taken.push(next.last.1.to_string());
        ahead.pop_front();
    }
    taken
}

/// The shapes of these transactions' rows.
pub(super) async fn shapes(control: &Control, xids: &[String]) -> Result<Vec<i32>> {
    let sql = "SELECT DISTINCT shape FROM crossfade.way_back_journal \
               WHERE xid = ANY ($1::text[]::xid8[]) ORDER BY 1";
    let rows = control.client().query(sql, &[&xids]).await;
    Ok(rows.map_err(|e| control.error(&e))?.iter().map(|row| row.get(0)).collect())
}

/// The rows of the transactions `$1`, one transaction after the other. Who changed a row that
/// another transaction had changed did so after that one's end, so its last number is the higher
/// one: the order of last numbers is one in which everything could have been committed. Two that have
/// the same know nothing of each other. Whom a deferred key lets in before the row in its way is gone,
/// SQLite does not take, and the way back closes.
///
/// Within a transaction numbers are given in the order in which triggers fire. A statement of
/// another trigger, or of a function that the statement calls, fires for its rows before the
/// triggers of the statement itself do: such a change can have a lower number than the one that
/// made the row's version it began with. It is put behind that one.
pub(super) fn rows_sql() -> String {
    let all = "SELECT xid, n, op, shape, rel, old_at, new_at, old, new \
               FROM crossfade.way_back_journal WHERE xid = ANY ($1::text[]::xid8[])";
    format!(
        "WITH RECURSIVE b AS MATERIALIZED ({all}), late AS (\
         SELECT c.xid, c.n, p.n AS key, 1 AS steps FROM b c JOIN b p ON p.xid = c.xid \
           AND p.rel = c.rel AND p.new_at = c.old_at AND p.n > c.n \
         WHERE NOT EXISTS (SELECT FROM b e WHERE e.xid = c.xid AND e.rel = c.rel \
           AND e.new_at = c.old_at AND e.n < c.n) \
         UNION ALL \
         SELECT c.xid, c.n, l.key, l.steps + 1 FROM late l \
           JOIN b p ON p.xid = l.xid AND p.n = l.n \
           JOIN b c ON c.xid = p.xid AND c.rel = p.rel AND c.old_at = p.new_at AND c.n < l.key \
         WHERE l.steps < 100000) \
         SELECT r.last, r.op, r.shape, r.old, r.new, r.xid::text, r.rel FROM (\
           SELECT max(b.n) OVER (PARTITION BY b.xid) AS last, b.op::text AS op, b.shape, b.old, \
             b.new, b.xid, b.rel, b.n, coalesce(l.key, b.n) AS key, coalesce(l.steps, 0) AS steps \
           FROM b LEFT JOIN (SELECT DISTINCT ON (xid, n) xid, n, key, steps FROM late \
             ORDER BY xid, n, key DESC, steps DESC) l USING (xid, n)) r \
         ORDER BY r.last, r.xid, r.key, r.steps, r.n"
    )
}

/// Removes the rows between two snapshots: SQLite has stored and synced them as part of this batch.
pub(super) async fn trim(control: &Control, from: &str, to: &str, batch: u64) -> Result<()> {
    let trimmed = async {
        control
            .batch(&format!(
                "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off; \
                 UPDATE crossfade.way_back_progress SET trimmed = greatest(trimmed, {batch})"
            ))
            .await?;
        for range in RANGES {
            let sql = format!("DELETE FROM crossfade.way_back_journal WHERE {range}");
            let deleted = control.client().execute(&sql, &[&from, &to]).await;
            deleted.map_err(|e| control.error(&e))?;
        }
        control.batch("COMMIT").await
    };
    if let Err(error) = trimmed.await {
        let _ = control.batch("ROLLBACK").await;
        return Err(error);
    }
    Ok(())
}

/// A table of these shapes that is not what it was when the journal was made, as the connection's
/// snapshot sees it.
pub(super) async fn changed(control: &Control, shapes: &[i32]) -> Result<Option<String>> {
    let sql = "SELECT min(s.key) FROM crossfade.way_back_shapes s \
               JOIN crossfade.way_back_tables t ON t.name = s.key \
               WHERE s.id = ANY ($1) AND s.id > 0 AND t.signature IS DISTINCT FROM \
               (SELECT coalesce(string_agg(a.attname || ':' || a.atttypid || ':' || a.atttypmod, ',' \
                  ORDER BY a.attnum), '') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                WHERE c.oid = s.relid AND a.attnum > 0 AND NOT a.attisdropped \
                AND a.attgenerated = '')";
    let row = control.client().query_one(sql, &[&shapes]).await;
    Ok(row.map_err(|e| control.error(&e))?.get(0))
}

/// A row as PostgreSQL writes it, read into its fields.
///
/// # Errors
/// XX001 when it is no row.
pub(super) fn fields(row: &str) -> Result<Vec<Option<String>>> {
    let wrong = || Error::shadow(state::DATA_CORRUPTED, "a row of the way back is damaged");
    let mut chars = row.strip_prefix('(').ok_or_else(wrong)?.chars().peekable();
    let mut fields = Vec::new();
    loop {
        let (mut field, mut quoted, mut given) = (String::new(), false, false);
        let end = loop {
            match chars.next().ok_or_else(wrong)? {
                c @ (',' | ')') if !quoted => break c,
                '\\' => field.push(chars.next().ok_or_else(wrong)?),
                '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
                '"' => (quoted, given) = (!quoted, true),
                c => field.push(c),
            }
        };
        given |= !field.is_empty();
        fields.push(given.then_some(field));
        if end == ')' {
            return if chars.next().is_none() { Ok(fields) } else { Err(wrong()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_shown() {
        let mut place = Place::beginning("abc");
        assert_eq!(Place::parse(&place.to_string()), Some(place.clone()));
        place.batch = 7;
        place.to = Some(("10:20:11,12".to_owned(), (99, 12)));
        assert_eq!(Place::parse(&place.to_string()), Some(place.clone()));
        let ended = place.ended();
        assert_eq!(
            (ended.from.as_str(), ended.to.is_none(), ended.batch),
            ("10:20:11,12", true, 7)
        );
        for wrong in ["", "a", "a x 3:3:", "a 1 3:3: 4:4:", "a 1 3:3: 4:4: 7", "a 1 3:3: 4:4: x 7"]
        {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_portion_is_bounded_and_never_empty() {
        let written = |xid, rows, bytes| Written { last: (0, xid), rows, bytes };
        let mut ahead: VecDeque<_> = [
            written(1, 40_000, 0),
            written(2, 10_000, 0),
            written(3, 1, 0),
            written(4, 1, PORTION_BYTES),
            written(5, 1, 1),
            written(6, 1_000_000, PORTION_BYTES * 9),
            written(7, 1, 1),
        ]
        .into();
        ahead.extend((8..6_000).map(|xid| written(xid, 1, 1)));
        let mut portions = Vec::new();
        while !ahead.is_empty() {
            let taken = portion(&mut ahead);
            portions.push((taken.first().cloned().unwrap_or_default(), taken.len()));
        }
        let wanted = [("1", 2), ("3", 2), ("5", 1), ("6", 1), ("7", 5_000), ("5007", 993)];
        assert_eq!(portions, wanted.map(|(first, n)| (first.to_owned(), n)));
        assert!(portion(&mut ahead).is_empty());
    }

    #[test]
    fn rows_are_read_into_their_fields() {
        let read = |row| {
            let fields = fields(row).map_err(|e| e.to_string())?;
            Ok::<_, String>(fields.iter().map(|f| f.clone().unwrap_or("-".to_owned())).collect())
        };
        let cases: [(&str, &[&str]); 7] = [
            ("()", &["-"]),
            ("(1)", &["1"]),
            ("(,)", &["-", "-"]),
            (r#"(1,"")"#, &["1", ""]),
            (r#"(1,"a ""b"" \\ c, d",)"#, &["1", r#"a "b" \ c, d"#, "-"]),
            ("(\"a\nb\",\"(x)\")", &["a\nb", "(x)"]),
            (r#"("{""a,b"",NULL}",2026)"#, &[r#"{"a,b",NULL}"#, "2026"]),
        ];
        for (row, wanted) in cases {
            let found: Vec<String> = read(row).expect("a row");
            assert_eq!(found, wanted, "{row}");
        }
        for wrong in ["", "1", "(", "(1", "(1,", "(\"1)", "(1)x", "(\\"] {
            assert!(fields(wrong).is_err(), "{wrong}");
        }
    }
}
