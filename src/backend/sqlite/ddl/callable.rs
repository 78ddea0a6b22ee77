//! CREATE and DROP of the functions and procedures that statements call.
//!
//! Owns what PostgreSQL checks of a declaration: names, defaults, what is returned, what a
//! replacement may change. A function that could not be run is 0A000 here, not when it is
//! called. Start at [`Editor::create_called`].

use std::borrow::Cow;
use std::sync::Arc;

use super::{Editor, dependents};
use crate::backend::sqlite::catalog::{forget_function, save_function};
use crate::backend::sqlite::system::{quote_ident, spelled};
use crate::error::{Error, Result, SqlState, state};
use crate::schema::{Catalog, Column, Function, Parameter, Relation, function_key};
use crate::sql::ast::{CreateFunction, Name, RoutineKind, RoutineName, TypeName};
use crate::sql::pg::plpgsql::{self, Gives};
use crate::sql::{analyze, lexer, types};
use crate::value::{Type, oid};

fn wrong(message: impl Into<Cow<'static, str>>) -> Error {
    Error::client(state::INVALID_FUNCTION_DEFINITION, message)
}

/// What a declaration says by itself.
pub(super) fn named(create: &CreateFunction) -> Function {
    Function {
        oid: 0,
        name: create.name.name.clone(),
        arguments: Vec::new(),
        argument_names: Vec::new(),
        defaults: Vec::new(),
        parameters: Vec::new(),
        result: 0,
        set: create.set,
        procedure: create.procedure,
        returns: String::new(),
        language: create.language.clone(),
        body: create.body.clone(),
        volatility: create.volatility,
        strict: create.strict,
        definition: create.text.clone(),
    }
}

impl Editor<'_> {
    /// A function or procedure that statements call.
    pub(super) fn create_called(&mut self, create: &CreateFunction) -> Result<()> {
        if !types::tables().procs(&create.name.name).is_empty() {
            return Err(Error::unsupported("a function named as one of PostgreSQL's own"));
        }
        let mut function = named(create);
        self.parameters(create, &mut function)?;
        self.result(create, &mut function)?;
        let sets = function.set && function.outputs().count() == 0;
        if function.language == "sql" || !(sets && function.result == oid::VOID) {
            self.check_body(&function)?;
        }
        self.keep_function(create, function)
    }

    /// The parameters and their defaults.
    fn parameters(&self, create: &CreateFunction, function: &mut Function) -> Result<()> {
        let mut all: Vec<Parameter> = Vec::with_capacity(create.parameters.len());
        for written in &create.parameters {
            let ty = self.routine_type(&written.ty)?;
            if self.row_table(ty).is_some() {
                return Err(Error::unsupported("a function of a table's row"));
            }
            if types::category(ty) == b'P' {
                return Err(Error::unsupported("a function of a pseudo-type"));
            }
            let name = written.name.clone().unwrap_or_default();
            let parameter = Parameter { name, ty, mode: written.mode };
            let pure_in = |p: &Parameter| p.mode == 'i';
            let pure_out = |p: &Parameter| matches!(p.mode, 'o' | 't');
            let clash = all.iter().any(|other| {
                let apart = create.language == "sql"
                    && (pure_in(other) && pure_out(&parameter)
                        || pure_out(other) && pure_in(&parameter));
                !parameter.name.is_empty() && other.name == parameter.name && !apart
            });
            if clash {
                let message = format!("parameter name \"{}\" used more than once", parameter.name);
                return Err(wrong(message));
            }
            if parameter.mode != 'o' && parameter.mode != 't' {
                function.arguments.push(ty);
                function.argument_names.push(parameter.name.clone());
            }
            match &written.default {
                Some(_) if pure_out(&parameter) => {
                    return Err(wrong("only input parameters can have default values"));
                }
                Some((_, text)) => {
                    let column = Column::new(1, &parameter.name, Type::new(ty));
                    let kept = self.checked_default(text, &column)?;
                    let null = || format!("NULL::{}", types::sql_name(ty));
                    function.defaults.push(kept.unwrap_or_else(null));
                }
                None if pure_out(&parameter)
                    && create.procedure
                    && !function.defaults.is_empty() =>
                {
                    let message = "procedure OUT parameters cannot appear after one with a \
                                   default value";
                    return Err(wrong(message));
                }
                None if !pure_out(&parameter) && !function.defaults.is_empty() => {
                    let message = "input parameters after one with a default value must also have \
                                   defaults";
                    return Err(wrong(message));
                }
                None => {}
            }
            all.push(parameter);
        }
        if all.iter().any(|p| p.mode != 'i') {
            function.parameters = all;
        }
        Ok(())
    }

    /// A type as a function names it: also a table's, which is that of its rows.
    fn routine_type(&self, written: &TypeName) -> Result<u32> {
        match analyze::type_name(written, &self.context()) {
            Err(error) if error.sqlstate() == state::UNDEFINED_OBJECT => {
                let name = Name {
                    schema: written.schema.clone(),
                    name: written.name.clone(),
                    pos: written.pos,
                };
                let found = self.find(&self.known(&name)).ok().flatten();
                let found = found.filter(|r| !written.array && r.schema == "public");
                found.map_or(Err(error), |relation| Ok(relation.oid))
            }
            found => found.map(|ty| ty.oid),
        }
    }

    /// The table whose rows a type is.
    fn row_table(&self, ty: u32) -> Option<&Arc<Relation>> {
        self.catalog.relations.values().find(|r| r.oid == ty)
    }

    /// The functions that return rows of one of these tables.
    pub(super) fn functions_over(&self, tables: &[&Arc<Relation>]) -> Vec<Arc<Function>> {
        let over = |f: &&Arc<Function>| tables.iter().any(|r| r.oid == f.result);
        self.catalog.functions.values().filter(over).cloned().collect()
    }

    /// What it returns.
    fn result(&self, create: &CreateFunction, function: &mut Function) -> Result<()> {
        let outs: Vec<Parameter> = function.outputs().cloned().collect();
        let required = match outs.as_slice() {
            _ if function.procedure && outs.is_empty() => Some(oid::VOID),
            _ if function.procedure => Some(oid::RECORD),
            [] => None,
            [one] => Some(one.ty),
            _ => Some(oid::RECORD),
        };
        function.result = match (&create.returns, required) {
            (None, Some(ty)) => ty,
            (None, None) => return Err(wrong("function result type must be specified")),
            (Some(written), required) => {
                let ty = self.routine_type(written)?;
                if let Some(required) = required.filter(|r| *r != ty) {
                    let name = types::sql_name(required);
                    let message =
                        format!("function result type must be {name} because of OUT parameters");
                    return Err(wrong(message));
                }
                ty
            }
        };
        let result = function.result;
        let plain = !matches!(result, oid::VOID | oid::RECORD) && types::category(result) == b'P';
        let open = result == oid::RECORD && outs.is_empty();
        if plain || open || result == oid::VOID && function.set {
            let name = create.returns.as_ref().map_or("record", |r| r.name.as_str());
            return Err(Error::unsupported(format!("a function that returns {name}")));
        }
        let tabled: Vec<String> = outs
            .iter()
            .filter(|p| p.mode == 't')
            .map(|p| format!("{} {}", quote_ident(&p.name), types::sql_name(p.ty)))
            .collect();
        function.returns = match function.set {
            _ if !tabled.is_empty() => format!("TABLE({})", tabled.join(", ")),
            true => format!("SETOF {}", self.type_shown(result)),
            false => self.type_shown(result),
        };
        Ok(())
    }

    fn type_shown(&self, ty: u32) -> String {
        self.row_table(ty).map_or_else(|| types::sql_name(ty), |r| spelled(&r.name))
    }

    /// Whether the body can be run and gives what the declaration says.
    fn check_body(&self, function: &Function) -> Result<()> {
        let columns = analyze::result_columns(function, &self.context());
        if function.language == "sql" {
            let place = format!("SQL function \"{}\"", function.name);
            let gives = match &columns {
                _ if function.result == oid::VOID => Gives::Nothing,
                _ if function.set => Gives::Rows,
                None => Gives::Row(1),
                Some(columns) => Gives::Row(columns.len()),
            };
            plpgsql::statements(&function.body, &gives, &self.type_shown(function.result))
                .map_err(|error| error.context(place.clone()))?;
            if !self.check_bodies {
                return Ok(());
            }
            return analyze::check_function(function, &self.context())
                .map_err(|error| error.without_position().context(place));
        }
        let script = plpgsql::script(&function.body).map_err(Error::without_position)?;
        plpgsql::check_returns(&script, function)?;
        let named = function.argument_names.iter().any(|n| !n.is_empty());
        if named && names_numbers(&function.body) {
            return Err(Error::unsupported("numbers of arguments beside their names in PL/pgSQL"));
        }
        Ok(())
    }

    /// Stores a function, in place of a former one with the same arguments.
    pub(super) fn keep_function(
        &mut self,
        create: &CreateFunction,
        mut function: Function,
    ) -> Result<()> {
        let key = function.key();
        let former = self.catalog.functions.get(&key).cloned();
        if let Some(former) = &former {
            if !create.replace {
                let message =
                    format!("function \"{}\" already exists with same argument types", former.name);
                return Err(Error::client(state::DUPLICATE_FUNCTION, message));
            }
            replaceable(former, &function)?;
        }
        function.oid = former.map_or_else(|| self.side.new_oid(), |f| f.oid);
        save_function(self.writer, &function)?;
        self.changed = true;
        if !self.check_bodies {
            // What the body names may come later (a dump begins with its functions).
            self.postgres.push("SET LOCAL check_function_bodies = off".to_owned());
        }
        self.postgres.push(function.definition.clone());
        self.catalog.functions.insert(key, Arc::new(function));
        Ok(())
    }

    /// DROP FUNCTION and its kin.
    pub(super) fn drop_routines(
        &mut self,
        kind: RoutineKind,
        routines: &[RoutineName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        self.tag = format!("DROP {}", kind.word());
        for routine in routines {
            if let Some(function) = self.routine(kind, routine, if_exists)? {
                self.drop_routine(&function, cascade)?;
            }
        }
        Ok(())
    }

    /// The routine that a DROP names; None when there is none and IF EXISTS.
    fn routine(
        &mut self,
        kind: RoutineKind,
        routine: &RoutineName,
        if_exists: bool,
    ) -> Result<Option<Arc<Function>>> {
        let what = kind.word().to_lowercase();
        let name = &routine.name.name;
        let known = routine.name.schema.as_deref().is_none_or(|s| s == "public");
        let (found, shown) = match &routine.arguments {
            Some(arguments) => {
                let mut types = Vec::with_capacity(arguments.len());
                for ty in arguments {
                    types.push(self.routine_type(ty)?);
                }
                let found = self.catalog.functions.get(&function_key(name, &types)).cloned();
                (found.filter(|_| known), signature_of(name, &types, ", "))
            }
            None => {
                let all: Vec<Arc<Function>> =
                    self.catalog.functions_named(name).filter(|_| known).cloned().collect();
                if all.len() > 1 {
                    let message = format!("{what} name \"{name}\" is not unique");
                    let code = SqlState::from_code("42725");
                    let hint =
                        format!("Specify the argument list to select the {what} unambiguously.");
                    return Err(Error::client(code, message).hint(hint));
                }
                (all.into_iter().next(), format!("{name}()"))
            }
        };
        let Some(function) = found else {
            let message = match &routine.arguments {
                Some(_) => format!("{what} {shown} does not exist"),
                None if if_exists => format!("{what} {shown} does not exist"),
                None => format!("could not find a {what} named \"{name}\""),
            };
            if !if_exists {
                return Err(Error::client(state::UNDEFINED_FUNCTION, message));
            }
            self.notice(SqlState(*b"00000"), format!("{message}, skipping"));
            return Ok(None);
        };
        let right = match kind {
            RoutineKind::Routine => true,
            RoutineKind::Aggregate => false,
            RoutineKind::Procedure => function.procedure,
            RoutineKind::Function => !function.procedure,
        };
        if right {
            return Ok(Some(function));
        }
        let shown = signature_of(name, &function.arguments, ", ");
        let message = match kind {
            RoutineKind::Aggregate => format!("function {shown} is not an aggregate"),
            _ => format!("{shown} is not a {what}"),
        };
        Err(Error::client(state::WRONG_OBJECT_TYPE, message))
    }

    pub(super) fn drop_routine(&mut self, function: &Function, cascade: bool) -> Result<()> {
        let word = if function.procedure { "PROCEDURE" } else { "FUNCTION" };
        let what = format!("function {}", signature(function));
        let users: Vec<Arc<Relation>> = match function.result {
            0 => {
                let fires =
                    |r: &&Arc<Relation>| r.triggers.iter().any(|t| t.function == function.name);
                self.catalog.relations.values().filter(fires).cloned().collect()
            }
            _ => Vec::new(),
        };
        let mut after = Catalog::clone(&self.catalog);
        after.functions.remove(&function.key());
        let views = self.broken_views(&after);
        if !views.is_empty() && cascade {
            return Err(Error::unsupported(
                "DROP FUNCTION … CASCADE of a function that a view calls",
            ));
        }
        let mut fires: Vec<(String, String)> = Vec::new();
        for relation in &users {
            let own = relation.triggers.iter().filter(|t| t.function == function.name);
            fires.extend(own.map(|t| (t.name.clone(), relation.name.clone())));
        }
        let in_use = !fires.is_empty() || !views.is_empty();
        if in_use && !cascade {
            let on_tables = fires.iter().map(|(trigger, table)| {
                format!("trigger {trigger} on table {table} depends on {what}")
            });
            let in_views =
                views.iter().map(|v| format!("view {} depends on {what}", self.told(&v.name)));
            let details: Vec<String> = on_tables.chain(in_views).collect();
            return Err(dependents(&what, &details));
        }
        let lines: Vec<String> = fires
            .iter()
            .map(|(trigger, table)| format!("trigger {trigger} on table {table}"))
            .collect();
        self.cascades(&lines);
        for relation in users {
            let mut relation = Relation::clone(&relation);
            relation.triggers.retain(|t| t.function != function.name);
            self.store(relation)?;
        }
        forget_function(self.writer, function.oid)?;
        self.changed = true;
        self.catalog.functions.remove(&function.key());
        let cascade = if cascade { " CASCADE" } else { "" };
        self.postgres.push(format!("DROP {word} {}{cascade}", identity(function)));
        Ok(())
    }
}

/// What CREATE OR REPLACE may change of a function.
fn replaceable(former: &Function, new: &Function) -> Result<()> {
    let hint = || {
        let word = if former.procedure { "PROCEDURE" } else { "FUNCTION" };
        format!("Use DROP {word} {} first.", signature(former))
    };
    if former.procedure != new.procedure {
        let message = "cannot change routine kind";
        let is = if former.procedure { "procedure" } else { "function" };
        let detail = format!("\"{}\" is a {is}.", former.name);
        return Err(Error::client(state::WRONG_OBJECT_TYPE, message).detail(detail));
    }
    if former.result != new.result || former.set != new.set {
        let message = match former.procedure {
            true => "cannot change whether a procedure has output parameters",
            false => "cannot change return type of existing function",
        };
        return Err(wrong(message).hint(hint()));
    }
    let outs = |f: &Function| -> Vec<(String, u32)> {
        f.outputs().map(|p| (p.name.clone(), p.ty)).collect()
    };
    if former.result == oid::RECORD && outs(former) != outs(new) {
        return Err(wrong("cannot change return type of existing function")
            .detail("Row type defined by OUT parameters is different.")
            .hint(hint()));
    }
    for (old, name) in former.argument_names.iter().zip(&new.argument_names) {
        if !old.is_empty() && old != name {
            let message = format!("cannot change name of input parameter \"{old}\"");
            return Err(wrong(message).hint(hint()));
        }
    }
    if new.defaults.len() < former.defaults.len() {
        let message = "cannot remove parameter defaults from existing function";
        return Err(wrong(message).hint(hint()));
    }
    Ok(())
}

fn signature_of(name: &str, arguments: &[u32], between: &str) -> String {
    let types: Vec<String> = arguments.iter().map(|ty| types::sql_name(*ty)).collect();
    format!("{name}({})", types.join(between))
}

/// A function's name and the types of its arguments, as messages tell them.
pub(crate) fn signature(function: &Function) -> String {
    signature_of(&function.name, &function.arguments, ",")
}

/// A function as statements for PostgreSQL name it.
pub(super) fn identity(function: &Function) -> String {
    let types: Vec<String> = function.arguments.iter().map(|ty| types::sql_name(*ty)).collect();
    format!("public.{}({})", quote_ident(&function.name), types.join(", "))
}

/// Whether a body names an argument by its number.
fn names_numbers(body: &str) -> bool {
    lexer::tokens(body).any(|token| token.kind == lexer::Kind::Param)
}
