//! The trigger journal: where PostgreSQL's log cannot be read, its own triggers write every
//! changed row once more.
//!
//! Owns the tables, functions and triggers of it on PostgreSQL, made and taken down. The row
//! triggers are made before a switch, switched off, and switched on by the decision itself; they
//! act whatever `session_replication_role` is. They name no column, so that a change of a table's
//! definition neither fails because of them nor makes the application's writes fail. What a row
//! holds is written in text forms that no setting of a client changes. It must never let a trigger
//! that was off for a while pass for one that was on. Start at [`make`].

use std::sync::Arc;
use std::time::Duration;

use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::handover::literal;
use crate::backend::postgres::schemas;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::name;
use crate::schema::Relation;

/// The number of our own marker's shape.
pub(super) const MARKER: i32 = 0;
/// The same of a note of a schema change.
pub(super) const NOTE: i32 = -1;
/// The triggers' names on every table, quoted. Triggers fire by name: ours before the application's
/// own, whose changes come after the one that fired them.
pub(super) const ROW: &str = "\"!crossfade_way_back\"";
pub(super) const EMPTIED: &str = "\"!crossfade_way_back_emptied\"";

/// `rel` and the places tell which version of a row a change made and which it ended: the order
/// within a transaction. A filenode, since a rewritten table numbers its rows anew. `n` is where
/// PostgreSQL's log stands: it rises with every row of the journal and with every commit that somebody
/// waited for, and takes no sequence, which the application would see in lastval().
const JOURNAL: &str = "\
CREATE TABLE crossfade.way_back_journal (
  xid xid8 NOT NULL, n bigint NOT NULL, op \"char\" NOT NULL, shape integer NOT NULL,
  rel oid NOT NULL, old_at tid, new_at tid, old text, new text, PRIMARY KEY (xid, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000);
CREATE TABLE crossfade.way_back_shapes (
  id integer PRIMARY KEY, relid oid NOT NULL, schema name NOT NULL, name name NOT NULL,
  key text NOT NULL, columns text NOT NULL
);
CREATE TABLE crossfade.way_back_progress (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), token text NOT NULL,
  batch bigint NOT NULL DEFAULT 0, trimmed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE FUNCTION crossfade.way_back_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER $set
AS $crossfade$ BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO crossfade.way_back_journal VALUES (pg_current_xact_id(),
      $n, 'I', TG_ARGV[0]::integer, pg_relation_filenode(TG_RELID),
      NULL, NEW.ctid, NULL, textin(record_out(NEW)));
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO crossfade.way_back_journal VALUES (pg_current_xact_id(),
      $n, 'U', TG_ARGV[0]::integer, pg_relation_filenode(TG_RELID),
      OLD.ctid, NEW.ctid, textin(record_out(OLD)), textin(record_out(NEW)));
  ELSE
    INSERT INTO crossfade.way_back_journal VALUES (pg_current_xact_id(),
      $n, 'D', TG_ARGV[0]::integer, pg_relation_filenode(TG_RELID),
      OLD.ctid, NULL, textin(record_out(OLD)), NULL);
  END IF;
  RETURN NULL;
END $crossfade$;
CREATE FUNCTION crossfade.way_back_emptied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER $set
AS $crossfade$ BEGIN
  INSERT INTO crossfade.way_back_journal VALUES (pg_current_xact_id(),
    $n, CASE WHEN TG_ARGV[0]::integer < 0 THEN 'P' ELSE 'T' END,
    abs(TG_ARGV[0]::integer), coalesce(pg_relation_filenode(TG_RELID), 0), NULL, NULL, NULL, NULL);
  RETURN NULL;
END $crossfade$;
REVOKE ALL ON FUNCTION crossfade.way_back_row(), crossfade.way_back_emptied() FROM PUBLIC;
CREATE TRIGGER \"!crossfade_way_back\" AFTER INSERT OR UPDATE OR DELETE ON crossfade.way_back_marker
  FOR EACH ROW EXECUTE FUNCTION crossfade.way_back_row('0');
ALTER TABLE crossfade.way_back_marker ENABLE ALWAYS TRIGGER \"!crossfade_way_back\";
INSERT INTO crossfade.way_back_shapes
  VALUES (0, 'crossfade.way_back_marker'::regclass, 'crossfade', 'way_back_marker', '', '[]');";

/// The settings under which a row is written; the text forms are those of our own connections.
const SET: &str = "\
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, MDY' SET intervalstyle = postgres \
SET extra_float_digits = 1 SET bytea_output = hex SET timezone = 'UTC'";

/// How long a trigger that is made waits for a table, and one that goes: whoever comes meanwhile waits
/// behind it, readers too.
const LOCK: &str = "1s";
const SHORT_LOCK: &str = "50ms";
/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// The functions made to write nothing, without a lock on any table, and what they wrote removed.
const SILENT: &str = "\
DO $crossfade$ BEGIN
  IF to_regclass('crossfade.way_back_journal') IS NULL THEN RETURN; END IF;
  CREATE OR REPLACE FUNCTION crossfade.way_back_row() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RETURN NULL; END';
  CREATE OR REPLACE FUNCTION crossfade.way_back_emptied() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RETURN NULL; END';
END $crossfade$;";

/// Our functions, whether they are there or not.
const FUNCTIONS: &str = "\
(SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = to_regnamespace('crossfade') \
 AND p.proname IN ('way_back_row', 'way_back_emptied'))";

/// Numbers the tables and notes their columns, in the order in which a row shows them.
const SHAPES: &str = "\
INSERT INTO crossfade.way_back_shapes \
SELECT row_number() OVER (ORDER BY c.oid), c.oid, s.nspname, c.relname, $key, \
  (SELECT coalesce(json_agg(json_build_array(a.attname, a.atttypid::bigint, a.atttypmod) \
     ORDER BY a.attnum), '[]')::text FROM pg_attribute a \
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) \
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.relnamespace IN $ours \
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND $key = ANY ($1::text[])";

/// Whether the journal is there: what was prepared is the trigger journal.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn is_there(control: &Control) -> Result<bool> {
    let there =
        control.rows("SELECT to_regclass('crossfade.way_back_progress') IS NOT NULL").await?;
    Ok(there.first().is_some_and(|row| row.get(0)))
}

/// Makes the journal, and no trigger but the marker's: proves the right to make the others. The
/// schema's own tables are there.
pub(super) async fn make(control: &Control, tables: &[Arc<Relation>], token: &str) -> Result<()> {
    let keys: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; {} INSERT INTO crossfade.way_back_progress (token) \
         VALUES ({});",
        JOURNAL
            .replace("$set", SET)
            .replace("$n", "(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"),
        literal(token)
    );
    let made = async {
        control.batch(&sql).await?;
        let shapes = filled(SHAPES);
        control.client().execute(&shapes, &[&keys]).await.map_err(|e| control.error(&e))?;
        not_ours(control).await?;
        control.batch("COMMIT").await
    };
    if let Err(error) = made.await {
        control.batch("ROLLBACK").await?;
        return Err(error);
    }
    Ok(())
}

/// A table that belongs to somebody else takes no trigger from us.
async fn not_ours(control: &Control) -> Result<()> {
    let rows = control
        .rows(
            "SELECT min(s.key) FROM crossfade.way_back_shapes s JOIN pg_class c ON c.oid = s.relid \
             WHERE NOT pg_has_role(current_user, c.relowner, 'USAGE')",
        )
        .await?;
    match rows.first().and_then(|row| row.get::<_, Option<&str>>(0)) {
        None => Ok(()),
        Some(table) => Err(Error::shadow(
            state::INSUFFICIENT_PRIVILEGE,
            format!("table {table} belongs to another role: no trigger may be put on it"),
        )
        .hint("Let the control role own the tables, or be a member of the role that does.")),
    }
}

/// Puts the triggers on the tables, switched off. One table at a time: whoever writes meanwhile
/// waits for one only, and never in a circle.
pub(super) async fn attach(control: &Control) -> Result<()> {
    let rows = control
        .rows(
            "SELECT s.id, s.key, p.partition FROM crossfade.way_back_shapes s CROSS JOIN LATERAL \
             (SELECT NULL::text AS partition UNION ALL \
              SELECT format('%I.%I', n.nspname, c.relname) FROM pg_partition_tree(s.relid) t \
              JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.oid <> s.relid) p WHERE s.id > 0 ORDER BY 1, 3 NULLS FIRST",
        )
        .await?;
    for row in &rows {
        let (id, partition): (i32, Option<String>) = (row.get(0), row.get(2));
        let sql = match partition {
            // Its rows' triggers are those of the whole; emptying it alone is told apart.
            Some(partition) => trigger(&partition, EMPTIED, &format!("-{id}")),
            None => {
                let table = name::quoted(row.get(1));
                let id = id.to_string();
                trigger(&table, ROW, &id) + &trigger(&table, EMPTIED, &id)
            }
        };
        in_turn(control, &sql, LOCK).await?;
    }
    // Those that the partitions have by inheritance are on still.
    in_turn(control, &each("DISABLE", "O"), LOCK).await?;
    failpoint!("way_back.attached");
    Ok(())
}

fn trigger(table: &str, name: &str, argument: &str) -> String {
    let (when, how, function) = match name {
        ROW => ("INSERT OR UPDATE OR DELETE", "ROW", "way_back_row"),
        _ => ("TRUNCATE", "STATEMENT", "way_back_emptied"),
    };
    format!(
        "CREATE TRIGGER {name} AFTER {when} ON {table} FOR EACH {how} \
         EXECUTE FUNCTION crossfade.{function}('{argument}'); \
         ALTER TABLE {table} DISABLE TRIGGER {name};"
    )
}

/// One short transaction, tried again when somebody is in the way.
async fn in_turn(control: &Control, sql: &str, lock: &str) -> Result<()> {
    let mut left = 5;
    loop {
        let sql = format!("BEGIN; SET LOCAL lock_timeout = '{lock}'; {sql} COMMIT;");
        let Err(error) = control.batch(&sql).await else { return Ok(()) };
        control.batch("ROLLBACK").await?;
        left -= 1;
        let busy = matches!(error.sqlstate().as_str(), "55P03" | "40P01");
        if !busy || left == 0 {
            return Err(error);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A statement that does something to each of our triggers of the application's tables that is in
/// this state.
fn each(word: &str, state: &str) -> String {
    format!(
        "DO $crossfade$ DECLARE one record; BEGIN \
         FOR one IN SELECT s.nspname, c.relname, t.tgname FROM pg_catalog.pg_trigger t \
           JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid \
           JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace \
           WHERE t.tgfoid IN {FUNCTIONS} AND s.nspname <> 'crossfade' AND t.tgenabled = '{state}' \
           ORDER BY c.oid LOOP \
         EXECUTE pg_catalog.format('ALTER TABLE ONLY %I.%I {word} TRIGGER %I', one.nspname, \
           one.relname, one.tgname); END LOOP; END $crossfade$;"
    )
}

/// Statements of the decision that switch the triggers on, whoever writes. What the journal holds
/// before it came from SQLite.
pub(super) fn opening() -> String {
    each("ENABLE ALWAYS", "D") + "DELETE FROM crossfade.way_back_journal;"
}

/// A table whose triggers are not all on: what was written meanwhile nobody knows.
pub(super) async fn switched_off(control: &Control) -> Result<Option<String>> {
    let sql = format!(
        "SELECT min(s.key) FROM crossfade.way_back_shapes s CROSS JOIN LATERAL \
         (SELECT s.relid AS oid UNION SELECT t.relid FROM pg_partition_tree(s.relid) t) p \
         WHERE s.id > 0 AND EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relid) AND \
         (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = p.oid AND t.tgenabled = 'A' \
            AND t.tgfoid IN {FUNCTIONS}) < 2"
    );
    Ok(control.rows(&sql).await?.first().and_then(|row| row.get(0)))
}

/// What the journal takes on disk.
pub(super) async fn kept(control: &Control) -> Result<i64> {
    let sql = "SELECT pg_total_relation_size('crossfade.way_back_journal')";
    Ok(control.rows(sql).await?.first().map_or(0, |row| row.get(0)))
}

/// Takes down triggers, functions and journal. Nothing where there is nothing.
pub(super) async fn take_down(control: &Control) -> Result<()> {
    in_turn(control, SILENT, SHORT_LOCK).await?;
    let rows = control
        .rows(&format!(
            "SELECT s.nspname::text, c.relname::text, t.tgname::text FROM pg_trigger t \
             JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace s ON s.oid = c.relnamespace \
             WHERE t.tgfoid IN {FUNCTIONS} AND t.tgparentid = 0 ORDER BY c.oid"
        ))
        .await?;
    for row in &rows {
        let (schema, table) = (quoted(row.get(0)), quoted(row.get(1)));
        let name = quoted(row.get(2));
        let sql = format!("DROP TRIGGER IF EXISTS {name} ON {schema}.{table};");
        in_turn(control, &sql, SHORT_LOCK).await?;
    }
    in_turn(
        control,
        "DROP FUNCTION IF EXISTS crossfade.way_back_row(), crossfade.way_back_emptied(); \
         DROP TABLE IF EXISTS crossfade.way_back_journal, crossfade.way_back_shapes, \
         crossfade.way_back_progress;",
        LOCK,
    )
    .await
}

fn filled(sql: &str) -> String {
    let key = schemas::key_of("c.relnamespace", "c.relname");
    sql.replace("$ours", schemas::OURS).replace("$key", &key)
}
