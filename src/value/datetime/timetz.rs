//! time with time zone: a time of day and the offset it was given with.
//!
//! Its text is the logical cell. It must never be moved to another offset on its way in or
//! out. Start at [`parse_timetz`].

use super::decode::{Decoded, Zone, decode};
use super::output::{format_time, push_offset};
use super::parts::{Fail, displacement};
use super::{MICROS_PER_DAY, MICROS_PER_SECOND, local_to_utc, offset_at};
use crate::error::{Error, Result, state};
use crate::value::Style;

/// Largest offset either way: 15:59:59.
const MAX_OFFSET: i32 = 16 * 3600 - 1;

/// A time of day with its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeTz {
    /// Microseconds since midnight there, 24:00 included.
    pub micros: i64,
    /// Seconds east of UTC.
    pub east: i32,
}

impl TimeTz {
    /// From the binary form's two numbers; the second counts seconds west.
    pub fn from_parts(micros: i64, west: i32) -> Result<Self> {
        if !(0..=MICROS_PER_DAY).contains(&micros) {
            return Err(Error::client(state::DATETIME_FIELD_OVERFLOW, "time out of range"));
        }
        if !(-MAX_OFFSET..=MAX_OFFSET).contains(&west) {
            let message = "time zone displacement out of range";
            return Err(Error::client(state::INVALID_TIME_ZONE_DISPLACEMENT, message));
        }
        Ok(Self { micros, east: -west })
    }

    /// Reads the canonical text.
    pub fn read(text: &str) -> Option<Self> {
        let sign = text.rfind(['+', '-'])?;
        let east = displacement(&text[sign..]).ok()?;
        let clock = &text.as_bytes()[..sign];
        let micros = match clock {
            b"24:00:00" => MICROS_PER_DAY,
            _ => super::output::canonical_time(clock)?,
        };
        Some(Self { micros, east })
    }

    /// The text form.
    pub fn text(self) -> String {
        let mut out = Vec::with_capacity(16);
        format_time(self.micros, &mut out);
        push_offset(self.east, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Bytes that memcmp orders as PostgreSQL orders these: by the moment in UTC, then the
    /// more eastern first.
    pub fn sort_key(self) -> Vec<u8> {
        let utc = self.micros - i64::from(self.east) * MICROS_PER_SECOND;
        let mut key = ((utc as u64) ^ (1 << 63)).to_be_bytes().to_vec();
        key.extend_from_slice(&((-self.east as u32) ^ (1 << 31)).to_be_bytes());
        key
    }

    /// The time with another offset, at the same moment.
    #[must_use]
    pub fn at_offset(self, east: i32) -> Self {
        let moved = self.micros + i64::from(east - self.east) * MICROS_PER_SECOND;
        Self { micros: moved.rem_euclid(MICROS_PER_DAY), east }
    }
}

/// Reads a time with time zone. Without a zone in the text the session's holds, with its
/// offset of now; a zone with rules needs a date, which is dropped.
pub fn parse_timetz(text: &str, style: &Style) -> Result<TimeTz> {
    const NAME: &str = "time with time zone";
    let (day, micros, zone) =
        match decode(text, style, true).map_err(|fail| fail.error(NAME, text))? {
            Decoded::Moment(day, micros, zone) => (day, micros, zone),
            _ => return Err(Fail::Format.error(NAME, text)),
        };
    let east = match zone {
        Zone::Offset(east) => east,
        Zone::Session => offset_at(&style.timezone, style.now.unwrap_or_default()),
        // The day is 0 also for 2000-01-01: the only date that is refused for nothing.
        Zone::Named(_) if day == 0 => {
            return Err(Error::unsupported("a time in a zone with rules and without a date"));
        }
        Zone::Named(zone) => {
            let local = day.saturating_mul(MICROS_PER_DAY).saturating_add(micros);
            let instant = local_to_utc(&zone, local)?;
            ((local - instant) / MICROS_PER_SECOND) as i32
        }
    };
    Ok(TimeTz { micros, east })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let show = |text: &str| parse_timetz(text, &Style::default()).unwrap().text();
        assert_eq!(show("04:05:06.5-08:30"), "04:05:06.5-08:30");
        assert_eq!(show("04:05 PM+02"), "16:05:00+02");
        assert_eq!(show("24:00+00"), "24:00:00+00");
        for text in ["24:00:00+00", "01:02:03.000004-08:30"] {
            assert_eq!(TimeTz::read(text).unwrap().text(), text);
        }
        let key = |text: &str| TimeTz::read(text).unwrap().sort_key();
        assert!(key("12:00:00+01") < key("12:00:00+00"));
        assert!(key("13:00:00+01") < key("12:00:00+00"));
    }
}
