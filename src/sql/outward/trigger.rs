//! Triggers: a PL/pgSQL function and a trigger that does what SQLite's does, row by row.
//!
//! PostgreSQL runs AFTER triggers of a statement when all its rows are written, SQLite with each
//! row: a body that could see the difference is refused.

use std::sync::Arc;

use super::circle::{self, Circle, Node, Write};
use super::raise::{self, What};
use super::{MARK, Names, Outward};
use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::analyze::{RowVariables, in_lite_trigger};
use crate::sql::ast::{Expr, ExprKind, Statement};
use crate::sql::ir;
use crate::sql::print::{postgres, quoted};
use crate::sql::stored::{self, TriggerEvent, TriggerTime};
use crate::sql::trigger::{self as fired, Event};
use crate::sql::{Analysis, lite};

/// Ends a function's text.
const QUOTE: &str = "$crossfade$";
/// PostgreSQL cuts longer names.
const NAME_MAX: usize = 63;
/// What follows a trigger's name in that of its function.
const SUFFIX: &str = "_fired";

/// What became of a trigger of the file.
#[derive(Debug)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its table, SQLite's name.
    pub table: String,
    /// PostgreSQL's texts, or why there are none.
    pub outward: Result<Outward>,
}

/// Every trigger of a file, from their CREATE texts.
pub fn triggers(texts: &[&str], catalog: &Catalog) -> Vec<Made> {
    let read: Vec<stored::Trigger> = texts
        .iter()
        .filter_map(|text| match stored::read(text) {
            Ok(stored::Object::Trigger(trigger)) => Some(trigger),
            _ => None,
        })
        .collect();
    let nodes: Vec<Node> = read.iter().map(|t| node(t, catalog)).collect();
    let one = |(n, trigger): (usize, &stored::Trigger)| Made {
        name: trigger.name.clone(),
        table: trigger.table.clone(),
        outward: Body::new(trigger, catalog)
            .and_then(|body| body.outward(circle::of(&nodes, n, catalog))),
    };
    read.iter().enumerate().map(one).collect()
}

fn table<'a>(name: &str, catalog: &'a Catalog) -> Result<&'a Arc<Relation>> {
    catalog
        .relations
        .values()
        .find(|r| r.sqlite_name.eq_ignore_ascii_case(name) && r.kind == RelationKind::Table)
        .ok_or_else(|| Error::unsupported("a trigger of such a table"))
}

fn event(trigger: &stored::Trigger) -> Event {
    match trigger.event {
        TriggerEvent::Insert => Event::Insert,
        TriggerEvent::Update => Event::Update,
        TriggerEvent::Delete => Event::Delete,
    }
}

/// What fires a trigger and what it writes.
fn node(trigger: &stored::Trigger, catalog: &Catalog) -> Node {
    let named = |name: &str| table(name, catalog).map_or(name.to_owned(), |r| r.name.clone());
    let columns = (!trigger.columns.is_empty()).then(|| trigger.columns.clone());
    let on = Write { table: named(&trigger.table), event: event(trigger), columns };
    let writes = trigger.statements.iter().map(|text| {
        let parsed = lite::parse_in_trigger(text).ok()?;
        let any = |name: &str, event| Write { table: named(name), event, columns: None };
        Some(match &parsed.statement {
            Statement::Insert(insert) => {
                let mut writes = vec![any(&insert.table.name, Event::Insert)];
                if insert.on_conflict.is_some() {
                    writes.push(any(&insert.table.name, Event::Update));
                }
                writes
            }
            Statement::Update(update) => {
                let set = update.assignments.iter().flat_map(|a| a.columns.clone()).collect();
                let write = any(&update.table.name, Event::Update);
                vec![Write { columns: Some(set), ..write }]
            }
            Statement::Delete(delete) => vec![any(&delete.table.name, Event::Delete)],
            _ => Vec::new(),
        })
    });
    let writes: Option<Vec<Vec<Write>>> = writes.collect();
    Node { on, writes: writes.map(|w| w.into_iter().flatten().collect()) }
}

/// A trigger that is being translated.
struct Body<'a> {
    trigger: &'a stored::Trigger,
    relation: &'a Arc<Relation>,
    catalog: &'a Catalog,
    event: Event,
    before: bool,
    tables: Vec<String>,
}

impl<'a> Body<'a> {
    fn new(trigger: &'a stored::Trigger, catalog: &'a Catalog) -> Result<Self> {
        let before = match trigger.time {
            TriggerTime::Before => true,
            TriggerTime::After => false,
            TriggerTime::InsteadOf => return Err(Error::unsupported("an INSTEAD OF trigger")),
        };
        let relation = table(&trigger.table, catalog)?;
        if trigger.name.len() + SUFFIX.len() > NAME_MAX {
            return Err(Error::unsupported("a trigger with so long a name"));
        }
        let mut computed = relation.columns.iter().filter(|c| c.generated.is_some());
        if before && computed.any(|c| mentions(trigger, &c.sqlite_name)) {
            return Err(Error::unsupported(
                "a BEFORE trigger of a table with generated columns, which PostgreSQL has not \
                 computed yet",
            ));
        }
        let event = event(trigger);
        if before && event == Event::Insert && relation.rowid_alias.is_some() {
            let alias = relation.rowid_alias.map(|i| relation.columns[i].sqlite_name.as_str());
            if alias.into_iter().chain(["rowid", "oid", "_rowid_"]).any(|n| mentions(trigger, n)) {
                return Err(Error::unsupported(
                    "a BEFORE INSERT trigger that looks at the row's number, which SQLite has not \
                     given out yet",
                ));
            }
        }
        Ok(Self { trigger, relation, catalog, event, before, tables: vec![relation.name.clone()] })
    }

    fn outward(mut self, circle: Circle) -> Result<Outward> {
        let of_postgres = self.catalog.relations.values().any(|r| !r.triggers.is_empty());
        if circle == Circle::Through || (circle == Circle::Own && of_postgres) {
            return Err(Error::unsupported(
                "triggers that fire each other in a circle: SQLite fires none again while it runs",
            ));
        }
        let mut lines = Vec::new();
        let back = match self.event {
            _ if !self.before => "NULL",
            Event::Delete => "OLD",
            _ => "NEW",
        };
        if let Some(when) = &self.trigger.when {
            let parsed = lite::parse_in_trigger(&format!("SELECT 1 WHERE ({when})"))?;
            let query = self.print(&parsed.statement, false)?;
            lines.push(format!("IF NOT EXISTS ({query}) THEN RETURN {back}; END IF;"));
        }
        for text in &self.trigger.statements {
            let parsed = lite::parse_in_trigger(text)?;
            match &parsed.statement {
                Statement::Select(select) => match raise::read(select)? {
                    Some(steps) => {
                        for step in steps {
                            let when = Statement::Select(Box::new(step.when));
                            let query = self.print(&when, false)?;
                            lines.push(format!(
                                "IF EXISTS ({query}) THEN {} END IF;",
                                self.said(&step.what)?
                            ));
                        }
                    }
                    None => return Err(Error::unsupported("a query that raises nothing")),
                },
                statement => {
                    let keyed = self.is_own_row(statement, text);
                    let sql = self.print(statement, keyed)?;
                    lines.push(format!("{sql};"));
                }
            }
        }
        let body = lines.join("\n  ");
        if body.contains(QUOTE) {
            return Err(Error::unsupported("a trigger with such a text"));
        }
        let name = quoted(&self.trigger.name);
        let function = format!("\"public\".{}", quoted(&format!("{}{SUFFIX}", self.trigger.name)));
        let table = format!("\"public\".{}", quoted(&self.relation.name));
        let guard = if circle == Circle::Own { " WHEN (pg_trigger_depth() = 0)" } else { "" };
        let create = format!(
            "CREATE TRIGGER {name} {} {}{} ON {table} FOR EACH ROW{guard} EXECUTE FUNCTION \
             {function}()",
            if self.before { "BEFORE" } else { "AFTER" },
            self.event.name(),
            self.columns()?
        );
        let texts = vec![
            format!(
                "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS \
                 {QUOTE}BEGIN\n  {body}\n  RETURN {back};\nEND{QUOTE}"
            ),
            format!("COMMENT ON FUNCTION {function}() IS '{MARK}'"),
            format!("DROP TRIGGER IF EXISTS {name} ON {table}"),
            create,
        ];
        Ok(Outward { texts, tables: self.tables })
    }

    /// ` OF a, b`, or nothing.
    fn columns(&self) -> Result<String> {
        if self.trigger.columns.is_empty() {
            return Ok(String::new());
        }
        let mut names = Vec::new();
        for name in &self.trigger.columns {
            let column =
                self.relation.columns.iter().find(|c| c.sqlite_name.eq_ignore_ascii_case(name));
            let column = column.ok_or_else(|| Error::unsupported("UPDATE OF such a column"))?;
            names.push(quoted(&column.name));
        }
        Ok(format!(" OF {}", names.join(", ")))
    }

    fn said(&self, what: &What) -> Result<String> {
        match what {
            What::Abort(message) => Ok(format!(
                "RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = '{}';",
                message.replace('\'', "''")
            )),
            What::Ignore if self.before => Ok("RETURN NULL;".to_owned()),
            What::Ignore => Err(Error::unsupported("RAISE(IGNORE) in an AFTER trigger")),
        }
    }

    /// A statement as PostgreSQL's. `keyed`: it changes the trigger's own row.
    fn print(&mut self, statement: &Statement, keyed: bool) -> Result<String> {
        let rows = RowVariables {
            relation: self.relation,
            new: self.event != Event::Delete,
            old: self.event != Event::Insert,
        };
        let mut analysis = in_lite_trigger(statement, rows, &fired::context(self.catalog))?;
        if let (Statement::Insert(written), ir::Statement::Insert(insert)) =
            (statement, &mut analysis.statement)
        {
            plain_defaults(insert, &written.columns, self.catalog)?;
        }
        self.allowed(&analysis, keyed)?;
        self.tables.extend(analysis.reads.iter().cloned());
        self.tables.extend(analysis.writes.iter().cloned());
        let names = self.relation.columns.iter().map(|c| quoted(&c.name)).collect();
        postgres::print_in_trigger(&analysis, names)
    }

    fn allowed(&self, analysis: &Analysis, keyed: bool) -> Result<()> {
        let refuse = |what: &str| Err(Error::unsupported(what));
        if analysis.system || !analysis.params.is_empty() {
            return refuse("a trigger that asks SQLite itself");
        }
        let conflict = matches!(&analysis.statement,
            ir::Statement::Insert(insert) if insert.replace || insert.on_conflict.is_some());
        if conflict {
            return refuse(
                "a trigger whose INSERT settles conflicts: the statement that fires it has the \
                 last word in SQLite",
            );
        }
        let own = |name: &String| *name == self.relation.name;
        let writes = analysis.writes.as_ref().is_some_and(own);
        if writes && self.before {
            return refuse("a BEFORE trigger that writes its own table");
        }
        let reads = analysis.reads.iter().any(own);
        let changes = writes && !matches!(analysis.statement, ir::Statement::Insert(_));
        // PostgreSQL's BEFORE INSERT triggers see the rows before their own, as SQLite's do.
        let alike = self.before && self.event == Event::Insert;
        if (reads || changes) && !keyed && !alike {
            return refuse(
                "a trigger that looks at its own table, whose rows PostgreSQL writes in another \
                 order",
            );
        }
        Ok(())
    }

    /// Whether an UPDATE or DELETE is of the very row that fires the trigger.
    fn is_own_row(&self, statement: &Statement, text: &str) -> bool {
        let (table, filter) = match statement {
            Statement::Update(update) if update.from.is_empty() => (&update.table, &update.filter),
            Statement::Delete(delete) => (&delete.table, &delete.filter),
            _ => return false,
        };
        let Some([key]) = self.relation.key() else { return false };
        let key = self.relation.columns[*key].sqlite_name.as_str();
        let alias = self.relation.rowid_alias.is_some();
        let is_key = |name: &str| {
            name.eq_ignore_ascii_case(key)
                || alias && ["rowid", "oid", "_rowid_"].iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        let column = |expr: &Expr| match &expr.kind {
            ExprKind::Column(parts) => Some(parts.clone()),
            _ => None,
        };
        let of_row = |parts: &[String]| match parts {
            [row, name] => {
                (row.eq_ignore_ascii_case("new") || row.eq_ignore_ascii_case("old")) && is_key(name)
            }
            _ => false,
        };
        let of_table = |parts: &[String]| match parts {
            [name] => is_key(name),
            [of, name] => of.eq_ignore_ascii_case(&table.name) && is_key(name),
            _ => false,
        };
        let says = |expr: &Expr| match &expr.kind {
            ExprKind::Op { op, left: Some(left), right } if op == "=" || op == "==" => {
                match (column(left), column(right)) {
                    (Some(a), Some(b)) => {
                        (of_table(&a) && of_row(&b)) || (of_table(&b) && of_row(&a))
                    }
                    _ => false,
                }
            }
            _ => false,
        };
        let holds = filter.as_ref().is_some_and(|filter| match &filter.kind {
            ExprKind::And(parts) => parts.iter().any(says),
            _ => says(filter),
        });
        holds && !text.to_ascii_uppercase().contains("SELECT")
    }
}

/// Takes what the analysis fills in out of an INSERT: PostgreSQL's table has the same defaults, and
/// sequences of other numbers.
fn plain_defaults(insert: &mut ir::Insert, written: &[String], catalog: &Catalog) -> Result<()> {
    let table = Arc::clone(&insert.table.0);
    let null = |n: usize| match &insert.source {
        ir::InsertSource::Values(rows) => rows.iter().all(|row| {
            row.get(n)
                .is_some_and(|e| matches!(&e.kind, ir::ExprKind::Const(cell) if cell.is_null()))
        }),
        ir::InsertSource::Query { .. } => false,
    };
    let named = |index: u32, n: usize| {
        let Some(column) = table.columns.get(index as usize) else { return false };
        // NULL for the row's number asks for the next one.
        let numbered = table.rowid_alias == usize::try_from(index).ok() && null(n);
        let of = |name: &String| {
            name.eq_ignore_ascii_case(&column.name)
                || name.eq_ignore_ascii_case(&column.sqlite_name)
        };
        !numbered && (written.is_empty() || written.iter().any(of))
    };
    let kept: Vec<bool> =
        insert.columns.iter().enumerate().map(|(n, index)| named(*index, n)).collect();
    let lost = |c: &crate::schema::Column| match (&c.default, &c.sqlite_default) {
        (None, Some(text)) => Names::plain(&table, catalog).default(text, c).is_err(),
        _ => false,
    };
    let given = |position: usize| {
        let mut pairs = insert.columns.iter().zip(&kept);
        pairs.any(|(index, kept)| *kept && *index as usize == position)
    };
    if table.columns.iter().enumerate().any(|(n, c)| lost(c) && !given(n)) {
        return Err(Error::unsupported("an INSERT that takes a default only SQLite can compute"));
    }
    let only = |list: &mut Vec<ir::Expr>| {
        let mut kept = kept.iter().copied();
        list.retain(|_| kept.next().unwrap_or(true));
    };
    match &mut insert.source {
        ir::InsertSource::Values(rows) => rows.iter_mut().for_each(only),
        ir::InsertSource::Query { exprs, .. } => only(exprs),
    }
    let mut list = kept.iter().copied();
    insert.columns.retain(|_| list.next().unwrap_or(true));
    Ok(())
}

/// Whether NEW's column of that name stands anywhere in a trigger.
fn mentions(trigger: &stored::Trigger, name: &str) -> bool {
    let wanted = format!("new.{}", name.to_ascii_lowercase());
    let plain = |text: &String| {
        let bare: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '`' | '[' | ']'))
            .collect();
        bare.to_ascii_lowercase().contains(&wanted)
    };
    trigger.statements.iter().chain(&trigger.when).any(plain)
}
