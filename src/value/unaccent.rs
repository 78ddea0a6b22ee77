//! unaccent(): letters without their signs, by PostgreSQL's own rules (`data/unaccent.rules`).

use std::collections::HashMap;
use std::sync::LazyLock;

static RULES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let lines = include_str!("data/unaccent.rules").lines();
    // PostgreSQL's reader skips the blanks around both words; of a letter twice the first counts.
    let mut rules = HashMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        if let Some(from) = words.next() {
            rules.entry(from).or_insert(words.next().unwrap_or(""));
        }
    }
    rules
});

/// A text with each letter that has a rule replaced. Every rule is of one letter.
pub fn unaccent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letter = [0; 4];
    for c in text.chars() {
        let letter: &str = c.encode_utf8(&mut letter);
        out.push_str(RULES.get(letter).copied().unwrap_or(letter));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_lose_their_signs() {
        assert_eq!(unaccent("Hôtel Ærø, straße"), "Hotel AEro, strasse");
        assert!(RULES.keys().all(|from| from.chars().count() == 1));
    }
}
