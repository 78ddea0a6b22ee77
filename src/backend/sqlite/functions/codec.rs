//! Decoding and encoding of stored values inside SQL, and encoding of constants for
//! comparisons with stored columns.

use super::args::{Args, logical};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::value::numeric::Numeric;
use crate::value::{Among, Cell, Datum, Interval, Type, oid, storage};

macro_rules! codecs {
    ($($suffix:literal $codec:ident),* $(,)?) => {
        pub(super) const FUNCTIONS: &[Def] = &[ $(
            strict(concat!("pg_dec_", $suffix), 3, |a| decode(a, Codec::$codec)),
            strict(concat!("pg_enc_", $suffix), 3, |a| encode(a, Codec::$codec)),
            strict(concat!("pg_cmp_", $suffix), 4, |a| compare(a, Codec::$codec)),
        )* strict("pg_enc_among", 4, among) ];
    };
}

codecs! {
    "identity" Identity, "numeric_native" NumericNative, "numeric_scaled" NumericScaled,
    "numeric_text" NumericText, "numeric_any" NumericAny, "bool_loose" BoolLoose,
    "datetime_loose" DateTimeLoose, "unix_seconds" UnixSeconds, "unix_millis" UnixMillis,
    "interval_micros" IntervalMicros, "interval_epoch" IntervalEpoch, "uuid_hex" UuidHex,
    "uuid_blob" UuidBlob, "uuid_loose" UuidLoose, "bytes_loose" BytesLoose, "text_loose" TextLoose,
    "json_loose" JsonLoose, "coerced" Coerced, "coerced_empty" CoercedEmpty,
    "caseless" Caseless,
}

fn decode(a: &Args<'_>, codec: Codec) -> Result<Cell> {
    let ty = a.ty(1)?;
    logical(&storage::decode(codec, ty, a.cell(0))?, ty.oid)
}

fn encode(a: &Args<'_>, codec: Codec) -> Result<Cell> {
    let ty = a.ty(1)?;
    storage::encode(codec, ty, &a.datum(0, ty.oid)?)
}

fn among(a: &Args<'_>) -> Result<Cell> {
    let among = Among::of_number(a.int(3)?)
        .ok_or_else(|| Error::internal("an unknown form of a column of numbers"))?;
    encode(a, Codec::Among(among))
}

/// How a value that no cell holds exactly is rounded: see `Rounding` in the printer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Exact,
    Down,
    Up,
}

/// A cell that equals no number and no text.
fn nothing() -> Cell {
    Cell::Blob(Vec::new())
}

/// A cell above (or below) every finite number.
fn beyond(above: bool) -> Cell {
    Cell::Real(if above { f64::INFINITY } else { f64::NEG_INFINITY })
}

fn compare(a: &Args<'_>, codec: Codec) -> Result<Cell> {
    let ty = a.ty(1)?;
    let mode = match a.int(3)? {
        0 => Mode::Exact,
        1 => Mode::Down,
        _ => Mode::Up,
    };
    let datum = a.datum(0, ty.oid)?;
    match (codec, datum) {
        (
            Codec::NumericNative | Codec::NumericScaled | Codec::NumericText,
            Datum::Numeric(value),
        ) => numeric(codec, ty, &value, mode),
        (Codec::IntervalMicros, Datum::Interval(span)) => Ok(interval(span)),
        (Codec::UnixSeconds | Codec::UnixMillis, Datum::Timestamp(t)) => {
            unix(codec, ty, t, mode, Datum::Timestamp)
        }
        (Codec::UnixSeconds | Codec::UnixMillis, Datum::Timestamptz(t)) => {
            unix(codec, ty, t, mode, Datum::Timestamptz)
        }
        // A letter beyond ASCII is stored small, and compared so.
        (Codec::Caseless, Datum::Text(text)) => {
            Ok(Cell::Text(text.chars().map(super::string::lower).collect()))
        }
        (codec, datum) => storage::encode(codec, ty, &datum),
    }
}

fn numeric(codec: Codec, ty: Type, value: &Numeric, mode: Mode) -> Result<Cell> {
    let native = codec == Codec::NumericNative;
    match value {
        // A word, behind every number.
        Numeric::NaN => return Ok(Cell::Text(value.to_string())),
        Numeric::Infinity | Numeric::NegInfinity => {
            let above = *value == Numeric::Infinity;
            return Ok(if native || mode != Mode::Exact { beyond(above) } else { nothing() });
        }
        Numeric::Finite(..) => {}
    }
    let scale = match ty.precision_scale() {
        _ if native && is_wide(value) => 0,
        Some((_, scale)) => scale,
        None if native => return as_number(ty, value, mode),
        None => 0,
    };
    let rounded = value.trunc(scale);
    let step = Numeric::from(1_i64).div_scale(scale)?;
    let rounded = match mode {
        _ if rounded == *value => rounded,
        Mode::Exact => return Ok(nothing()),
        Mode::Down if *value < rounded => rounded.sub(&step)?,
        Mode::Up if *value > rounded => rounded.add(&step)?,
        _ => rounded,
    };
    if native {
        return as_number(ty, &rounded, mode);
    }
    let positive = rounded.sign() == Numeric::from(1_i64);
    match storage::encode(codec, ty, &Datum::Numeric(rounded)) {
        Ok(cell) => Ok(cell),
        Err(e) if e.sqlstate() == state::NUMERIC_VALUE_OUT_OF_RANGE => {
            Ok(if mode == Mode::Exact { nothing() } else { beyond(positive) })
        }
        Err(e) => Err(e),
    }
}

/// Whether doubles have no fractions at a value's size, and 64 bits hold it: there the cells are whole
/// numbers, and INTEGERs lie between two REALs.
fn is_wide(value: &Numeric) -> bool {
    const EXACT: i64 = 1 << 53;
    value.trunc(0).to_scaled(0).is_some_and(|whole| whole.unsigned_abs() >= EXACT.unsigned_abs())
}

/// A number as a cell of a column of INTEGERs and REALs: the one beside it where no REAL is it.
fn as_number(ty: Type, value: &Numeric, mode: Mode) -> Result<Cell> {
    if let Some(whole) = value.to_scaled(0) {
        return Ok(Cell::Integer(whole));
    }
    let positive = value.sign() == Numeric::from(1_i64);
    let Ok(near) = value.to_f64() else {
        // Between the largest double and an infinity.
        return Ok(match (mode, positive) {
            (Mode::Exact, _) => nothing(),
            (Mode::Down, true) => Cell::Real(f64::MAX),
            (Mode::Up, false) => Cell::Real(f64::MIN),
            (Mode::Up, true) | (Mode::Down, false) => beyond(positive),
        });
    };
    let Datum::Numeric(held) =
        storage::decode(Codec::NumericNative, ty, Cell::Real(near).as_ref())?
    else {
        return Ok(nothing());
    };
    Ok(match mode {
        _ if held == *value => Cell::Real(near),
        Mode::Exact => nothing(),
        Mode::Down if held > *value => Cell::Real(near.next_down()),
        Mode::Up if held < *value => Cell::Real(near.next_up()),
        Mode::Down | Mode::Up => Cell::Real(near),
    })
}

trait Step {
    fn div_scale(&self, scale: i32) -> Result<Numeric>;
}

impl Step for Numeric {
    /// One unit in the last place of a scale.
    fn div_scale(&self, scale: i32) -> Result<Numeric> {
        Numeric::parse(&format!("1e{}", -scale))
    }
}

/// The interval's length by which PostgreSQL compares: months of 30 days.
fn interval(span: Interval) -> Cell {
    const DAY: i128 = 86_400_000_000;
    let total =
        i128::from(span.months) * 30 * DAY + i128::from(span.days) * DAY + i128::from(span.micros);
    i64::try_from(total).map_or_else(|_| beyond(total > 0), Cell::Integer)
}

/// A timestamp as seconds or milliseconds; the infinities lie beyond all.
fn unix(codec: Codec, ty: Type, t: i64, mode: Mode, make: fn(i64) -> Datum) -> Result<Cell> {
    if t == i64::MAX || t == i64::MIN {
        return Ok(if mode == Mode::Exact { nothing() } else { beyond(t == i64::MAX) });
    }
    let t = if codec == Codec::UnixMillis {
        let down = t.div_euclid(1000) * 1000;
        match mode {
            _ if down == t => t,
            Mode::Exact => return Ok(nothing()),
            Mode::Down => down,
            Mode::Up => down + 1000,
        }
    } else {
        t
    };
    storage::encode(codec, ty, &make(t))
        .map_err(|e| if ty.oid == oid::DATE { Error::unsupported("this comparison") } else { e })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored numbers compare with constants as the values do, whatever stands between two cells.
    #[test]
    fn numbers_compare_by_value() {
        all_compare(Type::new(oid::NUMERIC));
        for (precision, scale) in [(38, 18), (20, 15), (20, 2), (30, 0)] {
            let typmod = Type::numeric_typmod(precision, scale);
            all_compare(Type::with_typmod(oid::NUMERIC, typmod));
        }
    }

    fn all_compare(ty: Type) {
        let cells = [
            Cell::Real(0.1),
            Cell::Real(1.2),
            Cell::Real(1.5),
            Cell::Integer(2),
            Cell::Real(-1.5),
            Cell::Real(-2.0),
            Cell::Integer((1 << 53) + 1),
            Cell::Integer(i64::MAX),
            Cell::Real(9_007_199_254_740_992.0),
            Cell::Real(1e19),
            Cell::Real(-1e25),
            Cell::Real(1e-300),
            Cell::Real(f64::INFINITY),
            Cell::Real(f64::NEG_INFINITY),
            Cell::Text("NaN".to_owned()),
        ];
        let constants = [
            "0",
            "0.1",
            "0.10000000000000000555",
            "0.0999999999999999999",
            "1.2",
            "1.4",
            "1.5",
            "1.50",
            "2",
            "2.0001",
            "-1.5",
            "-1.4999999999999999999",
            "-2",
            "9007199254740993",
            "9007199254740992.5",
            "9223372036854775807",
            "9223372036854775806.9",
            "1e19",
            "10000000000000000001",
            "-1e25",
            "-9999999999999999999999999",
            "1e-300",
            "1e-320",
            "1e400",
            "-1e400",
        ];
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let bound = |cell: &Cell| match cell {
            Cell::Integer(i) => rusqlite::types::Value::from(*i),
            Cell::Real(r) => rusqlite::types::Value::from(*r),
            Cell::Text(t) => rusqlite::types::Value::from(t.clone()),
            Cell::Blob(b) => rusqlite::types::Value::from(b.clone()),
            other @ Cell::Null => panic!("{other:?}"),
        };
        let holds = |cell: &Cell, operator: &str, other: &Cell| -> bool {
            let sql = format!("SELECT ?1 {operator} ?2");
            db.query_row(&sql, [bound(cell), bound(other)], |row| row.get(0)).unwrap()
        };
        for cell in &cells {
            let Datum::Numeric(held) =
                storage::decode(Codec::NumericNative, ty, cell.as_ref()).unwrap()
            else {
                panic!("{cell:?}");
            };
            // What has more digits than the scale is served in another type.
            if storage::encode(Codec::NumericNative, ty, &Datum::Numeric(held.clone())).ok()
                != Some(cell.clone())
            {
                continue;
            }
            for text in constants {
                let constant = Numeric::parse(text).unwrap();
                let as_cell = |mode| numeric(Codec::NumericNative, ty, &constant, mode).unwrap();
                let said = [
                    holds(cell, "=", &as_cell(Mode::Exact)),
                    holds(cell, "<=", &as_cell(Mode::Down)),
                    holds(cell, ">", &as_cell(Mode::Down)),
                    holds(cell, "<", &as_cell(Mode::Up)),
                    holds(cell, ">=", &as_cell(Mode::Up)),
                ];
                let meant = [
                    held == constant,
                    held <= constant,
                    held > constant,
                    held < constant,
                    held >= constant,
                ];
                assert_eq!(said, meant, "{ty:?} {cell:?} {text}");
            }
        }
    }
}
