//! The compiler of `proto/kafka/*.wire`: what it makes of a small schema, and what it says to mistakes.

#[allow(dead_code, reason = "a test does not need the names of the files that a build writes")]
#[path = "../../proto/kafka/compiler/mod.rs"]
pub mod compiler;

use compiler::Source;

const SMALL: &str = "\
# Greet: say hello.
api 99 Greet   versions 0-3   flexible 2+   answered by broker

request
  names     [Name]      1+      must  # whom
    first   string
    last    string?     2-3
  loudness  int32       3   tag 0  = -1

response
  greeting  string   nullable 1+
";

fn compile(text: &str) -> Result<String, String> {
    let source = Source { path: "proto/kafka/greet.wire".to_owned(), text: text.to_owned() };
    let apis = compiler::read(&[source]).map_err(|mistake| mistake.to_string())?;
    Ok(compiler::write(&apis).into_iter().map(|output| output.text).collect())
}

#[test]
fn a_field_becomes_a_member_a_read_and_a_write() {
    let rust = compile(SMALL).unwrap();
    for line in [
        "    /// whom",
        "    pub names: Vec<Name>,",
        "names: if version >= 1 { r.array(\"names\", 2, |r| Name::read(version, r))? } else { Vec::new() },",
        "                0 if version >= 3 => it.loudness = r.int32(\"loudness\")?,",
        "            loudness: -1,",
        "            last: if version >= 2 { r.nullable_text(\"last\")? } else { None },",
        "greeting: if version >= 1 { r.nullable_text(\"greeting\")? } else { Some(r.text(\"greeting\")?) },",
        "        if version >= 2 {\n            w.nullable_text(self.last.as_ref());\n        }",
        "        } else if !self.names.is_empty() {\n            w.refuse(\"GreetRequest.names\");\n        }",
        "    Greet = 99, 0..=3, 0..=3, Some(2), Broker, greet::GreetRequest;",
    ] {
        assert!(rust.contains(&format!("{line}\n")), "{line}\nis missing in\n{rust}");
    }
}

/// Each line of the small schema, replaced by something wrong, and what is said about it.
#[test]
fn a_mistake_is_named_with_its_line_and_what_is_allowed() {
    for (right, wrong, says) in [
        ("versions 0-3", "versions 3-0", "2: the versions are no range: expected `api KEY NAME versions A-B"),
        ("by broker", "by zookeeper", "2: nobody has that name: expected"),
        ("api 99", "api many", "2: the key is no number"),
        ("Greet   v", "Wave   v", "2: Wave belongs into a file named wave.wire"),
        ("request", "question", "4: expected the line `request`"),
        ("  names ", "   names ", "5: indent by multiples of 2 spaces"),
        ("int32 ", "int31 ", "8: unknown type `int31`: expected one of bool int8"),
        ("loudness  int32       3   tag 0  = -1", "others  [Name]\n    first  string", "8: Name is spelled out twice"),
        ("1+      must", "7+      must", "5: `7+` is no range of versions"),
        ("1+      must", "1+    must  must", "5: `must` is not expected there: expected `NAME TYPE [VERSIONS]"),
        ("1+      must", "must", "5: `must` says nothing: every version has this field"),
        ("greeting  string ", "greeting  string  1+  must\n  more  string ", "11: `must` is for requests"),
        ("    first   string", "    first   Missing", "6: this structure is spelled out nowhere"),
        ("    first   string", "    first   Name", "5: Name contains itself"),
        ("    first   string", "    first   string = empty", "6: `empty` is no default here: allowed are"),
        ("    first   string", "    last   string", "7: there is a field `last` already"),
        ("    first   string", "    First   string", "6: `First` is no field name"),
        ("2-3", "2-9", "7: Greet has versions 0-3 only"),
        ("tag 0", "tag 32", "8: tags go up to 31"),
        ("3   tag 0", "1+   tag 0", "8: only flexible versions have tagged fields"),
        ("= -1", "= loud", "8: `loud` is no default here"),
        ("string   nullable 1+", "int32?", "11: only strings, bytes, records, arrays and structures can be null"),
        ("response\n", "response\n    deep int8\n", "11: indented below a field that is no structure"),
    ] {
        assert!(SMALL.contains(right), "{right} is not in the schema");
        let error = compile(&SMALL.replacen(right, wrong, 1)).expect_err(wrong);
        assert!(error.starts_with(&format!("proto/kafka/greet.wire:{says}")), "{wrong}: {error}");
    }
}
