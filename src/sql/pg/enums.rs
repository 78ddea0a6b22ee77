//! Enum types: CREATE TYPE … AS ENUM, ALTER TYPE ADD VALUE and RENAME VALUE.

use pg_query::protobuf;

use super::{Lowered, qualified, strings, text_of};
use crate::sql::ast::{Ddl, EnumChange};

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
