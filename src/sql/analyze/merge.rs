//! MERGE: a read of the pairs that it changes, then an UPDATE, DELETE or INSERT for each of its
//! clauses.
//!
//! Owns which clause a pair of rows belongs to. All reads come first, so that every clause sees
//! the state before the statement; a row that two pairs would change is found by the first read
//! (21000). Conditions are computed more than once: volatile ones are 0A000. Start at
//! [`Analyzer::merge`].

use std::rc::Rc;

use super::scope::CteInfo;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::Relation;
use crate::sql::ast::{
    self, Assignment, Delete, ExprKind, Insert, Literal, Merge, MergeAction, Name, Select,
    SelectBody, SimpleSelect, TableRef, Target, Update, When,
};
use crate::sql::ir::{self, Output, Step};
use crate::value::{Type, oid};

impl Analyzer<'_> {
    /// The steps of a MERGE, and what counts the rows that they change.
    pub(super) fn merge(&mut self, merge: &Merge) -> Result<ir::Statement> {
        if !self.freeze || self.lite || !self.levels.is_empty() {
            return Err(Error::unsupported("MERGE in this place"));
        }
        if !super::inline::parts_read(merge.with.as_ref()) {
            return Err(Error::unsupported("MERGE beside a part of WITH that writes"));
        }
        self.push_level();
        let relation = self.target_relation(&merge.table, "execute MERGE on")?;
        self.levels.clear();
        check_clauses(&merge.clauses)?;
        check_target(&relation, &merge.clauses)?;
        self.pairs(merge, &relation)?;
        let mut counted = Vec::new();
        for (number, when) in merge.clauses.iter().enumerate() {
            let statement = match &when.action {
                MergeAction::Nothing => continue,
                MergeAction::Update(assignments) => self.updates(merge, number, assignments)?,
                MergeAction::Delete => self.deletes(merge, number)?,
                MergeAction::Insert { columns, overriding, values } => {
                    let listed = (columns.as_slice(), values.as_slice());
                    self.inserts(merge, number, &relation, listed, *overriding)?
                }
            };
            let id = self.next_cte;
            self.next_cte += 1;
            self.steps.push(Step { cte: id, statement, unique: 0, single: false });
            counted.push(id);
        }
        self.merging = true;
        self.count(&counted)
    }

    /// The pairs of rows that UPDATE and DELETE are for: no row of the target twice.
    fn pairs(&mut self, merge: &Merge, relation: &Relation) -> Result<()> {
        let key = relation.key().ok_or_else(|| {
            let what = format!("MERGE into table \"{}\", which has no key", relation.bare());
            Error::unsupported(what)
        })?;
        let writes = |(_, when): &(usize, &When)| {
            matches!(when.action, MergeAction::Update(_) | MergeAction::Delete)
        };
        let changing: Vec<ast::Expr> = merge
            .clauses
            .iter()
            .enumerate()
            .filter(writes)
            .map(|(number, _)| all_of(chosen(&merge.clauses, number)))
            .collect();
        let shown = merge.alias.as_deref().unwrap_or(&merge.table.name);
        let column = |index: &usize| {
            let parts = vec![shown.to_owned(), relation.columns[*index].name.clone()];
            target(ExprKind::Column(parts))
        };
        let targets = key.iter().map(column).collect();
        let from = vec![merge.source.clone(), target_ref(merge)];
        let filter = match changing.is_empty() {
            true => merge.on.clone(),
            false => all_of(vec![merge.on.clone(), any_of(changing.clone())]),
        };
        let select = select_of(merge, targets, from, filter);
        let statement = self.part(&ast::Statement::Select(Box::new(select)))?;
        if self.volatile || self.draws {
            return Err(Error::unsupported("a volatile condition in MERGE"));
        }
        if !changing.is_empty() {
            let id = self.next_cte;
            self.next_cte += 1;
            self.steps.push(Step { cte: id, statement, unique: key.len(), single: true });
        }
        Ok(())
    }

    fn updates(
        &mut self,
        merge: &Merge,
        number: usize,
        assignments: &[Assignment],
    ) -> Result<ir::Statement> {
        let mut parts = chosen(&merge.clauses, number);
        parts.insert(0, merge.on.clone());
        let update = Update {
            with: merge.with.clone(),
            table: merge.table.clone(),
            alias: merge.alias.clone(),
            assignments: assignments.to_vec(),
            from: vec![merge.source.clone()],
            filter: Some(all_of(parts)),
            returning: Vec::new(),
        };
        self.part(&ast::Statement::Update(Box::new(update)))
    }

    fn deletes(&mut self, merge: &Merge, number: usize) -> Result<ir::Statement> {
        let mut parts = chosen(&merge.clauses, number);
        parts.insert(0, merge.on.clone());
        let delete = Delete {
            with: merge.with.clone(),
            table: merge.table.clone(),
            alias: merge.alias.clone(),
            using: vec![merge.source.clone()],
            filter: Some(all_of(parts)),
            returning: Vec::new(),
        };
        self.part(&ast::Statement::Delete(Box::new(delete)))
    }

    fn inserts(
        &mut self,
        merge: &Merge,
        number: usize,
        relation: &Relation,
        (columns, values): (&[(String, u32)], &[ast::Expr]),
        overriding: Option<ast::Overriding>,
    ) -> Result<ir::Statement> {
        let from = vec![target_ref(merge)];
        let one = vec![target(ExprKind::Literal(Literal::Integer(1)))];
        let matched =
            Select { with: None, ..select_of(merge, one.clone(), from, merge.on.clone()) };
        let matched = expr(ExprKind::Exists(Box::new(matched)));
        let mut parts = chosen(&merge.clauses, number);
        parts.insert(0, expr(ExprKind::Not(Box::new(matched))));
        let from = vec![merge.source.clone()];
        let before = (self.volatile, self.draws);
        let probe = select_of(merge, one, from.clone(), all_of(parts.clone()));
        let hidden = |error| hidden(error, merge);
        self.part(&ast::Statement::Select(Box::new(probe))).map_err(hidden)?;
        if (self.volatile, self.draws) != before {
            return Err(Error::unsupported("a volatile condition in MERGE"));
        }
        let written = |c: &crate::schema::Column| c.generated.is_none();
        let names: Vec<(String, u32)> = match columns {
            [] => {
                let all = relation.columns.iter().filter(|c| written(c));
                all.map(|c| (c.name.clone(), 0)).take(values.len().max(1)).collect()
            }
            columns => columns.to_vec(),
        };
        if !values.is_empty() && values.len() < names.len() {
            let pos = names.get(values.len()).map_or(0, |(_, pos)| *pos);
            let message = "INSERT has more target columns than expressions";
            return Err(errors::syntax(pos, message));
        }
        if values.len() > names.len() {
            let pos = values.get(names.len()).map_or(0, |v| v.pos);
            let message = "INSERT has more expressions than target columns";
            return Err(errors::syntax(pos, message));
        }
        // A column that is given its default is one that is not given.
        let given: Vec<(&(String, u32), &ast::Expr)> = names
            .iter()
            .zip(values)
            .filter(|(_, value)| !matches!(value.kind, ExprKind::Default))
            .collect();
        if given.is_empty() {
            return Err(Error::unsupported("MERGE that inserts default values only"));
        }
        let targets =
            given.iter().map(|(_, value)| Target { expr: (*value).clone(), alias: None }).collect();
        let insert = Insert {
            with: None,
            table: merge.table.clone(),
            alias: None,
            columns: given.iter().map(|((name, _), _)| name.clone()).collect(),
            column_positions: given.iter().map(|((_, pos), _)| *pos).collect(),
            source: Some(Box::new(select_of(merge, targets, from, all_of(parts)))),
            overriding,
            on_conflict: None,
            or: ast::Conflict::Abort,
            returning: Vec::new(),
        };
        self.part(&ast::Statement::Insert(Box::new(insert))).map_err(hidden)
    }

    /// One of the statements that a MERGE comes to.
    fn part(&mut self, statement: &ast::Statement) -> Result<ir::Statement> {
        let done = self.statement(statement);
        self.levels.clear();
        done
    }

    /// How many rows the clauses change: as many as their reads have found.
    fn count(&mut self, steps: &[u32]) -> Result<ir::Statement> {
        self.push_level();
        let mut parts = vec!["0::bigint".to_owned()];
        for id in steps {
            let name = format!("merge {id}");
            parts.push(format!("(SELECT count(*) FROM \"{name}\")"));
            let columns =
                vec![Output { name: "n".to_owned(), ty: Type::new(oid::INT8), origin: (0, 0) }];
            self.level().ctes.push(Rc::new(CteInfo { id: *id, name, columns }));
        }
        let text = parts.join(" + ");
        let parsed = crate::sql::parse(&format!("SELECT {text} AS n"))?;
        let [ast::Parsed { statement: ast::Statement::Select(select), .. }] = parsed.as_slice()
        else {
            return Err(Error::internal("a count is no query"));
        };
        let query = self.query(select, true)?;
        self.levels.clear();
        Ok(ir::Statement::Select(Box::new(query)))
    }
}

/// What a clause for rows that are not matched says of the target: it is there, but not for it.
fn hidden(error: Error, merge: &Merge) -> Error {
    let name = merge.alias.as_deref().unwrap_or(&merge.table.name);
    if error.message() != format!("missing FROM-clause entry for table \"{name}\"") {
        return error;
    }
    let message = format!("invalid reference to FROM-clause entry for table \"{name}\"");
    let detail = format!(
        "There is an entry for table \"{name}\", but it cannot be referenced from this part of the \
         query."
    );
    let pos = error.fields().position;
    errors::client(state::UNDEFINED_TABLE, pos, message).detail(detail)
}

/// A clause behind one that takes all pairs is never reached.
fn check_clauses(clauses: &[When]) -> Result<()> {
    for matched in [true, false] {
        let mut own = clauses.iter().filter(|c| c.matched == matched);
        if own.find(|c| c.condition.is_none()).is_some() && own.next().is_some() {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(errors::client(state::SYNTAX_ERROR, 0, message));
        }
    }
    Ok(())
}

/// What cannot be done clause by clause.
fn check_target(relation: &Relation, clauses: &[When]) -> Result<()> {
    if relation.has_triggers || !relation.triggers.is_empty() {
        return Err(Error::unsupported("MERGE into a table that has triggers"));
    }
    let writes = clauses.iter().filter(|c| c.action != MergeAction::Nothing).count();
    let to_itself = relation.foreign_keys.iter().any(|key| key.table == relation.name);
    if writes > 1 && to_itself {
        return Err(Error::unsupported("MERGE into a table that refers to itself"));
    }
    Ok(())
}

fn expr(kind: ExprKind) -> ast::Expr {
    ast::Expr { kind, pos: 0 }
}

fn target(kind: ExprKind) -> Target {
    Target { expr: expr(kind), alias: None }
}

fn all_of(mut parts: Vec<ast::Expr>) -> ast::Expr {
    match parts.len() {
        0 => expr(ExprKind::Literal(Literal::Bool(true))),
        1 => parts.remove(0),
        _ => expr(ExprKind::And(parts)),
    }
}

fn any_of(mut parts: Vec<ast::Expr>) -> ast::Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => expr(ExprKind::Or(parts)),
    }
}

/// When a clause is the first that takes a pair.
fn chosen(clauses: &[When], number: usize) -> Vec<ast::Expr> {
    let Some(own) = clauses.get(number) else { return Vec::new() };
    let earlier = clauses[..number].iter().filter(|c| c.matched == own.matched);
    let not_true = |c: &ast::Expr| expr(ExprKind::IsBool(Box::new(c.clone()), Some(true), true));
    let mut parts: Vec<ast::Expr> =
        earlier.filter_map(|c| c.condition.as_ref()).map(not_true).collect();
    parts.extend(own.condition.clone());
    parts
}

fn target_ref(merge: &Merge) -> TableRef {
    let alias = merge.alias.clone().map(|name| ast::Alias { name, columns: Vec::new() });
    let table = Name { ..merge.table.clone() };
    TableRef::Table { name: table, alias }
}

fn select_of(
    merge: &Merge,
    targets: Vec<Target>,
    from: Vec<TableRef>,
    filter: ast::Expr,
) -> Select {
    let simple = SimpleSelect { targets, from, filter: Some(filter), ..SimpleSelect::default() };
    Select {
        with: merge.with.clone(),
        body: SelectBody::Simple(Box::new(simple)),
        ..Select::default()
    }
}
