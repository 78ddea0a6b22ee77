//! The words that date, time and interval input knows.

/// Units of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
}

/// Meaning of a word in date and time input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Now,
    Yesterday,
    Today,
    Tomorrow,
    /// `allballs`: midnight UTC.
    Zulu,
    Epoch,
    Infinity,
    NegInfinity,
    Month(i32),
    Weekday,
    Am,
    Pm,
    Bc,
    Ad,
    /// `DST` after a zone: one hour more.
    DaylightSaving,
    /// Seconds east of UTC.
    Zone(i32),
    NamedZone(&'static str),
    Julian,
    /// `T` before a time.
    IsoTime,
    /// Field labels that are known but stand nowhere.
    Label,
    Ignore,
}

/// The meaning of a word in lower case; longer words match by their first ten letters,
/// as PostgreSQL's table does.
pub(super) fn find(word: &str) -> Option<Word> {
    Some(match word.get(..10).unwrap_or(word) {
        "now" => Word::Now,
        "yesterday" => Word::Yesterday,
        "today" => Word::Today,
        "tomorrow" => Word::Tomorrow,
        "allballs" => Word::Zulu,
        "epoch" => Word::Epoch,
        "infinity" => Word::Infinity,
        "-infinity" => Word::NegInfinity,
        "jan" | "january" => Word::Month(1),
        "feb" | "february" => Word::Month(2),
        "mar" | "march" => Word::Month(3),
        "apr" | "april" => Word::Month(4),
        "may" => Word::Month(5),
        "jun" | "june" => Word::Month(6),
        "jul" | "july" => Word::Month(7),
        "aug" | "august" => Word::Month(8),
        "sep" | "sept" | "september" => Word::Month(9),
        "oct" | "october" => Word::Month(10),
        "nov" | "november" => Word::Month(11),
        "dec" | "december" => Word::Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds"
        | "wednesday" | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat"
        | "saturday" => Word::Weekday,
        "am" => Word::Am,
        "pm" => Word::Pm,
        "bc" => Word::Bc,
        "ad" => Word::Ad,
        "dst" => Word::DaylightSaving,
        "j" | "jd" | "julian" => Word::Julian,
        "t" => Word::IsoTime,
        "d" | "dow" | "doy" | "h" | "isodow" | "isoyear" | "m" | "mm" | "s" | "y" => Word::Label,
        "at" | "on" => Word::Ignore,
        _ => return None,
    })
}

/// The meaning of a word in interval input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntervalWord {
    Unit(Unit),
    Ago,
    Ignore,
}

/// The meaning of a word of interval input in lower case.
pub(super) fn find_unit(word: &str) -> Option<IntervalWord> {
    use IntervalWord::Unit as U;
    Some(match word.get(..10).unwrap_or(word) {
        "@" => IntervalWord::Ignore,
        "ago" => IntervalWord::Ago,
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => U(Unit::Microsecond),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => U(Unit::Millisecond),
        "s" | "sec" | "secs" | "second" | "seconds" => U(Unit::Second),
        "m" | "min" | "mins" | "minute" | "minutes" => U(Unit::Minute),
        "h" | "hr" | "hrs" | "hour" | "hours" => U(Unit::Hour),
        "d" | "day" | "days" => U(Unit::Day),
        "w" | "week" | "weeks" => U(Unit::Week),
        "mon" | "mons" | "month" | "months" => U(Unit::Month),
        "qtr" | "quarter" => U(Unit::Quarter),
        "y" | "yr" | "yrs" | "year" | "years" => U(Unit::Year),
        "dec" | "decs" | "decade" | "decades" => U(Unit::Decade),
        "c" | "cent" | "century" | "centuries" => U(Unit::Century),
        "mil" | "mils" | "millennia" | "millennium" => U(Unit::Millennium),
        _ => return None,
    })
}
