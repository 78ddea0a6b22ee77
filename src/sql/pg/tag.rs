//! Command tags of schema changes, as PostgreSQL gives them.
//!
//! Owns which tag a statement's tree has: by it a note of PostgreSQL's event triggers finds its
//! statement among several. A statement that changes no object that SQLite could have has none.
//! Start at [`commands`].

use std::ffi::CString;

use pg_query::protobuf::{ObjectType as O, node::Node as N};

use super::{deep, parsed, raw, refusal};
use crate::error::{Error, Result, state};
use crate::sql::ast::Parsed;

/// The statements of a query string, each with its tag.
///
/// # Errors
/// 42601 with PostgreSQL's message, 54001 when nested too deeply.
pub fn commands(text: &str) -> Result<Vec<(Parsed, Option<&'static str>)>> {
    let input = CString::new(text).map_err(|_| {
        Error::client(state::CHARACTER_NOT_IN_REPERTOIRE, "a text with a zero byte")
    })?;
    deep::with_stack(text, || {
        let tree = raw::parse(&input).map_err(|e| refusal(&e))?;
        let command = |raw: pg_query::protobuf::RawStmt| {
            let tag = raw.stmt.as_ref().and_then(|node| node.node.as_ref()).and_then(tag);
            Ok((parsed(text, raw)?, tag))
        };
        tree.stmts.into_iter().map(command).collect()
    })
}

fn tag(node: &N) -> Option<&'static str> {
    Some(match node {
        N::SelectStmt(s) => {
            let mut first = s;
            while let Some(left) = &first.larg {
                first = left;
            }
            return first.into_clause.as_ref().map(|_| "SELECT INTO");
        }
        N::CreateStmt(_) => "CREATE TABLE",
        N::CreateTableAsStmt(s) if s.objtype == O::ObjectMatview as i32 => {
            "CREATE MATERIALIZED VIEW"
        }
        N::CreateTableAsStmt(_) => "CREATE TABLE AS",
        N::IndexStmt(_) => "CREATE INDEX",
        N::ViewStmt(_) => "CREATE VIEW",
        N::RefreshMatViewStmt(_) => "REFRESH MATERIALIZED VIEW",
        N::CreateSeqStmt(_) => "CREATE SEQUENCE",
        N::CreateSchemaStmt(_) => "CREATE SCHEMA",
        N::CreateExtensionStmt(_) => "CREATE EXTENSION",
        N::AlterExtensionStmt(_) | N::AlterExtensionContentsStmt(_) => "ALTER EXTENSION",
        N::CreateEnumStmt(_) | N::CompositeTypeStmt(_) | N::CreateRangeStmt(_) => "CREATE TYPE",
        N::DefineStmt(s) if s.kind == O::ObjectType as i32 => "CREATE TYPE",
        N::DefineStmt(s) if s.kind == O::ObjectAggregate as i32 => "CREATE AGGREGATE",
        N::CreateDomainStmt(_) => "CREATE DOMAIN",
        N::CreateFunctionStmt(s) if s.is_procedure => "CREATE PROCEDURE",
        N::CreateFunctionStmt(_) => "CREATE FUNCTION",
        N::CreateTrigStmt(_) => "CREATE TRIGGER",
        N::RuleStmt(_) => "CREATE RULE",
        N::CreatePolicyStmt(_) => "CREATE POLICY",
        N::AlterPolicyStmt(_) => "ALTER POLICY",
        N::AlterSeqStmt(_) => "ALTER SEQUENCE",
        N::AlterEnumStmt(_) | N::AlterTypeStmt(_) => "ALTER TYPE",
        N::AlterDomainStmt(_) => "ALTER DOMAIN",
        N::AlterFunctionStmt(s) => return altered(s.objtype),
        N::AlterTableStmt(s) => return altered(s.objtype),
        N::RenameStmt(s) if s.rename_type == O::ObjectColumn as i32 => {
            return altered(s.relation_type);
        }
        N::RenameStmt(s) => return altered(s.rename_type),
        N::AlterObjectSchemaStmt(s) => return altered(s.object_type),
        N::AlterOwnerStmt(s) => return altered(s.object_type),
        N::CommentStmt(_) => "COMMENT",
        N::DropOwnedStmt(_) => "DROP OWNED",
        N::DropStmt(s) => return dropped(s.remove_type),
        _ => return None,
    })
}

fn altered(kind: i32) -> Option<&'static str> {
    Some(match O::try_from(kind).ok()? {
        O::ObjectTable | O::ObjectColumn | O::ObjectTabconstraint => "ALTER TABLE",
        O::ObjectIndex => "ALTER INDEX",
        O::ObjectView => "ALTER VIEW",
        O::ObjectMatview => "ALTER MATERIALIZED VIEW",
        O::ObjectSequence => "ALTER SEQUENCE",
        O::ObjectType | O::ObjectAttribute => "ALTER TYPE",
        O::ObjectDomain | O::ObjectDomconstraint => "ALTER DOMAIN",
        O::ObjectFunction => "ALTER FUNCTION",
        O::ObjectProcedure => "ALTER PROCEDURE",
        O::ObjectRoutine => "ALTER ROUTINE",
        O::ObjectAggregate => "ALTER AGGREGATE",
        O::ObjectTrigger => "ALTER TRIGGER",
        O::ObjectRule => "ALTER RULE",
        O::ObjectPolicy => "ALTER POLICY",
        O::ObjectSchema => "ALTER SCHEMA",
        O::ObjectExtension => "ALTER EXTENSION",
        _ => return None,
    })
}

fn dropped(kind: i32) -> Option<&'static str> {
    Some(match O::try_from(kind).ok()? {
        O::ObjectTable => "DROP TABLE",
        O::ObjectIndex => "DROP INDEX",
        O::ObjectView => "DROP VIEW",
        O::ObjectMatview => "DROP MATERIALIZED VIEW",
        O::ObjectSequence => "DROP SEQUENCE",
        O::ObjectType => "DROP TYPE",
        O::ObjectDomain => "DROP DOMAIN",
        O::ObjectFunction => "DROP FUNCTION",
        O::ObjectProcedure => "DROP PROCEDURE",
        O::ObjectRoutine => "DROP ROUTINE",
        O::ObjectAggregate => "DROP AGGREGATE",
        O::ObjectTrigger => "DROP TRIGGER",
        O::ObjectRule => "DROP RULE",
        O::ObjectPolicy => "DROP POLICY",
        O::ObjectSchema => "DROP SCHEMA",
        O::ObjectExtension => "DROP EXTENSION",
        _ => return None,
    })
}
