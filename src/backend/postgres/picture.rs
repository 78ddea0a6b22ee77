//! `crossfade.picture`: what PostgreSQL's schema looked like when it was last known good.
//!
//! Owns the table: a line for each column, constraint, index, trigger, rule of each mirrored
//! table, for each view, sequence and function, and for what the database sets for its sessions.
//! It is taken after a copy and after each schema change that the journal brought, and compared in
//! between: whoever drops an index or switches a constraint off is noticed before a statement
//! needs it. An index that only speeds things up may be added. Start at [`differences`].

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Statement;

use super::control::Control;
use super::schemas;
use super::triggers::OWN_FUNCTIONS;
use crate::error::Result;

/// The lines of every table now; see [`every_line`].
const LINES: &str = "\
WITH t AS (
  SELECT c.oid, $(c.relnamespace,c.relname) AS relname, c.relrowsecurity FROM pg_class c
  WHERE c.relnamespace IN $ours AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))
SELECT t.relname::text AS table_name, 'column ' || quote_ident(a.attname) || ' '
  || format_type(a.atttypid, a.atttypmod)
  || CASE WHEN a.attcollation <> y.typcollation THEN ' COLLATE '
     || (SELECT quote_ident(l.collname) FROM pg_collation l WHERE l.oid = a.attcollation) ELSE '' END
  || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
  || CASE WHEN a.attgenerated <> '' THEN ' GENERATED AS ' || pg_get_expr(d.adbin, d.adrelid)
     ELSE coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') END AS line
  FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type y ON y.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL SELECT t.relname::text, 'constraint ' || quote_ident(k.conname) || ' '
  || pg_get_constraintdef(k.oid) FROM t JOIN pg_constraint k ON k.conrelid = t.oid
UNION ALL SELECT t.relname::text, 'index ' || pg_get_indexdef(i.indexrelid)
  || CASE WHEN i.indisvalid THEN '' ELSE ', invalid' END FROM t JOIN pg_index i ON i.indrelid = t.oid
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid
    AND k.contype IN ('p', 'u', 'x'))
UNION ALL SELECT t.relname::text, 'trigger ' || pg_get_triggerdef(g.oid)
  || ' as ' || (SELECT md5(p.prosrc) FROM pg_proc p WHERE p.oid = g.tgfoid)
  || CASE WHEN g.tgenabled = 'O' THEN '' ELSE ', enabled as ' || g.tgenabled::text END
  FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
  AND g.tgfoid NOT IN $own
UNION ALL SELECT DISTINCT t.relname::text, 'switched off: constraint ' || quote_ident(k.conname)
  FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND g.tgisinternal AND g.tgenabled <> 'O'
  JOIN pg_constraint k ON k.oid = g.tgconstraint
UNION ALL SELECT t.relname::text, 'row security' FROM t WHERE t.relrowsecurity
UNION ALL SELECT t.relname::text, 'rule ' || pg_get_ruledef(r.oid)
  FROM t JOIN pg_rewrite r ON r.ev_class = t.oid
UNION ALL SELECT $(c.relnamespace,c.relname), 'view ' || pg_get_viewdef(c.oid) FROM pg_class c
  WHERE c.relnamespace IN $ours AND c.relkind IN ('v', 'm')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
UNION ALL SELECT $(c.relnamespace,c.relname), concat_ws(' ', 'sequence', format_type(s.seqtypid, NULL),
  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle::text)
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
  WHERE c.relnamespace IN $ours
UNION ALL SELECT $(p.pronamespace,p.proname), 'function ' || pg_get_function_identity_arguments(p.oid) || ' '
  || md5(p.prosrc || coalesce(p.probin, '')) FROM pg_proc p
  WHERE p.pronamespace IN $ours AND p.prokind <> 'a'
  AND p.prorettype <> 'trigger'::regtype
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
UNION ALL SELECT '(database)', concat_ws(' ', 'locale', d.datcollate, d.datctype,
  pg_encoding_to_char(d.encoding)) FROM pg_database d WHERE d.datname = current_database()
UNION ALL SELECT '(database)', concat('setting ', 'of ' || quote_ident(r.rolname) || ' ',
  split_part(one, '=', 1), ' ', md5(one))
  FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
  LEFT JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN unnest(s.setconfig) one
  WHERE d.datname = current_database()";

/// The lines of every table now, as SQL.
fn every_line() -> String {
    let mut sql = LINES.replace("$ours", schemas::OURS).replace("$own", OWN_FUNCTIONS);
    for (namespace, name) in [("c.relnamespace", "c.relname"), ("p.pronamespace", "p.proname")] {
        sql = sql.replace(&format!("$({namespace},{name})"), &schemas::key_of(namespace, name));
    }
    sql
}

/// Of which form the lines are: a picture of another form is taken anew.
const FORM: &str = "'', 'form 3'";

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted {
    /// Table.
    pub table: String,
    /// Its line.
    pub line: String,
    /// It is new; else it is gone, or another one now.
    pub added: bool,
    /// What it is now, where it is another one.
    pub instead: Option<String>,
}

impl Drifted {
    /// The line that is there now and was not: a new one, or that of a column to which a default was
    /// given and nothing else.
    pub fn written(&self) -> Option<&str> {
        if self.added {
            return Some(&self.line);
        }
        let now = self.instead.as_deref()?;
        now.strip_prefix(self.line.as_str())?.starts_with(" DEFAULT ").then_some(now)
    }
}

/// Takes the picture, when there is none yet.
///
/// # Errors
/// What PostgreSQL said.
pub async fn ensure(control: &Control) -> Result<()> {
    let lines = every_line();
    control.batch(schemas::TABLE).await?;
    control
        .batch(&format!(
            "CREATE TABLE IF NOT EXISTS crossfade.picture (table_name text NOT NULL, \
             line text NOT NULL); DELETE FROM crossfade.picture WHERE NOT EXISTS (SELECT FROM \
             crossfade.picture WHERE (table_name, line) = ({FORM})); \
             INSERT INTO crossfade.picture SELECT * FROM (SELECT {FORM} UNION ALL SELECT * FROM ({lines}) lines) now \
             WHERE NOT EXISTS (SELECT FROM crossfade.picture)"
        ))
        .await
}

/// Takes into the picture what has changed since `before`, and nothing else.
///
/// # Errors
/// What PostgreSQL said.
pub async fn follow(control: &Control, before: &Lines) -> Result<()> {
    take_in(control, before, &now(control).await?).await
}

async fn take_in(control: &Control, before: &Lines, now: &Lines) -> Result<()> {
    let client = control.client();
    for (table, was) in before {
        let is = now.get(table);
        let gone = was.iter().filter(|l| !is.is_some_and(|is| is.contains(*l)));
        let gone: Vec<&String> = gone.collect();
        let sql = match is {
            None => {
                "DELETE FROM crossfade.picture WHERE table_name = $1 AND $2::text[] IS NOT NULL"
            }
            Some(_) => "DELETE FROM crossfade.picture WHERE table_name = $1 AND line = ANY ($2)",
        };
        if is.is_none() || !gone.is_empty() {
            client.execute(sql, &[table, &gone]).await.map_err(|e| control.error(&e))?;
        }
    }
    for (table, is) in now {
        let was = before.get(table);
        let new = is.iter().filter(|l| !was.is_some_and(|was| was.contains(*l)));
        let new: Vec<&String> = new.collect();
        if !new.is_empty() {
            let sql = "INSERT INTO crossfade.picture SELECT $1::text, unnest($2::text[])";
            client.execute(sql, &[table, &new]).await.map_err(|e| control.error(&e))?;
        }
    }
    Ok(())
}

/// Forgets the picture: the tables are being made.
///
/// # Errors
/// What PostgreSQL said.
pub async fn forget(control: &Control) -> Result<()> {
    control.batch("DROP TABLE IF EXISTS crossfade.picture").await
}

/// Lines by table.
pub type Lines = BTreeMap<String, BTreeSet<String>>;

fn lines(rows: Vec<tokio_postgres::Row>) -> Lines {
    let mut lines = Lines::new();
    for row in rows {
        // PostgreSQL describes an object as it is now: one that was dropped meanwhile is NULL.
        if let (Some(table), Some(line)) = (row.get(0), row.get(1)) {
            lines.entry(table).or_default().insert(line);
        }
    }
    lines
}

/// How the tables look now.
///
/// # Errors
/// What PostgreSQL said.
pub async fn now(control: &Control) -> Result<Lines> {
    control.rows(&every_line()).await.map(lines)
}

/// Keeps how the tables look now in a table of this name.
///
/// # Errors
/// What PostgreSQL said.
pub async fn keep(control: &Control, table: &str) -> Result<()> {
    let lines = every_line();
    let sql = format!("CREATE TABLE {table} AS SELECT * FROM ({lines}) l WHERE line IS NOT NULL");
    control.batch(&sql).await
}

/// Takes into the picture what has changed since [`keep`], and nothing else.
///
/// # Errors
/// What PostgreSQL said.
pub async fn follow_kept(control: &Control, table: &str) -> Result<()> {
    let sql = format!("SELECT table_name, line FROM {table}");
    let before = lines(control.rows(&sql).await?);
    follow(control, &before).await
}

/// What differs from the picture now, and how the tables look now.
///
/// # Errors
/// What PostgreSQL said.
pub async fn differences(control: &Control) -> Result<(Vec<Drifted>, Lines)> {
    let kept = "SELECT table_name, line FROM crossfade.picture WHERE table_name <> ''";
    let before = lines(control.rows(kept).await?);
    let now = now(control).await?;
    Ok((between(&before, &now), now))
}

/// One word for the catalogs from which the lines are made, as far as others can change them: another
/// one when any of their rows is. Of pg_class what TRUNCATE changes does not count.
const MARK: &str = "\
SELECT concat_ws(' ', (SELECT sum(hashtextextended(concat_ws('/', oid, relname, relnamespace, relkind,
    relrowsecurity, relispartition), 0)) FROM pg_class WHERE oid >= 16384),
  (SELECT sum(hashint8extended(attrelid::bigint << 32 | xmin::text::bigint, attnum))
    FROM pg_attribute WHERE attrelid >= 16384),
  $(oid, pg_attrdef), $(oid, pg_constraint), $(indexrelid, pg_index), $(oid, pg_trigger),
  $(oid, pg_rewrite), $(oid, pg_proc), $(oid, pg_type), $(oid, pg_namespace), $(oid, pg_collation),
  $(oid, pg_extension), $(seqrelid, pg_sequence), $(inhrelid, pg_inherits),
  (SELECT sum(hashint8extended(setrole::bigint << 32 | xmin::text::bigint, setdatabase::bigint))
    FROM pg_db_role_setting),
  (SELECT sum(hashtextextended(rolname, oid::bigint)) FROM pg_roles
    WHERE oid IN (SELECT setrole FROM pg_db_role_setting)),
  (SELECT sum(hashtextextended(name::text, 0)) FROM crossfade.schemas))";

fn mark() -> String {
    let mut parts = MARK.split("$(");
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (what, rest) = part.split_once(')').unwrap_or((part, ""));
        let (oid, catalog) = what.split_once(", ").unwrap_or((what, ""));
        sql.push_str(&format!(
            "(SELECT sum(hashint8extended({oid}::bigint << 32 | xmin::text::bigint, 0)) \
             FROM {catalog} WHERE {oid} >= 16384){rest}"
        ));
    }
    sql
}

/// The picture as one connection follows it through the schema changes that it makes.
///
/// It keeps what it saw last with the mark of the catalogs then: while nobody has changed them that
/// is how the tables look before the next change, too, and nothing of it has to be read again.
#[derive(Default)]
pub struct Follower {
    lines: Option<Statement>,
    mark: Option<Statement>,
    seen: Option<(String, Lines)>,
}

impl Follower {
    /// How the tables look, where nobody has changed that since the last [`Follower::follow`].
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn unchanged(&mut self, control: &Control) -> Result<Option<Lines>> {
        let Some((seen, lines)) = self.seen.take() else { return Ok(None) };
        let statement = prepared(&mut self.mark, control, mark).await?;
        let row = control.client().query_one(&statement, &[]).await;
        let is: String = row.map_err(|e| control.error(&e))?.get(0);
        Ok((is == seen).then_some(lines))
    }

    /// As [`follow`].
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn follow(&mut self, control: &Control, before: &Lines) -> Result<()> {
        let sql = || {
            format!("SELECT '' AS table_name, ({}) AS line UNION ALL ({})", mark(), every_line())
        };
        let statement = prepared(&mut self.lines, control, sql).await?;
        let rows = control.client().query(&statement, &[]).await;
        let mut now = lines(rows.map_err(|e| control.error(&e))?);
        let mark = now.remove("").and_then(|mark| mark.into_iter().next());
        take_in(control, before, &now).await?;
        self.seen = mark.map(|mark| (mark, now));
        Ok(())
    }

    /// The transaction is undone.
    pub fn forget(&mut self) {
        self.seen = None;
    }
}

async fn prepared(
    kept: &mut Option<Statement>,
    control: &Control,
    sql: impl Fn() -> String,
) -> Result<Statement> {
    if let Some(statement) = kept {
        return Ok(statement.clone());
    }
    let made = control.client().prepare(&sql()).await.map_err(|e| control.error(&e))?;
    Ok(kept.insert(made).clone())
}

/// Tables that were not there before are not ours.
fn between(before: &Lines, now: &Lines) -> Vec<Drifted> {
    let mut found = Vec::new();
    for (table, before) in before {
        let drifted = |line: &str, added| Drifted {
            table: table.clone(),
            line: line.into(),
            added,
            instead: None,
        };
        let Some(now) = now.get(table) else {
            let is_table = before.iter().any(|line| line.starts_with("column "));
            let line = before.first().filter(|_| !is_table);
            found.push(drifted(line.map_or("table", String::as_str), false));
            continue;
        };
        let gone: Vec<&String> = before.difference(now).collect();
        let new: Vec<&String> = now.difference(before).collect();
        found.extend(gone.iter().map(|line| Drifted {
            instead: new.iter().find(|new| thing(new) == thing(line)).map(|new| (*new).clone()),
            ..drifted(line, false)
        }));
        // Another type of a column is one thing that is not as it was, not two.
        let counts = |line: &&&String| {
            !line.starts_with("index CREATE INDEX") && !gone.iter().any(|g| thing(line) == thing(g))
        };
        found.extend(new.iter().filter(counts).map(|line| drifted(line, true)));
    }
    found
}

/// What a line is about, without what may be told of it.
fn thing(line: &str) -> &str {
    let until = |mark: &str| line.find(mark).map_or(line, |end| &line[..end]);
    let words = match line.split(' ').next() {
        Some("column" | "constraint") => 2,
        Some("view" | "sequence" | "locale") => 1,
        Some("function") => return line.rsplit_once(' ').map_or(line, |(name, _)| name),
        Some("trigger") => {
            return [" BEFORE ", " AFTER ", " INSTEAD OF "]
                .map(until)
                .into_iter()
                .min_by_key(|name| name.len())
                .unwrap_or(line);
        }
        Some("index") => return until(" USING "),
        Some("rule") => return until(" AS"),
        Some("setting") => return until("="),
        _ => return line,
    };
    line.match_indices(' ').nth(words - 1).map_or(line, |(end, _)| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_new_and_matters() {
        let lines = |table: &str, lines: &[&str]| -> Lines {
            [(table.to_owned(), lines.iter().map(|l| (*l).to_owned()).collect())].into()
        };
        let before = lines("t", &["column a integer", "index CREATE INDEX i ON public.t"]);
        let mut now =
            lines("t", &["column a bigint", "index CREATE INDEX fast ON public.t", "row security"]);
        now.extend(lines("other", &["column x text"]));
        let found = between(&before, &now);
        let told: Vec<(&str, bool)> = found.iter().map(|d| (d.line.as_str(), d.added)).collect();
        assert_eq!(
            told,
            [
                ("column a integer", false),
                ("index CREATE INDEX i ON public.t", false),
                ("row security", true)
            ]
        );
        let before = [lines("v", &["view SELECT 1"]), lines("f", &["function a integer 0f"])];
        let before: Lines = before.into_iter().flatten().collect();
        let now = lines("f", &["function a integer 1e", "function  22"]);
        let found = between(&before, &now);
        let told: Vec<(&str, bool)> = found.iter().map(|d| (d.line.as_str(), d.added)).collect();
        let wanted =
            [("function a integer 0f", false), ("function  22", true), ("view SELECT 1", false)];
        assert_eq!(told, wanted);
        let before = lines("t", &["column a integer"]);
        let gone = between(&before, &Lines::new());
        assert_eq!((gone.len(), gone[0].line.as_str()), (1, "table"));
    }
}
