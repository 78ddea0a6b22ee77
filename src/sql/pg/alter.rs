//! ALTER TABLE and its actions.

use pg_query::protobuf::{self, AlterTableType, DropBehavior, ObjectType, node::Node as N};

use super::types::integer;
use super::{Lower, Lowered, Stop, missing, qualified};
use crate::sql::ast::{AlterAction, ConstraintKind, Ddl, SequenceOptions};

type Boxed = Option<Box<protobuf::Node>>;

impl Lower<'_> {
    pub(super) fn alter_table(&mut self, alter: protobuf::AlterTableStmt) -> Lowered<Ddl> {
        if alter.objtype == ObjectType::ObjectType as i32 {
            return self.alter_composite(alter);
        }
        self.owner = alter.relation.as_ref().map(|relation| relation.relname.clone());
        let mut actions = Vec::with_capacity(alter.cmds.len());
        for node in alter.cmds {
            let Some(N::AlterTableCmd(command)) = node.node else { return Err(missing()) };
            actions.push(self.alter_action(*command)?);
        }
        if alter.objtype != ObjectType::ObjectTable as i32 {
            let (tag, refusal) = other_object(alter.objtype);
            return if actions.iter().all(|action| matches!(action, AlterAction::NoEffect(_))) {
                Ok(Ddl::NoEffect(tag))
            } else {
                Err(Stop::Unsupported(refusal))
            };
        }
        let name = self.relation(alter.relation)?;
        Ok(Ddl::AlterTable { name, actions, if_exists: alter.missing_ok })
    }

    fn alter_action(&mut self, command: protobuf::AlterTableCmd) -> Lowered<AlterAction> {
        use AlterTableType as T;
        let name = command.name;
        let missing_ok = command.missing_ok;
        let cascade = command.behavior == DropBehavior::DropCascade as i32;
        let kind = T::try_from(command.subtype).unwrap_or(T::Undefined);
        Ok(match kind {
            T::AtAddColumn => AlterAction::AddColumn(self.column(command.def)?, missing_ok),
            T::AtDropColumn => AlterAction::DropColumn(name, missing_ok, cascade),
            T::AtAlterColumnType => self.alter_type(name, command.def)?,
            T::AtColumnDefault => {
                let default = match command.def {
                    None => None,
                    node => Some(self.with_text(node)?),
                };
                AlterAction::SetDefault(name, default)
            }
            T::AtSetNotNull => AlterAction::SetNotNull(name, true),
            T::AtDropNotNull => AlterAction::SetNotNull(name, false),
            T::AtAddConstraint => match command.def.and_then(|node| node.node) {
                Some(N::Constraint(c)) => AlterAction::AddConstraint(self.constraint(*c)?),
                _ => return Err(missing()),
            },
            T::AtDropConstraint => AlterAction::DropConstraint(name, missing_ok, cascade),
            T::AtValidateConstraint => AlterAction::ValidateConstraint(name),
            T::AtAddIdentity => self.add_identity(name, command.def)?,
            T::AtSetIdentity => self.set_identity(name, command.def)?,
            T::AtDropIdentity => AlterAction::DropIdentity(name, missing_ok),
            T::AtEnableTrig => AlterAction::EnableTrigger(Some(name), true),
            T::AtDisableTrig => AlterAction::EnableTrigger(Some(name), false),
            T::AtEnableTrigAll | T::AtEnableTrigUser => AlterAction::EnableTrigger(None, true),
            T::AtDisableTrigAll | T::AtDisableTrigUser => AlterAction::EnableTrigger(None, false),
            other => without_effect(other),
        })
    }

    fn column(&mut self, def: Boxed) -> Lowered<crate::sql::ast::ColumnDef> {
        match def.and_then(|node| node.node) {
            Some(N::ColumnDef(column)) => self.column_def(*column),
            _ => Err(missing()),
        }
    }

    fn alter_type(&mut self, name: String, def: Boxed) -> Lowered<AlterAction> {
        let Some(N::ColumnDef(column)) = def.and_then(|node| node.node) else {
            return Err(missing());
        };
        let column = *column;
        let collation = match column.coll_clause {
            Some(clause) => Some(qualified(clause.collname, self.pos(clause.location))?),
            None => None,
        };
        let ty = self.some_type(column.type_name)?;
        let using = match column.raw_default {
            None => None,
            node => Some(self.with_text(node)?),
        };
        Ok(AlterAction::AlterType(name, ty, collation, using))
    }

    fn add_identity(&mut self, name: String, def: Boxed) -> Lowered<AlterAction> {
        let Some(N::Constraint(constraint)) = def.and_then(|node| node.node) else {
            return Err(missing());
        };
        match self.constraint(*constraint)?.kind {
            ConstraintKind::Identity(always, options) => {
                Ok(AlterAction::AddIdentity(name, always, options))
            }
            _ => Err(missing()),
        }
    }

    /// SET GENERATED and sequence options in any order.
    fn set_identity(&mut self, name: String, def: Boxed) -> Lowered<AlterAction> {
        let mut always = None;
        let mut rest = Vec::new();
        for node in super::expr::items(def)? {
            match &node.node {
                Some(N::DefElem(option)) if option.defname == "generated" => {
                    let letter = option.arg.as_deref().and_then(integer);
                    always = Some(letter == Some(i64::from(b'a')));
                }
                _ => rest.push(node),
            }
        }
        let options: SequenceOptions = self.sequence_options(rest)?;
        Ok(AlterAction::SetIdentity(name, always, options))
    }
}

/// Actions that change nothing a client can see, or that are refused.
fn without_effect(kind: AlterTableType) -> AlterAction {
    use AlterTableType as T;
    match kind {
        T::AtChangeOwner => AlterAction::NoEffect("OWNER TO"),
        T::AtReplicaIdentity => AlterAction::NoEffect("REPLICA IDENTITY"),
        T::AtSetStatistics => AlterAction::NoEffect("SET STATISTICS"),
        T::AtSetStorage => AlterAction::NoEffect("SET STORAGE"),
        T::AtSetCompression => AlterAction::NoEffect("SET COMPRESSION"),
        T::AtSetOptions | T::AtResetOptions => AlterAction::NoEffect("SET attribute options"),
        T::AtSetRelOptions | T::AtResetRelOptions | T::AtReplaceRelOptions => {
            AlterAction::NoEffect("SET storage parameters")
        }
        T::AtSetTableSpace => AlterAction::NoEffect("SET TABLESPACE"),
        T::AtSetAccessMethod => AlterAction::NoEffect("SET ACCESS METHOD"),
        T::AtSetLogged | T::AtSetUnLogged => AlterAction::NoEffect("SET LOGGED"),
        T::AtClusterOn | T::AtDropCluster => AlterAction::NoEffect("CLUSTER ON"),
        T::AtDropOids => AlterAction::NoEffect("SET WITHOUT OIDS"),
        T::AtAlterConstraint => AlterAction::Unsupported("ALTER CONSTRAINT"),
        T::AtSetExpression | T::AtDropExpression => {
            AlterAction::Unsupported("ALTER COLUMN … EXPRESSION")
        }
        T::AtEnableAlwaysTrig | T::AtEnableReplicaTrig => {
            AlterAction::Unsupported("ENABLE REPLICA or ALWAYS TRIGGER")
        }
        T::AtEnableRule | T::AtEnableAlwaysRule | T::AtEnableReplicaRule | T::AtDisableRule => {
            AlterAction::Unsupported("ENABLE or DISABLE RULE")
        }
        // It is never on.
        T::AtDisableRowSecurity | T::AtNoForceRowSecurity => {
            AlterAction::NoEffect("DISABLE ROW LEVEL SECURITY")
        }
        T::AtEnableRowSecurity | T::AtForceRowSecurity => {
            AlterAction::Unsupported("row level security")
        }
        T::AtAddInherit | T::AtDropInherit => AlterAction::Unsupported("INHERIT"),
        T::AtAddOf | T::AtDropOf => AlterAction::Unsupported("ALTER TABLE OF"),
        T::AtAttachPartition | T::AtDetachPartition | T::AtDetachPartitionFinalize => {
            AlterAction::Unsupported("table partitioning")
        }
        _ => AlterAction::Unsupported("this form of ALTER TABLE"),
    }
}

/// Command tag and refusal of ALTER on something else than a table.
fn other_object(objtype: i32) -> (&'static str, &'static str) {
    match ObjectType::try_from(objtype).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectIndex => ("ALTER INDEX", "this form of ALTER INDEX"),
        ObjectType::ObjectView => ("ALTER VIEW", "this form of ALTER VIEW"),
        ObjectType::ObjectSequence => ("ALTER SEQUENCE", "this form of ALTER SEQUENCE"),
        ObjectType::ObjectMatview => ("ALTER MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW"),
        ObjectType::ObjectForeignTable => ("ALTER FOREIGN TABLE", "ALTER FOREIGN TABLE"),
        _ => ("ALTER TABLE", "this form of ALTER"),
    }
}
