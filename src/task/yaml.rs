//! YAML as PyYAML reads it, with the position of every value.
//!
//! Task files are written for PyYAML, so plain scalars follow YAML 1.1 as its safe loader resolves them: `yes` is a boolean,
//! `010` is eight, `1e5` is a string.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use miette::Diagnostic;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use thiserror::Error;

use super::scalar::resolve;
use super::yaml_value::{Key, Node, Place, Yaml};

/// A file that is not YAML, or uses YAML features that task files do not.
#[derive(Debug, Error, Diagnostic)]
#[error("{place}: {what}")]
#[diagnostic(
    code(assay::input),
    help(
        "task files are YAML as PyYAML's safe loader reads it: check the indentation and the quotes around `{{{{`"
    )
)]
pub struct YamlError {
    place: Place,
    what: String,
}

/// Maximum bytes of a file: far more than any task file has.
const MAX_BYTES: usize = 8 << 20;

/// Maximum values of a file, those repeated by anchors and aliases included; more is an attack or an
/// accident. 32 bytes of a repeated text count as a value.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;

/// Maximum lines of a file that may be indented further; see [`reindented`].
const MAX_REINDENTED: usize = 1000;

/// A document, and the keys in it that occur twice in one mapping: the last one counts, as for PyYAML.
pub struct Document {
    pub root: Node,
    pub repeated: Vec<Key>,
}

/// Reads one YAML document in which no key occurs twice.
///
/// # Errors
/// As [`parse_document`], and a repeated key.
pub fn parse(source: &str, path: Arc<Path>) -> Result<Node, YamlError> {
    let Document { root, repeated } = parse_document(source, path)?;
    match repeated.into_iter().next() {
        None => Ok(root),
        Some(Key { name, place }) => {
            Err(YamlError { place, what: format!("key `{name}` stands twice in one mapping") })
        }
    }
}

/// Reads one YAML document.
///
/// # Errors
/// Bad syntax, unknown tags, keys that are not text, whole numbers or booleans, more than one document.
pub fn parse_document(source: &str, path: Arc<Path>) -> Result<Document, YamlError> {
    if source.len() > MAX_BYTES {
        let place = Place { path, line: 1, column: 1 };
        let what = format!("the file has {} bytes, expected at most {MAX_BYTES}", source.len());
        return Err(YamlError { place, what });
    }
    let mut shifts = HashMap::new();
    let mut fault = match parse_strictly(source, path.clone(), &shifts) {
        Err(fault) if fault.what.starts_with(UNDER_INDENTED) => fault,
        result => return result,
    };
    // Every line break of YAML means a line feed, the only one that is searched for below.
    let mut text = source.replace("\r\n", "\n").replace('\r', "\n");
    while shifts.len() < MAX_REINDENTED && text.len() <= MAX_BYTES {
        let Some(deeper) = reindented(&text, &fault, &mut shifts) else { break };
        text = deeper;
        match parse_strictly(&text, path.clone(), &shifts) {
            Err(next) if next.what.starts_with(UNDER_INDENTED) => fault = next,
            result => return result,
        }
    }
    Err(fault)
}

/// The parser's error for a line inside quotes or brackets that is indented less than the mapping around it.
const UNDER_INDENTED: &str = "invalid indentation";

/// `text` with the lines that caused the fault indented further.
///
/// PyYAML ignores how far lines inside quotes or brackets are indented, and the blanks have no meaning there;
/// the parser requires more indentation than that of the mapping around them. `shifts` records the blanks
/// added to each line, so that positions stay correct.
fn reindented(text: &str, fault: &YamlError, shifts: &mut HashMap<usize, usize>) -> Option<String> {
    let (line, column) = (fault.place.line, fault.place.column);
    let first = text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>();
    let rest = text.get(first..)?;
    let indent = if fault.what == UNDER_INDENTED { 64 } else { column };
    let blanks = " ".repeat(indent);
    let mut out = text[..first].to_string();
    let opening = column - 1 + shifts.get(&line).copied().unwrap_or(0);
    let mut deepen = |line: usize| shifts.insert(line, indent).is_none();
    if fault.what == UNDER_INDENTED || !fault.what.ends_with("quoted scalar") {
        deepen(line).then_some(())?;
        return Some(out + &blanks + rest);
    }
    let opening = rest.char_indices().nth(opening)?;
    let (mut at, quote) = (line, opening.1);
    let mut chars = rest.char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        out.push(c);
        if offset <= opening.0 {
            continue;
        }
        match c {
            '\\' if quote == '"' => {
                if let Some((_, escaped)) = chars.next_if(|(_, c)| *c != '\n') {
                    out.push(escaped);
                }
            }
            c if c == quote => match chars.next_if(|(_, c)| quote == '\'' && *c == quote) {
                Some((_, c)) => out.push(c),
                None => {
                    out.push_str(&rest[offset + 1..]);
                    return (at > line).then_some(out);
                }
            },
            '\n' => {
                at += 1;
                deepen(at).then_some(())?;
                out.push_str(&blanks);
                (out.len() <= MAX_BYTES).then_some(())?;
            }
            _ => {}
        }
    }
    None
}

fn parse_strictly(
    source: &str,
    path: Arc<Path>,
    shifts: &HashMap<usize, usize>,
) -> Result<Document, YamlError> {
    let mut builder = Builder { path, anchors: HashMap::new(), nodes: 0, repeated: Vec::new(), shifts };
    let mut events = Parser::new_from_str(source);
    let start = builder.place_at(1, 1);
    let mut root = None;
    while let Some(event) = events.next_event() {
        let (event, span) = event.map_err(|e| builder.scan_error(&e))?;
        match event {
            Event::StreamStart
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamEnd
            | Event::Nothing => {}
            event if root.is_none() => root = Some(builder.node(event, span, &mut events, 0)?),
            _ => return Err(builder.error(span, "expected one YAML document, found a second")),
        }
    }
    let root = root.unwrap_or(Node { yaml: Yaml::Null, place: start, block: false });
    Ok(Document { root, repeated: builder.repeated })
}

struct Builder<'a> {
    path: Arc<Path>,
    /// By id: the value, its size and the number of levels below it.
    anchors: HashMap<usize, (Rc<Node>, usize, usize)>,
    nodes: usize,
    repeated: Vec<Key>,
    shifts: &'a HashMap<usize, usize>,
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

impl Builder<'_> {
    fn place_at(&self, line: usize, column: usize) -> Place {
        let column = column.saturating_sub(self.shifts.get(&line).copied().unwrap_or(0)).max(1);
        Place { path: self.path.clone(), line, column }
    }

    fn place(&self, span: Span) -> Place {
        self.place_at(span.start.line(), span.start.col() + 1)
    }

    fn error(&self, span: Span, what: impl Into<String>) -> YamlError {
        YamlError { place: self.place(span), what: what.into() }
    }

    fn scan_error(&self, error: &saphyr_parser::ScanError) -> YamlError {
        let marker = error.marker();
        YamlError { place: self.place_at(marker.line(), marker.col() + 1), what: error.info().to_lowercase() }
    }

    fn next<'a>(&self, events: &mut Events<'a>) -> Result<(Event<'a>, Span), YamlError> {
        match events.next_event() {
            Some(event) => event.map_err(|e| self.scan_error(&e)),
            None => {
                Err(YamlError { place: self.place_at(1, 1), what: "the document ends in its middle".into() })
            }
        }
    }

    fn node(
        &mut self,
        event: Event<'_>,
        span: Span,
        events: &mut Events<'_>,
        depth: usize,
    ) -> Result<Node, YamlError> {
        self.count(1, depth, span)?;
        let place = self.place(span);
        let (yaml, anchor, block) = match event {
            Event::Alias(id) => {
                let Some((node, size, height)) = self.anchors.get(&id) else {
                    return Err(self.error(span, "unknown alias"));
                };
                let (node, size, height) = (node.clone(), *size, *height);
                self.count(size, depth + height, span)?;
                return Ok(Node { place, ..(*node).clone() });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                (self.scalar(&text, style, tag.as_deref(), span)?, anchor, block)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next(events)?;
                    if matches!(event, Event::SequenceEnd) {
                        break (Yaml::List(items), anchor, false);
                    }
                    items.push(self.node(event, span, events, depth + 1)?);
                }
            }
            Event::MappingStart(anchor, _) => (self.mapping(events, depth)?, anchor, false),
            _ => return Err(self.error(span, "unexpected end of a collection")),
        };
        let node = Node { yaml, place, block };
        if anchor != 0 {
            let (size, height) = extent(&node);
            self.count(size, depth, span)?;
            self.anchors.insert(anchor, (Rc::new(node.clone()), size, height));
        }
        Ok(node)
    }

    /// Counts values, the deepest of them at `depth`, before they are built.
    fn count(&mut self, values: usize, depth: usize, span: Span) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(values);
        if depth <= MAX_DEPTH && self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(self.error(span, format!("nested deeper than {MAX_DEPTH} or larger than {MAX_NODES} values")))
    }

    fn mapping(&mut self, events: &mut Events<'_>, depth: usize) -> Result<Yaml, YamlError> {
        let mut names = HashSet::new();
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next(events)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span, events, depth + 1)?;
            let name = match &key.yaml {
                Yaml::Text(text) => text.clone(),
                Yaml::Int(i) => i.to_string(),
                Yaml::Bool(b) => if *b { "True" } else { "False" }.to_string(),
                other => return Err(self.error(span, format!("expected a key, found {}", other.kind()))),
            };
            let (event, value_span) = self.next(events)?;
            let value = self.node(event, value_span, events, depth + 1)?;
            if name == "<<" {
                match value.yaml {
                    Yaml::Map(inner) => merged.extend(inner),
                    Yaml::List(list) => {
                        for item in list {
                            if let Yaml::Map(inner) = item.yaml {
                                merged.extend(inner);
                            }
                        }
                    }
                    other => {
                        return Err(
                            self.error(value_span, format!("`<<` merges mappings, found {}", other.kind()))
                        );
                    }
                }
            } else if !names.insert(name.clone()) {
                self.repeated.push(Key { name: name.clone(), place: key.place });
                for (known, earlier) in &mut entries {
                    if known.name == name {
                        *earlier = value.clone();
                    }
                }
            } else {
                entries.push((Key { name, place: key.place }, value));
            }
        }
        for (key, value) in merged {
            if names.insert(key.name.clone()) {
                entries.push((key, value));
            }
        }
        Ok(Yaml::Map(entries))
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Yaml, YamlError> {
        match tag {
            Some(tag) if tag.suffix == "function" => Ok(Yaml::Function(text.to_string())),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Yaml::Text(text.to_string())),
            Some(tag) if tag.is_yaml_core_schema() => Ok(resolve(text)),
            Some(tag) => Err(self.error(span, format!("unknown tag `!{}`", tag.suffix))),
            None if style == ScalarStyle::Plain => Ok(resolve(text)),
            None => Ok(Yaml::Text(text.to_string())),
        }
    }
}

/// How many values `node` counts as, and how many levels lie below it.
pub fn extent(node: &Node) -> (usize, usize) {
    let (mut size, mut height) = (1, 0);
    let mut add = |inner: &Node| {
        let (values, levels) = extent(inner);
        size += values;
        height = height.max(levels + 1);
    };
    match &node.yaml {
        Yaml::List(items) => items.iter().for_each(add),
        Yaml::Map(entries) => entries.iter().for_each(|(_, value)| add(value)),
        Yaml::Text(text) | Yaml::Function(text) => size += text.len() / 32,
        _ => {}
    }
    if let Yaml::Map(entries) = &node.yaml {
        size += entries.iter().map(|(key, _)| key.name.len() / 32).sum::<usize>();
    }
    (size, height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(source: &str) -> Result<Node, YamlError> {
        parse(source, Path::new("x.yaml").into())
    }

    #[test]
    fn scalars_are_pyyamls() {
        // yaml.safe_load of the same text
        let node = read(
            "a: yes\nb: 010\nc: 1e5\nd: 1.0e+5\ne: \"no\"\nf: ~\ng: 0x1F\nh: 1_000\ni: .5\nj: off\nk: 3.\nl: y\nm: -7",
        );
        assert_eq!(
            node.unwrap().to_json(),
            json!({"a": true, "b": 8, "c": "1e5", "d": 100000.0, "e": "no", "f": null, "g": 31, "h": 1000, "i": 0.5,
                "j": false, "k": 3.0, "l": "y", "m": -7})
        );
    }

    #[test]
    fn anchors_merges_and_functions() {
        let node = read(
            "base: &b {x: 1, y: 2}\nchild:\n  <<: *b\n  y: 3\nf: !function utils.go\ntext: |\n  a\n  b\n",
        );
        assert_eq!(
            node.unwrap().to_json(),
            json!({"base": {"x": 1, "y": 2}, "child": {"y": 3, "x": 1}, "f": "!function utils.go", "text": "a\nb\n"})
        );
    }

    #[test]
    fn errors_say_where() {
        for (source, place) in [
            ("a: 1\nb: [1, 2", "x.yaml:3:1"),
            ("a: 1\na: 2", "x.yaml:2:1: key `a` stands twice"),
            ("a: !new 1", "x.yaml:1:4: unknown tag `!new`"),
            ("a: 1\n---\nb: 2", "x.yaml:3"),
        ] {
            let error = read(source).unwrap_err().to_string();
            assert!(error.starts_with(place), "{source:?}: {error}");
        }
    }

    #[test]
    fn lines_in_quotes_and_brackets_may_stand_anywhere() {
        // yaml.safe_load of the same text
        let source =
            "a:\n  b: 'one\ntwo ''x''\n\n three'\n  c: [\n1, \"x\n\\\"y\"\n]\n  d: {\n e: 1\n  }\nf: 2\n";
        assert_eq!(
            read(source).unwrap().to_json(),
            json!({"a": {"b": "one two 'x'\nthree", "c": [1, "x \"y"], "d": {"e": 1}}, "f": 2})
        );
        let error = read("a:\n  b: 'one\ntwo'\n  b: 1\n").unwrap_err().to_string();
        assert_eq!(error, "x.yaml:4:3: key `b` stands twice in one mapping");
        assert!(read("a:\n  b: 'one\ntwo\n").is_err());
        assert_eq!(read("a:\n  b: \"x\ry\"").unwrap().to_json(), json!({"a": {"b": "x y"}}));
        assert_eq!(read("a:\nb: \"\r\"").unwrap().to_json(), json!({"a": null, "b": " "}));
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut source = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let previous = format!("*a{}", i - 1);
            source += &format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 10].join(", "));
        }
        assert!(read(&source).unwrap_err().to_string().contains("larger than"));
        // Each alias lies deeper than the one before it.
        let mut source = String::from("a0: &a0 [x]\n");
        for i in 1..100 {
            source += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
        }
        assert!(read(&source).unwrap_err().to_string().contains("nested deeper than"));
        let source = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a, ".repeat(100));
        assert!(read(&source).unwrap_err().to_string().contains("larger than"));
        for deep in ["[", "{a: ", "- ", "? ", "&a [", "!!seq [", "a: [", "[a: "] {
            assert!(read(&deep.repeat(20_000)).is_err(), "{deep}");
        }
        assert!(read(&"#".repeat(MAX_BYTES + 1)).unwrap_err().to_string().contains("expected at most"));
    }
}
