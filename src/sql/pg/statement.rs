//! Dispatch: one statement node to its family, and the names of what is refused.

use pg_query::protobuf::{self, SelectStmt, node::Node as N};

use super::{Lower, Lowered, Stop, enums, missing, text_of, utility};
use crate::sql::ast::{Ddl, Statement};

type Node = protobuf::Node;

impl Lower<'_> {
    /// A whole statement.
    pub(super) fn statement(&mut self, node: Option<Node>) -> Lowered<Statement> {
        match node.and_then(|node| node.node).ok_or_else(missing)? {
            N::SelectStmt(mut select) => match take_into(&mut select) {
                Some(into) => ddl(self.table_as(*into, *select, false)),
                None => Ok(Statement::Select(Box::new(self.select(*select)?))),
            },
            N::InsertStmt(s) => Ok(Statement::Insert(Box::new(self.insert(*s)?))),
            N::UpdateStmt(s) => Ok(Statement::Update(Box::new(self.update(*s)?))),
            N::DeleteStmt(s) => Ok(Statement::Delete(Box::new(self.delete(*s)?))),
            N::TransactionStmt(s) => Ok(Statement::Transaction(self.transaction(s)?)),
            N::ConstraintsSetStmt(s) => Ok(Statement::Transaction(self.set_constraints(s)?)),
            N::VariableSetStmt(s) => self.set(s),
            N::VariableShowStmt(s) => Ok(utility::show(&s)),
            N::DiscardStmt(s) => Ok(utility::discard(s)),
            N::CopyStmt(s) => Ok(Statement::Copy(Box::new(self.copy(*s)?))),
            N::ExplainStmt(s) => self.explain(*s),
            N::PrepareStmt(s) => self.prepare(*s),
            N::ExecuteStmt(s) => {
                Ok(Statement::Execute { name: s.name, arguments: self.exprs(s.params)? })
            }
            N::DeallocateStmt(s) => Ok(utility::deallocate(s)),
            N::DeclareCursorStmt(s) => self.declare(*s),
            N::FetchStmt(s) => utility::fetch(s),
            N::ClosePortalStmt(s) => Ok(Statement::Close(text_of(s.portalname))),
            N::ListenStmt(s) => Ok(Statement::Listen(s.conditionname)),
            N::UnlistenStmt(s) => Ok(Statement::Unlisten(text_of(s.conditionname))),
            N::NotifyStmt(s) => Ok(Statement::Notify(s.conditionname, s.payload)),
            N::LockStmt(s) => self.lock(s),
            N::DoStmt(s) => utility::inline(s),
            N::MergeStmt(s) if s.returning_clause.is_some() => {
                Err(self.refuse_word(-1, "returning"))
            }
            N::MergeStmt(s) => Ok(Statement::Merge(Box::new(self.merge(*s)?))),
            N::CallStmt(s) => self.call_procedure(*s),
            N::VacuumStmt(s) => Ok(utility::maintenance(&s)),
            N::ReindexStmt(_) => Ok(Statement::Maintenance("REINDEX")),
            N::ClusterStmt(_) => Ok(Statement::Maintenance("CLUSTER")),
            N::CreatedbStmt(s) => {
                Ok(Statement::Database { name: s.dbname, create: true, if_exists: false })
            }
            N::DropdbStmt(s) => {
                Ok(Statement::Database { name: s.dbname, create: false, if_exists: s.missing_ok })
            }
            N::CheckPointStmt(_) => Ok(Statement::Maintenance("CHECKPOINT")),
            other => self.schema_change(other),
        }
    }

    /// The query of a CTE, EXPLAIN, PREPARE or COPY.
    pub(super) fn nested_statement(&mut self, node: Option<Box<Node>>) -> Lowered<Statement> {
        self.nested(|lower| lower.statement_in(node.map(|node| *node)))
    }

    /// SELECT INTO creates a table only at the top.
    fn statement_in(&mut self, node: Option<Node>) -> Lowered<Statement> {
        match node.and_then(|node| node.node) {
            Some(N::SelectStmt(select)) => Ok(Statement::Select(Box::new(self.select(*select)?))),
            node => self.statement(Some(Node { node })),
        }
    }

    fn schema_change(&mut self, node: N) -> Lowered<Statement> {
        ddl(match node {
            N::CreateStmt(s) => self.create_table(s).map(Ddl::CreateTable),
            N::CreateTableAsStmt(s) => self.create_table_as(*s),
            N::IndexStmt(s) => self.create_index(*s).map(Ddl::CreateIndex),
            N::ViewStmt(s) => self.create_view(*s),
            N::RefreshMatViewStmt(s) => self.refresh(s),
            N::CreateSeqStmt(s) => self.create_sequence(s),
            N::AlterSeqStmt(s) => self.alter_sequence(s),
            N::CreateSchemaStmt(s) => self.create_schema(s),
            N::CreateExtensionStmt(s) => {
                Ok(Ddl::CreateExtension { name: s.extname, if_not_exists: s.if_not_exists })
            }
            N::CreateEnumStmt(s) => enums::create(s),
            N::CompositeTypeStmt(s) => self.create_composite(s),
            N::CreateDomainStmt(s) => self.create_domain(*s),
            N::AlterEnumStmt(s) => enums::alter(s),
            N::DropStmt(s) => self.drop(s),
            N::TruncateStmt(s) => self.truncate(s),
            N::AlterTableStmt(s) => self.alter_table(s),
            N::RenameStmt(s) => self.rename(*s),
            N::CommentStmt(s) => self.comment(*s),
            N::CreateFunctionStmt(s) => self.create_function(*s),
            N::CreateTrigStmt(s) => self.create_trigger(*s),
            N::GrantStmt(s) => Ok(Ddl::Grant(s.is_grant)),
            N::GrantRoleStmt(_) => Err(Stop::Unsupported("membership of roles")),
            N::AlterObjectSchemaStmt(s) => self.set_schema(*s),
            N::AlterOwnerStmt(s) => Ok(Ddl::NoEffect(owner_tag(s.object_type))),
            N::AlterDefaultPrivilegesStmt(_) => Ok(Ddl::NoEffect("ALTER DEFAULT PRIVILEGES")),
            other => Err(Stop::Unsupported(refused(&other))),
        })
    }
}

fn ddl(ddl: Lowered<Ddl>) -> Lowered<Statement> {
    Ok(Statement::Ddl(Box::new(ddl?)))
}

/// SELECT INTO: the clause stands in the leftmost SELECT of set operations.
fn take_into(select: &mut SelectStmt) -> Option<Box<protobuf::IntoClause>> {
    let mut here = select;
    loop {
        if here.into_clause.is_some() {
            return here.into_clause.take();
        }
        here = here.larg.as_deref_mut()?;
    }
}

fn owner_tag(object_type: i32) -> &'static str {
    use protobuf::ObjectType as O;
    match O::try_from(object_type).unwrap_or(O::Undefined) {
        O::ObjectSchema => "ALTER SCHEMA",
        O::ObjectFunction => "ALTER FUNCTION",
        O::ObjectProcedure => "ALTER PROCEDURE",
        O::ObjectAggregate => "ALTER AGGREGATE",
        O::ObjectType | O::ObjectDomain => "ALTER TYPE",
        O::ObjectDatabase => "ALTER DATABASE",
        O::ObjectExtension => "ALTER EXTENSION",
        O::ObjectLargeobject => "ALTER LARGE OBJECT",
        _ => "ALTER",
    }
}

/// Names of statements that are parsed, known and refused.
fn refused(node: &N) -> &'static str {
    match node {
        N::LoadStmt(_) => "LOAD",
        N::AlterFunctionStmt(_) => "ALTER FUNCTION",
        N::CreateEventTrigStmt(_) | N::AlterEventTrigStmt(_) => "an event trigger",
        N::RuleStmt(_) => "CREATE RULE",
        N::CreateRangeStmt(_) => "CREATE TYPE … AS RANGE",
        N::AlterTypeStmt(_) => "ALTER TYPE",
        N::AlterDomainStmt(_) => "ALTER DOMAIN",
        N::DefineStmt(_) => "this form of CREATE",
        N::CreateCastStmt(_) => "CREATE CAST",
        N::CreateConversionStmt(_) => "CREATE CONVERSION",
        N::CreateTransformStmt(_) => "CREATE TRANSFORM",
        N::CreateOpClassStmt(_) | N::CreateOpFamilyStmt(_) | N::AlterOpFamilyStmt(_) => {
            "an operator class"
        }
        N::AlterOperatorStmt(_) => "ALTER OPERATOR",
        N::AlterCollationStmt(_) => "ALTER COLLATION",
        N::CreateAmStmt(_) => "CREATE ACCESS METHOD",
        N::CreatePlangStmt(_) => "CREATE LANGUAGE",
        N::CreateStatsStmt(_) | N::AlterStatsStmt(_) => "CREATE STATISTICS",
        N::CreatePolicyStmt(_) | N::AlterPolicyStmt(_) => "row level security",
        N::CreateRoleStmt(_) => "CREATE ROLE",
        N::AlterRoleStmt(_) | N::AlterRoleSetStmt(_) => "ALTER ROLE",
        N::DropRoleStmt(_) => "DROP ROLE",
        N::DropOwnedStmt(_) => "DROP OWNED",
        N::ReassignOwnedStmt(_) => "REASSIGN OWNED",
        N::AlterDatabaseStmt(_)
        | N::AlterDatabaseSetStmt(_)
        | N::AlterDatabaseRefreshCollStmt(_) => "ALTER DATABASE",
        N::AlterSystemStmt(_) => "ALTER SYSTEM",
        N::CreateTableSpaceStmt(_)
        | N::DropTableSpaceStmt(_)
        | N::AlterTableSpaceOptionsStmt(_)
        | N::AlterTableMoveAllStmt(_) => "a tablespace",
        N::AlterObjectDependsStmt(_) => "ALTER … DEPENDS ON",
        N::AlterExtensionStmt(_) | N::AlterExtensionContentsStmt(_) => "ALTER EXTENSION",
        N::SecLabelStmt(_) => "SECURITY LABEL",
        N::AlterTsdictionaryStmt(_) | N::AlterTsconfigurationStmt(_) => "text search configuration",
        N::CreatePublicationStmt(_) | N::AlterPublicationStmt(_) => "a publication",
        N::CreateSubscriptionStmt(_) | N::AlterSubscriptionStmt(_) | N::DropSubscriptionStmt(_) => {
            "a subscription"
        }
        N::CreateFdwStmt(_)
        | N::AlterFdwStmt(_)
        | N::CreateForeignServerStmt(_)
        | N::AlterForeignServerStmt(_)
        | N::CreateForeignTableStmt(_)
        | N::CreateUserMappingStmt(_)
        | N::AlterUserMappingStmt(_)
        | N::DropUserMappingStmt(_)
        | N::ImportForeignSchemaStmt(_) => "foreign data",
        _ => "this statement",
    }
}
