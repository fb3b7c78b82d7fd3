//! From the text of a `.wire` file to its [`Api`].

use super::schema::{AnsweredBy, Api, Field, KINDS, Kind, Struct, Versions};

/// The line, counted from one, and what is wrong with it.
type Result<T> = std::result::Result<T, (usize, String)>;

/// How much deeper a structure's fields stand.
const INDENT: usize = 2;

/// A line that says something: where it is, how deep, its words and the comment that belongs to it.
struct Line<'a> {
    number: usize,
    depth: usize,
    words: Vec<&'a str>,
    doc: Vec<String>,
}

pub fn api(text: &str) -> Result<Api> {
    let mut lines = lines(text)?.into_iter().peekable();
    let Some(head) = lines.next() else { return Err((1, "the file is empty: expected an `api` line".to_owned())) };
    let mut api = head_line(&head)?;

    for (section, in_request) in [("request", true), ("response", false)] {
        match lines.next() {
            Some(line) if line.depth == 0 && line.words == [section] => {}
            Some(line) => return Err((line.number, format!("expected the line `{section}`"))),
            None => return Err((head.number, format!("there is no line `{section}`"))),
        }
        let mut body = Vec::new();
        while let Some(line) = lines.next_if(|line| line.depth > 0) {
            body.push(line);
        }
        let lines = body.into_iter().peekable();
        let mut fields = Fields { lines, versions: api.versions, in_request, structs: &mut api.structs };
        let found = fields.at_depth(1)?;
        *(if in_request { &mut api.request } else { &mut api.response }) = found;
    }
    match lines.next() {
        Some(line) => Err((line.number, "nothing may follow the response".to_owned())),
        None => Ok(api),
    }
}

fn lines(text: &str) -> Result<Vec<Line<'_>>> {
    let mut lines = Vec::new();
    let mut above = Vec::new();
    for (number, raw) in (1..).zip(text.lines()) {
        let (code, comment) = match raw.split_once('#') {
            Some((code, comment)) => (code, Some(comment.trim().to_owned())),
            None => (raw, None),
        };
        let words: Vec<&str> = code.split_whitespace().collect();
        if words.is_empty() {
            above.extend(comment);
            continue;
        }
        let spaces = code.len() - code.trim_start_matches(' ').len();
        if code.contains('\t') || spaces % INDENT != 0 {
            return Err((number, format!("indent by multiples of {INDENT} spaces, without tabs")));
        }
        let mut doc = std::mem::take(&mut above);
        doc.extend(comment);
        lines.push(Line { number, depth: spaces / INDENT, words, doc });
    }
    Ok(lines)
}

const HEAD: &str = "api KEY NAME versions A-B flexible N+|none \
                    answered by broker|leader|coordinator|controller [advertised A-B]";

fn head_line(line: &Line<'_>) -> Result<Api> {
    let wrong = |what: &str| (line.number, format!("{what}: expected `{HEAD}`"));
    let (versions, flexible, answered_by, advertised) = match line.words[..] {
        ["api", _, _, "versions", versions, "flexible", flexible, "answered", "by", who] => {
            (versions, flexible, who, versions)
        }
        ["api", _, _, "versions", versions, "flexible", flexible, "answered", "by", who, "advertised", advertised] => {
            (versions, flexible, who, advertised)
        }
        _ => return Err(wrong("this is no `api` line")),
    };
    let versions = range(versions, None).ok_or_else(|| wrong("the versions are no range"))?;
    Ok(Api {
        doc: line.doc.clone(),
        line: line.number,
        key: line.words[1].parse().map_err(|_| wrong("the key is no number"))?,
        name: line.words[2].to_owned(),
        versions,
        advertised: range(advertised, None).ok_or_else(|| wrong("the advertised versions are no range"))?,
        flexible_from: match flexible {
            "none" => None,
            _ => Some(range(flexible, Some(versions.last)).ok_or_else(|| wrong("`flexible` has no version"))?.first),
        },
        answered_by: match answered_by {
            "broker" => AnsweredBy::Broker,
            "leader" => AnsweredBy::Leader,
            "coordinator" => AnsweredBy::Coordinator,
            "controller" => AnsweredBy::Controller,
            _ => return Err(wrong("nobody has that name")),
        },
        request: Vec::new(),
        response: Vec::new(),
        structs: Vec::new(),
    })
}

/// The fields of one section, and the structures found in them.
struct Fields<'a, L: Iterator<Item = Line<'a>>> {
    lines: std::iter::Peekable<L>,
    versions: Versions,
    in_request: bool,
    structs: &'a mut Vec<Struct>,
}

impl<'a, L: Iterator<Item = Line<'a>>> Fields<'a, L> {
    fn at_depth(&mut self, depth: usize) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        while let Some(line) = self.lines.next_if(|line| line.depth >= depth) {
            if line.depth > depth {
                return Err((line.number, "indented below a field that is no structure, or too far".to_owned()));
            }
            let field = field_line(&line, self.versions)?;
            if let Some(name) = field.kind.structure()
                && self.lines.peek().is_some_and(|next| next.depth > depth)
            {
                self.structure(name, field.line, depth + 1)?;
            }
            fields.push(field);
        }
        Ok(fields)
    }

    /// A structure's fields. It takes its place among the structures before those that are named inside it.
    fn structure(&mut self, name: &str, line: usize, depth: usize) -> Result<()> {
        if self.structs.iter().any(|known| known.name == name) {
            return Err((line, format!("{name} is spelled out twice: name it only, or choose another name")));
        }
        let place = self.structs.len();
        let in_request = self.in_request;
        self.structs.push(Struct { line, name: name.to_owned(), fields: Vec::new(), in_request });
        self.structs[place].fields = self.at_depth(depth)?;
        Ok(())
    }
}

const FIELD: &str = "NAME TYPE [VERSIONS] [nullable VERSIONS] [tag N] [= DEFAULT] [must]";

fn field_line(line: &Line<'_>, within: Versions) -> Result<Field> {
    let wrong = |what: String| (line.number, format!("{what}: expected `{FIELD}`"));
    let [name, kind, attributes @ ..] = &line.words[..] else {
        return Err(wrong(format!("`{}` has no type", line.words.join(" "))));
    };
    let (kind, always_nullable) = match kind.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (*kind, false),
    };
    let kind = match kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(element) => Kind::Array(Box::new(simple_kind(element, line.number)?)),
        None => simple_kind(kind, line.number)?,
    };
    let some_range = |text: &str| {
        let range = range(text, Some(within.last));
        range.ok_or_else(|| wrong(format!("`{text}` is no range of versions such as 3+ or 4-7")))
    };

    let mut words = attributes.iter().copied().peekable();
    let versions = match words.next_if(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
        Some(text) => some_range(text)?,
        None => within,
    };
    let mut nullable = always_nullable.then_some(versions);
    if words.next_if_eq(&"nullable").is_some() {
        nullable = Some(some_range(words.next().unwrap_or_default())?);
    }
    let mut tag = None;
    if words.next_if_eq(&"tag").is_some() {
        let number = words.next().unwrap_or_default();
        tag = Some(number.parse().map_err(|_| wrong(format!("`tag {number}` is no number")))?);
    }
    let mut default = None;
    if words.next_if_eq(&"=").is_some() {
        default = Some(words.next().ok_or_else(|| wrong("nothing behind `=`".to_owned()))?.to_owned());
    }
    let must = words.next_if_eq(&"must").is_some();
    match words.next() {
        Some(word) => Err(wrong(format!("`{word}` is not expected there"))),
        None => Ok(Field {
            line: line.number,
            doc: line.doc.clone(),
            name: (*name).to_owned(),
            kind,
            versions,
            nullable,
            tag,
            default,
            must,
        }),
    }
}

fn simple_kind(word: &str, line: usize) -> Result<Kind> {
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == word) {
        return Ok(kind.clone());
    }
    let is_name = word.starts_with(|first: char| first.is_ascii_uppercase()) && word.chars().all(char::is_alphanumeric);
    if is_name {
        return Ok(Kind::Struct(word.to_owned()));
    }
    let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    let known = known.join(" ");
    Err((line, format!("unknown type `{word}`: expected one of {known}, a StructureName, or one of them in [ ]")))
}

/// `4-7`, `7`, or, where `open` says how far it reaches, `4+`.
fn range(text: &str, open: Option<i16>) -> Option<Versions> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
        None => match text.strip_suffix('+') {
            Some(first) => (first.parse().ok()?, open?),
            None => (text.parse().ok()?, text.parse().ok()?),
        },
    };
    (0 <= first && first <= last).then_some(Versions { first, last })
}
