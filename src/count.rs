//! Numbers with the words they count, in messages for people.
//!
//! Owns the plural of a noun. It must never be used for names. Start at [`counted`].

/// `1 table`, `2 tables`; an adjective may stand before the noun.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    if count == 1 { format!("1 {noun}") } else { format!("{count} {}", plural(noun)) }
}

/// The word for several.
pub fn plural(noun: &str) -> String {
    let consonant = |c: char| !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
    match noun.strip_suffix('y') {
        Some(stem) if stem.ends_with(consonant) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x']) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1_u64, "table"), "1 table");
        assert_eq!(counted(0_usize, "row"), "0 rows");
        assert_eq!(counted(2_i64, "key"), "2 keys");
        assert_eq!(counted(2_u32, "entry"), "2 entries");
        assert_eq!(plural("index"), "indexes");
    }
}
