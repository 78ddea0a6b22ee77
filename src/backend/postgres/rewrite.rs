//! Frames of Query and Parse with another text.
//!
//! Owns taking such a frame apart and putting it together; what the text becomes is the
//! caller's affair. Start at [`replacement`].

/// The bytes before the first NUL, or all.
pub(super) fn c_string(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// Decides about a text and the types its client names for parameters: another text, or None.
pub type Rewrite<'r> = &'r mut dyn FnMut(&str, &[u32]) -> Option<std::sync::Arc<str>>;

/// A frame of the client's that another one replaces.
pub(super) struct Replaced {
    /// Length of the client's own frame.
    pub(super) length: usize,
    /// What goes instead.
    pub(super) frame: Vec<u8>,
}

/// The frame of a Query or Parse whose text is rewritten.
pub(super) fn replacement(kind: u8, body: &[u8], rewrite: Rewrite<'_>) -> Option<Vec<u8>> {
    let (name, text) = match kind {
        b'P' => {
            let name = c_string(body);
            (Some(name), c_string(body.get(name.len() + 1..)?))
        }
        _ => (None, c_string(body)),
    };
    let sql = std::str::from_utf8(text).ok()?;
    let begin = name.map_or(0, |n| n.len() + 1);
    let tail = body.get(begin + text.len()..)?;
    let types: Vec<u32> = match kind {
        b'P' => tail
            .get(3..)
            .unwrap_or_default()
            .chunks_exact(4)
            .filter_map(|b| b.try_into().ok().map(u32::from_be_bytes))
            .collect(),
        _ => Vec::new(),
    };
    let other = rewrite(sql, &types)?;
    let mut frame = vec![kind, 0, 0, 0, 0];
    frame.extend_from_slice(body.get(..begin)?);
    frame.extend(other.bytes().filter(|b| *b != 0));
    frame.extend_from_slice(tail);
    let length = u32::try_from(frame.len() - 1).ok()?;
    frame[1..5].copy_from_slice(&length.to_be_bytes());
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_all_but_its_text() {
        let body = b"name\0SELECT ?\0\x00\x01\x00\x00\x00\x17";
        let mut asked = Vec::new();
        let mut rewrite = |text: &str, types: &[u32]| {
            asked.push((text.to_owned(), types.to_vec()));
            Some("SELECT $1".into())
        };
        let frame = replacement(b'P', body, &mut rewrite).unwrap();
        assert_eq!(asked, [("SELECT ?".to_owned(), vec![23])]);
        assert_eq!(&frame[5..], b"name\0SELECT $1\0\x00\x01\x00\x00\x00\x17");
        assert_eq!(frame[1..5], u32::try_from(frame.len() - 1).unwrap().to_be_bytes());
        assert!(replacement(b'Q', b"SELECT 1\0", &mut |_, _| None).is_none());
    }
}
