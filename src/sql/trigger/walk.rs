//! A trigger function's body, path by path.
//!
//! Owns what a body means for one event: which statement runs under which conditions,
//! variables replaced by what they hold, RETURN ending the path. What a row's values are is
//! the [`Sink`]'s. It must never let a statement run under a condition that PostgreSQL would
//! have evaluated to something else. Start at [`walk`].

use std::collections::BTreeMap;

use super::fold::{bool_of, fold, truth};
use super::rewrite;
use crate::error::{Error, Result, state};
use crate::schema::{Relation, Trigger};
use crate::sql::ast::{
    Block, Expr, ExprKind, Literal, Raise, Returned, Select, SelectBody, Statement, Step, TypeName,
};
use crate::sql::pg::plpgsql;

/// What fires a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
}

impl Event {
    /// TG_OP
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a trigger fires on it.
    pub(crate) fn fires(self, trigger: &Trigger) -> bool {
        trigger.enabled
            && match self {
                Self::Insert => trigger.insert,
                Self::Update => trigger.update,
                Self::Delete => trigger.delete,
            }
    }
}

/// Takes what a body does.
pub(crate) trait Sink {
    /// A condition as it was when its IF was reached.
    type Condition: Clone;

    /// A condition, evaluated here.
    fn condition(&mut self, expr: &Expr) -> Result<Self::Condition>;
    /// The tree of the conjunction of conditions, where a variable is to depend on it.
    fn tree(&self, path: &[Self::Condition]) -> Result<Expr>;
    /// True unless all of these are.
    fn refuted(&mut self, all: &[Self::Condition]) -> Result<Self::Condition>;
    /// True when the first is, or all others are.
    fn either(&mut self, one: Self::Condition, all: &[Self::Condition]) -> Result<Self::Condition>;
    /// NEW.column := value
    fn set_column(&mut self, path: &[Self::Condition], column: &str, value: &Expr) -> Result<()>;
    /// RAISE EXCEPTION
    fn raise(&mut self, path: &[Self::Condition], raise: &Raise) -> Result<()>;
    /// The row is neither written nor looked at by later triggers.
    fn skip_row(&mut self, path: &[Self::Condition]) -> Result<()>;
    /// INSERT, UPDATE, DELETE
    fn run(&mut self, path: &[Self::Condition], statement: &Statement) -> Result<()>;
    /// A query that runs for nothing but its errors.
    fn perform(&mut self, query: &Select) -> Result<()>;
    /// An expression that a variable holds from now on.
    fn hold(&mut self, value: &Expr) -> Result<()>;
}

/// Gives a trigger's work for one event to a sink.
///
/// # Errors
/// 0A000 for what cannot be run faithfully.
pub(crate) fn walk<S: Sink>(
    block: &Block,
    trigger: &Trigger,
    relation: &Relation,
    event: Event,
    sink: &mut S,
) -> Result<()> {
    let mut walker = Walker { trigger, relation, event, sink, variables: BTreeMap::new() };
    let mut path = Vec::new();
    if let Some(when) = &trigger.when {
        let when = walker.prepared(&plpgsql::expression(when)?);
        match truth(&when) {
            Some(false) => return Ok(()),
            Some(true) => {}
            None => path.push(walker.sink.condition(&when)?),
        }
    }
    walker.declare(block)?;
    if let Some(path) = walker.sequence(&block.steps, path)? {
        let message = "control reached end of trigger procedure without RETURN";
        let raise = Raise {
            state: "2F005".to_owned(),
            message: Some(plpgsql::literal(message)),
            context: format!("PL/pgSQL function {}()", trigger.function),
            ..Raise::default()
        };
        walker.sink.raise(&path, &raise)?;
    }
    Ok(())
}

struct Walker<'a, S: Sink> {
    trigger: &'a Trigger,
    relation: &'a Relation,
    event: Event,
    sink: &'a mut S,
    /// Types and what they hold, by name.
    variables: Variables,
}

/// Types and values of variables, by name.
type Variables = BTreeMap<String, (TypeName, Expr)>;

type Path<S> = Vec<<S as Sink>::Condition>;

impl<S: Sink> Walker<'_, S> {
    fn declare(&mut self, block: &Block) -> Result<()> {
        for (name, ty, first) in &block.variables {
            let null = Expr { kind: ExprKind::Literal(Literal::Null), pos: 0 };
            let value = first.as_ref().map_or(null, |first| self.prepared(first));
            let value = cast(value, ty);
            self.sink.hold(&value)?;
            self.variables.insert(name.clone(), (ty.clone(), value));
        }
        let found = TypeName { name: "bool".to_owned(), ..TypeName::default() };
        self.variables.insert("found".to_owned(), (found, bool_of(false, 0)));
        Ok(())
    }

    /// An expression with variables and TG_… in place, and constants worked out.
    fn prepared(&self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        rewrite::expression(&mut expr, &mut |e| self.replacement(e));
        fold(&expr)
    }

    fn replacement(&self, expr: &Expr) -> Option<Expr> {
        match &expr.kind {
            ExprKind::Column(parts) => match parts.as_slice() {
                [name] => {
                    let held = self.variables.get(name).map(|(_, value)| value.clone());
                    held.or_else(|| self.special(name))
                }
                _ => None,
            },
            ExprKind::Subscript { expr: array, lower: None, upper: Some(index), slice: false }
            | ExprKind::Subscript { expr: array, lower: Some(index), upper: None, slice: false }
                if matches!(&array.kind, ExprKind::Column(c) if c.as_slice() == ["tg_argv"]) =>
            {
                let ExprKind::Literal(Literal::Integer(index)) = index.kind else { return None };
                let index = usize::try_from(index).ok();
                let argument = index.and_then(|i| self.trigger.arguments.get(i));
                Some(match argument {
                    Some(text) => plpgsql::literal(text.clone()),
                    None => Expr { kind: ExprKind::Literal(Literal::Null), pos: expr.pos },
                })
            }
            ExprKind::IsDistinct(left, right, not) => {
                let (left, right) = (row_name(left)?, row_name(right)?);
                let columns = self.relation.columns.iter().map(|c| {
                    let of = |row: &str| {
                        let parts = vec![row.to_owned(), c.name.clone()];
                        Box::new(Expr { kind: ExprKind::Column(parts), pos: 0 })
                    };
                    Expr { kind: ExprKind::IsDistinct(of(&left), of(&right), false), pos: 0 }
                });
                let any = Expr { kind: ExprKind::Or(columns.collect()), pos: expr.pos };
                Some(match not {
                    true => Expr { kind: ExprKind::Not(Box::new(any)), pos: expr.pos },
                    false => any,
                })
            }
            _ => None,
        }
    }

    /// TG_OP and its kin.
    fn special(&self, name: &str) -> Option<Expr> {
        let text = match name {
            "tg_op" => self.event.name(),
            "tg_name" => &self.trigger.name,
            "tg_when" if self.trigger.before => "BEFORE",
            "tg_when" => "AFTER",
            "tg_level" => "ROW",
            "tg_table_name" | "tg_relname" => self.relation.bare(),
            "tg_table_schema" => &self.relation.schema,
            "tg_nargs" => {
                let count = i32::try_from(self.trigger.arguments.len()).unwrap_or(i32::MAX);
                return Some(Expr { kind: ExprKind::Literal(Literal::Integer(count)), pos: 0 });
            }
            _ => return None,
        };
        Some(plpgsql::literal(text))
    }

    /// Walks statements; the path on which what follows runs, None when all have returned.
    fn sequence(&mut self, steps: &[Step], mut path: Path<S>) -> Result<Option<Path<S>>> {
        for step in steps {
            match step {
                Step::If(branches, otherwise) => match self.branch(branches, otherwise, path)? {
                    Some(after) => path = after,
                    None => return Ok(None),
                },
                Step::Return(what) => {
                    self.returned(*what, &path)?;
                    return Ok(None);
                }
                Step::Raise(raise) => {
                    let raise = self.prepared_raise(raise);
                    self.sink.raise(&path, &raise)?;
                    return Ok(None);
                }
                Step::SetColumn(column, value) => {
                    if self.event == Event::Delete || !self.trigger.before {
                        // Assigned in vain, as in PostgreSQL; its errors would not be.
                        return Err(Error::unsupported("assigning to NEW here"));
                    }
                    let value = self.prepared(value);
                    self.sink.set_column(&path, column, &value)?;
                }
                Step::Set(name, value) => {
                    let value = self.prepared(value);
                    self.set(name, value)?;
                }
                Step::Run(statement) => {
                    let mut statement = Statement::clone(statement);
                    rewrite::statement(&mut statement, &mut |e| self.replacement(e));
                    self.sink.run(&path, &statement)?;
                }
                Step::Into(targets, query) => self.select_into(&path, targets, query)?,
                Step::Perform(query) => {
                    let query = self.prepared_query(query);
                    self.sink.perform(&query)?;
                    self.found(query)?;
                }
            }
        }
        Ok(Some(path))
    }

    fn branch(
        &mut self,
        branches: &[(Expr, Vec<Step>)],
        otherwise: &[Step],
        path: Path<S>,
    ) -> Result<Option<Path<S>>> {
        // What is known to be false in later branches.
        let mut before: Path<S> = Vec::new();
        let mut after = path.clone();
        let mut last_taken = false;
        let first = self.variables.clone();
        let mut joined = first.clone();
        for (condition, steps) in branches {
            let condition = self.prepared(condition);
            let mut taken = before.clone();
            match truth(&condition) {
                Some(false) => continue,
                Some(true) => last_taken = true,
                None => taken.push(self.sink.condition(&condition)?),
            }
            let goes_on = self.branch_taken(steps, &path, &taken, &mut after)?;
            if !goes_on && taken.is_empty() {
                return Ok(None);
            }
            self.join_variables(&first, &mut joined, &taken, goes_on)?;
            if last_taken {
                break;
            }
            let own: Vec<S::Condition> = taken.last().cloned().into_iter().collect();
            before.push(self.sink.refuted(&own)?);
        }
        if !last_taken {
            let goes_on = self.branch_taken(otherwise, &path, &before, &mut after)?;
            if !goes_on && before.is_empty() {
                return Ok(None);
            }
            self.join_variables(&first, &mut joined, &before, goes_on)?;
        }
        self.variables = joined;
        Ok(Some(after))
    }

    /// What variables hold behind an IF: what a branch has given them where it was taken. The
    /// next branch begins with what they held before.
    fn join_variables(
        &mut self,
        first: &Variables,
        joined: &mut Variables,
        taken: &[S::Condition],
        goes_on: bool,
    ) -> Result<()> {
        let own = std::mem::replace(&mut self.variables, first.clone());
        for (name, (ty, value)) in own.into_iter().filter(|_| goes_on) {
            if first.get(&name).is_some_and(|(_, before)| *before == value) {
                continue;
            }
            let Some((_, former)) = joined.get(&name).cloned() else { continue };
            let value = match taken.is_empty() {
                true => value,
                false => {
                    let branches = vec![(self.sink.tree(taken)?, value)];
                    let otherwise = Some(Box::new(former));
                    let kind = ExprKind::Case { operand: None, branches, otherwise };
                    Expr { kind, pos: 0 }
                }
            };
            self.sink.hold(&value)?;
            joined.insert(name, (ty, value));
        }
        Ok(())
    }

    /// Walks one branch; false when it never goes on behind the IF. `after` learns what holds
    /// there.
    fn branch_taken(
        &mut self,
        steps: &[Step],
        path: &Path<S>,
        taken: &Path<S>,
        after: &mut Path<S>,
    ) -> Result<bool> {
        let mut own = path.clone();
        own.extend(taken.iter().cloned());
        let length = own.len();
        let Some(end) = self.sequence(steps, own)? else {
            let gone = self.sink.refuted(taken)?;
            after.push(gone);
            return Ok(false);
        };
        if let Some(further) = end.get(length..).filter(|f| !f.is_empty()) {
            let further = further.to_vec();
            let not_here = self.sink.refuted(taken)?;
            let condition = self.sink.either(not_here, &further)?;
            after.push(condition);
        }
        Ok(true)
    }

    fn returned(&mut self, what: Returned, path: &[S::Condition]) -> Result<()> {
        if !self.trigger.before {
            return Ok(());
        }
        match (self.event, what) {
            (Event::Insert | Event::Update, Returned::New) | (Event::Delete, Returned::Old) => {
                Ok(())
            }
            (Event::Update, Returned::Old) => {
                Err(Error::unsupported("RETURN OLD in a trigger BEFORE UPDATE"))
            }
            _ => self.sink.skip_row(path),
        }
    }

    /// A variable's new value, on this path.
    fn set(&mut self, name: &str, value: Expr) -> Result<()> {
        let Some((ty, _)) = self.variables.get(name).cloned() else {
            let message = format!("\"{name}\" is not a known variable");
            return Err(Error::client(state::SYNTAX_ERROR, message));
        };
        let value = cast(value, &ty);
        self.sink.hold(&value)?;
        self.variables.insert(name.to_owned(), (ty, value));
        Ok(())
    }

    fn found(&mut self, query: Select) -> Result<()> {
        let exists = Expr { kind: ExprKind::Exists(Box::new(query)), pos: 0 };
        self.set("found", exists)
    }

    fn select_into(
        &mut self,
        path: &[S::Condition],
        targets: &[String],
        query: &Select,
    ) -> Result<()> {
        let query = self.prepared_query(query);
        let SelectBody::Simple(body) = &query.body else {
            return Err(Error::unsupported("this SELECT INTO in PL/pgSQL"));
        };
        let star = body.targets.iter().any(|t| matches!(t.expr.kind, ExprKind::Star(_)));
        if body.targets.len() != targets.len() || star || body.distinct.is_some() {
            return Err(Error::unsupported("this SELECT INTO in PL/pgSQL"));
        }
        for (position, target) in targets.iter().enumerate() {
            let mut one = query.clone();
            if let SelectBody::Simple(body) = &mut one.body {
                body.targets = body.targets.get(position).cloned().into_iter().collect();
            }
            if one.limit.is_none() {
                let first = ExprKind::Literal(Literal::Integer(1));
                one.limit = Some(Expr { kind: first, pos: 0 });
            }
            let value = Expr { kind: ExprKind::Subquery(Box::new(one)), pos: 0 };
            match target.split_once('.') {
                Some(("new", column)) => self.sink.set_column(path, column, &value)?,
                Some(_) => return Err(Error::unsupported("this SELECT INTO in PL/pgSQL")),
                None => self.set(target, value)?,
            }
        }
        self.found(query)
    }

    fn prepared_query(&self, query: &Select) -> Select {
        let mut query = query.clone();
        // The writer is held already: there is nothing more to lock.
        query.locking.clear();
        rewrite::select(&mut query, &mut |e| self.replacement(e));
        query
    }

    fn prepared_raise(&self, raise: &Raise) -> Raise {
        let part = |e: &Option<Expr>| e.as_ref().map(|e| self.prepared(e));
        Raise {
            state: raise.state.clone(),
            line: raise.line,
            context: format!(
                "PL/pgSQL function {}() line {} at RAISE",
                self.trigger.function, raise.line
            ),
            message: part(&raise.message),
            detail: part(&raise.detail),
            hint: part(&raise.hint),
            table: part(&raise.table),
            constraint: part(&raise.constraint),
        }
    }
}

fn cast(value: Expr, ty: &TypeName) -> Expr {
    let pos = value.pos;
    Expr { kind: ExprKind::Cast(Box::new(value), ty.clone()), pos }
}

/// `new` or `old` where a whole row is meant.
fn row_name(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Star(parts) | ExprKind::Column(parts) => match parts.as_slice() {
            [name] if matches!(name.as_str(), "new" | "old") => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}
