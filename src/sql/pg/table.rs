//! CREATE TABLE: columns, constraints, sequence options.

use pg_query::protobuf::{self, ConstrType, OnCommitAction, node::Node as N};

use super::types::{integer, option_truth};
use super::{Lower, Lowered, Stop, deparse, missing, qualified, string, strings, text_of};
use crate::error::{Error, state};
use crate::name;
use crate::schema::Action;
use crate::sql::ast::{
    ColumnDef, Constraint, ConstraintKind, CreateTable, Exclusion, Expr, Like, SequenceOptions,
};

type Node = protobuf::Node;

/// Bits of LIKE's INCLUDING list, as the parse tree numbers them.
mod including {
    pub(super) const CONSTRAINTS: u32 = 1 << 2;
    pub(super) const DEFAULTS: u32 = 1 << 3;
    pub(super) const GENERATED: u32 = 1 << 4;
    pub(super) const IDENTITY: u32 = 1 << 5;
    pub(super) const INDEXES: u32 = 1 << 6;
}

impl Lower<'_> {
    pub(super) fn create_table(&mut self, create: protobuf::CreateStmt) -> Lowered<CreateTable> {
        if !create.inh_relations.is_empty() && create.partbound.is_none() {
            return Err(Stop::Unsupported("INHERITS"));
        }
        if create.partspec.is_some() || create.partbound.is_some() {
            return Err(Stop::Unsupported("table partitioning"));
        }
        if create.of_typename.is_some() {
            return Err(Stop::Unsupported("CREATE TABLE OF"));
        }
        let mut range = create.relation.ok_or_else(missing)?;
        let mut table = CreateTable {
            name: self.name(&mut range),
            if_not_exists: create.if_not_exists,
            temporary: range.relpersistence == "t",
            unlogged: range.relpersistence == "u",
            on_commit: on_commit(create.oncommit),
            ..CreateTable::default()
        };
        self.owner = Some(table.name.name.clone());
        for element in create.table_elts {
            match element.node {
                Some(N::ColumnDef(column)) => table.columns.push(self.column_def(*column)?),
                Some(N::Constraint(constraint)) => {
                    table.constraints.push(self.constraint(*constraint)?);
                }
                Some(N::TableLikeClause(like)) => {
                    let bit = |bit: u32| like.options & bit != 0;
                    table.like.push(Like {
                        defaults: bit(including::DEFAULTS),
                        constraints: bit(including::CONSTRAINTS),
                        indexes: bit(including::INDEXES),
                        identity: bit(including::IDENTITY),
                        generated: bit(including::GENERATED),
                        table: self.relation(like.relation)?,
                    });
                }
                _ => return Err(missing()),
            }
        }
        Ok(table)
    }

    /// A column definition with its constraints.
    pub(super) fn column_def(&mut self, column: protobuf::ColumnDef) -> Lowered<ColumnDef> {
        let pos = self.pos(column.location);
        if !column.storage_name.is_empty() {
            return Err(self.refuse_word(column.location, "storage"));
        }
        let ty = self.some_type(column.type_name)?;
        let collation = match column.coll_clause {
            Some(clause) => Some(qualified(clause.collname, self.pos(clause.location))?),
            None => None,
        };
        let mut constraints: Vec<Constraint> = Vec::with_capacity(column.constraints.len());
        for node in column.constraints {
            let Some(N::Constraint(constraint)) = node.node else { return Err(missing()) };
            if !self.attribute(&constraint, constraints.last_mut())? {
                constraints.push(self.constraint(*constraint)?);
            }
        }
        Ok(ColumnDef { name: column.colname, ty, collation, constraints, pos })
    }

    /// DEFERRABLE and kin stand as constraints of their own after the one they change.
    fn attribute(
        &mut self,
        constraint: &protobuf::Constraint,
        target: Option<&mut Constraint>,
    ) -> Lowered<bool> {
        let kind = constraint_type(constraint);
        let word = match kind {
            ConstrType::ConstrAttrDeferrable => "DEFERRABLE",
            ConstrType::ConstrAttrNotDeferrable => "NOT DEFERRABLE",
            ConstrType::ConstrAttrDeferred => "INITIALLY DEFERRED",
            ConstrType::ConstrAttrImmediate => "INITIALLY IMMEDIATE",
            ConstrType::ConstrAttrEnforced | ConstrType::ConstrAttrNotEnforced => {
                return Err(self.refuse_word(constraint.location, "enforced"));
            }
            _ => return Ok(false),
        };
        let Some(target) = target.filter(|c| deferrable(&c.kind)) else {
            let error = Error::client(state::SYNTAX_ERROR, format!("misplaced {word} clause"))
                .at(self.pos(constraint.location));
            return Err(Stop::Error(error));
        };
        match kind {
            ConstrType::ConstrAttrDeferrable => target.deferrable = true,
            ConstrType::ConstrAttrDeferred => {
                target.deferred = true;
                target.deferrable = true;
            }
            _ => {}
        }
        Ok(true)
    }

    /// A constraint of a column or a table.
    pub(super) fn constraint(&mut self, mut c: protobuf::Constraint) -> Lowered<Constraint> {
        let name = text_of(std::mem::take(&mut c.conname));
        let (deferrable, deferred) = (c.deferrable, c.initdeferred);
        let not_valid = c.skip_validation;
        let kind = self.constraint_kind(c)?;
        Ok(Constraint { name, kind, deferrable, deferred, not_valid })
    }

    fn constraint_kind(&mut self, c: protobuf::Constraint) -> Lowered<ConstraintKind> {
        let kind = constraint_type(&c);
        if c.without_overlaps {
            return Err(self.refuse_word(c.location, "without"));
        }
        if c.fk_with_period || c.pk_with_period {
            return Err(Stop::Unsupported("a temporal key"));
        }
        Ok(match kind {
            ConstrType::ConstrNull => ConstraintKind::Null,
            ConstrType::ConstrNotnull if !c.keys.is_empty() => {
                return Err(self.refuse_word(c.location, "not"));
            }
            ConstrType::ConstrNotnull => ConstraintKind::NotNull,
            ConstrType::ConstrDefault => {
                let (expr, text) = self.with_text(c.raw_expr)?;
                ConstraintKind::Default(expr, text)
            }
            ConstrType::ConstrIdentity => {
                let options = self.sequence_options(c.options)?;
                ConstraintKind::Identity(c.generated_when == "a", options)
            }
            ConstrType::ConstrGenerated => {
                if c.generated_kind == "v" {
                    return Err(self.refuse_after_group(c.location));
                }
                let (expr, text) = self.with_text(c.raw_expr)?;
                ConstraintKind::Generated(expr, text)
            }
            ConstrType::ConstrCheck | ConstrType::ConstrForeign if !c.is_enforced => {
                return Err(self.refuse_word(c.location, "enforced"));
            }
            ConstrType::ConstrCheck => {
                let (expr, text) = self.with_text(c.raw_expr)?;
                ConstraintKind::Check(expr, text)
            }
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique if !c.including.is_empty() => {
                return Err(Stop::Unsupported("INCLUDE in a constraint"));
            }
            ConstrType::ConstrPrimary => {
                ConstraintKind::PrimaryKey(strings(c.keys), text_of(c.indexname))
            }
            ConstrType::ConstrUnique => {
                ConstraintKind::Unique(strings(c.keys), text_of(c.indexname), c.nulls_not_distinct)
            }
            ConstrType::ConstrExclusion => self.exclusion(c)?,
            ConstrType::ConstrForeign => self.foreign_key(c)?,
            _ => return Err(missing()),
        })
    }

    fn exclusion(&mut self, c: protobuf::Constraint) -> Lowered<ConstraintKind> {
        if !c.options.is_empty() {
            return Err(Stop::Unsupported("WITH in a constraint"));
        }
        let mut made = Exclusion {
            method: if c.access_method.is_empty() { "gist".to_owned() } else { c.access_method },
            keys: Vec::with_capacity(c.exclusions.len()),
            opclasses: Vec::with_capacity(c.exclusions.len()),
            operators: Vec::with_capacity(c.exclusions.len()),
            include: strings(c.including),
            filter: None,
        };
        for node in c.exclusions {
            let Some(N::List(pair)) = node.node else { return Err(missing()) };
            let [key, operator] = <[Node; 2]>::try_from(pair.items).map_err(|_| missing())?;
            made.opclasses.push(super::ddl::opclass(&key));
            made.keys.push(self.index_key(key)?);
            let Some(N::List(name)) = operator.node else { return Err(missing()) };
            made.operators.push(strings(name.items).pop().ok_or_else(missing)?);
        }
        if c.where_clause.is_some() {
            made.filter = Some(self.with_text(c.where_clause)?);
        }
        Ok(ConstraintKind::Exclusion(Box::new(made)))
    }

    fn foreign_key(&mut self, c: protobuf::Constraint) -> Lowered<ConstraintKind> {
        if !c.fk_del_set_cols.is_empty() {
            return Err(Stop::Unsupported("a column list of ON DELETE SET"));
        }
        Ok(ConstraintKind::ForeignKey {
            columns: strings(c.fk_attrs),
            table: self.relation(c.pktable)?,
            referenced: strings(c.pk_attrs),
            on_delete: action(&c.fk_del_action),
            on_update: action(&c.fk_upd_action),
            match_full: c.fk_matchtype == "f",
        })
    }

    /// An expression and its text as PostgreSQL prints it.
    pub(super) fn with_text(&mut self, node: Option<Box<Node>>) -> Lowered<(Expr, String)> {
        let node = *node.ok_or_else(missing)?;
        let mut text = deparse::expression(&node)?;
        if let Some(owner) = &self.owner {
            text = deparse::unqualified(&text, owner);
        }
        Ok((self.expr(node)?, text))
    }

    /// Options of CREATE and ALTER SEQUENCE and of identity columns.
    pub(super) fn sequence_options(&mut self, nodes: Vec<Node>) -> Lowered<SequenceOptions> {
        let mut options = SequenceOptions::default();
        for node in nodes {
            let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
            self.sequence_option(&mut options, *option)?;
        }
        Ok(options)
    }

    fn sequence_option(
        &mut self,
        options: &mut SequenceOptions,
        option: protobuf::DefElem,
    ) -> Lowered<()> {
        let pos = self.pos(option.location);
        let number = option.arg.as_deref().and_then(integer);
        match option.defname.as_str() {
            "as" => {
                if let Some(N::TypeName(ty)) = option.arg.and_then(|node| node.node) {
                    options.ty = Some(self.type_name(ty)?.name);
                }
            }
            "start" => options.start = number,
            "increment" => options.increment = number,
            "minvalue" => options.min = Some(number),
            "maxvalue" => options.max = Some(number),
            "cycle" => options.cycle = Some(option_truth(option.arg.map(|node| *node))),
            "restart" => options.restart = Some(number),
            "owned_by" => {
                let mut parts = match option.arg.and_then(|node| node.node) {
                    Some(N::List(list)) => strings(list.items),
                    _ => return Err(missing()),
                };
                let column = parts.pop().ok_or_else(missing)?;
                options.owned_by = Some(parts.pop().map(|table| match parts.pop() {
                    Some(schema) => (name::key(&schema, &table), column),
                    None => (table, column),
                }));
            }
            "sequence_name" => {
                if let Some(N::List(list)) = option.arg.and_then(|node| node.node) {
                    options.name = list.items.into_iter().filter_map(string).next_back();
                }
            }
            "cache" | "logged" => {}
            other => {
                let message = format!("unrecognized sequence option \"{other}\"");
                return Err(Stop::Error(Error::client(state::SYNTAX_ERROR, message).at(pos)));
            }
        }
        Ok(())
    }
}

fn constraint_type(c: &protobuf::Constraint) -> ConstrType {
    ConstrType::try_from(c.contype).unwrap_or(ConstrType::Undefined)
}

fn deferrable(kind: &ConstraintKind) -> bool {
    matches!(
        kind,
        ConstraintKind::PrimaryKey(..)
            | ConstraintKind::Unique(..)
            | ConstraintKind::Exclusion(_)
            | ConstraintKind::ForeignKey { .. }
    )
}

fn action(letter: &str) -> Action {
    match letter {
        "r" => Action::Restrict,
        "c" => Action::Cascade,
        "n" => Action::SetNull,
        "d" => Action::SetDefault,
        _ => Action::NoAction,
    }
}

fn on_commit(action: i32) -> Option<&'static str> {
    match OnCommitAction::try_from(action) {
        Ok(OnCommitAction::OncommitDeleteRows) => Some("DELETE ROWS"),
        Ok(OnCommitAction::OncommitDrop) => Some("DROP"),
        Ok(OnCommitAction::OncommitPreserveRows) => Some("PRESERVE ROWS"),
        _ => None,
    }
}
