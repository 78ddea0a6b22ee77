//! Function calls and windows.

use pg_query::protobuf::{self, CoercionForm, node::Node as N};

use super::{Lower, Lowered, missing, qualified, text_of};
use crate::sql::ast::{Bound, Call, ExprKind, Frame, Window};

/// Bits of a window's frame options, as PostgreSQL's parse tree numbers them.
mod frame {
    pub(super) const NONDEFAULT: i32 = 0x00001;
    pub(super) const RANGE: i32 = 0x00002;
    pub(super) const ROWS: i32 = 0x00004;
    pub(super) const START_UNBOUNDED: i32 = 0x00020;
    pub(super) const END_UNBOUNDED: i32 = 0x00100;
    pub(super) const START_CURRENT: i32 = 0x00200;
    pub(super) const END_CURRENT: i32 = 0x00400;
    pub(super) const START_PRECEDING: i32 = 0x00800;
    pub(super) const END_PRECEDING: i32 = 0x01000;
    pub(super) const START_FOLLOWING: i32 = 0x02000;
    pub(super) const END_FOLLOWING: i32 = 0x04000;
    pub(super) const EXCLUDE_CURRENT: i32 = 0x08000;
    pub(super) const EXCLUDE_GROUP: i32 = 0x10000;
    pub(super) const EXCLUDE_TIES: i32 = 0x20000;
}

impl Lower<'_> {
    /// A function call.
    pub(super) fn call(&mut self, call: protobuf::FuncCall) -> Lowered<ExprKind> {
        let pos = self.pos(call.location);
        let name = qualified(call.funcname, pos)?;
        let sugar = call.funcformat == CoercionForm::CoerceSqlSyntax as i32;
        if sugar && name.name == "timezone" && call.args.len() == 1 {
            return Err(self.refuse_word(call.location, "local"));
        }
        let mut args = Vec::with_capacity(call.args.len());
        for arg in call.args {
            args.push(match arg.node {
                Some(N::NamedArgExpr(named)) => {
                    let named = *named;
                    (text_of(named.name), self.some(named.arg)?)
                }
                node => (None, self.expr(protobuf::Node { node })?),
            });
        }
        Ok(ExprKind::Call(Box::new(Call {
            name,
            args,
            star: call.agg_star,
            distinct: call.agg_distinct,
            variadic: call.func_variadic,
            order_by: self.order_by(call.agg_order)?,
            within_group: call.agg_within_group,
            filter: self.maybe(call.agg_filter)?,
            over: call.over.map(|window| self.over(*window)).transpose()?,
        })))
    }

    fn over(&mut self, mut window: protobuf::WindowDef) -> Lowered<Window> {
        match text_of(std::mem::take(&mut window.name)) {
            Some(name) => Ok(Window { base: Some(name), reference: true, ..Window::default() }),
            None => self.window(window),
        }
    }

    /// WINDOW name AS (…)
    pub(super) fn named_window(&mut self, node: protobuf::Node) -> Lowered<(String, Window)> {
        let Some(N::WindowDef(mut window)) = node.node else { return Err(missing()) };
        let name = std::mem::take(&mut window.name);
        Ok((name, self.window(*window)?))
    }

    fn window(&mut self, window: protobuf::WindowDef) -> Lowered<Window> {
        let options = window.frame_options;
        let partition_by = self.exprs(window.partition_clause)?;
        let order_by = self.order_by(window.order_clause)?;
        let written = if options & frame::NONDEFAULT == 0 {
            None
        } else {
            let start = self.bound(
                options,
                [
                    frame::START_UNBOUNDED,
                    frame::START_CURRENT,
                    frame::START_PRECEDING,
                    frame::START_FOLLOWING,
                ],
                Bound::UnboundedPreceding,
                window.start_offset,
            )?;
            let end = self.bound(
                options,
                [
                    frame::END_UNBOUNDED,
                    frame::END_CURRENT,
                    frame::END_PRECEDING,
                    frame::END_FOLLOWING,
                ],
                Bound::UnboundedFollowing,
                window.end_offset,
            )?;
            Some(Frame { mode: frame_mode(options), start, end, exclude: frame_exclusion(options) })
        };
        Ok(Window {
            base: text_of(window.refname),
            reference: false,
            partition_by,
            order_by,
            frame: written,
        })
    }

    /// One end of a frame; `bits` are unbounded, current row, preceding, following.
    fn bound(
        &mut self,
        options: i32,
        bits: [i32; 4],
        unbounded: Bound,
        offset: Option<Box<protobuf::Node>>,
    ) -> Lowered<Bound> {
        let [unbounded_bit, current, preceding, following] = bits;
        if options & unbounded_bit != 0 {
            Ok(unbounded)
        } else if options & current != 0 {
            Ok(Bound::CurrentRow)
        } else if options & preceding != 0 {
            Ok(Bound::Preceding(self.boxed(offset)?))
        } else if options & following != 0 {
            Ok(Bound::Following(self.boxed(offset)?))
        } else {
            Err(missing())
        }
    }
}

fn frame_mode(options: i32) -> &'static str {
    if options & frame::ROWS != 0 {
        "ROWS"
    } else if options & frame::RANGE != 0 {
        "RANGE"
    } else {
        "GROUPS"
    }
}

fn frame_exclusion(options: i32) -> Option<&'static str> {
    if options & frame::EXCLUDE_CURRENT != 0 {
        Some("CURRENT ROW")
    } else if options & frame::EXCLUDE_GROUP != 0 {
        Some("GROUP")
    } else if options & frame::EXCLUDE_TIES != 0 {
        Some("TIES")
    } else {
        None
    }
}
