//! Whether an expression is IMMUTABLE in PostgreSQL's terms: only such ones may be stored in
//! indexes and generated columns.
//!
//! Owns the question, not the refusal. Start at [`immutable`].

use crate::sql::ir::{CastKind, Expr, ExprKind};
use crate::sql::types::tables;
use crate::value::{element_of, oid};

/// Whether nothing but the row decides the value.
pub fn immutable(expr: &Expr) -> bool {
    let own = match &expr.kind {
        ExprKind::Call(call) => call.lite || function(call.oid),
        ExprKind::Op(op) => {
            let left = op.left.as_ref().map_or(0, |e| e.ty.oid);
            let found = tables().operators(&op.name).iter();
            let mut found = found.filter(|o| o.left == left && o.right == op.right.ty.oid);
            found.next().is_none_or(|o| function(o.function))
        }
        ExprKind::Cast(inner, kind) if *kind != CastKind::Relabel => {
            let (from, to) = (inner.ty.oid, expr.ty.oid);
            match tables().cast(from, to) {
                Some(cast) if cast.function != 0 => function(cast.function),
                Some(cast) if cast.method == b'b' => true,
                _ => from == to || !(by_setting(from) || by_setting(to)),
            }
        }
        ExprKind::Frozen(_) => false,
        _ => true,
    };
    let mut all = own;
    expr.children(&mut |child| all &= immutable(child));
    all
}

fn function(oid: u32) -> bool {
    tables().proc_by_oid(oid).is_none_or(|p| p.volatility == b'i')
}

/// Types whose text depends on settings.
fn by_setting(ty: u32) -> bool {
    let ty = element_of(ty).unwrap_or(ty);
    matches!(ty, oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ)
}
