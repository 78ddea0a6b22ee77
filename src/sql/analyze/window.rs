//! Window functions and window definitions; named windows are inlined.
//!
//! Owns OVER. Start at [`Analyzer::window_call`].

use super::scope::Place;
use super::{Analyzer, errors};
use crate::error::{Result, state};
use crate::sql::ast;
use crate::sql::ir::{Bound, Call, CallKind, CastKind, Expr, ExprKind, Frame, Window};
use crate::sql::types::coerce::{Context, pathway};
use crate::sql::types::{has_equality, sql_name};
use crate::value::{Type, oid};

impl Analyzer<'_> {
    /// f(…) OVER (…)
    pub(super) fn window_call(&mut self, call: &ast::Call, pos: u32) -> Result<Expr> {
        let place = self.level().place;
        let name = &call.name.name;
        let windowing = |message: String| errors::client(state::WINDOWING_ERROR, pos, message);
        if self.level().in_aggregate {
            let message = "aggregate function calls cannot contain window function calls";
            return Err(errors::client(state::GROUPING_ERROR, pos, message));
        }
        if self.level().in_window {
            return Err(windowing("window function calls cannot be nested".into()));
        }
        if !place.allows_windows() {
            let message = format!("window functions are not allowed in {}", place.name());
            return Err(windowing(message));
        }
        self.level().in_window = true;
        let parts = self.aggregate_parts(call, pos);
        self.level().in_window = false;
        let (resolved, order_by, filter) = parts?;
        if !matches!(resolved.proc.kind, b'a' | b'w') {
            let message = format!(
                "OVER specified, but {name} is not a window function nor an aggregate function"
            );
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        if call.distinct {
            let message = "DISTINCT is not implemented for window functions";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        if !order_by.is_empty() {
            let message = "aggregate ORDER BY is not implemented for window functions";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        let over = match &call.over {
            Some(window) => self.window(window, pos)?,
            None => Window::default(),
        };
        self.level().windows_used = true;
        let window_call = Call {
            name: resolved.proc.name.to_owned(),
            oid: resolved.proc.oid,
            kind: CallKind::Window,
            args: resolved.args,
            star: call.star,
            distinct: false,
            order_by: Vec::new(),
            filter,
            over: Some(over),
            lite: false,
        };
        let ty = Type::new(resolved.result);
        Ok(Expr { kind: ExprKind::Call(Box::new(window_call)), ty, pos })
    }

    pub(super) fn window(&mut self, window: &ast::Window, pos: u32) -> Result<Window> {
        let Some(base_name) = &window.base else { return self.window_definition(window, pos) };
        let base = self.level().windows.iter().find(|(n, _)| n == base_name).cloned();
        let Some((_, base_ast)) = base else {
            let message = format!("window \"{base_name}\" does not exist");
            return Err(errors::client(state::UNDEFINED_OBJECT, pos, message));
        };
        let base = self.window(&base_ast, pos)?;
        if window.reference {
            return Ok(base);
        }
        let refuse = |what: &str| {
            let message = format!("{what} of window \"{base_name}\"");
            errors::client(state::WINDOWING_ERROR, pos, message)
        };
        if !window.partition_by.is_empty() {
            return Err(refuse("cannot override PARTITION BY clause"));
        }
        if !window.order_by.is_empty() && !base.order_by.is_empty() {
            return Err(refuse("cannot override ORDER BY clause"));
        }
        if base.frame.is_some() {
            let message =
                format!("cannot copy window \"{base_name}\" because it has a frame clause");
            return Err(errors::client(state::WINDOWING_ERROR, pos, message));
        }
        let mut own = self.window_definition(window, pos)?;
        own.partition_by = base.partition_by;
        if own.order_by.is_empty() {
            own.order_by = base.order_by;
        }
        Ok(own)
    }

    fn window_definition(&mut self, window: &ast::Window, pos: u32) -> Result<Window> {
        let mut done = Window::default();
        // Rows are alike when their fields are.
        let mut items = Vec::new();
        window.partition_by.iter().for_each(|item| fields(item, &mut items));
        for item in items {
            let expr = self.at_place(Place::WindowPartition, |a| a.expr(item))?;
            let expr = self.settle(expr)?;
            if !has_equality(expr.ty.oid) {
                return Err(errors::no_equality(expr.ty.oid, expr.pos));
            }
            done.partition_by.push(expr);
        }
        for item in &window.order_by {
            let expr = self.at_place(Place::WindowOrder, |a| a.expr(&item.expr))?;
            let expr = self.settle(expr)?;
            let sort = super::order::sort(expr, item)?;
            done.order_by.push(if self.lite { self.lite_sort(sort)? } else { sort });
        }
        if let Some(frame) = &window.frame {
            done.frame = Some(self.frame(frame, &done, pos)?);
        }
        Ok(done)
    }

    fn frame(&mut self, frame: &ast::Frame, window: &Window, pos: u32) -> Result<Frame> {
        let offset =
            |b: &ast::Bound| matches!(b, ast::Bound::Preceding(_) | ast::Bound::Following(_));
        let uses_offset = offset(&frame.start) || offset(&frame.end);
        if frame.mode == "RANGE" && uses_offset && window.order_by.len() != 1 {
            let message =
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(errors::client(state::WINDOWING_ERROR, pos, message));
        }
        if frame.mode == "GROUPS" && window.order_by.is_empty() {
            let message = "GROUPS mode requires an ORDER BY clause";
            return Err(errors::client(state::WINDOWING_ERROR, pos, message));
        }
        let sorted = window.order_by.first().map(|s| s.expr.ty.oid);
        Ok(Frame {
            mode: frame.mode,
            start: self.bound(&frame.start, frame.mode, sorted)?,
            end: self.bound(&frame.end, frame.mode, sorted)?,
            exclude: frame.exclude,
        })
    }

    fn bound(&mut self, bound: &ast::Bound, mode: &str, sorted: Option<u32>) -> Result<Bound> {
        Ok(match bound {
            ast::Bound::UnboundedPreceding => Bound::UnboundedPreceding,
            ast::Bound::CurrentRow => Bound::CurrentRow,
            ast::Bound::UnboundedFollowing => Bound::UnboundedFollowing,
            ast::Bound::Preceding(e) => {
                Bound::Preceding(Box::new(self.frame_offset(e, mode, sorted)?))
            }
            ast::Bound::Following(e) => {
                Bound::Following(Box::new(self.frame_offset(e, mode, sorted)?))
            }
        })
    }

    fn frame_offset(&mut self, e: &ast::Expr, mode: &str, sorted: Option<u32>) -> Result<Expr> {
        let expr = self.expr(e)?;
        if mode != "RANGE" {
            return self.specific(expr, oid::INT8, "bigint", mode);
        }
        let sorted = sorted.unwrap_or(oid::INT4);
        let target = match sorted {
            oid::DATE | oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
                oid::INTERVAL
            }
            // int2 and int4 may be framed by any integer.
            oid::INT2 | oid::INT4 | oid::INT8
                if matches!(expr.ty.oid, oid::INT2 | oid::INT4 | oid::INT8) =>
            {
                expr.ty.oid
            }
            other => other,
        };
        let from = expr.ty.oid;
        if from != oid::UNKNOWN && pathway(from, target, Context::Implicit).is_none() {
            let message = format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and \
                 offset type {}",
                sql_name(sorted),
                sql_name(from)
            );
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, e.pos, message)
                .hint("Cast the offset value to an appropriate type."));
        }
        let expr = self.coerce(expr, target, CastKind::Implicit, -1)?;
        if let ExprKind::Column(..) = expr.kind {
            let message = format!("argument of {mode} must not contain variables");
            return Err(errors::client(state::INVALID_COLUMN_REFERENCE, e.pos, message));
        }
        Ok(expr)
    }
}

/// The fields of a row, or the expression itself.
fn fields<'a>(item: &'a ast::Expr, found: &mut Vec<&'a ast::Expr>) {
    match &item.kind {
        ast::ExprKind::Row(items) if !items.is_empty() => {
            items.iter().for_each(|item| fields(item, found));
        }
        _ => found.push(item),
    }
}
