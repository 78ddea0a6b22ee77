//! Enum and composite types and domains: CREATE TYPE … AS ENUM and AS (…), ALTER TYPE ADD
//! VALUE and RENAME VALUE, CREATE DOMAIN.

use pg_query::protobuf::{self, AlterTableType, node::Node as N};

use super::{Lower, Lowered, Stop, missing, qualified, strings, text_of};
use crate::sql::ast::{AttributeChange, Ddl, EnumChange, Name};

impl Lower<'_> {
    /// CREATE TYPE … AS (field type, …)
    pub(super) fn create_composite(&mut self, create: protobuf::CompositeTypeStmt) -> Lowered<Ddl> {
        let named = create.typevar.ok_or_else(missing)?;
        let name = Name {
            schema: text_of(named.schemaname),
            name: named.relname,
            pos: self.pos(named.location),
        };
        let mut fields = Vec::with_capacity(create.coldeflist.len());
        for node in create.coldeflist {
            let Some(N::ColumnDef(column)) = node.node else { return Err(missing()) };
            fields.push((column.colname, self.some_type(column.type_name)?));
        }
        Ok(Ddl::CreateComposite { name, fields })
    }

    /// ALTER TYPE … ATTRIBUTE
    pub(super) fn alter_composite(&mut self, alter: protobuf::AlterTableStmt) -> Lowered<Ddl> {
        let mut changes = Vec::with_capacity(alter.cmds.len());
        for node in alter.cmds {
            let Some(N::AlterTableCmd(command)) = node.node else { return Err(missing()) };
            let mut command = *command;
            let definition = match command.def.take().and_then(|node| node.node) {
                Some(N::ColumnDef(column)) => Some(*column),
                _ => None,
            };
            changes.push(match (AlterTableType::try_from(command.subtype), definition) {
                (Ok(AlterTableType::AtAddColumn), Some(column)) => {
                    AttributeChange::Add(column.colname, self.some_type(column.type_name)?)
                }
                (Ok(AlterTableType::AtDropColumn), _) => {
                    AttributeChange::Drop(command.name, command.missing_ok)
                }
                (Ok(AlterTableType::AtAlterColumnType), Some(column)) => {
                    AttributeChange::Retype(command.name, self.some_type(column.type_name)?)
                }
                (Ok(AlterTableType::AtChangeOwner), _) => return Ok(Ddl::NoEffect("ALTER TYPE")),
                _ => return Err(Stop::Unsupported("this ALTER TYPE")),
            });
        }
        Ok(Ddl::AlterComposite { name: self.relation(alter.relation)?, changes })
    }

    /// CREATE DOMAIN
    pub(super) fn create_domain(&mut self, create: protobuf::CreateDomainStmt) -> Lowered<Ddl> {
        if create.coll_clause.is_some() {
            return Err(Stop::Unsupported("a domain with a collation"));
        }
        let mut constraints = Vec::with_capacity(create.constraints.len());
        for node in create.constraints {
            let Some(N::Constraint(constraint)) = node.node else { return Err(missing()) };
            constraints.push(self.constraint(*constraint)?);
        }
        Ok(Ddl::CreateDomain {
            name: qualified(create.domainname, 0)?,
            ty: self.some_type(create.type_name)?,
            constraints,
        })
    }
}

/// CREATE TYPE … AS ENUM
pub(super) fn create(create: protobuf::CreateEnumStmt) -> Lowered<Ddl> {
    Ok(Ddl::CreateEnum { name: qualified(create.type_name, 0)?, labels: strings(create.vals) })
}

/// ALTER TYPE … ADD VALUE, RENAME VALUE
pub(super) fn alter(alter: protobuf::AlterEnumStmt) -> Lowered<Ddl> {
    let change = match text_of(alter.old_val) {
        Some(from) => EnumChange::Rename { from, to: alter.new_val },
        None => EnumChange::Add {
            label: alter.new_val,
            neighbour: text_of(alter.new_val_neighbor),
            after: alter.new_val_is_after,
            if_not_exists: alter.skip_if_new_val_exists,
        },
    };
    Ok(Ddl::AlterEnum { name: qualified(alter.type_name, 0)?, change })
}
