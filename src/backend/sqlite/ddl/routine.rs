//! CREATE and DROP of functions and triggers, ENABLE and DISABLE TRIGGER.
//!
//! Functions and triggers are kept in the side catalog; what SQLite runs for them is
//! `sql::trigger`'s. A function that could not be run is 0A000 when it is created.

use std::sync::Arc;

use super::{Editor, dependents};
use crate::backend::sqlite::catalog::{forget_function, save_function};
use crate::backend::sqlite::system::quote_ident;
use crate::error::{Error, Result, SqlState, state};
use crate::name::is_key;
use crate::schema::{Function, Relation, RelationKind, Trigger};
use crate::sql::ast::{CreateFunction, CreateTrigger, Name};
use crate::sql::{analyze, lexer, pg::plpgsql, trigger, types};
use crate::value::oid;

impl Editor<'_> {
    pub(super) fn create_function(&mut self, create: &CreateFunction) -> Result<()> {
        self.tag = "CREATE FUNCTION".to_owned();
        if let Some(what) = create.refused {
            return Err(Error::unsupported(what));
        }
        if self.target_schema(&create.name, false)? {
            return Err(Error::unsupported("a function in a temporary schema"));
        }
        if is_key(&create.name.name) {
            return Err(Error::unsupported("a function in a schema other than public"));
        }
        let returns = create.returns.as_ref();
        let is_trigger = returns.is_some_and(|ty| ty.name == "trigger" && !ty.array);
        match create.language.as_str() {
            "plpgsql" if is_trigger && create.arguments.is_empty() => {}
            "plpgsql" if is_trigger => {
                let message = "trigger functions cannot have declared arguments";
                let hint = "The arguments of the trigger can be accessed through TG_NARGS and \
                            TG_ARGV instead.";
                return Err(Error::client(state::INVALID_FUNCTION_DEFINITION, message).hint(hint));
            }
            "plpgsql" | "sql" => return self.create_called(create),
            other => {
                let message = format!("language \"{other}\" does not exist");
                return Err(Error::client(state::UNDEFINED_OBJECT, message));
            }
        }
        plpgsql::block(&create.body)?;
        let name = &create.name.name;
        let former = self.catalog.functions.get(name).cloned();
        if former.is_some() && !create.replace {
            return Err(exists_already(name));
        }
        if former.as_ref().is_some_and(|f| f.result != 0) {
            return Err(several());
        }
        let returns = (0, "trigger".to_owned());
        self.keep_function(create, former.as_deref(), (Vec::new(), Vec::new()), returns)?;
        // What fires it already must still be possible.
        let users: Vec<Arc<Relation>> = self
            .catalog
            .relations
            .values()
            .filter(|r| r.triggers.iter().any(|t| t.function == *name))
            .cloned()
            .collect();
        users.iter().try_for_each(|relation| trigger::check(relation, &self.catalog))
    }

    /// A function that statements call.
    fn create_called(&mut self, create: &CreateFunction) -> Result<()> {
        let name = &create.name.name;
        if !types::tables().procs(name).is_empty() {
            return Err(Error::unsupported("a function named as one of PostgreSQL's own"));
        }
        let wrong = |message: String| Error::client(state::INVALID_FUNCTION_DEFINITION, message);
        let returns = create.returns.as_ref();
        let returns =
            returns.ok_or_else(|| wrong("function result type must be specified".to_owned()))?;
        let result = analyze::type_name(returns, &self.context())?;
        if matches!(result.oid, oid::RECORD | oid::ANYELEMENT | oid::ANYARRAY | oid::ANY)
            || types::category(result.oid) == b'P' && result.oid != oid::VOID
        {
            return Err(Error::unsupported(format!("a function that returns {}", returns.name)));
        }
        let (mut arguments, mut argument_names) = (Vec::new(), Vec::<String>::new());
        for (argument, ty) in &create.arguments {
            let ty = analyze::type_name(ty, &self.context())?;
            if types::category(ty.oid) == b'P' {
                return Err(Error::unsupported("a function of a pseudo-type"));
            }
            let argument = argument.clone().unwrap_or_default();
            if !argument.is_empty() && argument_names.contains(&argument) {
                return Err(wrong(format!("parameter name \"{argument}\" used more than once")));
            }
            arguments.push(ty.oid);
            argument_names.push(argument);
        }
        let shown = types::sql_name(result.oid);
        match create.language.as_str() {
            "sql" => {
                let returns = (result.oid != oid::VOID).then_some(shown.as_str());
                plpgsql::statements(&create.body, returns)
                    .map_err(|e| e.context(format!("SQL function \"{name}\"")))?;
            }
            _ => {
                plpgsql::script(&create.body).map_err(Error::without_position)?;
                if argument_names.iter().any(|n| !n.is_empty()) && names_numbers(&create.body) {
                    let what = "numbers of arguments beside their names in PL/pgSQL";
                    return Err(Error::unsupported(what));
                }
            }
        }
        let former = self.catalog.functions.get(name).cloned();
        if let Some(former) = &former {
            if former.arguments != arguments || former.result == 0 {
                return Err(several());
            }
            if !create.replace {
                return Err(exists_already(name));
            }
            if former.result != result.oid {
                let hint = format!("Use DROP FUNCTION {} first.", signature(former));
                let message = "cannot change return type of existing function".to_owned();
                return Err(wrong(message).hint(hint));
            }
        }
        let given = (arguments, argument_names);
        self.keep_function(create, former.as_deref(), given, (result.oid, shown))
    }

    /// Stores a function, in place of a former one of its name; arguments as types and names, the
    /// result as type and name.
    fn keep_function(
        &mut self,
        create: &CreateFunction,
        former: Option<&Function>,
        (arguments, argument_names): (Vec<u32>, Vec<String>),
        (result, returns): (u32, String),
    ) -> Result<()> {
        let name = &create.name.name;
        let function = Function {
            oid: former.map_or_else(|| self.side.new_oid(), |f| f.oid),
            name: name.clone(),
            arguments,
            argument_names,
            result,
            returns,
            language: create.language.clone(),
            body: create.body.clone(),
            volatility: create.volatility,
            strict: create.strict,
            definition: create.text.clone(),
        };
        save_function(self.writer, &function)?;
        self.changed = true;
        self.postgres.push(function.definition.clone());
        self.catalog.functions.insert(name.clone(), Arc::new(function));
        Ok(())
    }

    pub(super) fn create_trigger(&mut self, create: &CreateTrigger) -> Result<()> {
        self.tag = "CREATE TRIGGER".to_owned();
        let found = self.existing(&create.table)?;
        match found.kind {
            RelationKind::Table => {}
            RelationKind::Temporary => return Err(Error::unsupported("a trigger on such a table")),
            RelationKind::View => {
                let message = format!("\"{}\" is a view", found.name);
                return Err(Error::client(state::WRONG_OBJECT_TYPE, message)
                    .detail("Views cannot have row-level BEFORE or AFTER triggers."));
            }
            RelationKind::System => return Err(super::system_catalog(&found.name)),
        }
        if let Some(what) = create.refused {
            return Err(Error::unsupported(what));
        }
        let function = &create.function.name;
        let found_function = self.catalog.functions.get(function);
        let found_function =
            found_function.filter(|f| f.arguments.is_empty()).ok_or_else(|| {
                let message = format!("function {function}() does not exist");
                Error::client(state::UNDEFINED_FUNCTION, message)
            })?;
        if found_function.result != 0 {
            let message = format!("function {function} must return type trigger");
            return Err(Error::client(SqlState::from_code("42P17"), message));
        }
        for column in &create.columns {
            if found.column(column).is_none() {
                return Err(super::no_column(column, &found.name));
            }
        }
        let mut relation = Relation::clone(&found);
        let former = relation.triggers.iter().position(|t| t.name == create.name);
        if former.is_some() && !create.replace {
            let message = format!(
                "trigger \"{}\" for relation \"{}\" already exists",
                create.name, relation.name
            );
            return Err(Error::client(state::DUPLICATE_OBJECT, message));
        }
        let [insert, update, delete] = create.events;
        let made = Trigger {
            oid: former.map_or_else(|| self.side.new_oid(), |p| relation.triggers[p].oid),
            name: create.name.clone(),
            function: function.clone(),
            before: create.before,
            insert,
            update,
            delete,
            columns: create.columns.clone(),
            when: create.when.as_ref().map(|(_, text)| text.clone()),
            arguments: create.arguments.clone(),
            enabled: true,
        };
        let text = definition(&relation, &made, create.replace);
        match former {
            Some(position) => relation.triggers[position] = made,
            None => relation.triggers.push(made),
        }
        relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        self.keep_triggers(relation, text)
    }

    /// Stores a relation whose triggers have changed.
    fn keep_triggers(&mut self, relation: Relation, text: String) -> Result<()> {
        let name = relation.name.clone();
        self.ship(&relation, text);
        self.store(relation)?;
        match self.catalog.relations.get(&name) {
            Some(relation) => trigger::check(relation, &self.catalog),
            None => Ok(()),
        }
    }

    /// DROP TRIGGER name ON table
    pub(super) fn drop_trigger(&mut self, name: &Name, if_exists: bool) -> Result<()> {
        // The name's schema is the table, by its key.
        let table = Name { schema: None, name: name.schema.clone().unwrap_or_default(), pos: 0 };
        let Some(found) = self.find(&table)? else {
            if if_exists {
                let message = format!("relation \"{}\" does not exist, skipping", table.name);
                self.notice(SqlState(*b"00000"), message);
                return Ok(());
            }
            return Err(super::no_relation(&table.name));
        };
        let mut relation = Relation::clone(&found);
        let Some(position) = relation.triggers.iter().position(|t| t.name == name.name) else {
            let message =
                format!("trigger \"{}\" for table \"{}\" does not exist", name.name, table.name);
            if if_exists {
                let message = format!(
                    "trigger \"{}\" for relation \"{}\" does not exist, skipping",
                    name.name, table.name
                );
                self.notice(SqlState(*b"00000"), message);
                return Ok(());
            }
            return Err(Error::client(state::UNDEFINED_OBJECT, message));
        };
        relation.triggers.remove(position);
        let text = format!(
            "DROP TRIGGER {} ON {}",
            quote_ident(&name.name),
            super::postgres::name(&relation)
        );
        self.keep_triggers(relation, text)
    }

    pub(super) fn drop_function(
        &mut self,
        name: &Name,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let known = name.schema.as_deref().is_none_or(|s| s == "public");
        let found = self.catalog.functions.get(&name.name).filter(|_| known).cloned();
        let Some(function) = found else {
            if if_exists {
                let message = format!("function {}() does not exist, skipping", name.name);
                self.notice(SqlState(*b"00000"), message);
                return Ok(());
            }
            let message = format!("function {}() does not exist", name.name);
            return Err(Error::client(state::UNDEFINED_FUNCTION, message));
        };
        let users: Vec<Arc<Relation>> = self
            .catalog
            .relations
            .values()
            .filter(|r| r.triggers.iter().any(|t| t.function == function.name))
            .cloned()
            .collect();
        let what = format!("function {}", signature(&function));
        let mut after = crate::schema::Catalog::clone(&self.catalog);
        after.functions.remove(&function.name);
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
        self.catalog.functions.remove(&function.name);
        let cascade = if cascade { " CASCADE" } else { "" };
        let types: Vec<String> = function.arguments.iter().map(|ty| types::sql_name(*ty)).collect();
        let types = types.join(", ");
        self.postgres.push(format!(
            "DROP FUNCTION public.{}({types}){cascade}",
            quote_ident(&function.name)
        ));
        Ok(())
    }

    /// ENABLE and DISABLE TRIGGER name, ALL or USER.
    pub(super) fn enable_trigger(
        &mut self,
        mut relation: Relation,
        name: Option<&str>,
        on: bool,
    ) -> Result<()> {
        let named = |t: &Trigger| name.is_none_or(|n| t.name == n);
        if name.is_some() && !relation.triggers.iter().any(named) {
            let message = format!(
                "trigger \"{}\" for table \"{}\" does not exist",
                name.unwrap_or_default(),
                relation.name
            );
            return Err(Error::client(state::UNDEFINED_OBJECT, message));
        }
        relation.triggers.iter_mut().filter(|t| named(t)).for_each(|t| t.enabled = on);
        let word = if on { "ENABLE" } else { "DISABLE" };
        let which = name.map_or_else(|| "USER".to_owned(), quote_ident);
        let text = self.alter_text(&relation, &format!("{word} TRIGGER {which}"));
        self.keep_triggers(relation, text)
    }
}

/// A function's name and the types of its arguments, as messages tell them.
pub(crate) fn signature(function: &Function) -> String {
    let types: Vec<String> = function.arguments.iter().map(|ty| types::sql_name(*ty)).collect();
    format!("{}({})", function.name, types.join(","))
}

/// Whether a body names an argument by its number.
fn names_numbers(body: &str) -> bool {
    lexer::tokens(body).any(|token| token.kind == lexer::Kind::Param)
}

fn exists_already(name: &str) -> Error {
    let message = format!("function \"{name}\" already exists with same argument types");
    Error::client(state::DUPLICATE_FUNCTION, message)
}

fn several() -> Error {
    Error::unsupported("several functions of one name")
}

/// CREATE TRIGGER for PostgreSQL, and what pg_get_triggerdef shows.
pub fn definition(relation: &Relation, trigger: &Trigger, replace: bool) -> String {
    let mut events = Vec::new();
    if trigger.insert {
        events.push("INSERT".to_owned());
    }
    if trigger.delete {
        events.push("DELETE".to_owned());
    }
    if trigger.update {
        let columns: Vec<String> = trigger.columns.iter().map(|c| quote_ident(c)).collect();
        events.push(match columns.as_slice() {
            [] => "UPDATE".to_owned(),
            columns => format!("UPDATE OF {}", columns.join(", ")),
        });
    }
    let when = trigger.when.as_ref().map_or_else(String::new, |w| match w.contains(' ') {
        true => format!(" WHEN (({w}))"),
        false => format!(" WHEN ({w})"),
    });
    let arguments: Vec<String> =
        trigger.arguments.iter().map(|a| format!("'{}'", a.replace('\'', "''"))).collect();
    format!(
        "CREATE {}TRIGGER {} {} {} ON {} FOR EACH ROW{when} EXECUTE FUNCTION {}({})",
        if replace { "OR REPLACE " } else { "" },
        quote_ident(&trigger.name),
        if trigger.before { "BEFORE" } else { "AFTER" },
        events.join(" OR "),
        super::postgres::name(relation),
        quote_ident(&trigger.function),
        arguments.join(", ")
    )
}
