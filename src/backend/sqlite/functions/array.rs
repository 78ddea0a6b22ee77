//! Arrays (JSON text of logical cells), and the rows of generate_series.

use super::args::{Args, boolean, count, logical, owned, text};
use super::key::{comparable, compare};
use super::{Def, lenient, session, strict};
use crate::error::{Error, Result, state};
use crate::value::numeric::Numeric;
use crate::value::{Cell, CellRef, Datum, array, datetime, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    lenient("pg_array", -1, |a| Ok(Cell::Text(array::encode((0..a.len()).map(|i| a.cell(i)))?))),
    // Arrays of one more dimension, all alike.
    lenient("pg_array_nest", -1, nest),
    // pg_flat(array, element type): the elements of all dimensions.
    strict("pg_flat", 2, |a| {
        if !array::is_nested(a.text(0)?) {
            return Ok(owned(a.cell(0)));
        }
        encoded(&a.flat(0, a.oid(1)?)?)
    }),
    // pg_array_at(array, element type, subscript …): NULL unless there is one for each dimension.
    strict("pg_array_at", -1, |a| {
        let mut items = a.nested(0, a.oid(1)?)?;
        for i in 2..a.len() {
            let at = usize::try_from(a.int(i)? - 1).ok();
            match at.and_then(|at| items.into_iter().nth(at)) {
                Some(array::Item::Cell(cell)) if i + 1 == a.len() => return Ok(cell),
                Some(array::Item::List(inner)) => items = inner,
                _ => return Ok(Cell::Null),
            }
        }
        Ok(Cell::Null)
    }),
    strict("pg_array_ndims", 1, |a| match dimensions(a)?.len() {
        0 => Ok(Cell::Null),
        n => count(n),
    }),
    strict("pg_array_dims", 1, |a| {
        let dims = dimensions(a)?;
        if dims.is_empty() {
            return Ok(Cell::Null);
        }
        text(dims.iter().map(|n| format!("[1:{n}]")).collect::<String>())
    }),
    strict("pg_array_get", 3, |a| {
        if array::is_nested(a.text(0)?) {
            return Ok(Cell::Null);
        }
        let items = a.array(0, a.oid(2)?)?;
        let at = usize::try_from(a.int(1)? - 1).ok();
        Ok(at.and_then(|i| items.into_iter().nth(i)).unwrap_or(Cell::Null))
    }),
    // The bounds are cut to what there is.
    strict("pg_array_slice", 4, |a| {
        let items = a.array(0, a.oid(3)?)?;
        let low = usize::try_from(a.int(1)?.max(1)).unwrap_or(1) - 1;
        let high = usize::try_from(a.int(2)?.max(0)).unwrap_or(0).min(items.len());
        encoded(items.get(low..high).unwrap_or_default())
    }),
    lenient("pg_array_set", 4, set),
    // pg_array_set_slice(array, lower, upper, slice, element): a text is a bound left out.
    lenient("pg_array_set_slice", 5, set_slice),
    // One field of a row: cells of different types.
    strict("pg_row_get", 3, |a| match usize::try_from(a.int(1)? - 1) {
        Ok(n) => array::item(a.oid(2)?, a.text(0)?, n),
        Err(_) => Ok(Cell::Null),
    }),
    strict("pg_array_length", 2, |a| {
        let dimension = usize::try_from(a.int(1)? - 1).ok();
        let length =
            dimension.and_then(|d| dimensions(a).map(|all| all.get(d).copied()).transpose());
        length.transpose()?.map_or(Ok(Cell::Null), count)
    }),
    strict("pg_cardinality", 1, |a| count(a.flat(0, oid::TEXT)?.len())),
    // The last argument of these is the element type's OID.
    lenient("pg_array_cat", 3, |a| {
        // NULL is left out; two of them are NULL.
        match (a.is_null(0), a.is_null(1)) {
            (true, _) => return Ok(owned(a.cell(1))),
            (_, true) => return Ok(owned(a.cell(0))),
            (false, false) => {}
        }
        let element = a.oid(2)?;
        let mut items = a.array(0, element)?;
        items.extend(a.array(1, element)?);
        encoded(&items)
    }),
    lenient("pg_array_append", 3, |a| {
        let mut items = if a.is_null(0) { Vec::new() } else { a.array(0, a.oid(2)?)? };
        items.push(owned(a.cell(1)));
        encoded(&items)
    }),
    lenient("pg_array_prepend", 3, |a| {
        let mut items = vec![owned(a.cell(0))];
        if !a.is_null(1) {
            items.extend(a.array(1, a.oid(2)?)?);
        }
        encoded(&items)
    }),
    lenient("pg_array_remove", 3, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        let element = a.oid(2)?;
        let mut items = a.array(0, element)?;
        let mut kept = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            if !same(item.as_ref(), a.cell(1), element)? {
                kept.push(item);
            }
        }
        encoded(&kept)
    }),
    lenient("pg_array_position", 3, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        let element = a.oid(2)?;
        for (i, item) in a.array(0, element)?.iter().enumerate() {
            if same(item.as_ref(), a.cell(1), element)? {
                return count(i + 1);
            }
        }
        Ok(Cell::Null)
    }),
    strict("pg_array_contains", 3, |a| boolean(contains(a, 0, 1)?)),
    strict("pg_array_contained", 3, |a| boolean(contains(a, 1, 0)?)),
    strict("pg_array_overlap", 3, |a| {
        let element = a.oid(2)?;
        let (x, y) = (keys(a, 0, element)?, keys(a, 1, element)?);
        boolean(x.iter().any(|k| !k.is_null() && y.contains(k)))
    }),
    lenient("pg_array_to_string", 3, |a| to_string(a, None)),
    lenient("pg_array_to_string", 4, |a| {
        let null = if a.is_null(2) { None } else { Some(a.text(2)?) };
        to_string(a, null)
    }),
    lenient("pg_string_to_array", 2, |a| string_to_array(a, None)),
    lenient("pg_string_to_array", 3, |a| {
        let null = if a.is_null(2) { None } else { Some(a.text(2)?) };
        string_to_array(a, null)
    }),
    // Rows of several arrays side by side, as a JSON array of arrays.
    lenient("pg_zip", -1, |a| {
        let mut lists = Vec::with_capacity(a.len());
        for i in 0..a.len() {
            let list: Vec<serde_json::Value> = if a.is_null(i) {
                Vec::new()
            } else {
                let mut items: Vec<serde_json::Value> = serde_json::from_str(a.text(i)?)
                    .map_err(|_| Error::internal("an array that is not JSON"))?;
                // The elements of all dimensions, one after the other.
                while let Some(serde_json::Value::Array(_)) = items.first() {
                    items = items.into_iter().flat_map(members).collect();
                }
                items
            };
            lists.push(list);
        }
        let rows = lists.iter().map(Vec::len).max().unwrap_or(0);
        let zipped: Vec<Vec<serde_json::Value>> = (0..rows)
            .map(|r| lists.iter().map(|l| l.get(r).cloned().unwrap_or_default()).collect())
            .collect();
        text(serde_json::Value::from(zipped).to_string())
    }),
    strict("pg_series", 3, series),
    strict("pg_series_numeric", 3, series_numeric),
    strict("pg_series_timestamp", 3, |a| series_time(a, oid::TIMESTAMP)),
    strict("pg_series_timestamptz", 3, |a| series_time(a, oid::TIMESTAMPTZ)),
    // The last argument is the array's own type: vectors of the catalog begin at 0.
    strict("pg_subscripts", 3, |a| {
        let dimension = usize::try_from(a.int(1)? - 1).unwrap_or(usize::MAX);
        let n = dimensions(a)?.get(dimension).copied().unwrap_or(0);
        let first = i64::from(!matches!(a.oid(2)?, oid::INT2VECTOR | oid::OIDVECTOR));
        text(numbers((first..first + n as i64).map(Some)))
    }),
];

fn members(item: serde_json::Value) -> Vec<serde_json::Value> {
    match item {
        serde_json::Value::Array(items) => items,
        other => vec![other],
    }
}

/// The lengths of the first argument's dimensions.
fn dimensions(a: &Args<'_>) -> Result<Vec<usize>> {
    Ok(array::dimensions(&a.nested(0, oid::TEXT)?))
}

fn nest(a: &Args<'_>) -> Result<Cell> {
    let unlike = || {
        let message =
            "multidimensional arrays must have array expressions with matching dimensions";
        Error::client(state::ARRAY_SUBSCRIPT_ERROR, message)
    };
    let (mut lists, mut shape) = (Vec::with_capacity(a.len()), None);
    for i in 0..a.len() {
        let own = if a.is_null(i) {
            Vec::new()
        } else {
            lists.push(a.text(i)?);
            array::dimensions(&a.nested(i, oid::TEXT)?)
        };
        if shape.get_or_insert_with(|| own.clone()) != &own {
            return Err(unlike());
        }
    }
    match shape {
        Some(shape) if shape.len() >= 6 => Err(Error::client(
            state::PROGRAM_LIMIT_EXCEEDED,
            "number of array dimensions (7) exceeds the maximum allowed (6)",
        )),
        Some(shape) if !shape.is_empty() => text(format!("[{}]", lists.join(","))),
        _ => encoded(&[]),
    }
}

/// pg_array_set(array, subscript, element, element type): NULLs fill a gap behind the end.
fn set(a: &Args<'_>) -> Result<Cell> {
    if a.is_null(1) {
        let message = "array subscript in assignment must not be null";
        return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
    }
    let mut items = if a.is_null(0) { Vec::new() } else { a.array(0, a.oid(3)?)? };
    let at = a.int(1)?;
    let place = usize::try_from(at - 1).ok().filter(|p| !items.is_empty() || *p == 0);
    let Some(place) = place else {
        return Err(Error::unsupported("an array whose lower bound is not 1"));
    };
    if place > 10_000_000 {
        let message = "array size exceeds the maximum allowed";
        return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
    }
    if place >= items.len() {
        items.resize(place + 1, Cell::Null);
    }
    items[place] = owned(a.cell(2));
    encoded(&items)
}

fn set_slice(a: &Args<'_>) -> Result<Cell> {
    let wrong = |message: &'static str| Error::client(state::ARRAY_SUBSCRIPT_ERROR, message);
    let bound = |i: usize| match a.cell(i) {
        CellRef::Null => {
            let message = "array subscript in assignment must not be null";
            Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message))
        }
        CellRef::Integer(at) => Ok(Some(at)),
        _ => Ok(None),
    };
    let (lower, upper) = (bound(1)?, bound(2)?);
    let element = a.oid(4)?;
    let mut items = if a.is_null(0) { Vec::new() } else { a.array(0, element)? };
    if a.is_null(3) {
        // Nothing changes; only that an array which was not there is empty now.
        return encoded(&items);
    }
    if items.is_empty() && (lower.is_none() || upper.is_none()) {
        let detail = "When assigning to a slice of an empty array value, slice boundaries must \
                      be fully specified.";
        return Err(wrong("array slice subscript must provide both boundaries").detail(detail));
    }
    let (low, high) = (lower.unwrap_or(1), upper.unwrap_or(items.len() as i64));
    if low > high {
        return Err(wrong("upper bound cannot be less than lower bound"));
    }
    let slice = a.array(3, element)?;
    let count = usize::try_from(high - low + 1).unwrap_or(0);
    if slice.len() < count {
        return Err(wrong("source array too small"));
    }
    let first = usize::try_from(low - 1).ok().filter(|first| !items.is_empty() || *first == 0);
    let Some(first) = first else {
        return Err(Error::unsupported("an array whose lower bound is not 1"));
    };
    if first.saturating_add(count) > 10_000_000 {
        let message = "array size exceeds the maximum allowed";
        return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
    }
    if items.len() < first + count {
        items.resize(first + count, Cell::Null);
    }
    for (place, item) in items.iter_mut().skip(first).take(count).zip(slice) {
        *place = item;
    }
    encoded(&items)
}

/// The rows of a table function are read by json_each: more would not fit in a cell.
const MOST_ROWS: i64 = 50_000_000;

pub(super) fn encoded(items: &[Cell]) -> Result<Cell> {
    Ok(Cell::Text(array::encode(items.iter().map(Cell::as_ref))?))
}

/// IS NOT DISTINCT FROM over one element type.
pub(super) fn same(a: CellRef<'_>, b: CellRef<'_>, element: u32) -> Result<bool> {
    Ok(compare(&comparable(a, element)?, &comparable(b, element)?).is_eq())
}

fn keys(a: &Args<'_>, i: usize, element: u32) -> Result<Vec<Cell>> {
    a.flat(i, element)?.iter().map(|c| comparable(c.as_ref(), element)).collect()
}

/// NULL elements are contained in nothing.
fn contains(a: &Args<'_>, outer: usize, inner: usize) -> Result<bool> {
    let element = a.oid(2)?;
    let (outer, inner) = (keys(a, outer, element)?, keys(a, inner, element)?);
    Ok(inner.iter().all(|k| !k.is_null() && outer.contains(k)))
}

fn to_string(a: &Args<'_>, null: Option<&str>) -> Result<Cell> {
    if a.is_null(0) || a.is_null(1) {
        return Ok(Cell::Null);
    }
    let element = a.oid(a.len() - 1)?;
    let session = session::current();
    let mut parts = Vec::new();
    for item in a.flat(0, element)? {
        if item.is_null() {
            parts.extend(null.map(str::to_owned));
            continue;
        }
        let datum = crate::value::storage::decode(
            crate::schema::Codec::Identity,
            crate::value::Type::new(element),
            item.as_ref(),
        )?;
        let mut out = Vec::new();
        crate::value::text::format(
            &datum,
            crate::value::Type::new(element),
            &session.style,
            &mut out,
        );
        parts.push(String::from_utf8_lossy(&out).into_owned());
    }
    text(parts.join(a.text(1)?))
}

fn string_to_array(a: &Args<'_>, null: Option<&str>) -> Result<Cell> {
    if a.is_null(0) {
        return Ok(Cell::Null);
    }
    let s = a.text(0)?;
    let parts: Vec<String> = if s.is_empty() {
        Vec::new()
    } else if a.is_null(1) {
        s.chars().map(String::from).collect()
    } else if a.text(1)?.is_empty() {
        vec![s.to_owned()]
    } else {
        s.split(a.text(1)?).map(str::to_owned).collect()
    };
    let cells: Vec<Cell> = parts
        .into_iter()
        .map(|p| if Some(p.as_str()) == null { Cell::Null } else { Cell::Text(p) })
        .collect();
    encoded(&cells)
}

fn step_zero() -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn too_many() -> Error {
    Error::client(state::PROGRAM_LIMIT_EXCEEDED, "generate_series has too many rows")
}

fn numbers(items: impl Iterator<Item = Option<i64>>) -> String {
    let mut out = "[".to_owned();
    for n in items.map_while(|n| n) {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&n.to_string());
    }
    out.push(']');
    out
}

fn series(a: &Args<'_>) -> Result<Cell> {
    let (start, stop, step) = (a.int(0)?, a.int(1)?, a.int(2)?);
    if step == 0 {
        return Err(step_zero());
    }
    let span = if step > 0 {
        i128::from(stop) - i128::from(start)
    } else {
        i128::from(start) - i128::from(stop)
    };
    if span / i128::from(step).abs() >= i128::from(MOST_ROWS) {
        return Err(too_many());
    }
    let mut next = Some(start);
    text(numbers(std::iter::from_fn(|| {
        let n = next.filter(|n| if step > 0 { *n <= stop } else { *n >= stop })?;
        next = n.checked_add(step);
        Some(Some(n))
    })))
}

fn series_numeric(a: &Args<'_>) -> Result<Cell> {
    let (mut n, stop, step) = (a.numeric(0)?, a.numeric(1)?, a.numeric(2)?);
    if [&n, &stop, &step].iter().any(|n| n.scale().is_none()) {
        return Err(Error::client(
            state::INVALID_PARAMETER_VALUE,
            "start, stop and step values must be finite",
        ));
    }
    if step.is_zero() {
        return Err(step_zero());
    }
    let up = step > Numeric::from(0_i64);
    // Every row shows the larger of the two scales, the first one too.
    n = n.add(&step.sub(&step)?)?;
    let mut cells = Vec::new();
    while if up { n <= stop } else { n >= stop } {
        if cells.len() as i64 >= MOST_ROWS {
            return Err(too_many());
        }
        let next = n.add(&step)?;
        cells.push(Cell::Text(n.to_string()));
        n = next;
    }
    encoded(&cells)
}

fn series_time(a: &Args<'_>, type_oid: u32) -> Result<Cell> {
    let zoned = type_oid == oid::TIMESTAMPTZ;
    let read = |i: usize| if zoned { a.timestamptz(i) } else { a.timestamp(i) };
    let (mut t, stop, step) = (read(0)?, read(1)?, a.interval(2)?);
    let zero = crate::value::Interval::default();
    let sign =
        crate::value::sort_key::interval(&step).cmp(&crate::value::sort_key::interval(&zero));
    if sign.is_eq() {
        return Err(step_zero());
    }
    if [t, stop].iter().any(|t| *t == i64::MAX || *t == i64::MIN) {
        return Err(Error::unsupported("generate_series over infinite timestamps"));
    }
    let session = session::current();
    let mut cells = Vec::new();
    while if sign.is_gt() { t <= stop } else { t >= stop } {
        if cells.len() as i64 >= MOST_ROWS {
            return Err(too_many());
        }
        let datum = if zoned { Datum::Timestamptz(t) } else { Datum::Timestamp(t) };
        cells.push(logical(&datum, type_oid)?);
        t = if zoned {
            datetime::add_interval_tz(t, step, &session.style.timezone)?
        } else {
            datetime::add_interval(t, step)?
        };
    }
    encoded(&cells)
}
