//! Variables of a body of DO, and how they stand in its statements.
//!
//! A value is kept as text with its type, and stands in a statement as a constant. Start at
//! [`Variables::put`].

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::sqlite::ddl::Temporary;
use crate::error::{Error, Result, SqlState, state};
use crate::schema::Catalog;
use crate::sql::ast::{Expr, ExprKind, Literal, Select, Statement, TypeName};
use crate::sql::trigger::{Names, rewrite};

/// A value as text and its type.
pub(super) type Typed = (TypeName, Option<String>);

enum Slot {
    Value(Typed),
    /// Fields by name; None before the first row.
    Record(Option<Vec<(String, Typed)>>),
}

/// The tables whose columns a name may mean.
pub(super) struct Sight {
    pub(super) catalog: Arc<Catalog>,
    pub(super) temporary: Arc<Temporary>,
}

impl Sight {
    /// Whether a table of this name, without its schema, has a column of that name.
    fn has(&self, table: &str, column: &str) -> bool {
        let own = self.temporary.values().chain(self.catalog.relations.values());
        let system = self.catalog.system.values().chain(self.catalog.information.values());
        let mut all = own.chain(system);
        all.any(|r| r.bare() == table && r.column(column).is_some())
    }
}

/// All variables in scope, the innermost block last.
#[derive(Default)]
pub(super) struct Variables(Vec<HashMap<String, Slot>>);

impl Variables {
    pub(super) fn enter(&mut self) {
        self.0.push(HashMap::new());
    }

    pub(super) fn leave(&mut self) {
        self.0.pop();
    }

    pub(super) fn declare(&mut self, name: &str, ty: TypeName, value: Option<String>) {
        if let Some(scope) = self.0.last_mut() {
            scope.insert(name.to_owned(), Slot::Value((ty, value)));
        }
    }

    /// An OUT variable, NULL; one of a table's type is a record.
    pub(super) fn declare_out(
        &mut self,
        name: &str,
        ty: &TypeName,
        catalog: &Catalog,
    ) -> Result<()> {
        match super::temporary::row_type(ty, catalog)? {
            None => self.declare(name, ty.clone(), None),
            Some(columns) => {
                self.declare_record(name);
                let empty = columns.into_iter().map(|(column, ty)| (column, (ty, None)));
                self.set_record(name, empty.collect())?;
            }
        }
        Ok(())
    }

    /// A query over OUT variables: `alias.variable` and `(alias.variable).field`.
    pub(super) fn put_outs(&self, query: &Select, alias: &str) -> Result<Select> {
        let mut query = query.clone();
        let mut wrong = None;
        rewrite::select(&mut query, &mut |expr| {
            let (parts, field) = match &expr.kind {
                ExprKind::Field(inner, field) => match &inner.kind {
                    ExprKind::Column(parts) => (parts, Some(field)),
                    _ => return None,
                },
                ExprKind::Column(parts) => (parts, None),
                _ => return None,
            };
            let name = match parts.as_slice() {
                [name] => name,
                [of, name] if of == alias => name,
                _ => return None,
            };
            let value = match (self.find(name), field) {
                (Some(Slot::Value(value)), None) => Some(value),
                (Some(Slot::Record(Some(fields))), Some(field)) => {
                    fields.iter().find(|(own, _)| own == field).map(|(_, value)| value)
                }
                _ => None,
            };
            if value.is_none() {
                wrong.get_or_insert(Error::unsupported("this use of a function's result"));
            }
            value.map(constant)
        });
        wrong.map_or(Ok(query), Err)
    }

    pub(super) fn declare_record(&mut self, name: &str) {
        if let Some(scope) = self.0.last_mut() {
            scope.insert(name.to_owned(), Slot::Record(None));
        }
    }

    fn find(&self, name: &str) -> Option<&Slot> {
        self.0.iter().rev().find_map(|scope| scope.get(name))
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Slot> {
        let found = self.0.iter_mut().rev().find_map(|scope| scope.get_mut(name));
        found.ok_or_else(|| unknown(name))
    }

    pub(super) fn is_record(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Slot::Record(_)))
    }

    pub(super) fn type_of(&self, name: &str) -> Result<TypeName> {
        match self.find(name) {
            Some(Slot::Value((ty, _))) => Ok(ty.clone()),
            Some(Slot::Record(_)) => Err(Error::unsupported("assigning to a record in PL/pgSQL")),
            None => Err(unknown(name)),
        }
    }

    pub(super) fn value_of(&self, name: &str) -> Result<Option<String>> {
        match self.find(name) {
            Some(Slot::Value((_, value))) => Ok(value.clone()),
            Some(Slot::Record(_)) => Err(Error::unsupported("a record as a value in PL/pgSQL")),
            None => Err(unknown(name)),
        }
    }

    pub(super) fn record_fields(&self, name: &str) -> Result<Vec<(String, Typed)>> {
        match self.find(name) {
            Some(Slot::Record(Some(fields))) => Ok(fields.clone()),
            Some(Slot::Record(None)) => {
                let message = format!("record \"{name}\" is not assigned yet");
                Err(Error::client(SqlState::from_code("55000"), message))
            }
            _ => Err(unknown(name)),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: Option<String>) -> Result<()> {
        match self.find_mut(name)? {
            Slot::Value((_, slot)) => *slot = value,
            Slot::Record(_) => {
                return Err(Error::unsupported("assigning to a record in PL/pgSQL"));
            }
        }
        Ok(())
    }

    pub(super) fn set_record(&mut self, name: &str, fields: Vec<(String, Typed)>) -> Result<()> {
        *self.find_mut(name)? = Slot::Record(Some(fields));
        Ok(())
    }

    pub(super) fn found(&mut self, found: bool) {
        if let Some(Slot::Value((_, slot))) = self.0.first_mut().and_then(|s| s.get_mut("found")) {
            *slot = Some(if found { "t" } else { "f" }.to_owned());
        }
    }

    /// An expression with values in the places of variables.
    pub(super) fn put(&self, expr: &Expr, sight: &Sight) -> Result<Expr> {
        let mut expr = expr.clone();
        let names = Names::of_expression(&expr);
        self.replacing(&names, sight, |f| rewrite::expression(&mut expr, f))?;
        Ok(expr)
    }

    /// A statement with values in the places of variables.
    pub(super) fn put_in(&self, statement: &Statement, sight: &Sight) -> Result<Statement> {
        let mut statement = statement.clone();
        let names = Names::of(&statement);
        self.replacing(&names, sight, |f| rewrite::statement(&mut statement, f))?;
        Ok(statement)
    }

    /// A query with values in the places of variables.
    pub(super) fn put_in_query(&self, query: &Select, sight: &Sight) -> Result<Select> {
        match self.put_in(&Statement::Select(Box::new(query.clone())), sight)? {
            Statement::Select(query) => Ok(*query),
            _ => Err(Error::internal("a query is no query any more")),
        }
    }

    /// `beside` are the names that the statement itself brings.
    fn replacing(
        &self,
        beside: &Names,
        sight: &Sight,
        run: impl FnOnce(&mut rewrite::Replace<'_>),
    ) -> Result<()> {
        let mut wrong = None;
        run(&mut |expr| {
            if let ExprKind::Param(number) = expr.kind {
                // An argument of a function, by its number.
                return match self.find(&format!("${number}"))? {
                    Slot::Value(value) => Some(constant(value)),
                    Slot::Record(_) => None,
                };
            }
            let ExprKind::Column(parts) = &expr.kind else { return None };
            let value = match parts.as_slice() {
                [name] => match self.find(name)? {
                    Slot::Value(value) => {
                        let column = beside.columns.contains(name)
                            || beside.tables.iter().any(|table| sight.has(table, name));
                        if column {
                            let what = "a variable with the name of a column in PL/pgSQL";
                            wrong.get_or_insert(Error::unsupported(what));
                        }
                        value
                    }
                    Slot::Record(_) => {
                        let what = "a record as a value in PL/pgSQL";
                        wrong.get_or_insert(Error::unsupported(what));
                        return None;
                    }
                },
                [record, field] => {
                    let Slot::Record(fields) = self.find(record)? else { return None };
                    let Some(fields) = fields else {
                        let message = format!("record \"{record}\" is not assigned yet");
                        let code = SqlState::from_code("55000");
                        wrong.get_or_insert(Error::client(code, message));
                        return None;
                    };
                    let Some((_, value)) = fields.iter().find(|(name, _)| name == field) else {
                        let message = format!("record \"{record}\" has no field \"{field}\"");
                        wrong.get_or_insert(Error::client(state::UNDEFINED_COLUMN, message));
                        return None;
                    };
                    value
                }
                _ => return None,
            };
            Some(constant(value))
        });
        wrong.map_or(Ok(()), Err)
    }
}

fn unknown(name: &str) -> Error {
    Error::client(state::SYNTAX_ERROR, format!("\"{name}\" is not a known variable"))
}

/// A statement with values in the places of its parameters.
pub(super) fn bound(statement: &mut Statement, values: &[Typed]) {
    rewrite::statement(statement, &mut |expr| match expr.kind {
        ExprKind::Param(number) => {
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            values.get(index).map(constant)
        }
        _ => None,
    });
}

/// A value as a constant of its type.
pub(super) fn constant((ty, value): &Typed) -> Expr {
    let literal = match value {
        Some(text) => Literal::String(text.clone()),
        None => Literal::Null,
    };
    let inner = Expr { kind: ExprKind::Literal(literal), pos: 0 };
    Expr { kind: ExprKind::Cast(Box::new(inner), ty.clone()), pos: 0 }
}
