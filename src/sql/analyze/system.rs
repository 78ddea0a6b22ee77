//! Names of objects: tables by search path, and `regclass`-like literals.
//!
//! Owns what a name in a schema means. It must never look at columns. Start at
//! [`Analyzer::find_relation`].

use std::sync::Arc;

use super::{Analyzer, errors, typename};
use crate::error::{Error, Result, state};
use crate::name;
use crate::schema::{Relation, Sequence, function_key};
use crate::sql::types::{pseudo, tables};
use crate::sql::{Context, ast};
use crate::value::oid;
use crate::value::search::Language;

/// OIDs of the schemas every PostgreSQL database has.
const SCHEMAS: &[(&str, u32)] =
    &[("pg_catalog", 11), ("pg_toast", 99), ("public", 2200), ("information_schema", 13207)];

impl Analyzer<'_> {
    /// The relation a name means, by the search path when it is not qualified.
    pub(super) fn find_relation(&self, schema: Option<&str>, name: &str) -> Option<Arc<Relation>> {
        let context = &self.context;
        if let Some(schema) = schema {
            return self.in_schema(schema, name);
        }
        let listed = context.search_path.iter().any(|s| s == "pg_catalog");
        let temporary_listed = context.search_path.iter().any(|s| s == "pg_temp");
        (!temporary_listed)
            .then(|| self.in_schema("pg_temp", name))
            .flatten()
            .or_else(|| if listed { None } else { self.in_schema("pg_catalog", name) })
            .or_else(|| context.search_path.iter().find_map(|s| self.in_schema(s, name)))
    }

    /// The sequence a name means.
    pub(super) fn find_sequence(&self, schema: Option<&str>, name: &str) -> Option<Arc<Sequence>> {
        let keys = self.context.keys(schema, name);
        keys.iter().find_map(|key| self.context.catalog.sequences.get(key)).map(Arc::clone)
    }

    fn in_schema(&self, schema: &str, name: &str) -> Option<Arc<Relation>> {
        let catalog = self.context.catalog;
        match schema {
            "pg_catalog" => catalog.system.get(name),
            "information_schema" => catalog.information.get(name),
            schema if schema == "pg_temp" || schema.starts_with("pg_temp_") => {
                self.context.temporary.get(name)
            }
            schema => {
                let key = name::key(schema, name);
                match catalog.relations.get(&key) {
                    Some(relation) => Some(relation),
                    // A sequence can be read like a table.
                    None => {
                        return catalog.sequences.get(&key).map(|s| Arc::new(s.relation()));
                    }
                }
            }
        }
        .map(Arc::clone)
    }

    /// The OID a literal of a reg* type names.
    pub(super) fn object_literal(&self, text: &str, type_oid: u32) -> Result<u32> {
        let text = text.trim();
        if text == "-" {
            return Ok(0);
        }
        if let Ok(number) = text.parse::<u32>() {
            return Ok(number);
        }
        if type_oid == pseudo::REGPROCEDURE {
            return procedure_literal(text, &self.context);
        }
        let parts = identifier_parts(text)?;
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] | [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Err(errors::syntax(0, format!("invalid name syntax: \"{text}\""))),
        };
        let missing =
            |kind: &str, code| Error::client(code, format!("{kind} \"{text}\" does not exist"));
        let known = |s: &str| self.context.catalog.has_schema(s) || s.starts_with("pg_temp");
        if let Some(schema) = schema.filter(|s| type_oid == oid::REGCLASS && !known(s)) {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(Error::client(state::INVALID_SCHEMA_NAME, message));
        }
        match type_oid {
            oid::REGCLASS => self
                .any_relation(schema, name)
                .ok_or_else(|| missing("relation", state::UNDEFINED_TABLE)),
            oid::REGNAMESPACE => SCHEMAS
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, o)| *o)
                .or_else(|| self.context.catalog.schemas.get(name).copied())
                .ok_or_else(|| missing("schema", state::INVALID_SCHEMA_NAME)),
            oid::REGTYPE => type_literal(text, &self.context),
            oid::REGPROC => {
                let built_in = match schema {
                    None | Some("pg_catalog") => tables().procs(name),
                    Some(_) => &[],
                };
                let own = self.context.catalog.functions_named(name);
                let own = own.filter(|_| matches!(schema, None | Some("public")));
                let mut all = built_in.iter().map(|p| p.oid).chain(own.map(|f| f.oid));
                match (all.next(), all.next()) {
                    (None, _) => Err(missing("function", state::UNDEFINED_FUNCTION)),
                    (Some(one), None) => Ok(one),
                    _ => Err(Error::client(
                        state::AMBIGUOUS_FUNCTION,
                        format!("more than one function named \"{text}\""),
                    )),
                }
            }
            pseudo::REGCONFIG => match Language::named(name) {
                Some(language) => Ok(language.oid()),
                None => Err(Error::unsupported(format!("text search configuration {name}"))),
            },
            _ => Err(Error::unsupported(format!(
                "a name as a constant of type {}",
                crate::sql::types::sql_name(type_oid)
            ))),
        }
    }

    /// OID of a table, view, sequence or index.
    fn any_relation(&self, schema: Option<&str>, name: &str) -> Option<u32> {
        if let Some(relation) = self.find_relation(schema, name) {
            return Some(relation.oid);
        }
        let catalog = self.context.catalog;
        let in_schema = |key: &String| match catalog.sequences.get(key) {
            Some(sequence) => Some(sequence.oid),
            None => catalog.index_owner(name::schema(key), name)?.index_oid(name),
        };
        self.context.keys(schema, name).iter().find_map(in_schema)
    }
}

/// The OID of `name(type, …)`.
fn procedure_literal(text: &str, context: &Context<'_>) -> Result<u32> {
    let missing =
        || Error::client(state::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"));
    let (name, rest) = text.split_once('(').ok_or_else(missing)?;
    let inner = rest.trim_end().strip_suffix(')').ok_or_else(missing)?;
    let parts = identifier_parts(name)?;
    let name = parts.last().ok_or_else(missing)?;
    let types: Vec<u32> = inner
        .split(',')
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(|ty| type_literal(ty, context))
        .collect::<Result<_>>()?;
    let found = tables().procs(name).iter().find(|p| *p.arguments == *types).map(|p| p.oid);
    let own = || context.catalog.functions.get(&function_key(name, &types)).map(|f| f.oid);
    found.or_else(own).ok_or_else(missing)
}

/// The OID of a type's name, spelled as in SQL.
fn type_literal(text: &str, context: &Context<'_>) -> Result<u32> {
    let missing =
        || Error::client(state::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"));
    let parsed = super::super::parse(&format!("SELECT NULL::{text}")).map_err(|_| missing())?;
    if let [ast::Parsed { statement: ast::Statement::Select(select), .. }] = parsed.as_slice()
        && let ast::SelectBody::Simple(simple) = &select.body
        && let [target] = simple.targets.as_slice()
        && let ast::ExprKind::Cast(_, name) = &target.expr.kind
    {
        if let Some(domain) = super::domain::named(name, context)? {
            return Ok(domain.oid);
        }
        return typename::resolve(name, context).map(|t| t.oid).map_err(|_| missing());
    }
    Err(missing())
}

/// The parts of a dotted name in text: folded unless quoted.
pub(super) fn identifier_parts(text: &str) -> Result<Vec<String>> {
    let invalid = || errors::client(state::INVALID_NAME, 0, "invalid name syntax");
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut part = String::new();
        if chars.peek() == Some(&'"') {
            chars.next();
            loop {
                match chars.next() {
                    Some('"') if chars.peek() == Some(&'"') => {
                        chars.next();
                        part.push('"');
                    }
                    Some('"') => break,
                    Some(c) => part.push(c),
                    None => return Err(invalid()),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.') {
                part.extend(c.to_lowercase());
            }
            part = part.trim().to_owned();
        }
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match chars.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(invalid()),
        }
    }
}
