//! Data-modifying statements in WITH: the order in which a statement's parts run.
//!
//! In PostgreSQL all parts see one snapshot, and rows pass between them by RETURNING only.
//! SQLite runs them one after the other, so whatever reads a table that another part writes
//! is read first; where that cannot be, or where the order would show, the statement is
//! 0A000. It must never let a part see what another one did. Start at [`arrange`].

use std::collections::{HashMap, HashSet};

use super::joined::{joined, separate};
use crate::error::{Error, Result};
use crate::schema::{Action, Catalog, Relation};
use crate::sql::Analysis;
use crate::sql::ir::{
    Body, Cte, Expr, ExprKind, From, InsertSource, Query, Select, Statement, Step,
};
use crate::sql::rewrite::{self, Part};

/// What a part of a statement touches.
#[derive(Default)]
struct Facts {
    /// OIDs of the tables it reads.
    tables: HashSet<u32>,
    used: HashSet<u32>,
    defined: HashSet<u32>,
    ctes_used: HashSet<u32>,
    ctes_defined: HashSet<u32>,
}

/// A table that a part writes.
struct Written<'a> {
    relation: &'a Relation,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// INSERT; the flag says that ON CONFLICT looks at other rows.
    Insert(bool),
    Update,
    Delete,
}

/// The steps before the main statement, which is changed to read what they leave.
pub(super) fn arrange(analysis: &mut Analysis, catalog: &Catalog) -> Result<Vec<Step>> {
    let mut modifying = std::mem::take(&mut analysis.steps);
    let mut next = u32::MAX / 4;
    if modifying.is_empty() {
        return Ok(separate(&mut analysis.statement, &mut next)?.into_iter().collect());
    }
    let mut hoister = Hoister {
        modifying: modifying.iter().map(|s| s.cte).collect(),
        next: u32::MAX / 2,
        ..Hoister::default()
    };
    let triggers = |s: &Statement| {
        written(s).is_some_and(|w| w.relation.has_triggers || !w.relation.triggers.is_empty())
    };
    if modifying.iter().any(|s| triggers(&s.statement)) || triggers(&analysis.statement) {
        return Err(Error::unsupported("writing a table that has triggers in a part of WITH"));
    }
    hoister.written = touched(&modifying, catalog);
    let (ctes, recursive) = analysis.statement.ctes_mut();
    let recursive = *recursive;
    let mut kept = Vec::new();
    for cte in std::mem::take(ctes) {
        hoister.plain.insert(cte.id, facts_of(&cte.query));
        if hoister.conflicts(&cte.query) && hoister.is_free(&cte.query) {
            hoister.plain.remove(&cte.id);
            hoister.hoisted.insert(cte.id);
            let query = Query { recursive, ..cte.query };
            hoister.steps.push(Step {
                cte: cte.id,
                statement: Statement::Select(Box::new(query)),
                unique: 0,
                single: false,
            });
        } else {
            kept.push(cte);
        }
    }
    *analysis.statement.ctes_mut().0 = kept.clone();
    rewrite::statement(&mut analysis.statement, &mut |part| hoister.part(part));
    let main_written = std::mem::take(&mut hoister.written);
    for n in 0..modifying.len() {
        hoister.written = touched(&modifying[..n], catalog);
        rewrite::statement(&mut modifying[n].statement, &mut |part| hoister.part(part));
        if !hoister.reads(&modifying[n].statement).is_disjoint(&hoister.written) {
            return Err(unsettled());
        }
    }
    if !hoister.reads(&analysis.statement).is_disjoint(&main_written) {
        return Err(unsettled());
    }
    check_order(&hoister, &modifying, &analysis.statement)?;
    let mut steps = std::mem::take(&mut hoister.steps);
    for step in &mut steps {
        lend(&mut step.statement, &kept, recursive);
    }
    for mut step in modifying {
        lend(&mut step.statement, &kept, recursive);
        steps.extend(separate(&mut step.statement, &mut next)?);
        steps.push(step);
    }
    steps.extend(separate(&mut analysis.statement, &mut next)?);
    Ok(steps)
}

/// Gives a step the queries of the main statement's WITH that it reads.
fn lend(statement: &mut Statement, ctes: &[Cte], recursive: bool) {
    let mut wanted = facts(statement).ctes_used;
    for cte in ctes.iter().rev().filter(|c| wanted.contains(&c.id)).collect::<Vec<_>>() {
        wanted.extend(facts_of(&cte.query).ctes_used);
    }
    let (own, own_recursive) = statement.ctes_mut();
    let mut all: Vec<Cte> = ctes.iter().filter(|c| wanted.contains(&c.id)).cloned().collect();
    if all.is_empty() {
        return;
    }
    *own_recursive |= recursive;
    all.append(own);
    *own = all;
}

fn unsettled() -> Error {
    Error::unsupported("reading a table that another part of WITH writes")
}

/// Two parts that write: refuses those whose order shows in keys and foreign keys.
fn check_order(hoister: &Hoister, modifying: &[Step], main: &Statement) -> Result<()> {
    let parts: Vec<(&Statement, Option<u32>)> = modifying
        .iter()
        .map(|s| (&s.statement, Some(s.cte)))
        .chain(std::iter::once((main, None)))
        .collect();
    for (n, (earlier, cte)) in parts.iter().enumerate() {
        let Some(a) = written(earlier) else { continue };
        for (later, _) in &parts[n + 1..] {
            let Some(b) = written(later) else { continue };
            let follows = cte.is_some_and(|cte| hoister.depends(later, cte));
            if !may_follow(&a, &b, follows) {
                return Err(Error::unsupported("parts of WITH whose order would show"));
            }
        }
    }
    Ok(())
}

fn may_follow(a: &Written<'_>, b: &Written<'_>, follows: bool) -> bool {
    if a.relation.oid == b.relation.oid {
        return match (a.kind, b.kind) {
            (Kind::Insert(_), Kind::Insert(looks)) => !looks,
            (_, Kind::Insert(false)) => follows,
            _ => false,
        };
    }
    let refers =
        |from: &Relation, to: &Relation| from.foreign_keys.iter().any(|key| key.table == to.name);
    // PostgreSQL looks at foreign keys when all parts are done.
    let child_first = refers(a.relation, b.relation) && a.kind != Kind::Delete;
    let parent_first = refers(b.relation, a.relation) && !matches!(a.kind, Kind::Insert(_));
    !child_first && !parent_first
}

fn written(statement: &Statement) -> Option<Written<'_>> {
    Some(match statement {
        Statement::Select(_) => return None,
        Statement::Insert(insert) => {
            Written { relation: &insert.table.0, kind: Kind::Insert(insert.on_conflict.is_some()) }
        }
        Statement::Update(update) => Written { relation: &update.table.0, kind: Kind::Update },
        Statement::Delete(delete) => Written { relation: &delete.table.0, kind: Kind::Delete },
    })
}

fn target(statement: &Statement) -> Option<u32> {
    written(statement).map(|w| w.relation.oid)
}

/// The tables that steps write, those included to which foreign keys carry a change.
fn touched(steps: &[Step], catalog: &Catalog) -> HashSet<u32> {
    let mut tables = HashSet::new();
    let mut carried: Vec<&str> = Vec::new();
    for written in steps.iter().filter_map(|s| written(&s.statement)) {
        tables.insert(written.relation.oid);
        if !matches!(written.kind, Kind::Insert(_)) {
            carried.push(&written.relation.name);
        }
    }
    let acts = |a: Action| !matches!(a, Action::NoAction | Action::Restrict);
    while let Some(name) = carried.pop() {
        for relation in catalog.relations.values() {
            let follows = relation
                .foreign_keys
                .iter()
                .any(|k| k.table == name && (acts(k.on_delete) || acts(k.on_update)));
            if follows && tables.insert(relation.oid) {
                carried.push(&relation.name);
            }
        }
    }
    tables
}

/// Moves queries that must see the state before the writes into steps of their own.
#[derive(Default)]
struct Hoister {
    modifying: HashSet<u32>,
    hoisted: HashSet<u32>,
    /// The main statement's other queries of WITH.
    plain: HashMap<u32, Facts>,
    written: HashSet<u32>,
    steps: Vec<Step>,
    next: u32,
}

impl Hoister {
    fn part(&mut self, part: Part<'_>) {
        match part {
            Part::Expr(expr) => rewrite::children(expr, &mut |part| self.part(part)),
            Part::Query(query) => self.query(query),
        }
    }

    fn query(&mut self, query: &mut Query) {
        if !self.conflicts(query) {
            return;
        }
        if self.is_free(query) {
            self.hoist(query);
        } else {
            rewrite::parts(query, &mut |part| self.part(part));
        }
    }

    /// Whether a query reads what is written.
    fn conflicts(&self, query: &Query) -> bool {
        let facts = facts_of(query);
        !self.tables(&facts).is_disjoint(&self.written)
    }

    /// Whether a query needs nothing from around it and nothing that is written.
    fn is_free(&self, query: &Query) -> bool {
        let facts = facts_of(query);
        facts.used.is_subset(&facts.defined)
            && facts.ctes_used.iter().all(|id| {
                facts.ctes_defined.contains(id)
                    || self.hoisted.contains(id)
                    || (self.plain.contains_key(id) && !self.needs_modifying(*id))
            })
    }

    fn needs_modifying(&self, id: u32) -> bool {
        self.modifying.contains(&id)
            || self.plain.get(&id).is_some_and(|facts| {
                facts.ctes_used.iter().any(|used| *used != id && self.needs_modifying(*used))
            })
    }

    fn depends(&self, statement: &Statement, cte: u32) -> bool {
        let mut todo: Vec<u32> = facts(statement).ctes_used.into_iter().collect();
        let mut seen: HashSet<u32> = HashSet::new();
        while let Some(id) = todo.pop() {
            if id == cte {
                return true;
            }
            if seen.insert(id)
                && let Some(facts) = self.plain.get(&id)
            {
                todo.extend(&facts.ctes_used);
            }
        }
        false
    }

    /// The tables read, through the queries of WITH as well.
    fn tables(&self, facts: &Facts) -> HashSet<u32> {
        let mut tables = facts.tables.clone();
        let mut todo: Vec<u32> = facts.ctes_used.iter().copied().collect();
        let mut seen: HashSet<u32> = HashSet::new();
        while let Some(id) = todo.pop() {
            if seen.insert(id)
                && let Some(facts) = self.plain.get(&id)
            {
                tables.extend(&facts.tables);
                todo.extend(&facts.ctes_used);
            }
        }
        tables
    }

    /// The tables a statement looks at, its target included where its old rows matter.
    fn reads(&self, statement: &Statement) -> HashSet<u32> {
        let mut tables = self.tables(&facts(statement));
        match statement {
            Statement::Update(_) | Statement::Delete(_) => tables.extend(target(statement)),
            Statement::Insert(insert) if insert.on_conflict.is_some() => {
                tables.extend(target(statement));
            }
            _ => {}
        }
        tables
    }

    /// Puts a query into a step, and its rows in its place.
    fn hoist(&mut self, query: &mut Query) {
        let cte = self.next;
        self.next += 1;
        self.hoisted.insert(cte);
        self.steps.push(hoisted(query, cte));
    }
}

/// A query as a step of this number, and its rows in its place.
fn hoisted(query: &mut Query, cte: u32) -> Step {
    let columns = query.columns.clone();
    let targets = columns
        .iter()
        .zip(0..)
        .map(|(c, n)| Expr { kind: ExprKind::Column(cte, n), ty: c.ty, pos: 0 })
        .collect();
    let from = From::Cte { rel: cte, cte, alias: "before".to_owned(), columns: columns.clone() };
    let select = Select { targets, from: vec![from], ..Select::default() };
    let rows = Query::of(select, columns);
    let first = std::mem::replace(query, rows);
    Step { cte, statement: Statement::Select(Box::new(first)), unique: 0, single: false }
}

/// The steps of a MERGE: all reads, then all writes.
pub(super) fn merged(analysis: &mut Analysis) -> Result<Vec<Step>> {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let mut next = u32::MAX / 4;
    for mut step in std::mem::take(&mut analysis.steps) {
        let rows = match &mut step.statement {
            Statement::Select(_) => {
                reads.push(step);
                continue;
            }
            Statement::Insert(insert) => match &mut insert.source {
                InsertSource::Query { query, .. } => {
                    let rows = query.columns.len();
                    let taken = hoisted(query, step.cte);
                    (rows > 0).then_some(taken)
                }
                InsertSource::Values(_) => None,
            },
            Statement::Update(_) | Statement::Delete(_) => joined(&mut step.statement, step.cte)?,
        };
        reads.push(rows.ok_or_else(|| Error::internal("a clause of MERGE without its rows"))?);
        writes.push(Step { cte: next, ..step });
        next += 1;
    }
    reads.append(&mut writes);
    Ok(reads)
}

fn facts_of(query: &Query) -> Facts {
    let mut facts = Facts::default();
    // Looking only: the walk is the one that may also change.
    facts.query(&mut query.clone());
    facts
}

fn facts(statement: &Statement) -> Facts {
    let mut facts = Facts::default();
    let mut statement = statement.clone();
    if let Statement::Update(update) = &statement {
        facts.defined.insert(update.rel);
        update.from.iter().for_each(|f| facts.from(f));
    }
    if let Statement::Delete(delete) = &statement {
        facts.defined.insert(delete.rel);
        delete.using.iter().for_each(|f| facts.from(f));
    }
    facts.ctes_defined.extend(statement.ctes().iter().map(|c| c.id));
    rewrite::statement(&mut statement, &mut |part| facts.part(part));
    facts
}

impl Facts {
    fn part(&mut self, part: Part<'_>) {
        match part {
            Part::Expr(expr) => {
                if let ExprKind::Column(rel, _) = expr.kind {
                    self.used.insert(rel);
                }
                rewrite::children(expr, &mut |part| self.part(part));
            }
            Part::Query(query) => self.query(query),
        }
    }

    fn query(&mut self, query: &mut Query) {
        self.ctes_defined.extend(query.ctes.iter().map(|c| c.id));
        if let Body::Select(select) = &query.body {
            select.from.iter().for_each(|f| self.from(f));
        }
        rewrite::parts(query, &mut |part| self.part(part));
    }

    fn from(&mut self, from: &From) {
        match from {
            From::Table { rel, table, .. } => {
                self.defined.insert(*rel);
                self.tables.insert(table.0.oid);
            }
            From::Cte { rel, cte, .. } => {
                self.defined.insert(*rel);
                self.ctes_used.insert(*cte);
            }
            From::Subquery { rel, .. } | From::Function { rel, .. } => {
                self.defined.insert(*rel);
            }
            From::Join { left, right, .. } => {
                self.from(left);
                self.from(right);
            }
        }
    }
}
