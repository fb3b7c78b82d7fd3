//! Reads Rust just well enough to judge it: words and brackets, without what stands in comments and literals.
//!
//! A file is blanked first: everything inside comments, strings and character literals becomes spaces, so that offsets
//! and lines stay what they were. What is left is cut into tokens: words, `::`, and single signs. A string keeps its
//! two quotes, and the text between them can be asked for.
//!
//! Absent on purpose: a grammar, macros' expansions, `#[cfg]` other than `test`.

use std::ops::{Range, RangeInclusive};

/// One Rust file.
pub struct Source<'a> {
    pub path: &'a str,
    pub text: &'a str,
    code: String,
    tokens: Vec<Range<usize>>,
    line_starts: Vec<usize>,
    test_lines: Vec<RangeInclusive<usize>>,
}

/// A function that has a body.
pub struct Function {
    pub name: String,
    /// From the line of `fn` to the line of the closing brace.
    pub lines: RangeInclusive<usize>,
}

impl<'a> Source<'a> {
    pub fn read(path: &'a str, text: &'a str) -> Self {
        let code = blank(text);
        let tokens = tokens(&code);
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut source = Self { path, text, code, tokens, line_starts, test_lines: Vec::new() };
        source.test_lines = source.find_test_lines();
        source
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The text of a token; empty past the end, so that looking ahead needs no care.
    pub fn word(&self, token: usize) -> &str {
        self.tokens.get(token).map_or("", |place| &self.code[place.clone()])
    }

    /// The line of a token, counted from 1.
    pub fn line(&self, token: usize) -> usize {
        let offset = self.tokens.get(token).map_or(self.code.len(), |place| place.start);
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Whether a line is test code: in `tests/`, in a file or folder named `tests`, or under `#[cfg(test)]`.
    pub fn is_test(&self, line: usize) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Where these tokens, separated by spaces in `pattern`, follow one another.
    pub fn find(&self, pattern: &str) -> Vec<usize> {
        let words: Vec<&str> = pattern.split(' ').collect();
        let is_here = |token: &usize| words.iter().enumerate().all(|(next, word)| self.word(token + next) == *word);
        (0..self.len()).filter(is_here).collect()
    }

    /// The text of the string that begins at a token.
    pub fn string(&self, token: usize) -> Option<&'a str> {
        let (open, close) = (self.tokens.get(token)?, self.tokens.get(token + 1)?);
        (self.word(token) == "\"" && self.word(token + 1) == "\"").then(|| &self.text[open.end..close.start])
    }

    /// The token that closes the bracket opened at `open`; the end of the file if nothing does.
    pub fn close_of(&self, open: usize) -> usize {
        let mut depth = 0;
        for token in open..self.len() {
            match self.word(token) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return token;
            }
        }
        self.len()
    }

    pub fn functions(&self) -> Vec<Function> {
        let is_named = |token: &usize| self.word(*token) == "fn" && is_word(self.word(token + 1));
        let with_body = |token| {
            let body = self.body_of(token);
            (self.word(body) == "{").then(|| Function {
                name: self.word(token + 1).to_owned(),
                lines: self.line(token)..=self.line(self.close_of(body)),
            })
        };
        (0..self.len()).filter(is_named).filter_map(with_body).collect()
    }

    /// The modules written inside this file: their names and tokens, outer ones first.
    pub fn inline_modules(&self) -> Vec<(&str, Range<usize>)> {
        let is_inline = |token: &usize| self.word(*token) == "mod" && self.word(token + 2) == "{";
        let module = |token| (self.word(token + 1), token + 2..self.close_of(token + 2));
        (0..self.len()).filter(is_inline).map(module).collect()
    }

    fn find_test_lines(&self) -> Vec<RangeInclusive<usize>> {
        let attribute = "# [ cfg ( test ) ]";
        let after = attribute.split(' ').count();
        let lines = |token| self.line(token)..=self.line(self.close_of(self.body_of(token + after)));
        self.find(attribute).into_iter().map(lines).collect()
    }

    /// The brace that opens the body of the item at `token`, or the semicolon of one that has none.
    fn body_of(&self, mut token: usize) -> usize {
        while !matches!(self.word(token), "{" | ";" | "") {
            token = match self.word(token) {
                "(" | "[" => self.close_of(token) + 1,
                _ => token + 1,
            };
        }
        token
    }
}

pub fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The text with the insides of comments and literals turned into spaces, byte for byte.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    while code.len() < text.len() {
        let rest = &text[code.len()..];
        match hidden(rest) {
            Some(length) => hide(&rest[..length], &mut code),
            None => code.push_str(&rest[..step(rest)]),
        }
    }
    code
}

/// The length of the word, or of the one sign, that `rest` begins with.
fn step(rest: &str) -> usize {
    let word = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len());
    word.max(rest.chars().next().map_or(0, char::len_utf8))
}

/// Writes a comment or literal as blanks; a string keeps its quotes, everything keeps its line breaks.
fn hide(piece: &str, code: &mut String) {
    let is_string = !piece.starts_with(['/', '\'']);
    let quotes = if is_string { [piece.find('"'), piece.rfind('"')] } else { [None, None] };
    for (at, sign) in piece.char_indices() {
        match sign {
            '\n' => code.push(sign),
            '"' if quotes.contains(&Some(at)) => code.push(sign),
            _ => code.extend(std::iter::repeat_n(' ', sign.len_utf8())),
        }
    }
}

/// The length of the comment or literal that `rest` begins with.
fn hidden(rest: &str) -> Option<usize> {
    match rest.as_bytes()[0] {
        b'/' if rest.starts_with("//") => Some(rest.find('\n').unwrap_or(rest.len())),
        b'/' if rest.starts_with("/*") => Some(block_comment(rest)),
        b'\'' => character(rest),
        b'"' => Some(string(rest)),
        b'r' | b'b' | b'c' => prefixed_string(rest),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let two = &rest.as_bytes()[at..rest.len().min(at + 2)];
        match two {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// A character literal, which a lifetime is not: `'a'`, but `'a`.
fn character(rest: &str) -> Option<usize> {
    let mut signs = rest.char_indices().skip(1);
    let (_, first) = signs.next()?;
    let (second_at, second) = signs.next()?;
    if first == '\\' {
        let escaped_end = second_at + second.len_utf8(); // past a quote that is itself escaped
        return rest[escaped_end..].find('\'').map(|end| escaped_end + end + 1);
    }
    (second == '\'').then_some(second_at + 1)
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `b"…"`, `c"…"`, and the raw ones: `r"…"`, `br#"…"#`. A raw identifier (`r#type`) is none of them.
fn prefixed_string(rest: &str) -> Option<usize> {
    let prefix = step(rest);
    let quoted = &rest[prefix..];
    match &rest[..prefix] {
        "b" | "c" if quoted.starts_with('"') => Some(prefix + string(quoted)),
        "r" | "br" | "cr" => {
            let hashes = quoted.len() - quoted.trim_start_matches('#').len();
            let inside = quoted[hashes..].strip_prefix('"')?;
            let end = format!("\"{}", "#".repeat(hashes));
            let opened = prefix + hashes + 1;
            Some(inside.find(&end).map_or(rest.len(), |at| opened + at + end.len()))
        }
        _ => None,
    }
}

fn tokens(code: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let length = if rest.starts_with("::") { 2 } else { step(rest) };
        if !rest.starts_with(char::is_whitespace) {
            tokens.push(at..at + length);
        }
        at += length;
    }
    tokens
}

/// What the lexer promises, literal by literal.
mod tests {
    use super::*;

    /// The words that count as code.
    fn words(text: &str) -> String {
        let source = Source::read("src/wire/frame.rs", text);
        (0..source.len()).map(|token| source.word(token)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_not_code() {
        assert_eq!(words("a // b \" '\nc"), "a c");
        assert_eq!(words("/// a \" b\n//! c\nd"), "d");
        assert_eq!(words("a /* b /* c */ \" d */ e"), "a e");
        assert_eq!(words("a /* never closed"), "a");
        assert_eq!(words("a / b"), "a / b");
        assert_eq!(words("a /* ü */ b"), "a b");
    }

    #[test]
    fn strings_keep_their_quotes_only() {
        assert_eq!(words(r#"f("a // b", c)"#), r#"f ( " " , c )"#);
        assert_eq!(words(r#"f("a \" b \\", c)"#), r#"f ( " " , c )"#);
        assert_eq!(words(r#"b"a" c"d" e"#), r#"" " " " e"#);
        assert_eq!(words("\"never closed"), "\"");
    }

    #[test]
    fn raw_strings_end_where_their_hashes_say() {
        assert_eq!(words(r####"r"a\" b"####), r#"" " b"#);
        assert_eq!(words(r####"r#"a "b" // c"# d"####), r#"" " d"#);
        assert_eq!(words(r####"br##"a "# b"## c"####), r#"" " c"#);
        assert_eq!(words(r####"for r#type in ber"####), "for r # type in ber");
    }

    #[test]
    fn a_character_is_not_a_lifetime() {
        assert_eq!(words("['{', '\"', '\\'', '\\\\', '\\u{7b}', b'}', 'ü'] x"), "[ , , , , , b , ] x");
        assert_eq!(words("fn f<'a, 'b>(x: &'a str) -> &'static str"), {
            "fn f < ' a , ' b > ( x : & ' a str ) - > & ' static str"
        });
    }

    #[test]
    fn lines_stay_where_they_were() {
        let source = Source::read("src/wire/frame.rs", "/* one\n two */ \"three\nfour\"\nfive 'ü' six");
        let line_of = |word: &str| source.find(word).into_iter().map(|token| source.line(token)).collect::<Vec<_>>();
        assert_eq!(line_of("five"), [4]);
        assert_eq!(line_of("six"), [4]);
        assert_eq!(source.string(0), Some("three\nfour"));
    }

    #[test]
    fn test_code_ends_with_its_block() {
        let text = "fn a() {}\n#[cfg(test)]\n#[rustfmt::skip]\nmod tests {\n  const S: &str = \"}\";\n}\nfn b() {}";
        let source = Source::read("src/wire/frame.rs", text);
        assert_eq!((1..=7).filter(|line| source.is_test(*line)).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);

        let declared = Source::read("src/wire/frame.rs", "#[cfg(test)]\nmod tests;\nfn b() {}");
        assert_eq!((1..=3).filter(|line| declared.is_test(*line)).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_function_ends_with_its_body() {
        let text = "fn a(x: [u8; 2]) -> fn(u8)\n{\n  '}';\n}\ntrait T {\n  fn declared(&self);\n  fn b() {}\n}";
        let functions = Source::read("src/wire/frame.rs", text).functions();
        let found: Vec<_> = functions.iter().map(|function| (function.name.as_str(), function.lines.clone())).collect();
        assert_eq!(found, [("a", 1..=4), ("b", 7..=7)]);
    }
}
