//! Time zones: names, offsets, and local time to and from UTC.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::words::Word;
use super::{
    MICROS_PER_DAY, MICROS_PER_SECOND, UNIX_TO_EPOCH_SECONDS, abbreviations, civil_from_days,
    in_range, timestamp_out_of_range,
};
use crate::error::Result;

/// The calendar repeats after 400 years; zone rules are looked up inside this many years.
const LAST_RULE_YEAR: i64 = 9000;
const CYCLE_DAYS: i64 = 146_097;

/// A zone by IANA name (any case) or POSIX rule.
pub(super) fn named_zone(name: &str) -> Option<TimeZone> {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    let database = DATABASE.get_or_init(TimeZoneDatabase::bundled);
    if let Ok(zone) = database.get(name) {
        return Some(zone);
    }
    posix_zone(name)
}

/// `XYZ5`, `XYZ-3:30`, `XYZ5ABC`, or a full POSIX rule. Names may be shorter than the
/// standard allows, and a summer time without a rule follows the American one.
fn posix_zone(name: &str) -> Option<TimeZone> {
    let letters = |text: &str| {
        text.bytes().take_while(|b| !b.is_ascii_digit() && !b",-+".contains(b)).count()
    };
    let first = letters(name);
    let rest = &name[first..];
    let offset = rest.bytes().take_while(|b| b.is_ascii_digit() || b"+-:".contains(b)).count();
    let (offset, summer) = rest.split_at(offset);
    if first > 0 && offset.contains(|c: char| c.is_ascii_digit()) && letters(summer) == summer.len()
    {
        let rule = if summer.is_empty() { "" } else { "BBB,M3.2.0,M11.1.0" };
        return TimeZone::posix(&format!("AAA{offset}{rule}")).ok();
    }
    name.contains(',').then(|| TimeZone::posix(&name.to_ascii_uppercase()).ok()).flatten()
}

/// A zone as SET TimeZone takes it: IANA name, POSIX rule, abbreviation, or hours east of
/// UTC as a number.
pub fn zone(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    if let Ok(hours) = name.parse::<f64>() {
        if hours.abs() > 25.0 || hours.is_nan() {
            return None;
        }
        let offset = Offset::from_seconds((hours * 3600.0) as i32).ok()?;
        return Some(TimeZone::fixed(offset));
    }
    if let Some(offset) = name.strip_prefix(['+', '-'])
        && offset.contains(':')
    {
        // A POSIX rule without a name: its offset counts west.
        let sign = if name.starts_with('-') { "-" } else { "" };
        return TimeZone::posix(&format!("AAA{sign}{offset}")).ok();
    }
    if let Some(zone) = named_zone(name) {
        return Some(zone);
    }
    match abbreviations::find(&name.to_ascii_lowercase())? {
        Word::Zone(east) => Some(TimeZone::fixed(Offset::from_seconds(east).ok()?)),
        Word::NamedZone(name) => named_zone(name),
        _ => None,
    }
}

/// Days to add so that a day falls into years for which zones have rules.
fn cycle_shift(days: i64) -> i64 {
    let (year, ..) = civil_from_days(days);
    let cycles = if year < 1 {
        (400 - year) / 400
    } else if year > LAST_RULE_YEAR {
        -((year - LAST_RULE_YEAR + 399) / 400)
    } else {
        0
    };
    cycles * CYCLE_DAYS
}

/// Offset from UTC in seconds, east positive, at an instant (µs since 2000-01-01 UTC).
pub fn offset_at(zone: &TimeZone, instant: i64) -> i32 {
    if *zone == TimeZone::UTC {
        return 0;
    }
    let shift = cycle_shift(instant.div_euclid(MICROS_PER_DAY));
    let seconds = instant.div_euclid(MICROS_PER_SECOND) + shift * 86_400 + UNIX_TO_EPOCH_SECONDS;
    Timestamp::from_second(seconds).map_or(0, |t| zone.to_offset(t).seconds())
}

/// The zone's name for its offset at an instant (`CET`); None when it has only a number.
pub(super) fn abbreviation(zone: &TimeZone, instant: i64) -> Option<String> {
    let shift = cycle_shift(instant.div_euclid(MICROS_PER_DAY));
    let seconds = instant.div_euclid(MICROS_PER_SECOND) + shift * 86_400 + UNIX_TO_EPOCH_SECONDS;
    let moment = Timestamp::from_second(seconds).ok()?;
    let name = zone.to_offset_info(moment).abbreviation().to_owned();
    // Zones that this module makes from an offset have no name.
    (zone.iana_name().is_some() || *zone == TimeZone::UTC).then_some(name)
}

/// The instant of a local time, both in µs since 2000-01-01. A time that a zone skips is
/// read with the offset before the change, one that it repeats with the offset after.
pub fn local_to_utc(zone: &TimeZone, local: i64) -> Result<i64> {
    if *zone == TimeZone::UTC || local == i64::MAX || local == i64::MIN {
        return Ok(local);
    }
    let days = local.div_euclid(MICROS_PER_DAY);
    let (year, month, day) = civil_from_days(days + cycle_shift(days));
    let second = local.rem_euclid(MICROS_PER_DAY) / MICROS_PER_SECOND;
    let civil = DateTime::new(
        i16::try_from(year).map_err(|_| timestamp_out_of_range())?,
        month as i8,
        day as i8,
        (second / 3600) as i8,
        (second / 60 % 60) as i8,
        (second % 60) as i8,
        0,
    )
    .map_err(|_| timestamp_out_of_range())?;
    let offset = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } => before,
        AmbiguousOffset::Fold { after, .. } => after,
    };
    local
        .checked_sub(i64::from(offset.seconds()) * MICROS_PER_SECOND)
        .filter(|instant| in_range(*instant))
        .ok_or_else(timestamp_out_of_range)
}

/// The local time of an instant, both in µs since 2000-01-01.
pub fn utc_to_local(zone: &TimeZone, instant: i64) -> Result<i64> {
    if instant == i64::MAX || instant == i64::MIN {
        return Ok(instant);
    }
    instant
        .checked_add(i64::from(offset_at(zone, instant)) * MICROS_PER_SECOND)
        .ok_or_else(timestamp_out_of_range)
}
