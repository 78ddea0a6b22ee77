//! What the way back needs on PostgreSQL, made and taken down.
//!
//! Owns the publication, the slot's name, the replica identities and the two tables
//! `crossfade.way_back_marker` and `crossfade.way_back_tables`. A table whose updates would
//! fail for the application once it is published (no replica identity) is never published.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::schema::Before;
use super::{PUBLICATION, notes, triggers};
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::handover::literal;
use crate::backend::postgres::replication::{Identity, Lsn, Replication};
use crate::backend::postgres::schemas;
use crate::backend::postgres::triggers::OWN_FUNCTIONS;
use crate::clock::Clock;
use crate::error::{Error, Result, state};
use crate::name;
use crate::schema::Relation;

const TABLES: &str = "\
CREATE SCHEMA IF NOT EXISTS crossfade;
CREATE TABLE IF NOT EXISTS crossfade.way_back_marker (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), token text NOT NULL
);
CREATE TABLE IF NOT EXISTS crossfade.way_back_tables (
  name text PRIMARY KEY, signature text NOT NULL, identity_was \"char\" NOT NULL
);
ALTER TABLE crossfade.way_back_tables ADD COLUMN IF NOT EXISTS rest text NOT NULL DEFAULT '';
ALTER TABLE crossfade.way_back_tables ADD COLUMN IF NOT EXISTS own oid;";

/// Name, columns, and the OID of a table that only PostgreSQL has. An older build noted none.
pub(super) const BEFORE: &str =
    "SELECT name, signature, to_jsonb(t)->>'own' FROM crossfade.way_back_tables t";

/// Replica identity, key, and shape of the tables. A table that was dropped and made anew is another
/// one; so is a column that was given its own type once more: USING may have changed every value,
/// which no stream and no trigger tells.
const SHAPES: &str = "\
SELECT $key, c.relreplident::text, \
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate), \
  (SELECT coalesce(string_agg(a.attname || ':' || a.atttypid || ':' || a.atttypmod, ',' \
     ORDER BY a.attnum), '') FROM pg_attribute a \
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), \
  (SELECT t.identity_was::text FROM crossfade.way_back_tables t WHERE t.name = $key), \
  (SELECT md5(coalesce(string_agg(x, E'\\n' ORDER BY x), '')) FROM ( \
     SELECT 'c' || conname || pg_get_constraintdef(oid) x FROM pg_constraint \
       WHERE conrelid = c.oid \
     UNION ALL SELECT 'i' || pg_get_indexdef(indexrelid) FROM pg_index \
       WHERE indrelid = c.oid AND indisunique \
     UNION ALL SELECT 't' || pg_get_triggerdef(oid) FROM pg_trigger \
       WHERE tgrelid = c.oid AND NOT tgisinternal AND tgfoid NOT IN $own \
     UNION ALL SELECT concat_ws(' ', 'p', relid, \
       (SELECT h.xmin FROM pg_inherits h WHERE h.inhrelid = relid)) FROM pg_partition_tree(c.oid) \
     UNION ALL SELECT 'd' || adnum || pg_get_expr(adbin, adrelid) FROM pg_attrdef \
       WHERE adrelid = c.oid \
     UNION ALL SELECT concat_ws(' ', 'n', attnum, attnotnull, attcollation, attidentity, xmin) \
       FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped \
     UNION ALL SELECT concat_ws(' ', 'o', c.oid, c.relpersistence) \
     UNION ALL SELECT 'r' || pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = c.oid \
     UNION ALL SELECT 's' || c.relrowsecurity) r), \
  ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid \
    AND a.attnum = ANY (i.indkey::int2[]) WHERE i.indrelid = c.oid \
    AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END), c.oid \
FROM pg_class c WHERE c.relnamespace IN $ours AND c.relkind IN ('r', 'p') \
  AND c.relpersistence <> 't' AND NOT c.relispartition \
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";

/// Views, free sequences, functions, types and schemas, as one digest.
const OTHERS: &str = "\
SELECT md5(coalesce(string_agg(x, E'\\n' ORDER BY x), '')) FROM ( \
  SELECT 'v' || relnamespace || relname || pg_get_viewdef(oid) x FROM pg_class \
    WHERE relnamespace IN $ours AND relkind IN ('v', 'm') \
  UNION ALL SELECT concat_ws(' ', 's', c.relnamespace, c.relname, q.seqtypid, q.seqincrement, \
      q.seqmin, q.seqmax, q.seqcycle) FROM pg_class c JOIN pg_sequence q ON q.seqrelid = c.oid \
    WHERE c.relnamespace IN $ours \
  UNION ALL SELECT concat_ws(' ', 'e', l.enumtypid, l.enumsortorder, l.enumlabel) \
    FROM pg_enum l JOIN pg_type y ON y.oid = l.enumtypid WHERE y.typnamespace IN $ours \
  UNION ALL SELECT concat_ws(' ', 'k', k.contypid, y.typnotnull, y.typdefault, \
      pg_get_constraintdef(k.oid)) FROM pg_type y LEFT JOIN pg_constraint k ON k.contypid = y.oid \
    WHERE y.typnamespace IN $ours AND y.typtype = 'd' \
  UNION ALL SELECT concat_ws(' ', 'a', c.relname, a.attnum, a.attname, a.atttypid, a.atttypmod) \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
    WHERE c.relnamespace IN $ours AND c.relkind = 'c' AND NOT a.attisdropped \
  UNION ALL SELECT 'f' || p.oid::regprocedure || md5(p.prosrc) FROM pg_proc p \
    WHERE p.pronamespace IN $ours \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') \
  UNION ALL SELECT 'y' || y.typnamespace || y.typname FROM pg_type y \
    WHERE y.typnamespace IN $ours AND y.typtype IN ('e', 'd', 'r') \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = y.oid AND d.deptype = 'e') \
  UNION ALL SELECT 'n' || nspname FROM pg_namespace \
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'crossfade')) r";

/// A query with the schemas that are followed and the key of a table.
fn filled(sql: &str) -> String {
    let key = schemas::key_of("c.relnamespace", "c.relname");
    sql.replace("$ours", schemas::OURS).replace("$key", &key).replace("$own", OWN_FUNCTIONS)
}

/// The row of `crossfade.way_back_tables` that holds it: no table has this name.
const NO_TABLE: &str = "";
/// How often it is looked again for the note of a change, and how soon.
const UNTOLD_TRIES: u32 = 5;
const UNTOLD_AGAIN: Duration = Duration::from_millis(100);

/// What [`super::WayBack::prepare`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The place from which the slot sees everything.
    pub from: Lsn,
    /// Tables without a primary key: their whole old rows are written to the log.
    pub keyless: Vec<String>,
    /// Why a schema change closes the way back; None when it is carried.
    pub unnoted: Option<String>,
}

/// The slot's name: slots are shared by all databases of a server.
pub(super) async fn slot(control: &Control) -> Result<String> {
    let rows = control
        .rows("SELECT oid::text FROM pg_database WHERE datname = current_database()")
        .await?;
    let oid: &str = rows.first().map_or("0", |row| row.get(0));
    Ok(format!("{PUBLICATION}_{oid}"))
}

/// Up to where the slot has been read for good; zero when there is no slot.
pub(super) async fn confirmed(control: &Control, slot: &str) -> Result<Lsn> {
    let sql = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1";
    let row = control.client().query_opt(sql, &[&slot]).await.map_err(|e| control.error(&e))?;
    let text: Option<String> = row.and_then(|row| row.get(0));
    Ok(text.as_deref().and_then(Lsn::parse).unwrap_or_default())
}

struct Shape {
    identity: String,
    has_key: bool,
    signature: String,
    was: Option<String>,
    rest: String,
    /// Columns of the index that tells rows apart in the log.
    key: Vec<String>,
    oid: u32,
}

impl Shape {
    /// Whether SQLite can find a row by what the log says of a changed one: PostgreSQL's key may be
    /// over columns of its own.
    fn tells(&self, relation: &Relation) -> bool {
        let ours = |name: &String| {
            relation.column(name).filter(|c| relation.columns[*c].generated.is_none())
        };
        let known: Vec<usize> = self.key.iter().filter_map(ours).collect();
        known.len() == self.key.len()
            || relation.key().is_some_and(|key| key.iter().all(|c| known.contains(c)))
    }

    /// A statement that notes it; SQLite may not have the table.
    fn noted(&self, name: &str, followed: bool) -> String {
        format!(
            "INSERT INTO crossfade.way_back_tables VALUES ({}, {}, {}, {}, {});",
            literal(name),
            literal(&self.signature),
            literal(self.was.as_ref().unwrap_or(&self.identity)),
            literal(&self.rest),
            if followed { "NULL".to_owned() } else { self.oid.to_string() }
        )
    }

    /// Whether its rows can be updated once they are published.
    fn is_updatable(&self) -> bool {
        match self.identity.as_str() {
            "d" => self.has_key,
            "i" => !self.key.is_empty(),
            "n" => false,
            _ => true,
        }
    }
}

async fn shapes(control: &Control) -> Result<BTreeMap<String, Shape>> {
    let rows = control.rows(&filled(SHAPES)).await?;
    let shape = |row: &tokio_postgres::Row| Shape {
        identity: row.get(1),
        has_key: row.get(2),
        signature: row.get(3),
        was: row.get(4),
        rest: row.get(5),
        key: row.get(6),
        oid: row.get(7),
    };
    Ok(rows.iter().map(|row| (row.get(0), shape(row))).collect())
}

/// The tables that only PostgreSQL has: nobody's business here, but to be known, and to be left
/// updatable.
fn apart<'a>(
    shapes: &'a BTreeMap<String, Shape>,
    tables: &[Arc<Relation>],
) -> Vec<(&'a String, &'a Shape)> {
    let followed: HashSet<&str> = tables.iter().map(|relation| relation.name.as_str()).collect();
    shapes.iter().filter(|(name, _)| !followed.contains(name.as_str())).collect()
}

async fn others(control: &Control) -> Result<String> {
    let rows = control.rows(&filled(OTHERS)).await?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// What was changed on PostgreSQL since [`prepare`] that neither the stream nor a note tells: tables
/// made, dropped or altered, constraints, triggers, views. The table, when it is one, and why.
pub(super) async fn unfollowed(
    control: &Control,
    primary: bool,
) -> Result<Option<(Option<String>, String)>> {
    let there = control.rows("SELECT to_regclass('crossfade.way_back_tables') IS NOT NULL").await?;
    if !there.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(Some((None, "what was prepared on PostgreSQL is gone".to_owned())));
    }
    let noted = notes::are_there(control).await?;
    if primary && noted && !notes::were_on(control).await? {
        let reason = "the event triggers that note schema changes were switched off";
        return Ok(Some((None, reason.to_owned())));
    }
    let changed = match primary && noted {
        true => untold(control).await?,
        false => differs(control, "crossfade.way_back_tables").await?,
    };
    if changed.is_some() || !primary {
        return Ok(changed);
    }
    if !triggers::is_there(control).await? {
        return Ok(unpublished(control).await?.map(|reason| (None, reason)));
    }
    if let Some(name) = triggers::switched_off(control).await? {
        let reason = format!(
            "table {name} had its triggers switched off on PostgreSQL: what was written meanwhile \
             is not known"
        );
        return Ok(Some((Some(name), reason)));
    }
    Ok(None)
}

/// Why the stream leaves out kinds of changes, if it does.
async fn unpublished(control: &Control) -> Result<Option<String>> {
    let sql = format!(
        "SELECT count(*) FROM pg_publication WHERE pubname = '{PUBLICATION}' \
         AND pubinsert AND pubupdate AND pubdelete AND pubtruncate"
    );
    let whole = control.rows(&sql).await?.first().is_some_and(|row| row.get::<_, i64>(0) == 1);
    Ok((!whole).then(|| {
        format!(
            "publication {PUBLICATION} was changed on PostgreSQL: what was written meanwhile is \
             not known"
        )
    }))
}

/// What is another one than was known last, without a note that has come since. What notes may
/// have changed is known from here on.
async fn untold(control: &Control) -> Result<Option<(Option<String>, String)>> {
    for left in (0..UNTOLD_TRIES).rev() {
        control.batch("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        let looked = async {
            let found = differs(control, "crossfade.way_back_now").await?;
            let told = match &found {
                Some(_) => {
                    let sql = "WITH t AS (UPDATE crossfade.way_back_ddl SET told = true \
                               WHERE NOT told RETURNING 1) SELECT count(*) FROM t";
                    control.rows(sql).await?.first().is_some_and(|row| row.get::<_, i64>(0) > 0)
                }
                None => true,
            };
            if found.is_some() && told {
                let (shapes, others) = (shapes(control).await?, others(control).await?);
                let row = |name: &str, signature: &str, rest: &str| {
                    format!("({}, {}, {})", literal(name), literal(signature), literal(rest))
                };
                let mut rows = vec![row(NO_TABLE, "", &others)];
                rows.extend(shapes.iter().map(|(name, s)| row(name, &s.signature, &s.rest)));
                let rows = rows.join(", ");
                let sql = "DELETE FROM crossfade.way_back_now; INSERT INTO crossfade.way_back_now";
                control.batch(&format!("{sql} VALUES {rows}")).await?;
            }
            control.batch("COMMIT").await?;
            Ok::<_, Error>(found.filter(|_| !told))
        };
        match looked.await {
            // Definitions are read as they are now, notes as of the snapshot: a change that is
            // committed just then shows with its note in the next.
            Ok(Some(_)) if left > 0 => {}
            Ok(found) => return Ok(found),
            Err(error) => {
                // Two look at the same time.
                control.batch("ROLLBACK").await?;
                if error.sqlstate() != state::SERIALIZATION_FAILURE || left == 0 {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(UNTOLD_AGAIN).await;
    }
    Ok(None)
}

/// What differs from what a table of ours holds.
async fn differs(control: &Control, from: &str) -> Result<Option<(Option<String>, String)>> {
    let rows = control.rows(&format!("SELECT name, signature, rest FROM {from}")).await?;
    let mut known: BTreeMap<String, (String, String)> =
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let of_others = known.remove(NO_TABLE);
    let now = shapes(control).await?;
    let table = |name: &str, what: &str| {
        Ok(Some((Some(name.to_owned()), format!("table {name} {what} on PostgreSQL"))))
    };
    for (name, shape) in &now {
        match known.remove(name) {
            None => return table(name, "was made"),
            Some((signature, _)) if signature != shape.signature => {
                return table(name, "was changed (DDL)");
            }
            Some((_, rest)) if !rest.is_empty() && rest != shape.rest => {
                return table(name, "has other constraints, defaults or triggers");
            }
            Some(_) => {}
        }
    }
    if let Some(name) = known.keys().next() {
        return table(name, "was dropped");
    }
    match of_others {
        Some((_, before)) if before != others(control).await? => {
            let reason = "views, sequences, functions, types or schemas were changed on PostgreSQL";
            Ok(Some((None, reason.to_owned())))
        }
        _ => Ok(None),
    }
}

/// The tables when the way back was prepared.
pub(super) async fn known(control: &Control) -> Result<Before> {
    let rows = control.rows(BEFORE).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// Whether the way back could be prepared, as far as it shows without making anything.
pub(super) async fn look(control: &Control) -> Result<String> {
    let rows = control
        .rows(
            "SELECT current_setting('wal_level'), r.rolsuper OR r.rolreplication, \
             current_setting('max_replication_slots')::int, \
             (SELECT count(*) FROM pg_replication_slots)::int \
             FROM pg_roles r WHERE r.rolname = current_user",
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(String::new()) };
    let (level, may): (String, bool) = (row.get(0), row.get(1));
    let (slots, used): (i32, i32) = (row.get(2), row.get(3));
    let may = if may { "may replicate" } else { "may not replicate" };
    Ok(format!("wal_level {level}, {may}, {used} of {slots} slots used"))
}

pub(super) async fn prepare(
    control: &Control,
    connector: &Connector,
    tables: &[Arc<Relation>],
    (limit, lasts): (Duration, bool),
) -> Result<Prepared> {
    let level = control.rows("SHOW wal_level").await?;
    if level.first().is_none_or(|row| row.get::<_, &str>(0) != "logical") {
        let message = "PostgreSQL does not write what logical decoding needs";
        return Err(Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .hint("Set wal_level = logical and restart PostgreSQL."));
    }
    take_down(control).await?;
    control.batch(schemas::TABLE).await?;
    control.batch(TABLES).await?;
    let (keyless, unnoted) = publish(control, tables, lasts).await?;
    let slot = slot(control).await?;
    let mut replication = Replication::connect(connector, "crossfade way back").await?;
    let canceller = replication.canceller();
    let made = tokio::time::timeout(limit, replication.create_slot(&slot)).await;
    let from = match made {
        Ok(made) => made?,
        Err(_) => {
            if let Some(canceller) = canceller {
                canceller.cancel().await?;
            }
            drop(replication);
            let message = "the replication slot could not be made in time";
            return Err(Error::shadow(state::QUERY_CANCELED, message)
                .detail("PostgreSQL waits for a transaction that is open there.")
                .hint("Look for old transactions in pg_stat_activity.")
                .retryable());
        }
    };
    replication.close().await;
    Ok(Prepared { from, keyless, unnoted })
}

/// What the trigger journal needs, but for the triggers on the application's tables. Why a schema
/// change closes the way back; None when it is carried.
pub(super) async fn prepare_triggers(
    control: &Control,
    tables: &[Arc<Relation>],
    clock: &Clock,
) -> Result<Option<String>> {
    take_down(control).await?;
    control.batch(schemas::TABLE).await?;
    control.batch(TABLES).await?;
    let (shapes, others) = (shapes(control).await?, others(control).await?);
    let mut sql = format!(
        "BEGIN; INSERT INTO crossfade.way_back_tables VALUES ({}, '', 'n', {});",
        literal(NO_TABLE),
        literal(&others)
    );
    for relation in tables {
        let shape = shapes.get(&relation.name).ok_or_else(|| absent(relation))?;
        sql.push_str(&shape.noted(&relation.name, true));
    }
    apart(&shapes, tables).iter().for_each(|(name, shape)| sql.push_str(&shape.noted(name, false)));
    control.batch(&(sql + "COMMIT;")).await?;
    triggers::make(control, tables, &format!("{:016x}", clock.random_u64())).await?;
    notes::make(control, true).await
}

fn absent(relation: &Relation) -> Error {
    let message = format!("table {} is not on PostgreSQL", relation.name);
    Error::shadow(state::UNDEFINED_TABLE, message)
}

/// Sets replica identities, notes shapes, makes the publication. Tables without a key, and why a
/// schema change closes the way back.
///
/// What does not last, as it is taken down when a marker row has come through, publishes only new rows:
/// a table that loses its key meanwhile could not be updated by anybody, as nothing gives it another
/// replica identity before the event triggers are on.
async fn publish(
    control: &Control,
    tables: &[Arc<Relation>],
    lasts: bool,
) -> Result<(Vec<String>, Option<String>)> {
    let (shapes, others) = (shapes(control).await?, others(control).await?);
    let mut keyless = Vec::new();
    let mut sql = format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; DROP PUBLICATION IF EXISTS {PUBLICATION}; \
         DELETE FROM crossfade.way_back_tables; \
         INSERT INTO crossfade.way_back_tables VALUES ({}, '', 'n', {});",
        literal(NO_TABLE),
        literal(&others)
    );
    let mut published = vec!["crossfade.way_back_marker".to_owned()];
    for relation in tables {
        let shape = shapes.get(&relation.name).ok_or_else(|| absent(relation))?;
        let table = table_name(relation);
        let usable = match shape.identity.as_str() {
            "d" => shape.has_key && shape.tells(relation),
            "i" => shape.tells(relation),
            "n" => false,
            _ => true,
        };
        if !usable {
            let by_key = shape.identity == "n" && shape.has_key && shape.tells(relation);
            let way = if by_key { "DEFAULT" } else { "FULL" };
            sql.push_str(&format!("ALTER TABLE {table} REPLICA IDENTITY {way};"));
        }
        if !shape.has_key {
            keyless.push(relation.name.clone());
        }
        sql.push_str(&shape.noted(&relation.name, true));
        published.push(table);
    }
    let apart = apart(&shapes, tables);
    apart.iter().for_each(|(name, shape)| sql.push_str(&shape.noted(name, false)));
    sql.push_str("COMMIT;");
    as_a_whole(control, &sql).await?;
    let unnoted = notes::make(control, false).await?;
    if unnoted.is_none() {
        let mut sql = String::from("BEGIN; SET LOCAL lock_timeout = '2s';");
        for (name, _) in apart.iter().filter(|(_, shape)| !shape.is_updatable()) {
            let table = name::quoted(name);
            sql.push_str(&format!("ALTER TABLE {table} REPLICA IDENTITY FULL;"));
        }
        as_a_whole(control, &(sql + "COMMIT;")).await?;
        // New tables are published as soon as they are there.
        let schemas = schemas::OURS;
        let sql = format!("SELECT nspname::text FROM pg_namespace WHERE oid IN {schemas}");
        let rows = control.rows(&sql).await?;
        let names: Vec<String> = rows.iter().map(|row| quoted(row.get(0))).collect();
        published.truncate(1);
        published.push("crossfade.way_back_ddl".to_owned());
        published.push(format!("TABLES IN SCHEMA {}", names.join(", ")));
    }
    let all = if lasts { "" } else { ", publish = 'insert'" };
    let sql = format!(
        "CREATE PUBLICATION {PUBLICATION} FOR TABLE {} WITH (publish_via_partition_root = true{all})",
        published.join(", ")
    );
    control.batch(&sql).await?;
    Ok((keyless, unnoted))
}

/// Statements of one transaction.
async fn as_a_whole(control: &Control, sql: &str) -> Result<()> {
    let Err(error) = control.batch(sql).await else { return Ok(()) };
    control.batch("ROLLBACK").await?;
    Err(error)
}

/// Drops the slot, ending whoever reads it.
async fn take_down_slot(control: &Control) -> Result<()> {
    let slot = slot(control).await?;
    for _ in 0..100 {
        let find = format!(
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name = {}",
            literal(&slot)
        );
        let rows = control.rows(&find).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        if let Some(pid) = row.get::<_, Option<i32>>(0) {
            control.rows(&format!("SELECT pg_terminate_backend({pid})")).await?;
        } else {
            let drop = format!("SELECT pg_drop_replication_slot({})", literal(&slot));
            match control.rows(&drop).await {
                Ok(_) => return Ok(()),
                Err(error) if error.sqlstate() == state::OBJECT_IN_USE => {}
                Err(error) => return Err(error),
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Error::shadow(state::OBJECT_IN_USE, format!("replication slot {slot} stays in use")))
}

/// What PostgreSQL keeps for the way back: rows of the journal, or log; in bytes.
pub(super) async fn kept(control: &Control) -> Result<u64> {
    if triggers::is_there(control).await? {
        return Ok(u64::try_from(triggers::kept(control).await?).unwrap_or(0));
    }
    let sql = format!(
        "SELECT (pg_current_wal_lsn() - restart_lsn)::bigint FROM pg_replication_slots \
         WHERE slot_name = {}",
        literal(&slot(control).await?)
    );
    let rows = control.rows(&sql).await?;
    let kept = rows.first().and_then(|row| row.get::<_, Option<i64>>(0));
    Ok(kept.and_then(|kept| u64::try_from(kept).ok()).unwrap_or(0))
}

/// Which server this is, and how far its log is on its disk.
pub(super) async fn identity(control: &Control) -> Result<Identity> {
    let rows = control
        .rows(
            "SELECT (SELECT system_identifier FROM pg_control_system()), \
             ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int",
        )
        .await?;
    let row = rows.first().ok_or_else(|| Error::internal("PostgreSQL does not say who it is"))?;
    Ok(Identity {
        // The identifier is a 64-bit pattern shown as a signed number.
        system: row.get::<_, i64>(0).cast_unsigned(),
        timeline: u32::try_from(row.get::<_, i32>(1)).unwrap_or(0),
        flushed: Lsn(control.flushed_lsn().await?),
    })
}

pub(super) async fn take_down(control: &Control) -> Result<()> {
    notes::silence(control).await?;
    triggers::take_down(control).await?;
    take_down_slot(control).await?;
    control.batch(&format!("DROP PUBLICATION IF EXISTS {PUBLICATION}")).await?;
    let there = control.rows("SELECT to_regclass('crossfade.way_back_tables') IS NOT NULL").await?;
    if !there.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(());
    }
    control.batch(schemas::TABLE).await?;
    let mut changed = "SELECT t.name, t.identity_was::text FROM crossfade.way_back_tables t \
             JOIN pg_class c ON $key = t.name AND c.relnamespace IN $ours \
             WHERE c.relreplident <> t.identity_was AND t.identity_was IN ('d', 'n')"
        .to_owned();
    if notes::are_there(control).await? {
        changed += " UNION SELECT $key, i.was::text FROM crossfade.way_back_identity i \
             JOIN pg_class c ON c.oid = i.relid AND c.relnamespace IN $ours \
             WHERE c.relreplident <> i.was AND i.was IN ('d', 'n')";
    }
    let changed = control.rows(&filled(&changed)).await?;
    let mut sql = String::from("BEGIN; SET LOCAL lock_timeout = '2s';");
    for row in &changed {
        let way = if row.get::<_, &str>(1) == "n" { "NOTHING" } else { "DEFAULT" };
        let table = name::quoted(row.get(0));
        sql.push_str(&format!("ALTER TABLE {table} REPLICA IDENTITY {way};"));
    }
    sql.push_str(notes::TAKE_DOWN);
    sql.push_str(
        "DROP TABLE IF EXISTS crossfade.way_back_marker, crossfade.way_back_tables; COMMIT;",
    );
    as_a_whole(control, &sql).await
}

/// A marker row in a synchronous commit: everything committed before is flushed with it,
/// those with synchronous_commit off included.
pub(super) async fn mark(control: &Control, token: &str) -> Result<()> {
    control
        .batch(&format!(
            "BEGIN; SET LOCAL synchronous_commit = on; \
             INSERT INTO crossfade.way_back_marker (token) VALUES ({}) \
             ON CONFLICT (one) DO UPDATE SET token = EXCLUDED.token; COMMIT",
            literal(token)
        ))
        .await
}

pub(super) async fn place(control: &Control) -> Result<Lsn> {
    mark(control, "place").await?;
    control.flushed_lsn().await.map(Lsn)
}
