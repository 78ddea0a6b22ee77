//! OVER: partitions, order, frames.

use super::codec::Class;
use super::names::Printer;
use crate::error::{Error, Result};
use crate::sql::fault;
use crate::sql::ir::{Bound, Expr, Window};
use crate::value::oid;

impl Printer {
    /// ` OVER (…)`
    pub(super) fn over(&mut self, window: &Window) -> Result<String> {
        let mut parts = Vec::new();
        if !window.partition_by.is_empty() {
            let mut keys = Vec::with_capacity(window.partition_by.len());
            for expr in &window.partition_by {
                keys.push(self.comparable(expr, Class::Equality)?);
            }
            parts.push(format!("PARTITION BY {}", keys.join(", ")));
        }
        let order = self.sorts(&window.order_by)?;
        if !order.is_empty() {
            parts.push(format!("ORDER BY {order}"));
        }
        if let Some(frame) = &window.frame
            && !fault::on("window_frame")
        {
            let offsets = [&frame.start, &frame.end]
                .iter()
                .any(|b| matches!(b, Bound::Preceding(_) | Bound::Following(_)));
            if frame.mode.eq_ignore_ascii_case("RANGE") && offsets {
                let number = |e: &Expr| {
                    matches!(
                        e.ty.oid,
                        oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8
                    )
                };
                if !window.order_by.iter().all(|s| number(&s.expr)) {
                    return Err(Error::unsupported("RANGE with an offset over this type"));
                }
            }
            let (start, end) = (self.bound(&frame.start)?, self.bound(&frame.end)?);
            let exclude = match frame.exclude {
                Some(what) if what.to_ascii_uppercase().starts_with("EXCLUDE") => {
                    format!(" {what}")
                }
                Some(what) => format!(" EXCLUDE {what}"),
                None => String::new(),
            };
            parts.push(format!("{} BETWEEN {start} AND {end}{exclude}", frame.mode));
        }
        Ok(format!(" OVER ({})", parts.join(" ")))
    }

    fn bound(&mut self, bound: &Bound) -> Result<String> {
        Ok(match bound {
            Bound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
            Bound::Preceding(n) => format!("{} PRECEDING", self.logical(n)?),
            Bound::CurrentRow => "CURRENT ROW".to_owned(),
            Bound::Following(n) => format!("{} FOLLOWING", self.logical(n)?),
            Bound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
        })
    }
}
