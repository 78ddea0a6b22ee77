//! DDL other than CREATE TABLE and ALTER TABLE: indexes, views, sequences, drops, renames.

use pg_query::protobuf::{
    self, DropBehavior, ObjectType, SortByDir, ViewCheckOption, node::Node as N,
};

use super::expr::{collation, plain_column};
use super::select::nulls_first;
use super::types::option_text;
use super::{Lower, Lowered, Stop, deparse, missing, qualified, string, strings, text_of};
use crate::sql::ast::{
    AttributeChange, CreateIndex, Ddl, Expr, ExprKind, Name, ObjectKind, OrderItem, RenameWhat,
    RoutineKind,
};

type Node = protobuf::Node;

impl Lower<'_> {
    pub(super) fn create_index(&mut self, index: protobuf::IndexStmt) -> Lowered<CreateIndex> {
        let table = self.relation(index.relation)?;
        self.owner = Some(table.name.clone());
        let opclasses = index.index_params.iter().map(opclass).collect();
        let keys = index.index_params.into_iter().map(|node| self.index_key(node));
        let keys = keys.collect::<Lowered<_>>()?;
        let mut include = Vec::new();
        for node in index.index_including_params {
            let Some(N::IndexElem(element)) = node.node else { return Err(missing()) };
            include.push(element.name);
        }
        let filter = match index.where_clause {
            None => None,
            node => Some(self.with_text(node)?),
        };
        let mut options = Vec::new();
        for node in index.options {
            let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
            let value = option.arg.map_or_else(|| Some("true".to_owned()), |a| option_text(*a));
            options.push((option.defname, value.ok_or_else(missing)?));
        }
        Ok(CreateIndex {
            options,
            name: text_of(index.idxname),
            table,
            unique: index.unique,
            method: index.access_method,
            keys,
            opclasses,
            include,
            filter,
            if_not_exists: index.if_not_exists,
            concurrently: index.concurrent,
            nulls_not_distinct: index.nulls_not_distinct,
        })
    }

    pub(super) fn index_key(&mut self, node: Node) -> Lowered<(OrderItem, String)> {
        let Some(N::IndexElem(element)) = node.node else { return Err(missing()) };
        let element = *element;
        let (mut expr, mut text) = match element.expr {
            None => {
                let text = quoted(&element.name);
                (plain_column(element.name, 0), text)
            }
            node => self.with_text(node)?,
        };
        if let Some(name) = collation(element.collation, expr.pos)? {
            text = format!("{text} COLLATE {}", qualified_text(&name));
            let pos = expr.pos;
            expr = Expr { kind: ExprKind::Collate(Box::new(expr), name), pos };
        }
        let descending = element.ordering == SortByDir::SortbyDesc as i32;
        let nulls_first = nulls_first(element.nulls_ordering);
        Ok((OrderItem { expr, descending, nulls_first }, text))
    }

    pub(super) fn create_view(&mut self, view: protobuf::ViewStmt) -> Lowered<Ddl> {
        if view.with_check_option > ViewCheckOption::NoCheckOption as i32 {
            return Err(Stop::Unsupported("WITH CHECK OPTION"));
        }
        let mut range = view.view.ok_or_else(missing)?;
        let text = deparse::query(view.query.as_deref().ok_or_else(missing)?)?;
        Ok(Ddl::CreateView {
            temporary: range.relpersistence == "t",
            name: self.name(&mut range),
            columns: strings(view.aliases),
            query: Box::new(self.subquery(view.query)?),
            text,
            replace: view.replace,
        })
    }

    pub(super) fn create_table_as(&mut self, create: protobuf::CreateTableAsStmt) -> Lowered<Ddl> {
        let into = *create.into.ok_or_else(missing)?;
        if create.objtype == ObjectType::ObjectMatview as i32 {
            return self.create_materialized(into, create.query, create.if_not_exists);
        }
        match create.query.and_then(|node| node.node) {
            Some(N::SelectStmt(select)) => self.table_as(into, *select, create.if_not_exists),
            _ => Err(Stop::Unsupported("CREATE TABLE AS EXECUTE")),
        }
    }

    fn create_materialized(
        &mut self,
        into: protobuf::IntoClause,
        query: Option<Box<Node>>,
        if_not_exists: bool,
    ) -> Lowered<Ddl> {
        let mut range = into.rel.ok_or_else(missing)?;
        let text = deparse::query(query.as_deref().ok_or_else(missing)?)?;
        Ok(Ddl::CreateMaterialized {
            name: self.name(&mut range),
            columns: strings(into.col_names),
            query: Box::new(self.subquery(query)?),
            text,
            if_not_exists,
            with_data: !into.skip_data,
        })
    }

    pub(super) fn refresh(&mut self, refresh: protobuf::RefreshMatViewStmt) -> Lowered<Ddl> {
        Ok(Ddl::Refresh {
            name: self.relation(refresh.relation)?,
            concurrently: refresh.concurrent,
            with_data: !refresh.skip_data,
        })
    }

    /// CREATE TABLE AS and SELECT INTO.
    pub(super) fn table_as(
        &mut self,
        into: protobuf::IntoClause,
        select: protobuf::SelectStmt,
        if_not_exists: bool,
    ) -> Lowered<Ddl> {
        let mut range = into.rel.ok_or_else(missing)?;
        let query = Box::new(self.select(select)?);
        Ok(Ddl::CreateTableAs {
            temporary: range.relpersistence == "t",
            name: self.name(&mut range),
            columns: strings(into.col_names),
            query,
            if_not_exists,
            with_data: !into.skip_data,
        })
    }

    pub(super) fn create_sequence(&mut self, create: protobuf::CreateSeqStmt) -> Lowered<Ddl> {
        let mut range = create.sequence.ok_or_else(missing)?;
        if range.relpersistence == "t" {
            return Err(Stop::Unsupported("a temporary sequence"));
        }
        Ok(Ddl::CreateSequence {
            name: self.name(&mut range),
            options: self.sequence_options(create.options)?,
            if_not_exists: create.if_not_exists,
        })
    }

    pub(super) fn alter_sequence(&mut self, alter: protobuf::AlterSeqStmt) -> Lowered<Ddl> {
        Ok(Ddl::AlterSequence {
            name: self.relation(alter.sequence)?,
            options: self.sequence_options(alter.options)?,
            if_exists: alter.missing_ok,
        })
    }

    pub(super) fn create_schema(&mut self, create: protobuf::CreateSchemaStmt) -> Lowered<Ddl> {
        if !create.schema_elts.is_empty() {
            return Err(Stop::Unsupported("CREATE SCHEMA with elements"));
        }
        let name = match text_of(create.schemaname) {
            Some(name) => name,
            None => create.authrole.map(|role| role.rolename).unwrap_or_default(),
        };
        Ok(Ddl::CreateSchema { name, if_not_exists: create.if_not_exists })
    }

    pub(super) fn set_schema(&mut self, alter: protobuf::AlterObjectSchemaStmt) -> Lowered<Ddl> {
        let name = match (alter.relation, alter.object) {
            (Some(range), _) => self.relation(Some(range))?,
            (None, Some(object)) => object_name(*object)?,
            (None, None) => return Err(missing()),
        };
        let kind = object_kind(alter.object_type);
        Ok(Ddl::SetSchema { kind, name, schema: alter.newschema, if_exists: alter.missing_ok })
    }

    pub(super) fn drop(&mut self, drop: protobuf::DropStmt) -> Lowered<Ddl> {
        let routines = match ObjectType::try_from(drop.remove_type) {
            Ok(ObjectType::ObjectFunction) => Some(RoutineKind::Function),
            Ok(ObjectType::ObjectProcedure) => Some(RoutineKind::Procedure),
            Ok(ObjectType::ObjectRoutine) => Some(RoutineKind::Routine),
            Ok(ObjectType::ObjectAggregate) => Some(RoutineKind::Aggregate),
            _ => None,
        };
        if let Some(kind) = routines {
            return self.drop_routines(kind, drop);
        }
        let kind = object_kind(drop.remove_type);
        let names = drop.objects.into_iter().map(|object| match kind {
            ObjectKind::Trigger => trigger_name(object),
            _ => object_name(object),
        });
        let names = names.collect::<Lowered<_>>()?;
        let cascade = drop.behavior == DropBehavior::DropCascade as i32;
        Ok(Ddl::Drop { kind, names, if_exists: drop.missing_ok, cascade })
    }

    pub(super) fn truncate(&mut self, truncate: protobuf::TruncateStmt) -> Lowered<Ddl> {
        Ok(Ddl::Truncate {
            tables: self.relations(truncate.relations)?,
            restart_identity: truncate.restart_seqs,
            cascade: truncate.behavior == DropBehavior::DropCascade as i32,
        })
    }

    pub(super) fn rename(&mut self, mut rename: protobuf::RenameStmt) -> Lowered<Ddl> {
        let subname = std::mem::take(&mut rename.subname);
        let ty = ObjectType::try_from(rename.rename_type).unwrap_or(ObjectType::Undefined);
        let (kind, what) = match ty {
            ObjectType::ObjectColumn | ObjectType::ObjectAttribute => {
                (object_kind(rename.relation_type), RenameWhat::Column(subname.clone()))
            }
            ObjectType::ObjectTabconstraint => {
                (ObjectKind::Table, RenameWhat::Constraint(subname.clone()))
            }
            _ => (object_kind(rename.rename_type), RenameWhat::Object),
        };
        let name = match (rename.relation, rename.object) {
            (Some(range), _) => self.relation(Some(range))?,
            (None, Some(object)) => object_name(*object)?,
            // ALTER SCHEMA and kin keep the old name apart.
            (None, None) => match &what {
                RenameWhat::Object => Name { name: subname, ..Name::default() },
                _ => return Err(missing()),
            },
        };
        if ty == ObjectType::ObjectAttribute {
            let RenameWhat::Column(from) = what else { return Err(missing()) };
            let changes = vec![AttributeChange::Rename(from, rename.newname)];
            return Ok(Ddl::AlterComposite { name, changes });
        }
        Ok(Ddl::Rename { kind, name, what, to: rename.newname, if_exists: rename.missing_ok })
    }
}

/// The operator class of an index key.
pub(super) fn opclass(node: &Node) -> Option<String> {
    match &node.node {
        Some(N::IndexElem(element)) => strings(element.opclass.clone()).pop(),
        _ => None,
    }
}

/// What DROP, ALTER and COMMENT name, as far as it matters to us.
pub(super) fn object_kind(ty: i32) -> ObjectKind {
    match ObjectType::try_from(ty).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectTable => ObjectKind::Table,
        ObjectType::ObjectIndex => ObjectKind::Index,
        ObjectType::ObjectView => ObjectKind::View,
        ObjectType::ObjectSequence => ObjectKind::Sequence,
        ObjectType::ObjectSchema => ObjectKind::Schema,
        ObjectType::ObjectExtension => ObjectKind::Extension,
        ObjectType::ObjectType => ObjectKind::Type,
        ObjectType::ObjectDomain => ObjectKind::Domain,
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => ObjectKind::Function,
        ObjectType::ObjectTrigger => ObjectKind::Trigger,
        ObjectType::ObjectMatview => ObjectKind::MaterializedView,
        ObjectType::ObjectColumn => ObjectKind::Table,
        ObjectType::ObjectTabconstraint => ObjectKind::Constraint,
        _ => ObjectKind::Other,
    }
}

/// `table.trigger`, or `schema.table.trigger` with the table's key.
fn trigger_name(node: Node) -> Lowered<Name> {
    let Some(N::List(list)) = node.node else { return Err(missing()) };
    let mut parts = strings(list.items);
    let name = parts.pop().ok_or_else(missing)?;
    let table = parts.pop().map(|table| match parts.pop() {
        Some(schema) => crate::name::key(&schema, &table),
        None => table,
    });
    Ok(Name { schema: table, name, pos: 0 })
}

/// The name of an object in whichever form the tree has it.
pub(super) fn object_name(node: Node) -> Lowered<Name> {
    match node.node {
        Some(N::List(list)) => qualified(list.items, 0),
        Some(N::String(s)) => Ok(Name { name: s.sval, ..Name::default() }),
        Some(N::TypeName(ty)) => qualified(ty.names, 0),
        Some(N::ObjectWithArgs(object)) => qualified(object.objname, 0),
        node => {
            let name = string(Node { node }).ok_or(Stop::Unsupported("DROP of this object"))?;
            Ok(Name { name, ..Name::default() })
        }
    }
}

/// A name as PostgreSQL prints it: quoted when it must be.
pub(super) fn quoted(name: &str) -> String {
    let plain = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
        && !reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Whether a name reads as something else without quotes.
fn reserved(name: &str) -> bool {
    pg_query::scan(name).is_ok_and(|scan| {
        scan.tokens.first().is_some_and(|token| {
            token.keyword_kind() != protobuf::KeywordKind::NoKeyword
                && token.keyword_kind() != protobuf::KeywordKind::UnreservedKeyword
        })
    })
}

fn qualified_text(name: &Name) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
        None => quoted(&name.name),
    }
}
