//! Decoding and encoding of stored values inside SQL, and encoding of constants for
//! comparisons with stored columns.

use super::args::{Args, logical};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::value::numeric::Numeric;
use crate::value::{Cell, Datum, Interval, Type, oid, storage};

macro_rules! codecs {
    ($($suffix:literal $codec:ident),* $(,)?) => {
        pub(super) const FUNCTIONS: &[Def] = &[ $(
            strict(concat!("pg_dec_", $suffix), 3, |a| decode(a, Codec::$codec)),
            strict(concat!("pg_enc_", $suffix), 3, |a| encode(a, Codec::$codec)),
            strict(concat!("pg_cmp_", $suffix), 4, |a| compare(a, Codec::$codec)),
        )* ];
    };
}

codecs! {
    "identity" Identity, "numeric_native" NumericNative, "numeric_scaled" NumericScaled,
    "numeric_text" NumericText, "numeric_any" NumericAny, "bool_loose" BoolLoose,
    "datetime_loose" DateTimeLoose, "unix_seconds" UnixSeconds, "unix_millis" UnixMillis,
    "interval_micros" IntervalMicros, "interval_epoch" IntervalEpoch, "uuid_hex" UuidHex,
    "uuid_blob" UuidBlob, "bytes_loose" BytesLoose, "text_loose" TextLoose,
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

/// How a value that no cell holds exactly is rounded: see `Rounding` in the printer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Exact,
    Down,
    Up,
}

/// A cell that equals nothing stored by a number codec; above (or below) all of them.
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
    let scale = ty.precision_scale().map_or(0, |p| p.1);
    let nothing =
        || if codec == Codec::NumericText { Cell::Text(String::new()) } else { beyond(true) };
    let Some(_) = value.scale() else {
        // NaN and Infinity are above, -Infinity is below everything a column holds.
        return Ok(if mode == Mode::Exact {
            nothing()
        } else {
            beyond(value.is_nan() || value.sign() == Numeric::from(1_i64))
        });
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
    let positive = rounded.sign() == Numeric::from(1_i64);
    match storage::encode(codec, ty, &Datum::Numeric(rounded)) {
        Ok(cell) => Ok(cell),
        Err(e) if e.sqlstate() == state::NUMERIC_VALUE_OUT_OF_RANGE => {
            Ok(if mode == Mode::Exact { nothing() } else { beyond(positive) })
        }
        Err(e) => Err(e),
    }
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
        return Ok(beyond(t == i64::MAX));
    }
    let t = if codec == Codec::UnixMillis {
        let down = t.div_euclid(1000) * 1000;
        match mode {
            _ if down == t => t,
            Mode::Exact => return Ok(beyond(true)),
            Mode::Down => down,
            Mode::Up => down + 1000,
        }
    } else {
        t
    };
    storage::encode(codec, ty, &make(t))
        .map_err(|e| if ty.oid == oid::DATE { Error::unsupported("this comparison") } else { e })
}
