//! Type names as written, and their modifiers.
//!
//! Owns 42704 for unknown types and the limits of modifiers. Start at
//! [`Analyzer::type_name`].

use std::sync::Arc;

use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::name::{self, PUBLIC};
use crate::sql::Context;
use crate::sql::ast::TypeName;
use crate::sql::types::{self, tables};
use crate::value::domain::Domain;
use crate::value::{Type, oid};

impl Analyzer<'_> {
    /// The type a name means.
    pub(super) fn type_name(&self, name: &TypeName) -> Result<Type> {
        resolve(name, &self.context)
    }
}

/// The type a name means; domains of information_schema are their base types.
pub(super) fn resolve(name: &TypeName, context: &Context<'_>) -> Result<Type> {
    let spelled = || match &name.schema {
        Some(schema) if schema != "pg_catalog" => format!("{schema}.{}", name.name),
        _ => format!("{}{}", name.name, if name.array { "[]" } else { "" }),
    };
    let missing = || {
        if domain(name, context).is_some() {
            return Error::unsupported("a domain in this place").at(name.pos);
        }
        let message = format!("type \"{}\" does not exist", spelled());
        errors::client(state::UNDEFINED_OBJECT, name.pos, message)
    };
    match name.schema.as_deref() {
        None | Some("pg_catalog" | "information_schema") => {}
        Some(schema) if schema == name::PUBLIC || context.catalog.schemas.contains_key(schema) => {
            return user_type(name, context)?.ok_or_else(missing);
        }
        Some(schema) => {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(errors::client(state::INVALID_SCHEMA_NAME, name.pos, message));
        }
    }
    let Some(found) = tables().type_oid(&name.name) else {
        let user = if name.schema.is_none() { user_type(name, context)? } else { None };
        return user.ok_or_else(missing);
    };
    let base = types::base(found);
    let typmod = modifier(base, &name.modifiers).map_err(|e| e.at(name.pos))?;
    if name.array {
        let array = types::array_of(base).ok_or_else(missing)?;
        return Ok(Type::with_typmod(array, typmod));
    }
    Ok(Type::with_typmod(base, typmod))
}

/// Keys of a type's name: by the search path, then those of the session's own types.
fn keys(name: &TypeName, word: &str, context: &Context<'_>) -> Vec<String> {
    let mut keys = context.keys(name.schema.as_deref(), word);
    if name.schema.is_none() {
        keys.push(word.to_owned());
    }
    keys
}

/// The domain a type name means.
pub(super) fn domain<'a>(name: &TypeName, context: &Context<'a>) -> Option<&'a Arc<Domain>> {
    let enums = &context.catalog.enums;
    keys(name, &name.name, context).iter().find_map(|key| enums.domain_named(key))
}

/// A type that clients have made or that an extension has; an array type also by its own name,
/// `_name`.
fn user_type(name: &TypeName, context: &Context<'_>) -> Result<Option<Type>> {
    let enums = &context.catalog.enums;
    let of_key = |key: &String| {
        let composite = || enums.composite_named(key).map(|c| c.oid);
        enums.named(key).map(|e| e.oid).or_else(composite)
    };
    let named = |word: &str| {
        let made = keys(name, word, context).iter().find_map(of_key);
        // Extensions are created in `public`.
        let public = name.schema.as_deref().is_none_or(|schema| schema == PUBLIC);
        made.or_else(|| {
            let extended = tables().extended_type(word).filter(|_| public)?;
            context.extensions().show(extended).then_some(extended)
        })
    };
    let element = named(&name.name);
    let array = name.name.strip_prefix('_').and_then(named);
    let found = match (element, array) {
        (Some(element), _) if name.array => types::array_of(element),
        (Some(element), _) => Some(element),
        (None, Some(element)) if !name.array => types::array_of(element),
        _ => None,
    };
    match found {
        Some(found) if !name.modifiers.is_empty() => {
            let shown = types::sql_name(found);
            let message = format!("type modifier is not allowed for type \"{shown}\"");
            Err(errors::syntax(name.pos, message))
        }
        found => Ok(found.map(Type::new)),
    }
}

/// The typmod of a type's modifiers in parentheses.
fn modifier(type_oid: u32, modifiers: &[i64]) -> Result<i32> {
    let invalid = |message: String| Error::client(state::INVALID_PARAMETER_VALUE, message);
    let small =
        |m: i64| i32::try_from(m).map_err(|_| invalid(format!("invalid type modifier {m}")));
    let Some(first) = modifiers.first().copied() else { return Ok(-1) };
    match type_oid {
        oid::VARCHAR | oid::BPCHAR => {
            let label = if type_oid == oid::VARCHAR { "varchar" } else { "char" };
            if first < 1 {
                return Err(invalid(format!("length for type {label} must be at least 1")));
            }
            if first > 10_485_760 {
                return Err(invalid(format!("length for type {label} cannot exceed 10485760")));
            }
            Ok(small(first)? + 4)
        }
        oid::NUMERIC => {
            let scale = modifiers.get(1).copied().unwrap_or(0);
            if !(1..=1000).contains(&first) {
                return Err(invalid(format!(
                    "NUMERIC precision {first} must be between 1 and 1000"
                )));
            }
            if !(-1000..=1000).contains(&scale) {
                return Err(invalid(format!(
                    "NUMERIC scale {scale} must be between -1000 and 1000"
                )));
            }
            let precision = u32::try_from(first).unwrap_or(1000);
            Ok(Type::numeric_typmod(precision, small(scale)?))
        }
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            Ok(small(first.clamp(0, 6))?)
        }
        oid::INTERVAL => {
            let range = small(first)? & 0x7fff;
            let precision = modifiers.get(1).copied().unwrap_or(0xffff);
            let precision = if precision == 0xffff { 0xffff } else { precision.clamp(0, 6) };
            Ok((range << 16) | small(precision)?)
        }
        oid::BIT | oid::VARBIT => {
            let label = if type_oid == oid::BIT { "bit" } else { "varbit" };
            if first < 1 {
                return Err(invalid(format!("length for type {label} must be at least 1")));
            }
            small(first)
        }
        _ => {
            let name = types::sql_name(type_oid);
            Err(errors::syntax(0, format!("type modifier is not allowed for type \"{name}\"")))
        }
    }
}
