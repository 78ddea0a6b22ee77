//! Moments before the year 1 and after the year 9999 as texts that sort with all others.
//!
//! `.` is below every digit and above the `-` of `-infinity`, `:` above every digit and below
//! `infinity`; what follows rises with the year. Start at [`sortable`].

use std::borrow::Cow;

/// Years before Christ are counted down from here, so that they rise.
const BEFORE: i64 = 10_000;

/// A date or timestamp as PostgreSQL prints it, in the form that is stored.
pub(super) fn sortable(text: String) -> String {
    let Some(at) = text.find('-').filter(|at| text[..*at].bytes().all(|b| b.is_ascii_digit()))
    else {
        return text;
    };
    let (year, rest) = text.split_at(at);
    match (rest.strip_suffix(" BC"), year.parse::<i64>()) {
        (Some(rest), Ok(year)) => format!(".{:04}{rest}", BEFORE - year),
        (None, _) if year.len() > 4 => format!(":{year:0>7}{rest}"),
        _ => text,
    }
}

/// A stored date or timestamp as PostgreSQL prints it.
pub fn printed(stored: &str) -> Cow<'_, str> {
    let parts = |text: &'_ str| {
        let at = text.find('-')?;
        Some((text[..at].parse::<i64>().ok()?, at))
    };
    let far = stored.get(1..).unwrap_or_default();
    match (stored.as_bytes().first(), parts(far)) {
        (Some(b'.'), Some((year, at))) => {
            Cow::Owned(format!("{:04}{} BC", BEFORE - year, &far[at..]))
        }
        (Some(b':'), Some((year, at))) => Cow::Owned(format!("{year}{}", &far[at..])),
        _ => Cow::Borrowed(stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_sort_as_time_does() {
        let shown = [
            "-infinity",
            "4713-01-01 00:00:00 BC",
            "4713-12-31 00:00:00.5 BC",
            "0001-12-31 00:00:00 BC",
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59",
            "10000-01-01 00:00:00",
            "294276-12-31 23:59:59",
            "infinity",
        ];
        let stored: Vec<String> = shown.iter().map(|s| sortable((*s).to_owned())).collect();
        assert!(stored.is_sorted(), "{stored:?}");
        for (stored, shown) in stored.iter().zip(shown) {
            assert_eq!(printed(stored), shown);
        }
    }
}
