//! The words that the texts of tsvector and tsquery are written with.

/// Reads words, numbers and signs one after the other.
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace());
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn at_blank(&self) -> bool {
        self.peek().is_none_or(char::is_whitespace)
    }

    pub(super) fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(number)
    }

    /// A, B, C, D (or `*` for A) as 3 to 0.
    pub(super) fn weight(&mut self) -> Option<u8> {
        let weight = match self.peek()? {
            'A' | 'a' | '*' => 3,
            'B' | 'b' => 2,
            'C' | 'c' => 1,
            'D' | 'd' => 0,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        Some(weight)
    }

    /// The next word, bare or quoted: None for text that is none, Some(None) at the end. A bare
    /// word ends before a blank or one of `stops`.
    #[allow(clippy::option_option)]
    pub(super) fn word(&mut self, stops: &[char], at_end: bool) -> Option<Option<String>> {
        self.skip_blanks();
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        let Some((_, first)) = chars.next() else {
            return if at_end { Some(None) } else { None };
        };
        let quoted = first == '\'';
        if !quoted {
            chars = self.rest.char_indices();
        }
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => out.push(chars.next()?.1),
                '\'' if quoted => {
                    if self.rest[at + 1..].starts_with('\'') {
                        chars.next();
                        out.push('\'');
                    } else {
                        self.rest = &self.rest[at + 1..];
                        return Some(Some(out));
                    }
                }
                c if !quoted && (c.is_whitespace() || stops.contains(&c)) => {
                    self.rest = &self.rest[at..];
                    return Some(Some(out));
                }
                c => out.push(c),
            }
        }
        if quoted {
            return None;
        }
        self.rest = "";
        Some(Some(out))
    }
}

/// Appends a lexeme in quotes.
pub(super) fn push_lexeme(word: &str, out: &mut String) {
    out.push('\'');
    for c in word.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out.push('\'');
}
