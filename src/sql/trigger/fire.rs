//! What SQLite runs for a table's triggers: guards and plain SQL, one temporary trigger for
//! each moment.
//!
//! Owns the texts. Assignments to NEW are not here: SQLite cannot make them, the plan of the
//! statement does (see `analyze`), so NEW has its final values when these triggers fire. What
//! looked at a value before it was assigned is refused. Start at [`texts`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fold::bool_of;
use super::own::{self, Mode};
use super::walk::{Event, Sink, walk};
use super::{queue, rewrite};
use crate::error::{Error, Result, state};
use crate::name::key;
use crate::schema::{Catalog, Relation, RelationKind, Trigger};
use crate::sql::Context;
use crate::sql::analyze::{self, RowVariables};
use crate::sql::ast::{
    Expr, ExprKind, Insert, Raise, Select, SelectBody, SimpleSelect, Statement, Target, TypeName,
};
use crate::sql::pg::plpgsql;
use crate::sql::print::{quoted, sqlite};
use crate::sql::types::tables;

/// One temporary trigger.
#[derive(Debug)]
pub(super) struct Made {
    /// CREATE TEMP TRIGGER, or the table of its queue.
    pub(super) text: String,
    /// What fires it.
    pub(super) event: Event,
    /// Tables it writes, and how.
    pub(super) writes: Vec<(String, Event)>,
}

/// The temporary triggers of a table; with them the first refusal, if there is one.
pub(super) fn texts(relation: &Arc<Relation>, catalog: &Catalog) -> (Vec<Made>, Option<Error>) {
    let (mut made, mut refusal) = (Vec::new(), None);
    let mode = own::mode(relation, catalog);
    let now: &[bool] = if mode == Mode::Queue { &[true] } else { &[true, false] };
    if mode == Mode::Queue {
        (made, refusal) = queue::texts(relation, catalog);
    }
    for before in now.iter().copied() {
        for event in [Event::Insert, Event::Update, Event::Delete] {
            let mut fires: Vec<&Trigger> =
                relation.triggers.iter().filter(|t| t.before == before && event.fires(t)).collect();
            fires.sort_by(|a, b| a.name.cmp(&b.name));
            // SQLite itself knows which columns an UPDATE names; those have one each.
            let (of, all): (Vec<&Trigger>, Vec<&Trigger>) =
                fires.into_iter().partition(|t| event == Event::Update && !t.columns.is_empty());
            let groups = of.into_iter().map(|t| vec![t]).chain(std::iter::once(all));
            for (number, group) in groups.filter(|g| !g.is_empty()).enumerate() {
                let one = Moment { relation, catalog, before, event, queued: false };
                match one.make(&group, number) {
                    Ok(found) => made.extend(found),
                    Err(error) => {
                        made.push(one.failing(&error, number));
                        refusal.get_or_insert(error);
                    }
                }
            }
        }
    }
    (made, refusal)
}

/// What keeps a table's generated columns right when no plan has computed them: the rows that
/// a foreign key's action has changed, and those that follow PostgreSQL.
pub(super) fn computed(relation: &Arc<Relation>, catalog: &Catalog) -> Vec<String> {
    let mut texts = Vec::new();
    let own = relation.rowid_alias.and_then(|a| relation.columns.get(a));
    let rowid = match (own, relation.rowid_name()) {
        (Some(column), _) => quoted(&column.sqlite_name),
        (None, Some(name)) => name.to_owned(),
        (None, None) => return texts,
    };
    for (index, column) in relation.columns.iter().enumerate() {
        let Some(generated) = column.generated.as_ref().filter(|g| g.in_plan) else { continue };
        for event in [Event::Insert, Event::Update] {
            let moment = Moment { relation, catalog, before: false, event, queued: false };
            let value = moment.value(&generated.expression, index);
            let statement = match value {
                Ok(value) => {
                    let name = quoted(&column.sqlite_name);
                    format!(
                        "UPDATE {} SET {name} = {value} \
                         WHERE {rowid} = NEW.{rowid} AND {name} IS NOT {value}",
                        quoted(&relation.sqlite_name)
                    )
                }
                Err(error) => raise_always(&error),
            };
            texts.push(moment.text(&[], &[statement], 1000 + index));
        }
    }
    texts
}

/// Raises an error where a condition of SQLite's holds.
pub(super) fn raise_where(error: &Error, condition: &str) -> String {
    format!("{} WHERE {condition}", raise_always(error))
}

/// Raises an error.
fn raise_always(error: &Error) -> String {
    format!(
        "SELECT pg_raise({}, {}, NULL, NULL, NULL, NULL, NULL)",
        text_literal(error.sqlstate().as_str()),
        text_literal(error.message())
    )
}

pub(super) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// When a group of triggers fires.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) relation: &'a Arc<Relation>,
    pub(super) catalog: &'a Catalog,
    pub(super) before: bool,
    pub(super) event: Event,
    /// The statements run later, for a row of the queue.
    pub(super) queued: bool,
}

impl<'a> Moment<'a> {
    /// What triggers do, one after the other.
    pub(super) fn body(self, triggers: &[&Trigger]) -> Result<Fire<'a>> {
        let mut fire = Fire::new(self);
        for trigger in triggers {
            let function = self.catalog.trigger_function(&trigger.function).ok_or_else(|| {
                let message = format!("function {}() does not exist", trigger.function);
                Error::client(state::UNDEFINED_FUNCTION, message)
            })?;
            let block = plpgsql::block(&function.body)?;
            walk(&block, trigger, self.relation, self.event, &mut fire)?;
        }
        Ok(fire)
    }

    fn make(self, triggers: &[&Trigger], number: usize) -> Result<Option<Made>> {
        let mut fire = self.body(triggers)?;
        let columns: Vec<&String> = triggers.iter().flat_map(|t| &t.columns).collect();
        if fire.statements.is_empty() {
            return Ok(None);
        }
        if !self.before && own::mode(self.relation, self.catalog) == Mode::Once {
            fire.statements.insert(0, self.once(number));
        }
        let text = self.text(&columns, &fire.statements, number);
        Ok(Some(Made { text, event: self.event, writes: fire.writes }))
    }

    /// Refuses the second row of a statement: PostgreSQL would show the first one's trigger both.
    fn once(self, number: usize) -> String {
        let error = Error::unsupported(
            "writing several rows of a table whose AFTER trigger reads that table and those that \
             its foreign keys' actions change",
        );
        let (oid, event) = (self.relation.oid, self.event as u8);
        raise_where(&error, &format!("pg_again({oid}, {event}, {number})"))
    }

    /// A trigger that cannot run: its error, whenever it fires.
    pub(super) fn failing(self, error: &Error, number: usize) -> Made {
        let text = self.text(&[], &[raise_always(error)], number);
        Made { text, event: self.event, writes: Vec::new() }
    }

    /// A generated column's value over NEW, as the column stores it.
    fn value(self, expression: &str, index: usize) -> Result<String> {
        let rows = RowVariables { relation: self.relation, new: true, old: false };
        let expr = analyze::generated(expression, index, rows, &super::context(self.catalog))?;
        sqlite::print_stored(&expr, index, rows)
    }

    pub(super) fn text(self, columns: &[&String], statements: &[String], number: usize) -> String {
        let when = if self.before { "BEFORE" } else { "AFTER" };
        let own = |name: &&String| {
            let column = self.relation.columns.iter().find(|c| c.name == **name);
            quoted(column.map_or(name.as_str(), |c| &c.sqlite_name))
        };
        let of = match columns {
            [] => String::new(),
            _ => format!(" OF {}", columns.iter().map(own).collect::<Vec<_>>().join(", ")),
        };
        let name =
            format!("_crossfade_{}_{when}_{}_{number}", self.relation.oid, self.event.name());
        format!(
            "CREATE TEMP TRIGGER {} {when} {}{of} ON \"public\".{} FOR EACH ROW BEGIN {}; END",
            quoted(&name),
            self.event.name(),
            quoted(&self.relation.sqlite_name),
            statements.join("; ")
        )
    }
}

/// A condition or value as it was when it was reached.
#[derive(Clone)]
pub(super) struct Held {
    /// Number of its own.
    id: usize,
    /// The condition that is false where this one is true.
    refutes: Option<usize>,
    expr: Expr,
    /// Looks into tables.
    reads: bool,
    /// Those tables.
    tables: BTreeSet<String>,
    /// Commands run, and assignments made, before.
    commands: usize,
    assigned: usize,
    /// Columns of NEW it looks at.
    columns: BTreeSet<String>,
}

pub(super) struct Fire<'a> {
    moment: Moment<'a>,
    pub(super) statements: Vec<String>,
    pub(super) writes: Vec<(String, Event)>,
    commands: usize,
    /// Commands so far: what each may have changed, and under which conditions.
    changed: Vec<(BTreeSet<String>, Vec<Held>)>,
    /// Conditions made so far.
    conditions: std::cell::Cell<usize>,
    /// Columns of NEW assigned so far, in order.
    assigned: Vec<String>,
    /// Columns of NEW that statements so far look at.
    seen: BTreeSet<String>,
    /// What variables hold.
    held: Vec<Held>,
}

impl<'a> Fire<'a> {
    pub(super) fn new(moment: Moment<'a>) -> Self {
        Self {
            moment,
            statements: Vec::new(),
            writes: Vec::new(),
            commands: 0,
            changed: Vec::new(),
            conditions: std::cell::Cell::new(0),
            assigned: Vec::new(),
            seen: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    fn hold_now(&self, expr: Expr) -> Held {
        let (columns, reads) = looks(&expr);
        let tables = if reads { tables_of(&expr) } else { BTreeSet::new() };
        let id = self.conditions.get();
        self.conditions.set(id + 1);
        Held {
            id,
            refutes: None,
            expr,
            reads,
            tables,
            commands: self.commands,
            assigned: self.assigned.len(),
            columns,
        }
    }

    /// Checks that conditions are still what they were; their conjunction.
    fn still(&mut self, path: &[Held]) -> Result<Option<Expr>> {
        for held in path.iter().chain(&self.held) {
            let changed = self.changed.get(held.commands..).unwrap_or_default();
            let stale = |(tables, under): &(BTreeSet<String>, Vec<Held>)| {
                touches(held, tables) && !exclude(path, under, tables)
            };
            if held.reads && changed.iter().any(stale) {
                return Err(Error::unsupported(
                    "a trigger function that changes rows and goes on by what it read before",
                ));
            }
            let later = self.assigned.get(held.assigned..).unwrap_or_default();
            if later.iter().any(|column| held.columns.contains(column)) {
                return Err(read_before());
            }
        }
        self.seen.extend(path.iter().flat_map(|held| held.columns.iter().cloned()));
        Ok(conjunction(path))
    }

    fn context(&self) -> Context<'a> {
        super::context(self.moment.catalog)
    }

    pub(super) fn printed(&self, statement: &Statement) -> Result<(String, Vec<i64>)> {
        let event = self.moment.event;
        let rows = RowVariables {
            relation: self.moment.relation,
            new: event != Event::Delete,
            old: event != Event::Insert,
        };
        let analysis = analyze::in_trigger(statement, rows, &self.context())
            .map_err(Error::without_position)?;
        sqlite::print_in_trigger(&analysis.statement, rows, self.moment.queued)
    }

    /// SELECT of expressions where a condition holds.
    fn row(&self, values: Vec<Expr>, filter: Option<Expr>) -> Result<String> {
        let targets = values.into_iter().map(|expr| Target { expr, alias: None }).collect();
        let body = SimpleSelect { targets, filter, ..SimpleSelect::default() };
        let select = Select { body: SelectBody::Simple(Box::new(body)), ..Select::default() };
        let (text, sequences) = self.printed(&Statement::Select(Box::new(select)))?;
        match sequences.is_empty() {
            true => Ok(text),
            false => Err(Error::unsupported("nextval() in this part of a trigger function")),
        }
    }

    /// Moves the sequences that the next statement draws from. The counter in the file is
    /// taken up by everybody under its new generation.
    fn draw(&mut self, sequences: &[i64], filter: Option<&Expr>, rows: bool) -> Result<()> {
        for (position, oid) in sequences.iter().enumerate() {
            if rows || sequences[..position].contains(oid) {
                return Err(Error::unsupported("several values of a sequence in one statement"));
            }
            let condition = match filter {
                Some(filter) => {
                    let row = self.row(vec![bool_of(true, 0)], Some(filter.clone()))?;
                    format!(" AND EXISTS ({row})")
                }
                None => String::new(),
            };
            let end = "pg_raise('2200H', 'nextval: reached the end of sequence \"' || name \
                       || '\"', NULL, NULL, NULL, NULL, NULL)";
            self.statements.push(format!(
                "UPDATE \"_crossfade_sequences\" SET last_value = CASE \
                 WHEN NOT is_called THEN last_value \
                 WHEN increment > 0 AND last_value <= max - increment \
                 OR increment < 0 AND last_value >= min - increment \
                 THEN last_value + increment \
                 WHEN cycle THEN CASE WHEN increment > 0 THEN min ELSE max END \
                 ELSE {end} END, \
                 is_called = 1, generation = abs(random() / 2) WHERE oid = {oid}{condition}"
            ));
        }
        Ok(())
    }

    /// The table a command writes, noted.
    fn note_write(&mut self, name: &crate::sql::ast::Name, event: Event) -> Result<()> {
        let relation = self.moment.relation;
        let key = name.schema.as_deref().map_or_else(|| name.name.clone(), |s| key(s, &name.name));
        if key == relation.name && !self.moment.queued {
            return Err(Error::unsupported("a trigger that writes its own table"));
        }
        let found = self.moment.catalog.relations.get(&key);
        if found.is_some_and(|r| r.kind != RelationKind::Table) {
            return Err(Error::unsupported("a trigger that writes a view"));
        }
        self.writes.push((key, event));
        Ok(())
    }
}

impl Sink for Fire<'_> {
    type Condition = Held;

    fn condition(&mut self, expr: &Expr) -> Result<Held> {
        Ok(self.hold_now(expr.clone()))
    }

    fn tree(&self, path: &[Held]) -> Result<Expr> {
        Ok(conjunction(path).unwrap_or_else(|| bool_of(true, 0)))
    }

    fn refuted(&mut self, all: &[Held]) -> Result<Held> {
        let inner = conjunction(all).unwrap_or_else(|| bool_of(true, 0));
        let kind = ExprKind::IsBool(Box::new(inner), Some(true), true);
        let mut refuted = merged(Expr { kind, pos: 0 }, all, self);
        if let [one] = all {
            refuted.refutes = Some(one.id);
        }
        Ok(refuted)
    }

    fn either(&mut self, one: Held, all: &[Held]) -> Result<Held> {
        let rest = conjunction(all).unwrap_or_else(|| bool_of(true, 0));
        let expr = Expr { kind: ExprKind::Or(vec![one.expr.clone(), rest]), pos: 0 };
        let mut parts = all.to_vec();
        parts.push(one);
        Ok(merged(expr, &parts, self))
    }

    fn set_column(&mut self, _path: &[Held], column: &str, _value: &Expr) -> Result<()> {
        if self.seen.contains(column) || self.seen.contains("*") {
            return Err(read_before());
        }
        self.assigned.push(column.to_owned());
        Ok(())
    }

    fn raise(&mut self, path: &[Held], raise: &Raise) -> Result<()> {
        let filter = self.still(path)?;
        let null = || Expr { kind: ExprKind::Literal(crate::sql::ast::Literal::Null), pos: 0 };
        let parts = [&raise.message, &raise.detail, &raise.hint, &raise.table, &raise.constraint];
        let parts: Vec<Expr> = parts
            .into_iter()
            .map(|part| {
                let text = TypeName { name: "text".to_owned(), ..TypeName::default() };
                let part = part.clone().unwrap_or_else(null);
                Expr { kind: ExprKind::Cast(Box::new(part), text), pos: 0 }
            })
            .collect();
        for part in &parts {
            self.seen.extend(looks(part).0);
        }
        let select = self.row(parts, filter)?;
        self.statements.push(format!(
            "SELECT pg_raise('{}', \"c1\", \"c2\", \"c3\", \"c4\", \"c5\", {}) FROM ({select})",
            raise.state,
            text_literal(&raise.context)
        ));
        Ok(())
    }

    fn skip_row(&mut self, path: &[Held]) -> Result<()> {
        let filter = self.still(path)?;
        let select = self.row(vec![bool_of(true, 0)], filter)?;
        self.statements.push(format!("SELECT RAISE(IGNORE) FROM ({select})"));
        Ok(())
    }

    fn run(&mut self, path: &[Held], statement: &Statement) -> Result<()> {
        let filter = self.still(path)?;
        let mut looked = BTreeSet::new();
        rewrite::statement(&mut statement.clone(), &mut |e| {
            note_column(e, &mut looked);
            None
        });
        self.seen.extend(looked);
        let condition = filter.clone();
        let commands = match statement {
            Statement::Insert(insert) => {
                self.note_write(&insert.table, Event::Insert)?;
                if insert.on_conflict.as_ref().is_some_and(|c| c.update.is_some()) {
                    self.note_write(&insert.table, Event::Update)?;
                }
                inserts(insert, filter)
            }
            Statement::Update(update) => {
                self.note_write(&update.table, Event::Update)?;
                let mut update = update.clone();
                update.filter = both(update.filter.take(), filter);
                vec![Statement::Update(update)]
            }
            Statement::Delete(delete) => {
                self.note_write(&delete.table, Event::Delete)?;
                let mut delete = delete.clone();
                delete.filter = both(delete.filter.take(), filter);
                vec![Statement::Delete(delete)]
            }
            _ => return Err(Error::unsupported("this statement in PL/pgSQL")),
        };
        let written = self.writes.last().map(|(table, _)| table.clone()).unwrap_or_default();
        let queues = queue::filled(&written, self.moment.catalog);
        if !queues.is_empty() {
            self.statements.push(queue::enter());
        }
        for command in &commands {
            let (printed, sequences) = self.printed(command)?;
            let several = matches!(command, Statement::Insert(i) if several_rows(i));
            let rows = several || !matches!(command, Statement::Insert(_));
            self.draw(&sequences, condition.as_ref(), rows)?;
            self.statements.push(printed);
        }
        if !queues.is_empty() {
            self.statements.extend(queue::leave(&queues));
        }
        self.commands += 1;
        self.changed.push((affected(&written, self.moment.catalog), path.to_vec()));
        Ok(())
    }

    fn perform(&mut self, query: &Select) -> Result<()> {
        let from = matches!(&query.body, SelectBody::Simple(body) if body.from.is_empty());
        if from {
            return Err(Error::unsupported("PERFORM of a function in PL/pgSQL"));
        }
        self.printed(&Statement::Select(Box::new(query.clone()))).map(|_| ())
    }

    fn hold(&mut self, value: &Expr) -> Result<()> {
        let held = self.hold_now(value.clone());
        if held.reads || !held.columns.is_empty() {
            self.held.push(held);
        }
        Ok(())
    }
}

fn read_before() -> Error {
    Error::unsupported("a trigger function that looks at a column of NEW and assigns it later")
}

/// A condition made of others: as old as the oldest of them.
fn merged(expr: Expr, parts: &[Held], fire: &Fire<'_>) -> Held {
    let mut held = fire.hold_now(expr);
    for part in parts {
        held.commands = held.commands.min(part.commands);
        held.assigned = held.assigned.min(part.assigned);
    }
    held
}

fn conjunction(all: &[Held]) -> Option<Expr> {
    let mut items: Vec<Expr> = all.iter().map(|held| held.expr.clone()).collect();
    match items.len() {
        0 => None,
        1 => items.pop(),
        _ => Some(Expr { kind: ExprKind::And(items), pos: 0 }),
    }
}

fn both(one: Option<Expr>, other: Option<Expr>) -> Option<Expr> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Expr { kind: ExprKind::And(vec![other, one]), pos: 0 }),
        (one, other) => one.or(other),
    }
}

/// An INSERT under a condition: VALUES becomes one SELECT for each row.
fn inserts(insert: &Insert, filter: Option<Expr>) -> Vec<Statement> {
    let Some(filter) = filter else {
        return vec![Statement::Insert(Box::new(insert.clone()))];
    };
    let with = |select: Select, insert: &Insert| {
        let mut one = insert.clone();
        one.source = Some(Box::new(select));
        Statement::Insert(Box::new(one))
    };
    match insert.source.as_deref() {
        Some(Select { body: SelectBody::Values(rows), .. }) => rows
            .iter()
            .map(|row| {
                // DEFAULT is what a column that is not named gets.
                let mut own = insert.clone();
                let mut targets = Vec::new();
                let mut named = Vec::new();
                for (position, value) in row.iter().enumerate() {
                    if matches!(value.kind, ExprKind::Default) {
                        continue;
                    }
                    named.extend(insert.columns.get(position).cloned());
                    targets.push(Target { expr: value.clone(), alias: None });
                }
                own.columns = named;
                own.column_positions = vec![0; own.columns.len()];
                let body =
                    SimpleSelect { targets, filter: Some(filter.clone()), ..Default::default() };
                let body = SelectBody::Simple(Box::new(body));
                with(Select { body, ..Select::default() }, &own)
            })
            .collect(),
        source => {
            let inner = source.cloned().unwrap_or_default();
            let from = crate::sql::ast::TableRef::Subquery {
                query: Box::new(inner),
                alias: Some(crate::sql::ast::Alias {
                    name: "source".to_owned(),
                    columns: Vec::new(),
                }),
                lateral: false,
                pos: 0,
            };
            let star = Expr { kind: ExprKind::Star(Vec::new()), pos: 0 };
            let body = SimpleSelect {
                targets: vec![Target { expr: star, alias: None }],
                from: vec![from],
                filter: Some(filter),
                ..Default::default()
            };
            let body = SelectBody::Simple(Box::new(body));
            vec![with(Select { body, ..Select::default() }, insert)]
        }
    }
}

/// Whether an INSERT may write more than one row.
fn several_rows(insert: &Insert) -> bool {
    match insert.source.as_deref() {
        None => false,
        Some(Select { body: SelectBody::Values(rows), .. }) => rows.len() > 1,
        Some(Select { body: SelectBody::Simple(body), .. }) => {
            !body.from.is_empty() && !is_one_group(body)
        }
        Some(_) => true,
    }
}

/// Whether a SELECT makes one row of all there are.
fn is_one_group(body: &SimpleSelect) -> bool {
    let is_aggregate = |name: &str| tables().procs(name).iter().any(|p| p.kind == b'a');
    let mut aggregates = false;
    for target in &body.targets {
        rewrite::expression(&mut target.expr.clone(), &mut |e| match &e.kind {
            ExprKind::Call(call) => {
                aggregates |= call.over.is_none() && is_aggregate(&call.name.name);
                None
            }
            // Its own aggregates are not this SELECT's.
            ExprKind::Subquery(_) | ExprKind::Exists(_) | ExprKind::ArraySubquery(_) => {
                Some(e.clone())
            }
            ExprKind::SubqueryCompare { .. } => Some(e.clone()),
            _ => None,
        });
    }
    aggregates && body.group_by.is_empty() && body.distinct.is_none()
}

/// The columns of NEW an expression looks at, and whether it looks into tables.
pub(crate) fn looks(expr: &Expr) -> (BTreeSet<String>, bool) {
    let (mut columns, mut reads) = (BTreeSet::new(), false);
    rewrite::expression(&mut expr.clone(), &mut |e| {
        note_column(e, &mut columns);
        reads |= matches!(
            e.kind,
            ExprKind::Subquery(_)
                | ExprKind::Exists(_)
                | ExprKind::ArraySubquery(_)
                | ExprKind::SubqueryCompare { .. }
        );
        None
    });
    (columns, reads)
}

/// Whether what a condition reads is among tables.
fn touches(held: &Held, tables: &BTreeSet<String>) -> bool {
    held.tables.contains("") || held.tables.iter().any(|table| tables.contains(table))
}

/// Whether a command under other conditions has not run where these hold: one of them is the
/// opposite of one of those, and the command could not change it.
fn exclude(path: &[Held], under: &[Held], changed: &BTreeSet<String>) -> bool {
    let opposite = |a: &Held, b: &Held| {
        (a.refutes == Some(b.id) || b.refutes == Some(a.id)) && !touches(a, changed)
    };
    path.iter().any(|a| under.iter().any(|b| opposite(a, b)))
}

/// Tables an expression looks into; an empty name stands for any.
fn tables_of(expr: &Expr) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    rewrite::tables(expr, &mut |name| {
        tables.insert(name.to_owned());
    });
    tables
}

/// Tables that change when one is written: by foreign keys' actions; all of them when
/// triggers may write.
fn affected(table: &str, catalog: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![table.to_owned()];
    while let Some(table) = next.pop() {
        if !found.insert(table.clone()) {
            continue;
        }
        let fires =
            catalog.relations.get(&table).is_some_and(|r| !r.triggers.is_empty() || r.has_triggers);
        if fires {
            found.extend(catalog.relations.keys().cloned());
        }
        let follows = |k: &&crate::schema::ForeignKey| {
            use crate::schema::Action;
            let passive = |a: Action| matches!(a, Action::NoAction | Action::Restrict);
            k.table == table && !(passive(k.on_delete) && passive(k.on_update))
        };
        for relation in catalog.relations.values() {
            if relation.foreign_keys.iter().any(|k| follows(&k)) {
                next.push(relation.name.clone());
            }
        }
    }
    found
}

fn note_column(expr: &Expr, columns: &mut BTreeSet<String>) {
    match &expr.kind {
        ExprKind::Column(parts) | ExprKind::Star(parts) => match parts.as_slice() {
            [row, column] if row == "new" => {
                columns.insert(column.clone());
            }
            [row] if row == "new" => {
                columns.insert("*".to_owned());
            }
            _ => {}
        },
        _ => {}
    }
}
