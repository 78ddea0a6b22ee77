//! Calendar, input and output of dates, times, timestamps and intervals.
//!
//! Never reads a clock. Start at [`parse_timestamp`].

use super::{Interval, Style};
use crate::error::{Error, Result};

/// Reads a date: days since 2000-01-01.
pub fn parse_date(_text: &str, _style: &Style) -> Result<i32> {
    Err(Error::unsupported("this conversion"))
}
/// Reads a time: microseconds since midnight.
pub fn parse_time(_text: &str, _style: &Style) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
/// Reads a timestamp without zone: microseconds since 2000-01-01.
pub fn parse_timestamp(_text: &str, _style: &Style) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
/// Reads a timestamp with zone: microseconds since 2000-01-01 UTC.
pub fn parse_timestamptz(_text: &str, _style: &Style) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
/// Reads an interval.
pub fn parse_interval(_text: &str, _style: &Style) -> Result<Interval> {
    Err(Error::unsupported("this conversion"))
}
/// Days since 2000-01-01 of a proleptic Gregorian date (month 1 to 12, year 0 is 1 BC).
pub fn days_from_civil(_year: i64, _month: i64, _day: i64) -> i64 {
    0
}
/// Year, month, day of days since 2000-01-01.
pub fn civil_from_days(_days: i64) -> (i64, u32, u32) {
    (0, 0, 0)
}
/// A zone by IANA name, abbreviation, POSIX rule or offset in hours, as SET TimeZone takes it.
pub fn zone(_name: &str) -> Option<jiff::tz::TimeZone> {
    None
}
/// Offset from UTC in seconds, east positive, at an instant (µs since 2000-01-01 UTC).
pub fn offset_at(_zone: &jiff::tz::TimeZone, _instant: i64) -> i32 {
    0
}
/// The instant of a local time (both µs since 2000-01-01), by PostgreSQL's rule for gaps and folds.
pub fn local_to_utc(_zone: &jiff::tz::TimeZone, _local: i64) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
/// The local time of an instant.
pub fn utc_to_local(_zone: &jiff::tz::TimeZone, _instant: i64) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
/// timestamp + interval: months (day clipped), then days, then microseconds; 22008.
pub fn add_interval(_local: i64, _span: Interval) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
/// timestamptz + interval: months and days in the zone's local time; 22008.
pub fn add_interval_tz(_instant: i64, _span: Interval, _zone: &jiff::tz::TimeZone) -> Result<i64> {
    Err(Error::unsupported("this conversion"))
}
