//! Values taken from PostgreSQL 15.

use proptest::prelude::*;

use super::*;
use crate::value::{DateStyle, Interval, IntervalStyle};

fn style(name: &str) -> Style {
    Style { timezone: zone(name).unwrap(), ..Style::default() }
}

fn show(print: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    print(&mut out);
    String::from_utf8(out).unwrap()
}

fn timestamp(text: &str) -> Result<String> {
    let micros = parse_timestamp(text, &Style::default())?;
    Ok(show(|out| format_timestamp(micros, out)))
}

fn timestamptz(text: &str, style: &Style) -> Result<String> {
    let micros = parse_timestamptz(text, style)?;
    Ok(show(|out| format_timestamptz(micros, &style.timezone, out)))
}

fn date(text: &str, order: DateStyle) -> Result<String> {
    let days = parse_date(text, &Style { date_style: order, ..Style::default() })?;
    Ok(show(|out| format_date(days, out)))
}

#[test]
fn calendar() {
    assert_eq!(days_from_civil(2000, 1, 1), 0);
    assert_eq!(days_from_civil(1970, 1, 1), -10_957);
    assert_eq!(civil_from_days(0), (2000, 1, 1));
    assert_eq!(civil_from_days(-10_957), (1970, 1, 1));
    assert_eq!(days_from_civil(2000, 14, 0), days_from_civil(2001, 1, 31));
}

#[test]
fn timestamps() {
    for (input, output) in [
        ("2024-02-29 12:34:56.789", "2024-02-29 12:34:56.789"),
        ("2024-02-29T12:34:56.7891234Z", "2024-02-29 12:34:56.789123"),
        ("20240229T123456", "2024-02-29 12:34:56"),
        ("2024-02-29", "2024-02-29 00:00:00"),
        ("1962/2/18", "1962-02-18 00:00:00"),
        ("Jan 8, 1999 04:05 PM", "1999-01-08 16:05:00"),
        ("8 January 1999", "1999-01-08 00:00:00"),
        ("1/8/1999 4:05:06", "1999-01-08 04:05:06"),
        ("01-08-99 04:05", "1999-01-08 04:05:00"),
        ("2024-02-28 24:00:00", "2024-02-29 00:00:00"),
        ("2024-02-28 23:59:60", "2024-02-29 00:00:00"),
        ("2024.366", "2024-12-31 00:00:00"),
        ("J2451187", "1999-01-08 00:00:00"),
        ("epoch", "1970-01-01 00:00:00"),
        ("infinity", "infinity"),
        ("-infinity", "-infinity"),
        ("0044-03-15 BC", "0044-03-15 00:00:00 BC"),
        ("12345-06-07 08:09:10", "12345-06-07 08:09:10"),
        ("Thu 29 Feb 2024 10:11:12 EST", "2024-02-29 10:11:12"),
        ("2024-02-29 10:11:12 America/New_York", "2024-02-29 10:11:12"),
    ] {
        assert_eq!(timestamp(input).unwrap_or_else(|e| panic!("{input}: {e}")), output, "{input}");
    }
}

#[test]
fn refusals() {
    for (input, code, message) in [
        ("x", "22007", "invalid input syntax for type timestamp: \"x\""),
        ("", "22007", "invalid input syntax for type timestamp: \"\""),
        ("2024-02-30", "22008", "date/time field value out of range: \"2024-02-30\""),
        ("2024-13-01", "22008", "date/time field value out of range: \"2024-13-01\""),
        ("2024-01-01 25:00", "22008", "date/time field value out of range: \"2024-01-01 25:00\""),
        ("2024-01-01 +17", "22009", "time zone displacement out of range: \"2024-01-01 +17\""),
        ("300000-01-01", "22008", "timestamp out of range: \"300000-01-01\""),
        ("2024-01-01 10:00 Mars/Phobos", "22023", "time zone \"mars/phobos\" not recognized"),
        (
            "2024-01-01 10:00 11:00",
            "22007",
            "invalid input syntax for type timestamp: \"2024-01-01 10:00 11:00\"",
        ),
        ("12:00", "22007", "invalid input syntax for type timestamp: \"12:00\""),
    ] {
        let error = timestamp(input).unwrap_err();
        assert_eq!((error.sqlstate().as_str(), error.message()), (code, message));
    }
    let error = timestamp("13/13/2024").unwrap_err();
    assert!(error.fields().hint.as_deref().is_some_and(|h| h.contains("datestyle")));
    assert_eq!(timestamp("now").unwrap_err().sqlstate(), state::FEATURE_NOT_SUPPORTED);
}

#[test]
fn words_for_now() {
    let now = parse_timestamptz("2024-03-01 00:30:00+00", &Style::default()).unwrap();
    let at = Style { now: Some(now), ..style("America/New_York") };
    assert_eq!(timestamptz("now", &at).unwrap(), "2024-02-29 19:30:00-05");
    assert_eq!(timestamptz("today", &at).unwrap(), "2024-02-29 00:00:00-05");
    assert_eq!(timestamptz("tomorrow 12:00", &at).unwrap(), "2024-03-01 12:00:00-05");
    assert_eq!(parse_date("yesterday", &at).unwrap(), days_from_civil(2024, 2, 28) as i32);
}

#[test]
fn zones() {
    let new_york = style("america/new_york");
    for (input, output) in [
        ("2024-01-01 12:00", "2024-01-01 12:00:00-05"),
        ("2024-07-01 12:00", "2024-07-01 12:00:00-04"),
        ("2024-07-01 12:00Z", "2024-07-01 08:00:00-04"),
        ("2024-07-01 12:00+05:30", "2024-07-01 02:30:00-04"),
        ("2024-07-01 12:00 +0530", "2024-07-01 02:30:00-04"),
        ("2024-07-01 12:00 PST", "2024-07-01 16:00:00-04"),
        ("2024-07-01 12:00 Europe/Berlin", "2024-07-01 06:00:00-04"),
        // Skipped and repeated local times.
        ("2024-03-10 02:30", "2024-03-10 03:30:00-04"),
        ("2024-11-03 01:30", "2024-11-03 01:30:00-05"),
        ("1800-01-01 00:00", "1800-01-01 00:00:00-04:56:02"),
        ("12024-07-01 12:00", "12024-07-01 12:00:00-04"),
    ] {
        assert_eq!(timestamptz(input, &new_york).unwrap(), output, "{input}");
    }
    assert_eq!(timestamptz("2024-01-01", &style("+5.5")).unwrap(), "2024-01-01 00:00:00+05:30");
    assert!(zone("Mars/Phobos").is_none());
    assert!(zone("EST").is_some());
}

#[test]
fn orders() {
    use DateStyle::{Dmy, Mdy, Ymd};
    for (input, order, output) in [
        ("1/2/2003", Mdy, "2003-01-02"),
        ("1/2/2003", Dmy, "2003-02-01"),
        ("01-02-03", Mdy, "2003-01-02"),
        ("01-02-03", Dmy, "2003-02-01"),
        ("01-02-03", Ymd, "2001-02-03"),
        ("2003-01-02", Dmy, "2003-01-02"),
        ("5.6.2003", Dmy, "2003-06-05"),
        ("990108", Mdy, "1999-01-08"),
        ("19990108", Mdy, "1999-01-08"),
        ("1999.008", Mdy, "1999-01-08"),
        ("08-Jan-99", Mdy, "1999-01-08"),
        ("Jan-08-1999", Mdy, "1999-01-08"),
        ("1999-Jan-08", Mdy, "1999-01-08"),
        ("2024-02-29 12:00", Mdy, "2024-02-29"),
        ("infinity", Mdy, "infinity"),
    ] {
        assert_eq!(date(input, order).unwrap(), output, "{input}");
    }
    assert_eq!(date("x", Mdy).unwrap_err().message(), "invalid input syntax for type date: \"x\"");
    assert_eq!(
        date("5874898-01-01", Mdy).unwrap_err().message(),
        "date out of range: \"5874898-01-01\""
    );
}

#[test]
fn times() {
    for (input, output) in [
        ("04:05:06.789", "04:05:06.789"),
        ("04:05", "04:05:00"),
        ("040506", "04:05:06"),
        ("0405", "04:05:00"),
        ("04:05 PM", "16:05:00"),
        ("12:30 AM", "00:30:00"),
        ("24:00:00", "24:00:00"),
        ("04:05:06-08:00", "04:05:06"),
        ("04:05:06 PST", "04:05:06"),
        ("2003-04-12 04:05:06 America/New_York", "04:05:06"),
        ("allballs", "00:00:00"),
    ] {
        let micros =
            parse_time(input, &Style::default()).unwrap_or_else(|e| panic!("{input}: {e}"));
        assert_eq!(show(|out| format_time(micros, out)), output);
    }
    for bad in ["25:00", "12:60", "24:00:01", "x", "", "12", "04:05:06 America/New_York"] {
        assert!(parse_time(bad, &Style::default()).is_err(), "{bad}");
    }
}

fn interval(text: &str) -> Result<Interval> {
    parse_interval(text, &Style::default())
}

#[test]
fn intervals() {
    for (input, output) in [
        ("1 year 2 mons 3 days 04:05:06", "1 year 2 mons 3 days 04:05:06"),
        ("1-2", "1 year 2 mons"),
        ("1", "00:00:01"),
        ("1.5 days", "1 day 12:00:00"),
        ("-1 day +02:03", "-1 days +02:03:00"),
        ("1 day -00:00:01", "1 day -00:00:01"),
        ("P1Y2M3DT4H5M6.7S", "1 year 2 mons 3 days 04:05:06.7"),
        ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
        ("PT36H", "36:00:00"),
        ("P1W", "7 days"),
        ("@ 1 minute ago", "-00:01:00"),
        ("1.5 months", "1 mon 15 days"),
        ("1.5 years", "1 year 6 mons"),
        ("2 weeks", "14 days"),
        ("100 microseconds", "00:00:00.0001"),
        ("1.234567 sec", "00:00:01.234567"),
        ("mon 1", "00:00:01"),
        ("-1-2", "-1 years -2 mons"),
        ("1 decade 1 century", "110 years"),
        ("3 4:05", "3 days 04:05:00"),
        ("0", "00:00:00"),
        ("1h 2m 3s", "01:02:03"),
        ("-1.5 hours", "-01:30:00"),
    ] {
        let value = interval(input).unwrap_or_else(|e| panic!("{input}: {e}"));
        let text = show(|out| format_interval(&value, IntervalStyle::Postgres, out));
        assert_eq!(text, output, "{input}");
    }
    let error = interval("x").unwrap_err();
    assert_eq!(error.message(), "invalid input syntax for type interval: \"x\"");
    let error = interval("99999999999 years").unwrap_err();
    assert_eq!(error.message(), "interval field value out of range: \"99999999999 years\"");
    assert!(interval("1 day 2 days").is_err());
}

#[test]
fn interval_styles() {
    let mixed = interval("1 year 2 mons -3 days 04:05:06.7").unwrap();
    let negative = interval("-1 day -2:03:04").unwrap();
    for (value, style, text) in [
        (mixed, IntervalStyle::PostgresVerbose, "@ 1 year 2 mons -3 days 4 hours 5 mins 6.7 secs"),
        (mixed, IntervalStyle::SqlStandard, "+1-2 -3 +4:05:06.7"),
        (mixed, IntervalStyle::Iso8601, "P1Y2M-3DT4H5M6.7S"),
        (negative, IntervalStyle::PostgresVerbose, "@ 1 day 2 hours 3 mins 4 secs ago"),
        (negative, IntervalStyle::SqlStandard, "-1 2:03:04"),
        (negative, IntervalStyle::Iso8601, "P-1DT-2H-3M-4S"),
        (Interval::default(), IntervalStyle::PostgresVerbose, "@ 0"),
        (Interval::default(), IntervalStyle::SqlStandard, "0"),
        (Interval::default(), IntervalStyle::Iso8601, "PT0S"),
    ] {
        assert_eq!(show(|out| format_interval(&value, style, out)), text);
    }
}

#[test]
fn arithmetic() {
    let at = |text: &str| parse_timestamp(text, &Style::default()).unwrap();
    let plus = |a: &str, b: &str| {
        let sum = add_interval(at(a), interval(b).unwrap()).unwrap();
        show(|out| format_timestamp(sum, out))
    };
    assert_eq!(plus("2024-01-31", "1 mon"), "2024-02-29 00:00:00");
    assert_eq!(plus("2024-03-31", "-1 mon"), "2024-02-29 00:00:00");
    assert_eq!(plus("2024-01-31", "1 mon 1 day 01:00"), "2024-03-01 01:00:00");
    let between = |f: fn(i64, i64) -> Result<Interval>, a: &str, b: &str| {
        let value = f(at(a), at(b)).unwrap();
        show(|out| format_interval(&value, IntervalStyle::Postgres, out))
    };
    assert_eq!(between(subtract, "2024-03-01 12:00", "2024-01-01"), "60 days 12:00:00");
    assert_eq!(between(age, "2001-04-10", "1957-06-13"), "43 years 9 mons 27 days");
    assert_eq!(between(age, "1957-06-13", "2001-04-10"), "-43 years -9 mons -27 days");
    assert_eq!(between(age, "2024-03-01", "2024-01-31"), "1 mon 1 day");
    let new_york = style("America/New_York");
    let instant = parse_timestamptz("2024-03-09 12:00", &new_york).unwrap();
    let day = add_interval_tz(instant, interval("1 day").unwrap(), &new_york.timezone).unwrap();
    assert_eq!(day - instant, 23 * 3600 * MICROS_PER_SECOND);
    let half = interval_mul(interval("1 mon").unwrap(), 0.5, false).unwrap();
    assert_eq!(half, interval("15 days").unwrap());
    let third = interval_mul(interval("1 day").unwrap(), 3.0, true).unwrap();
    assert_eq!(third, interval("8 hours").unwrap());
}

proptest! {
    #[test]
    fn calendar_round_trip(days in -3_000_000i64..3_000_000) {
        let (year, month, day) = civil_from_days(days);
        prop_assert_eq!(days_from_civil(year, i64::from(month), i64::from(day)), days);
        prop_assert!(i64::from(day) <= days_in_month(year, i64::from(month)));
    }

    #[test]
    fn timestamps_round_trip(micros in -63_082_281_600_000_000i64..252_455_616_000_000_000) {
        let text = show(|out| format_timestamp(micros, out));
        prop_assert_eq!(parse_timestamp(&text, &Style::default()).unwrap(), micros);
        prop_assert_eq!(parse_canonical(text.as_bytes()), Some(micros));
    }

    #[test]
    fn zoned_round_trip(micros in -6_000_000_000_000_000i64..6_000_000_000_000_000, at in 0usize..4) {
        let names = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"];
        let style = style(names[at]);
        let text = show(|out| format_timestamptz(micros, &style.timezone, out));
        prop_assert_eq!(parse_timestamptz(&text, &style).unwrap(), micros);
    }

    #[test]
    fn intervals_round_trip(months in any::<i32>(), days in any::<i32>(), micros in any::<i64>()) {
        prop_assume!(micros != i64::MIN);
        let value = Interval { months, days, micros };
        for style in [IntervalStyle::Postgres, IntervalStyle::Iso8601] {
            let text = show(|out| format_interval(&value, style, out));
            let again = interval(&text);
            prop_assert_eq!(again.unwrap(), value, "{}", text);
        }
    }

    #[test]
    fn never_panics(text in "[-+0-9:./ TZPYMDHSjantue,]{0,24}") {
        for order in [DateStyle::Mdy, DateStyle::Dmy, DateStyle::Ymd] {
            let style = Style { date_style: order, ..Style::default() };
            let _ = parse_timestamptz(&text, &style);
            let _ = parse_date(&text, &style);
            let _ = parse_time(&text, &style);
            let _ = parse_interval(&text, &style);
        }
    }
}
