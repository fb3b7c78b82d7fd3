//! Java's property files: `key = value` lines.
//!
//! ```text
//! # a comment, as is !        a = b    a : b    a b    a        four ways to set a
//! list = one,\                the line goes on; blanks before «two» do not count
//!        two                  \t \n \r \f \uXXXX, and \ before any other character is that character
//! ```

/// One setting as it stands in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// A line that cannot be read, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Malformed {
    pub line: usize,
    pub why: String,
}

/// Reads all lines, also those after one that cannot be read.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<Malformed>) {
    let (mut entries, mut malformed) = (Vec::new(), Vec::new());
    for (line, logical) in logical_lines(text.trim_start_matches('\u{feff}')) {
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => entries.push(Entry { line, key, value }),
            (Err(why), _) | (_, Err(why)) => malformed.push(Malformed { line, why }),
        }
    }
    (entries, malformed)
}

/// Lines with their numbers, without comments and blank ones, each joined with those that continue it.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut natural = text.lines().enumerate();
    let mut lines = Vec::new();
    while let Some((place, first)) = natural.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut line = first.to_owned();
        while is_continued(&line) {
            line.pop();
            let Some((_, next)) = natural.next() else { break };
            line.push_str(next.trim_start_matches(is_blank));
        }
        lines.push((place + 1, line));
    }
    lines
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

/// An even number of backslashes at the end is that many halves of an escaped one.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The key ends at the first `=`, `:` or blank that no backslash stands before.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character| {
        let ends = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
        escaped = character == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank))
}

/// UTF-16 in between, because `\uXXXX` is one half of a character outside of the first 65,536.
fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let plain = match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('u')) => {
                units.push(code_unit(&mut characters)?);
                continue;
            }
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\x0c',
            ('\\', Some(other)) => other,
            (character, _) => character,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half of a character: \\uD800 to \\uDFFF come in pairs".to_owned())
}

fn code_unit(characters: &mut std::str::Chars<'_>) -> Result<u16, String> {
    let digits: String = characters.by_ref().take(4).collect();
    let all_hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let unit = all_hex.then(|| u16::from_str_radix(&digits, 16).ok()).flatten();
    unit.ok_or_else(|| format!("\\u{digits} is no character: \\u is followed by four hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file says, one setting per line.
    fn read(text: &str) -> String {
        let (entries, malformed) = parse(text);
        let entries = entries.iter().map(|entry| format!("{}: {:?} = {:?}\n", entry.line, entry.key, entry.value));
        let malformed = malformed.iter().map(|malformed| format!("{}: {}\n", malformed.line, malformed.why));
        entries.chain(malformed).collect()
    }

    #[test]
    fn there_are_four_ways_to_separate_a_key_from_its_value() {
        let text = "a=1\nb : 2\nc 3\n  d\t=\t4\ne\nf==\ng = = h\n";
        assert_eq!(
            read(text),
            "1: \"a\" = \"1\"\n2: \"b\" = \"2\"\n3: \"c\" = \"3\"\n4: \"d\" = \"4\"\n\
             5: \"e\" = \"\"\n6: \"f\" = \"=\"\n7: \"g\" = \"= h\"\n"
        );
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines_only() {
        assert_eq!(
            read("# one\n\n   ! three\n \t \na=b # part of the value\n"),
            "5: \"a\" = \"b # part of the value\"\n"
        );
        assert_eq!(read("# a comment does not go on\\\na=1\n"), "2: \"a\" = \"1\"\n");
        assert_eq!(read(""), "");
        assert_eq!(read("\u{feff}a=1"), "1: \"a\" = \"1\"\n");
    }

    #[test]
    fn a_line_goes_on_after_an_odd_number_of_backslashes() {
        assert_eq!(read("seeds=a,\\\n      b,\\\n\tc\nnext=1"), "1: \"seeds\" = \"a,b,c\"\n4: \"next\" = \"1\"\n");
        assert_eq!(read("path=c:\\\\\nnext=1"), "1: \"path\" = \"c:\\\\\"\n2: \"next\" = \"1\"\n");
        assert_eq!(read("a=1\\\n# not a comment"), "1: \"a\" = \"1# not a comment\"\n");
        assert_eq!(read("a=1\\"), "1: \"a\" = \"1\"\n");
    }

    #[test]
    fn lines_end_as_on_any_system() {
        assert_eq!(read("a=1\r\nb=2\rc=3\n"), "1: \"a\" = \"1\"\n2: \"b\" = \"2\"\n3: \"c\" = \"3\"\n");
        assert_eq!(read("a=1,\\\r\n  2\r\n"), "1: \"a\" = \"1,2\"\n");
    }

    #[test]
    fn escapes_stand_for_characters() {
        assert_eq!(read("a\\ b\\=c\\:=x"), "1: \"a b=c:\" = \"x\"\n");
        assert_eq!(read("a=\\t\\n\\q\\u00fc\\ud83d\\udc26"), "1: \"a\" = \"\\t\\nqü🐦\"\n");
    }

    #[test]
    fn lines_that_cannot_be_read_do_not_hide_the_others() {
        assert_eq!(
            read("a=\\u12\nb=\\uwxyz\nc=\\ud83d\nd=4\n"),
            "4: \"d\" = \"4\"\n\
             1: \\u12 is no character: \\u is followed by four hexadecimal digits\n\
             2: \\uwxyz is no character: \\u is followed by four hexadecimal digits\n\
             3: half of a character: \\uD800 to \\uDFFF come in pairs\n"
        );
    }
}
