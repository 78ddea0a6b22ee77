//! PostgreSQL's tokens, for the passes that do not need a tree: statement shapes, nesting
//! estimates, finding a keyword again.
//!
//! Accepts any text: what PostgreSQL's scanner would refuse becomes some token here. It
//! must never decide what a statement means. Start at [`tokens`].

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Keyword or unquoted identifier.
    Word,
    /// "quoted identifier", U&"…" included.
    Quoted,
    /// Any string or bit string constant.
    Text,
    /// A number.
    Number,
    /// $1
    Param,
    /// Operator characters.
    Operator,
    /// `(` or `[`
    Open,
    /// `)` or `]`
    Close,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `.`, `:`, `::`, `:=` and anything else.
    Other,
}

/// A token: kind and byte range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Kind.
    pub(crate) kind: Kind,
    /// First byte.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

/// The tokens of a text, without comments and white space.
pub(crate) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { bytes: text.as_bytes(), at: 0 }
}

/// Iterator over tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let kind = self.scan(self.peek(0)?);
        // Progress even on bytes nobody knows.
        self.at = self.at.max(start + 1).min(self.bytes.len());
        Some(Token { kind, start, end: self.at })
    }
}

impl Tokens<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x0b => self.at += 1,
                b'-' if self.peek(1) == Some(b'-') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                _ => break,
            }
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|b| b != b'\n' && b != b'\r') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn scan(&mut self, byte: u8) -> Kind {
        match byte {
            b'\'' => self.string(0, false),
            b'"' => self.quoted(0),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            b'(' | b'[' => self.single(Kind::Open),
            b')' | b']' => self.single(Kind::Close),
            b',' => self.single(Kind::Comma),
            b';' => self.single(Kind::Semicolon),
            b':' => self.colon(),
            _ if is_word_start(byte) => self.word(byte),
            _ if is_operator(byte) => self.operator(),
            _ => self.single(Kind::Other),
        }
    }

    fn single(&mut self, kind: Kind) -> Kind {
        self.at += 1;
        kind
    }

    fn colon(&mut self) -> Kind {
        self.at += if matches!(self.peek(1), Some(b':' | b'=')) { 2 } else { 1 };
        Kind::Other
    }

    /// A string whose opening quote is `prefix` bytes ahead.
    fn string(&mut self, prefix: usize, escapes: bool) -> Kind {
        self.at += prefix + 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' if escapes => self.at += 1,
                b'\'' if self.peek(0) == Some(b'\'') => self.at += 1,
                b'\'' => break,
                _ => {}
            }
        }
        Kind::Text
    }

    fn quoted(&mut self, prefix: usize) -> Kind {
        self.at += prefix + 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'"' {
                if self.peek(0) != Some(b'"') {
                    break;
                }
                self.at += 1;
            }
        }
        Kind::Quoted
    }

    /// `$1` or `$tag$…$tag$`.
    fn dollar(&mut self) -> Kind {
        let start = self.at;
        let mut end = start + 1;
        if self.bytes.get(end).is_some_and(u8::is_ascii_digit) {
            while self.bytes.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
            self.at = end;
            return Kind::Param;
        }
        while self.bytes.get(end).is_some_and(|b| is_word_start(*b) || b.is_ascii_digit()) {
            end += 1;
        }
        if self.bytes.get(end) != Some(&b'$') {
            return self.single(Kind::Other);
        }
        let tag = &self.bytes[start..=end];
        let body = end + 1;
        let close =
            find(&self.bytes[body..], tag).map_or(self.bytes.len(), |i| body + i + tag.len());
        self.at = close;
        Kind::Text
    }

    fn number(&mut self) -> Kind {
        let mut exponent = false;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'0'..=b'9' | b'_' => {}
                // `1..10` is a range of two integers.
                b'.' if self.peek(1) != Some(b'.') => {}
                b'e' | b'E' if self.exponent_follows() => {
                    exponent = true;
                    self.at += 1;
                }
                b'x' | b'X' | b'a'..=b'f' | b'A'..=b'F' | b'o' | b'O' if !exponent => {}
                _ => break,
            }
            self.at += 1;
        }
        Kind::Number
    }

    fn exponent_follows(&self) -> bool {
        match self.peek(1) {
            Some(b'0'..=b'9') => true,
            Some(b'+' | b'-') => self.peek(2).is_some_and(|b| b.is_ascii_digit()),
            _ => false,
        }
    }

    fn word(&mut self, first: u8) -> Kind {
        match (first, self.peek(1), self.peek(2)) {
            (b'e' | b'E', Some(b'\''), _) => return self.string(1, true),
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', Some(b'\''), _) => {
                return self.string(1, false);
            }
            (b'u' | b'U', Some(b'&'), Some(b'\'')) => return self.string(2, false),
            (b'u' | b'U', Some(b'&'), Some(b'"')) => return self.quoted(2),
            _ => {}
        }
        while self.peek(0).is_some_and(|b| is_word_start(b) || b.is_ascii_digit() || b == b'$') {
            self.at += 1;
        }
        Kind::Word
    }

    fn operator(&mut self) -> Kind {
        while let Some(byte) = self.peek(0) {
            let comment = matches!((byte, self.peek(1)), (b'-', Some(b'-')) | (b'/', Some(b'*')));
            if comment || !is_operator(byte) {
                break;
            }
            self.at += 1;
        }
        Kind::Operator
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// An upper bound, in tokens, for how deeply the tree of any statement of the text nests.
///
/// Counts the tokens since the last separator on each open parenthesis level: operators
/// chain only between separators (lists, clauses, AND, OR and WHEN make siblings). Joins and
/// set operations chain across separators.
pub(crate) fn nesting(text: &str) -> usize {
    let mut levels: Vec<Level> = Vec::new();
    let (mut here, mut below, mut deepest) = (Level::default(), 0_usize, 0_usize);
    for token in tokens(text) {
        let flow = match token.kind {
            Kind::Open => Flow::Open,
            Kind::Close => Flow::Close,
            Kind::Comma => Flow::Separator,
            Kind::Semicolon if levels.is_empty() => Flow::Statement,
            Kind::Semicolon => Flow::Separator,
            Kind::Word => keyword(&text.as_bytes()[token.start..token.end]),
            _ => Flow::Chain,
        };
        match flow {
            Flow::Open => {
                below += here.depth() + 1;
                levels.push(std::mem::take(&mut here));
            }
            Flow::Close => {
                if let Some(level) = levels.pop() {
                    below = below.saturating_sub(level.depth() + 1);
                    here = level;
                }
                here.chain += 1;
            }
            Flow::Separator => here.chain = 0,
            Flow::Statement => here = Level::default(),
            Flow::Spine => {
                here.spine += 1;
                here.chain = 0;
            }
            Flow::Chain => here.chain += 1,
        }
        deepest = deepest.max(below + here.depth());
    }
    deepest
}

#[derive(Default)]
struct Level {
    /// Tokens since the last separator.
    chain: usize,
    /// Joins and set operations so far.
    spine: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.chain + self.spine
    }
}

enum Flow {
    Open,
    Close,
    Separator,
    Statement,
    Spine,
    Chain,
}

fn keyword(word: &[u8]) -> Flow {
    let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
    match word.len() {
        2 if is("or") || is("on") => Flow::Separator,
        3 if is("and") || is("set") => Flow::Separator,
        3 if is("end") => Flow::Close,
        4 if is("when") || is("then") || is("else") || is("from") => Flow::Separator,
        4 if is("case") => Flow::Open,
        4 if is("join") => Flow::Spine,
        5 if is("where") || is("order") || is("group") || is("limit") => Flow::Separator,
        5 if is("union") => Flow::Spine,
        6 if is("select") || is("values") || is("having") || is("offset") => Flow::Separator,
        6 if is("except") => Flow::Spine,
        9 if is("intersect") => Flow::Spine,
        9 if is("returning") => Flow::Separator,
        _ => Flow::Chain,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, nesting, tokens};

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).map(|t| (t.kind, &text[t.start..t.end])).collect()
    }

    #[test]
    fn strings_comments_and_dollar_quotes_are_one_token() {
        assert_eq!(
            kinds("a -- x\n'it''s' E'\\'' $q$ ; $q$ /* /* */ ; */ \"A\"\"b\" $12 U&'x'"),
            vec![
                (Kind::Word, "a"),
                (Kind::Text, "'it''s'"),
                (Kind::Text, "E'\\''"),
                (Kind::Text, "$q$ ; $q$"),
                (Kind::Quoted, "\"A\"\"b\""),
                (Kind::Param, "$12"),
                (Kind::Text, "U&'x'"),
            ]
        );
    }

    #[test]
    fn numbers_keep_their_exponent() {
        assert_eq!(
            kinds("1.5e-3+.5 1e5x"),
            vec![
                (Kind::Number, "1.5e-3"),
                (Kind::Operator, "+"),
                (Kind::Number, ".5"),
                (Kind::Number, "1e5"),
                (Kind::Word, "x"),
            ]
        );
    }

    #[test]
    fn unfinished_tokens_end_with_the_text() {
        for text in ["'abc", "\"abc", "$x$ abc", "/* abc", "E'\\", "$", ":", "\u{1}é"] {
            assert!(tokens(text).count() < 4, "{text}");
        }
    }

    #[test]
    fn nesting_follows_chains_and_parentheses() {
        let wide = format!("insert into t values {}", vec!["(1,-2)"; 1000].join(","));
        assert!(nesting(&wide) < 20);
        let ors = vec!["a = 1"; 1000].join(" or ");
        assert!(nesting(&format!("select 1 where {ors}")) < 20);
        let chain = vec!["1"; 1000].join("+");
        assert!(nesting(&format!("select {chain}")) >= 1000);
        assert!(nesting(&"(".repeat(1000)) >= 1000);
        assert!(nesting(&"case when a then ".repeat(1000)) >= 1000);
        let unions = vec!["select 1, 2"; 1000].join(" union ");
        assert!(nesting(&unions) >= 999);
    }
}
