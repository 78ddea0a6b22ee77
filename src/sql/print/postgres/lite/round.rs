//! round() with digits: a double's exact value, ties away from zero, as SQLite takes it.
//!
//! Owns the exact decimal of a double. It must never go by the shortest decimal that reads back as the
//! same double: 2.675 is a little less than its digits say. Start at [`Printer::round`].

use super::{Printer, cannot, constant_whole, over, printf};
use crate::error::Result;
use crate::sql::ir::Expr;

/// Digits up to which the arithmetic below tells a tie from what is beside it.
const DIGITS_MAX: i64 = 4;

/// 2 to the -60th and to the -68th, digit by digit.
const UNIT: &str = "0.000000000000000000867361737988403547205962240695953369140625";
const SMALL_UNIT: &str = "0.00000000000000000000338813178901720135627329000271856784820556640625";

/// From here on a double is whole.
const WHOLE: u64 = 1 << 52;

impl Printer<'_> {
    pub(super) fn round(&mut self, value: &Expr, digits: &Expr) -> Result<String> {
        let digits = constant_whole(digits)
            .ok_or_else(|| cannot("round() with digits that are no constant"))?;
        let value = self.expr(value)?;
        match digits {
            ..=DIGITS_MAX => Ok(exact(&value, digits.max(0))),
            n => {
                let digits = usize::try_from(n).ok().filter(|n| *n <= printf::DIGITS_MAX);
                let digits = digits.ok_or_else(|| cannot("round() to that many digits"))?;
                Ok(format!("({})::float8", printf::rounded(&value, digits)))
            }
        }
    }
}

/// A double is a whole number and 60 bits behind the point; a small one 68.
fn exact(value: &str, digits: i64) -> String {
    over(
        &format!("({value})::float8"),
        &format!(
            "CASE WHEN abs(v.x) >= {WHOLE} THEN v.x ELSE \
             (CASE WHEN v.x < 0 THEN -1 ELSE 1 END) * round(CASE WHEN abs(v.x) < 0.00390625 \
             THEN (abs(v.x) * 295147905179352825856)::int8 * {SMALL_UNIT} \
             ELSE trunc(abs(v.x))::int8 + ((abs(v.x) - trunc(abs(v.x))) * 1152921504606846976)::int8 \
             * {UNIT} END, {digits})::float8 END"
        ),
    )
}
