//! Type names, and constants as they appear in type modifiers and options.

use pg_query::protobuf::{self, a_const, node::Node as N};

use super::{Lower, Lowered, Stop, missing, qualified};
use crate::sql::ast::TypeName;

impl Lower<'_> {
    /// A type as written.
    pub(super) fn type_name(&mut self, ty: protobuf::TypeName) -> Lowered<TypeName> {
        if ty.setof {
            return Err(Stop::Unsupported("SETOF"));
        }
        if ty.pct_type {
            return Err(Stop::Unsupported("%TYPE"));
        }
        let pos = self.pos(ty.location);
        let name = qualified(ty.names, pos)?;
        let modifiers = ty.typmods.iter().map(modifier).collect::<Lowered<_>>()?;
        Ok(TypeName {
            schema: name.schema,
            name: name.name,
            modifiers,
            array: !ty.array_bounds.is_empty(),
            pos,
        })
    }

    /// An optional type that the grammar always gives.
    pub(super) fn some_type(&mut self, ty: Option<protobuf::TypeName>) -> Lowered<TypeName> {
        self.type_name(ty.ok_or_else(missing)?)
    }
}

/// One number in a type's parentheses.
fn modifier(node: &protobuf::Node) -> Lowered<i64> {
    integer(node).ok_or(Stop::Unsupported("a type modifier that is not an integer"))
}

/// An integer node or constant.
pub(super) fn integer(node: &protobuf::Node) -> Option<i64> {
    match node.node.as_ref()? {
        N::Integer(i) => Some(i.ival.into()),
        N::Float(f) => f.fval.parse().ok(),
        N::AConst(c) => match c.val.as_ref()? {
            a_const::Val::Ival(i) => Some(i.ival.into()),
            a_const::Val::Fval(f) => f.fval.parse().ok(),
            a_const::Val::Sval(s) => s.sval.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a constant in an option: numbers as written, words as they are.
pub(super) fn option_text(node: protobuf::Node) -> Option<String> {
    match node.node? {
        N::String(s) => Some(s.sval),
        N::Integer(i) => Some(i.ival.to_string()),
        N::Float(f) => Some(f.fval),
        N::Boolean(b) => Some(b.boolval.to_string()),
        N::AStar(_) => Some("*".to_owned()),
        N::AConst(c) => match c.val? {
            a_const::Val::Ival(i) => Some(i.ival.to_string()),
            a_const::Val::Fval(f) => Some(f.fval),
            a_const::Val::Boolval(b) => Some(b.boolval.to_string()),
            a_const::Val::Sval(s) => Some(s.sval),
            a_const::Val::Bsval(b) => Some(b.bsval),
        },
        N::TypeCast(cast) => option_text(*cast.arg?),
        N::TypeName(mut ty) => super::string(ty.names.pop()?),
        N::List(list) => {
            let items: Vec<String> = list.items.into_iter().filter_map(option_text).collect();
            Some(items.join(","))
        }
        _ => None,
    }
}

/// The truth of an option: no value is true.
pub(super) fn option_truth(node: Option<protobuf::Node>) -> bool {
    match node.and_then(option_text) {
        None => true,
        Some(text) => matches!(text.to_ascii_lowercase().as_str(), "true" | "on" | "1" | "yes"),
    }
}
