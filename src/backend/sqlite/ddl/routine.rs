//! CREATE FUNCTION of trigger functions; CREATE and DROP TRIGGER, ENABLE and DISABLE TRIGGER.
//!
//! Functions and triggers are kept in the side catalog; what SQLite runs for them is
//! `sql::trigger`'s. A function that could not be run is 0A000 when it is created.

use std::sync::Arc;

use super::Editor;
use crate::backend::sqlite::system::quote_ident;
use crate::error::{Error, Result, SqlState, state};
use crate::name::is_key;
use crate::schema::{Function, Relation, RelationKind, Trigger};
use crate::sql::ast::{CreateFunction, CreateTrigger, Name};
use crate::sql::{pg::plpgsql, trigger};

impl Editor<'_> {
    pub(super) fn create_function(&mut self, create: &CreateFunction) -> Result<()> {
        self.tag = match create.procedure {
            true => "CREATE PROCEDURE".to_owned(),
            false => "CREATE FUNCTION".to_owned(),
        };
        if let Some(what) = create.refused {
            return Err(Error::unsupported(what));
        }
        if self.target_schema(&create.name, false)? {
            return Err(Error::unsupported("a function in a temporary schema"));
        }
        if is_key(&create.name.name) {
            return Err(Error::unsupported("a function in a schema other than public"));
        }
        let returns = create.returns.as_ref().filter(|_| !create.set);
        let is_trigger = returns.is_some_and(|ty| ty.name == "trigger" && !ty.array);
        match create.language.as_str() {
            "plpgsql" if is_trigger && create.parameters.is_empty() => {}
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
        let function = Function { returns: "trigger".to_owned(), ..super::callable::named(create) };
        self.keep_function(create, function)?;
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
        let found_function = self.catalog.trigger_function(function).ok_or_else(|| {
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
