//! Notes of schema changes, written by event triggers on PostgreSQL.
//!
//! Owns the event triggers, their functions and tables, made and taken down. A note is written in
//! the transaction of the change: the client's text, the settings that its meaning depends on, the
//! changed tables as they are then. The triggers exist switched off until the decision, and only
//! with the right to make them; without it a schema change closes the way back. What goes wrong in
//! them must never make the application's statement fail: then that is what is noted. Start at
//! [`make`].

use crate::backend::postgres::control::Control;
use crate::backend::postgres::{picture, schemas};
use crate::error::Result;

/// The tables with the notes, and with what must be put back.
const TABLES: &str = "\
CREATE TABLE crossfade.way_back_ddl (
  xid xid8 NOT NULL, n bigint NOT NULL, note text NOT NULL, told boolean NOT NULL DEFAULT false,
  PRIMARY KEY (xid, n)
);
CREATE TABLE crossfade.way_back_identity (relid oid PRIMARY KEY, was \"char\" NOT NULL);
CREATE TABLE crossfade.way_back_watch (name name PRIMARY KEY, since text NOT NULL);
CREATE TABLE crossfade.way_back_now AS
  SELECT name, signature, rest FROM crossfade.way_back_tables;";

/// What the client has set is read here, before other settings hold: every name is said with its
/// schema, and there is no operator. `crossfade.way_back_note` does the rest.
const OUTER: &str = "\
CREATE FUNCTION crossfade.way_back_changed() RETURNS event_trigger LANGUAGE plpgsql
SECURITY DEFINER SET lc_messages = 'C' AS $crossfade$
#variable_conflict error
DECLARE frames pg_catalog.text;
BEGIN
  GET DIAGNOSTICS frames = PG_CONTEXT;
  PERFORM crossfade.way_back_note(TG_EVENT, TG_TAG, frames,
    pg_catalog.current_setting('search_path'), pg_catalog.current_setting('role'),
    pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'),
    pg_catalog.current_setting('standard_conforming_strings'));
EXCEPTION WHEN OTHERS THEN
  BEGIN
    PERFORM crossfade.way_back_lost(TG_TAG, SQLERRM);
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
END $crossfade$;";

/// Notes what concerns a schema that is followed. A table whose updates would fail once they are
/// published is given a replica identity before anybody can update it.
const INNER: &str = "\
CREATE FUNCTION crossfade.way_back_note(event text, tag text, frames text, path text, caller text,
  zone text, dates text, strings text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $crossfade$
#variable_conflict error
DECLARE
  changed oid[] := '{}';
  pass boolean := false;
  one record;
  made record;
BEGIN
  -- What this function itself does to the table.
  IF frames LIKE E'%\\nPL/pgSQL function crossfade.way_back_note(%' THEN RETURN; END IF;
  IF tag !~ $tags THEN RETURN; END IF;
  IF length(current_query()) > $longest THEN
    RAISE EXCEPTION 'its text is longer than % characters', $longest;
  END IF;
  IF tag IN ('GRANT', 'REVOKE') THEN
    changed := '{0}';
  ELSIF event = 'sql_drop' THEN
    IF tag NOT LIKE 'DROP %' THEN RETURN; END IF;
    PERFORM FROM pg_event_trigger_dropped_objects() d
      WHERE d.original AND NOT d.is_temporary AND (d.object_type IN ('schema', 'extension')
        OR coalesce(d.schema_name, d.address_names[1]) IN (SELECT $names));
    IF NOT FOUND THEN RETURN; END IF;
  ELSE
    -- A script of an extension is not the client's text.
    PERFORM FROM pg_event_trigger_ddl_commands() c HAVING bool_and(c.in_extension);
    IF FOUND THEN RETURN; END IF;
    FOR one IN SELECT c.classid, c.objid, c.object_type, c.object_identity, coalesce(c.schema_name,
        (SELECT s.nspname FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace
         WHERE r.oid = CASE c.classid
           WHEN 'pg_trigger'::regclass THEN (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = c.objid)
           WHEN 'pg_rewrite'::regclass THEN (SELECT t.ev_class FROM pg_rewrite t WHERE t.oid = c.objid)
           WHEN 'pg_policy'::regclass THEN (SELECT t.polrelid FROM pg_policy t WHERE t.oid = c.objid)
         END)) AS schema
      FROM pg_event_trigger_ddl_commands() c WHERE NOT c.in_extension
    LOOP
      IF tag = 'CREATE SCHEMA' AND one.object_type = 'schema' THEN
        INSERT INTO crossfade.schemas SELECT s.nspname FROM pg_namespace s WHERE s.oid = one.objid
          ON CONFLICT DO NOTHING;
        $publish
      END IF;
      IF one.object_type IN ('schema', 'extension') OR one.schema IN (SELECT $names) THEN
        changed := changed || CASE one.classid WHEN 'pg_class'::regclass THEN one.objid ELSE 0 END;
      END IF;
    END LOOP;
    IF changed = '{}' THEN
      -- Nobody's business, or nothing was done: but it has a place among others of its text.
      IF frames ~ E'\\n' OR position(';' IN rtrim(current_query(), E'; \\t\\r\\n')) = 0 THEN
        RETURN;
      END IF;
      pass := true;
    END IF;
  END IF;
  FOR one IN SELECT c.oid, s.nspname, c.relname, c.relreplident, c.relpersistence,
      EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS keyed,
      (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident) AS chosen
    FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE c.oid = ANY (changed) AND c.relkind IN ('r', 'p') ORDER BY c.oid
  LOOP
    IF one.relpersistence <> 'p' THEN
      RAISE EXCEPTION 'table %.% is not in the log', one.nspname, one.relname;
    END IF;
    IF one.relreplident = 'n' OR (one.relreplident = 'd' AND NOT one.keyed)
        OR (one.relreplident = 'i' AND one.chosen = 0) THEN
      INSERT INTO crossfade.way_back_identity VALUES (one.oid, one.relreplident)
        ON CONFLICT DO NOTHING;
      EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', one.nspname, one.relname);
    END IF;
  END LOOP;
  $triggers
  SELECT pg_current_xact_id() AS xid, $n AS n, jsonb_build_object('tag', tag,
    'query', current_query(), 'frames', frames, 'path', path,
    'caller', CASE caller WHEN 'none' THEN session_user ELSE caller END,
    'zone', zone, 'dates', dates, 'strings', strings, 'pass', pass,
    'at', (extract(epoch FROM statement_timestamp()) * 1000000)::bigint - 946684800000000,
    'began', (extract(epoch FROM now()) * 1000000)::bigint - 946684800000000,
    'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('relid', c.oid::bigint,
        'schema', s.nspname, 'name', c.relname, 'partition', c.relispartition, 'id', $id,
        'columns', (SELECT coalesce(jsonb_agg(jsonb_build_array(a.attname, a.atttypid::bigint,
            a.atttypmod, a.attgenerated <> '') ORDER BY a.attnum), '[]')
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))),
        '[]')
      FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE c.oid = ANY (changed) AND c.relkind IN ('r', 'p')))::text AS note INTO made;
  $write
  $rows
END $crossfade$;
CREATE FUNCTION crossfade.way_back_lost(tag text, why text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict error
DECLARE
  pass boolean := false;
  made record;
BEGIN
  SELECT pg_current_xact_id() AS xid, $n AS n, jsonb_build_object('tag', tag,
    'query', left(current_query(), $longest), 'lost', why)::text AS note INTO made;
  $write
END $crossfade$;
REVOKE ALL ON FUNCTION crossfade.way_back_changed(), crossfade.way_back_lost(text, text),
  crossfade.way_back_note(text, text, text, text, text, text, text, text) FROM PUBLIC;";

/// Kinds of objects that SQLite can have too.
const TAGS: &str = "'^(CREATE|ALTER|DROP|REFRESH) (TABLE|INDEX|VIEW|MATERIALIZED VIEW|SEQUENCE|TYPE\
    |DOMAIN|FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|TRIGGER|RULE|POLICY|SCHEMA|EXTENSION|OWNED)( AS)?$\
    |^(SELECT INTO|COMMENT|GRANT|REVOKE)$'";

const WRITE: &str =
    "INSERT INTO crossfade.way_back_ddl VALUES (made.xid, made.n, made.note, pass);";

/// Where nothing is decoded, notes stand among the rows.
const WRITE_JOURNAL: &str = "INSERT INTO crossfade.way_back_journal
    VALUES (made.xid, made.n, 'S', $note, 0, NULL, NULL, NULL, made.note);";

/// A new schema is published as a whole, as the others are.
const PUBLISH: &str =
    "EXECUTE format('ALTER PUBLICATION $name ADD TABLES IN SCHEMA %s', one.object_identity);";

/// A new table's row triggers, and the rows that it was made with.
const NEW_TRIGGERS: &str = "\
FOR one IN SELECT c.oid, s.nspname, c.relname, (1073741824 + c.oid::bigint % 1073741824)::integer AS id
    FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE c.oid = ANY (changed) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM crossfade.way_back_shapes f WHERE f.relid = c.oid)
    AND NOT EXISTS (SELECT FROM crossfade.way_back_tables b WHERE b.own = c.oid) ORDER BY c.oid
  LOOP
    INSERT INTO crossfade.way_back_shapes VALUES (one.id, one.oid, one.nspname, one.relname,
      CASE one.nspname WHEN 'public' THEN one.relname::text
        ELSE E'\\x1e' || one.nspname || E'\\x1f' || one.relname END, '[]');
    EXECUTE format('CREATE TRIGGER $row AFTER INSERT OR UPDATE OR DELETE ON %1$I.%2$I FOR EACH ROW '
      'EXECUTE FUNCTION crossfade.way_back_row(%3$L); '
      'CREATE TRIGGER $emptied AFTER TRUNCATE ON %1$I.%2$I FOR EACH STATEMENT '
      'EXECUTE FUNCTION crossfade.way_back_emptied(%3$L); '
      'ALTER TABLE %1$I.%2$I ENABLE ALWAYS TRIGGER $row, ENABLE ALWAYS TRIGGER $emptied',
      one.nspname, one.relname, one.id);
  END LOOP;
  FOR one IN SELECT s.nspname, c.relname, f.id FROM pg_class c
    JOIN pg_namespace s ON s.oid = c.relnamespace
    JOIN crossfade.way_back_shapes f ON f.relid = pg_partition_root(c.oid)
    WHERE c.oid = ANY (changed) AND c.relispartition AND tag = 'CREATE TABLE'
  LOOP
    EXECUTE format('CREATE TRIGGER $emptied AFTER TRUNCATE ON %1$I.%2$I FOR EACH STATEMENT '
      'EXECUTE FUNCTION crossfade.way_back_emptied(%3$L); '
      'ALTER TABLE %1$I.%2$I ENABLE ALWAYS TRIGGER $row, ENABLE ALWAYS TRIGGER $emptied',
      one.nspname, one.relname, -one.id);
  END LOOP;";

const NEW_ROWS: &str = "\
IF tag IN ('CREATE TABLE AS', 'SELECT INTO') THEN
    FOR one IN SELECT c.oid, s.nspname, c.relname, f.id FROM pg_class c
      JOIN pg_namespace s ON s.oid = c.relnamespace
      JOIN crossfade.way_back_shapes f ON f.relid = c.oid WHERE c.oid = ANY (changed)
    LOOP
      EXECUTE format('INSERT INTO crossfade.way_back_journal SELECT pg_current_xact_id(), $m, '
        '''I'', %L, pg_relation_filenode(%L), NULL, t.ctid, NULL, textin(record_out(t)) '
        'FROM %I.%I t', one.id, one.oid, one.nspname, one.relname);
    END LOOP;
  END IF;";

/// Characters of a client's text: each of its changes is noted with all of it.
const LONGEST: usize = 262_144;

/// The place in PostgreSQL's log: it rises, and takes no sequence.
const N: &str = "(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";

/// The two event triggers.
const NAMES: [(&str, &str); 2] =
    [("crossfade_way_back", "ddl_command_end"), ("crossfade_way_back_drop", "sql_drop")];

/// Makes tables, functions, and the event triggers, switched off. Why they could not be made; None
/// when they were. What is noted in `crossfade.way_back_tables` is there.
///
/// # Errors
/// When the connection is lost.
pub(super) async fn make(control: &Control, triggers: bool) -> Result<Option<String>> {
    if let Some(why) = hindered(control, triggers).await? {
        return Ok(Some(why));
    }
    let made = async {
        control.batch("BEGIN; SET LOCAL lock_timeout = '2s'").await?;
        control.batch(TABLES).await?;
        picture::keep(control, PICTURE).await?;
        control.batch(OUTER).await?;
        control.batch(&functions(triggers)).await?;
        for (name, event) in NAMES {
            let sql = format!(
                "CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION \
                 crossfade.way_back_changed(); ALTER EVENT TRIGGER {name} DISABLE"
            );
            control.batch(&sql).await?;
        }
        control.batch("COMMIT").await
    };
    let Err(error) = made.await else { return Ok(None) };
    if control.is_closed() {
        return Err(error);
    }
    control.batch("ROLLBACK").await?;
    Ok(Some(error.message().to_owned()))
}

/// Where the picture of before the switch is kept.
const PICTURE: &str = "crossfade.way_back_picture";

fn functions(triggers: bool) -> String {
    let note = super::triggers::NOTE.to_string();
    let (publish, made, rows, id, write) = match triggers {
        true => (
            "",
            NEW_TRIGGERS.replace("$row", super::triggers::ROW),
            NEW_ROWS,
            "(SELECT f.id FROM crossfade.way_back_shapes f WHERE f.relid = c.oid)",
            format!("{WRITE}\n  {}", WRITE_JOURNAL.replace("$note", &note)),
        ),
        false => (PUBLISH, String::new(), "", "NULL", WRITE.to_owned()),
    };
    INNER
        .replace("$publish", &publish.replace("$name", super::PUBLICATION))
        .replace("$triggers", &made.replace("$emptied", super::triggers::EMPTIED))
        .replace("$write", &write)
        .replace("$rows", rows)
        .replace("$id", id)
        .replace("$names", "'public'::name UNION SELECT h.name FROM crossfade.schemas h")
        .replace("$tags", TAGS)
        .replace("$longest", &LONGEST.to_string())
        .replace("$m", &N.replace('\'', "''"))
        .replace("$n", N)
}

/// What is in the way, as far as it shows.
async fn hindered(control: &Control, triggers: bool) -> Result<Option<String>> {
    let rows = control
        .rows(&format!(
            "SELECT current_setting('server_version_num')::int >= 150000, \
             (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user), \
             EXISTS (SELECT FROM pg_class c WHERE c.relnamespace IN {0} AND c.relkind IN ('r', 'p') \
               AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') \
               AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)), \
             EXISTS (SELECT FROM pg_class c WHERE c.relnamespace IN {0} AND c.relkind = 'r' \
               AND c.relpersistence = 'u')",
            schemas::OURS
        ))
        .await?;
    let is = |i: usize| rows.first().is_some_and(|row| row.get::<_, bool>(i));
    // Schemas as a whole are published from there on; their tables must be updatable then.
    let why = match () {
        () if !is(1) => "the control role is no superuser",
        () if triggers => return Ok(None),
        () if !is(0) => "PostgreSQL is older than 15",
        () if is(2) => "an extension has a table without a key",
        () if is(3) => "a table is unlogged",
        () => return Ok(None),
    };
    Ok(Some(why.to_owned()))
}

/// Whether schema changes are noted.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn are_there(control: &Control) -> Result<bool> {
    let there = control.rows("SELECT to_regclass('crossfade.way_back_ddl') IS NOT NULL").await?;
    Ok(there.first().is_some_and(|row| row.get(0)))
}

/// Statements of the decision that switch the event triggers on, whoever changes something.
pub(super) fn opening() -> String {
    let enable = NAMES.map(|(name, _)| format!("ALTER EVENT TRIGGER {name} ENABLE ALWAYS; "));
    format!(
        "DELETE FROM crossfade.way_back_ddl; DELETE FROM crossfade.way_back_watch; {} \
         INSERT INTO crossfade.way_back_watch SELECT evtname, xmin::text FROM pg_event_trigger \
         WHERE evtname IN ({}); ",
        enable.concat(),
        NAMES.map(|(name, _)| format!("'{name}'")).join(", ")
    )
}

/// Whether the event triggers have been on, and the same, ever since the decision.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn were_on(control: &Control) -> Result<bool> {
    let sql = "SELECT count(*) = 2 FROM crossfade.way_back_watch w JOIN pg_event_trigger e \
               ON e.evtname = w.name AND e.xmin::text = w.since AND e.evtenabled = 'A'";
    Ok(control.rows(sql).await?.first().is_some_and(|row| row.get(0)))
}

/// Whether something was noted.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn any(control: &Control) -> Result<bool> {
    if !are_there(control).await? {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT FROM crossfade.way_back_ddl)";
    Ok(control.rows(sql).await?.first().is_some_and(|row| row.get(0)))
}

/// Takes what has changed since the switch into the picture of the schema.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn follow_picture(control: &Control) -> Result<()> {
    let sql = "SELECT to_regclass('crossfade.picture') IS NOT NULL";
    match control.rows(sql).await?.first().is_some_and(|row| row.get(0)) {
        true => picture::follow_kept(control, PICTURE).await,
        false => Ok(()),
    }
}

/// Takes the event triggers down: nothing is noted any more.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn silence(control: &Control) -> Result<()> {
    for (name, _) in NAMES {
        control.batch(&format!("DROP EVENT TRIGGER IF EXISTS {name}")).await?;
    }
    Ok(())
}

/// Takes down the rest: statements.
pub(super) const TAKE_DOWN: &str = "\
DROP FUNCTION IF EXISTS crossfade.way_back_changed(), crossfade.way_back_lost(text, text), \
  crossfade.way_back_note(text, text, text, text, text, text, text, text); \
DROP TABLE IF EXISTS crossfade.way_back_ddl, crossfade.way_back_identity, \
  crossfade.way_back_watch, crossfade.way_back_now, crossfade.way_back_picture;";
