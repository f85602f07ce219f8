//! Jinja templates that print what Jinja2 prints.
//!
//! lm-evaluation-harness renders with `Environment(undefined=StrictUndefined, keep_trailing_newline=True)` and a
//! `regex_replace` filter. Values are printed as Python's `str` does, since a rendered list is read back with
//! `ast.literal_eval`.

use std::sync::Arc;

use miette::Diagnostic;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};
use thiserror::Error;

use super::cell_value::value_of_row;
use super::jinja::base_environment;
use super::nesting::too_deep;
use super::percent;
use super::size_limits::{FUEL, MAX_RENDERED, Rendered};
use super::spelling::closest;
use super::yaml_value::Place;
use crate::vocabulary::{Cell, Row};

/// A template that does not compile, or cannot be rendered with a document's columns.
#[derive(Debug, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum TemplateError {
    /// The source is not a valid template.
    #[error("{place}: bad template: {what}")]
    #[diagnostic(help(
        "templates are Jinja as in lm-evaluation-harness: `{{{{column}}}}`, `{{% if .. %}}`, filters and Python's string methods"
    ))]
    Syntax {
        /// Position of the template, or of its faulty line.
        place: Place,
        what: String,
    },
    /// A column that the document does not have.
    #[error("{place}: unknown column `{name}` in the template; the columns are {columns}")]
    #[diagnostic(help("{hint}"))]
    UnknownColumn {
        place: Place,
        name: String,
        /// The columns that the document has.
        columns: String,
        hint: String,
    },
    /// Any other failure to render.
    #[error("{place}: the template failed: {what}")]
    #[diagnostic(help(
        "the template compiles, but not on this document: look at the row's values with `assay tasks NAME`"
    ))]
    Render { place: Place, what: String },
}

/// A document's columns as templates see them.
#[derive(Debug, Clone)]
pub struct Columns {
    row: Arc<Row>,
    value: Value,
}

impl Columns {
    /// Converts a row once, however many templates read it.
    pub fn new(row: Row) -> Self {
        let value = value_of_row(&row);
        Self { row: Arc::new(row), value }
    }

    /// Whether the template is a column's name rather than a template.
    pub fn has(&self, template: &Template) -> bool {
        self.row.contains_key(template.source())
    }
}

/// A compiled template, or a column's name.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    source: Arc<str>,
    place: Place,
    block: bool,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:?} at {})", self.source, self.place)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

const NAME: &str = "template";

impl Template {
    /// Compiles `source`, which begins at `place` (on the line after it if it is a block scalar).
    ///
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn new(source: &str, place: &Place, block: bool) -> Result<Self, TemplateError> {
        let mut environment = base_environment().clone();
        // Jinja2 turns all line breaks of a template into line feeds.
        let normal = source.replace("\r\n", "\n").replace('\r', "\n");
        if let Some((line, what)) = too_deep(&normal) {
            let place = if block { line_below(place, line) } else { place.clone() };
            return Err(TemplateError::Syntax { place, what });
        }
        environment
            .add_template_owned(NAME, percent::rewrite(&normal).into_owned())
            .map_err(|e| TemplateError::Syntax { place: line_of(place, block, &e), what: one_line(&e) })?;
        Ok(Self { environment: Arc::new(environment), source: source.into(), place: place.clone(), block })
    }

    /// Whether this is one expression, `{{ .. }}`, whose value is a text already before it is printed.
    pub fn is_text(&self, columns: &Columns) -> bool {
        let source = percent::rewrite(self.source.trim());
        let inner = source.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let Some(inner) = inner.filter(|inner| !["{{", "}}", "{%"].iter().any(|brace| inner.contains(brace)))
        else {
            return false;
        };
        let expression = self.environment.compile_expression(inner.trim_matches('-'));
        let value = expression.and_then(|expression| expression.eval(columns.value.clone()));
        value.is_ok_and(|value| value.kind() == ValueKind::String)
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its position.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The template rendered with `columns`.
    ///
    /// # Errors
    /// A column that is not there, or any failure of a filter or method.
    pub fn render(&self, columns: &Columns) -> Result<String, TemplateError> {
        // Text without braces renders as itself: most delimiters and descriptions.
        if !self.source.contains(['{', '\r']) {
            return Ok(self.source.to_string());
        }
        let template = self.environment.get_template(NAME).map_err(|e| self.failure(&e, columns))?;
        let mut rendered = Rendered::default();
        match template.render_captured_to(columns.value.clone(), &mut rendered) {
            Ok(_) => Ok(rendered.into_text()),
            Err(_) if rendered.full => Err(TemplateError::Render {
                place: self.place.clone(),
                what: format!("it renders more than {MAX_RENDERED} bytes"),
            }),
            Err(error) => Err(self.failure(&error, columns)),
        }
    }

    /// If the source is a column's name, that column's value as it is in the row; otherwise the rendered
    /// text.
    ///
    /// lm-evaluation-harness: `doc[field] if field in features else apply_template(field, doc)`.
    pub fn value(&self, columns: &Columns) -> Result<Cell, TemplateError> {
        match columns.row.get(&*self.source) {
            Some(Cell::Refused(why)) => {
                Err(TemplateError::Render { place: self.place.clone(), what: why.to_string() })
            }
            Some(value) => Ok(value.clone()),
            None => self.render(columns).map(Cell::Text),
        }
    }

    fn failure(&self, error: &Error, columns: &Columns) -> TemplateError {
        let place = line_of(&self.place, self.block, error);
        // minijinja reports a method or an operator on an undefined value as another kind of error.
        let undefined = error.kind() == ErrorKind::UndefinedError || one_line(error).contains("undefined");
        if undefined && let Ok(template) = self.environment.get_template(NAME) {
            let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
            let mut unknown: Vec<String> = template
                .undeclared_variables(false)
                .into_iter()
                .filter(|name| !columns.row.contains_key(name) && !globals.contains(&name.as_str()))
                .collect();
            unknown.sort();
            if let Some(name) = unknown.into_iter().next() {
                let names: Vec<&str> = columns.row.keys().map(String::as_str).collect();
                let hint = match closest(&name, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`assay tasks NAME` shows the columns of a task's dataset".to_string(),
                };
                return TemplateError::UnknownColumn { place, name, columns: names.join(", "), hint };
            }
        }
        TemplateError::Render { place, what: one_line(error) }
    }
}

/// Position of a line of the block scalar whose `|` is at `place`.
fn line_below(place: &Place, line: usize) -> Place {
    Place { line: place.line + line, column: 1, ..place.clone() }
}

fn line_of(place: &Place, block: bool, error: &Error) -> Place {
    let line = error.line().unwrap_or(1);
    match (block, line) {
        (true, line) => line_below(place, line),
        (false, _) => {
            let column = error.range().map_or(0, |range| range.start);
            Place { column: place.column + column, ..place.clone() }
        }
    }
}

/// An error of minijinja, in one line.
pub fn one_line(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("it takes more than {FUEL} steps, of which 64 bytes of text are one");
    }
    let detail = error.detail().map(str::to_string).unwrap_or_else(|| error.kind().to_string());
    let snippet = error
        .range()
        .and_then(|range| error.template_source().and_then(|source| source.get(range)))
        .map(|code| format!(" (at `{code}`)"))
        .unwrap_or_default();
    format!("{detail}{snippet}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn template(source: &str) -> Result<Template, TemplateError> {
        let place = Place { path: std::path::Path::new("t.yaml").into(), line: 3, column: 14 };
        Template::new(source, &place, false)
    }

    fn render(source: &str, row: Json) -> Result<String, TemplateError> {
        let Cell::Struct(row) = Cell::from(row) else { unreachable!("rows are objects") };
        template(source)?.render(&Columns::new(row))
    }

    #[test]
    fn prints_what_jinja2_prints() {
        // jinja2.Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(..).render(..)
        for (source, row, expected) in [
            ("{{a}} {{b}} {{c}} {{d}}", json!({"a": true, "b": null, "c": 1.0, "d": 7}), "True None 1.0 7"),
            ("{{x}}", json!({"x": ["it's", "a\n\"b\"", 2]}), "[\"it's\", 'a\\n\"b\"', 2]"),
            ("{{x}}", json!({"x": {"k": [1.5, false]}}), "{'k': [1.5, False]}"),
            ("Question: {{q}}\nAnswer:\n", json!({"q": "why?"}), "Question: why?\nAnswer:\n"),
            ("{{q.strip().capitalize()}}", json!({"q": "\u{1f} hELLO World "}), "Hello world"),
            ("{{x.index('b')}}", json!({"x": ["a", "b"]}), "1"),
            ("{{'ABCDE'.find(k) if k in 'ABCDE' else (k|int) - 1}}", json!({"k": "3"}), "2"),
            ("{{x + y}}", json!({"x": ["a"], "y": ["b"]}), "['a', 'b']"),
            ("{{t | regex_replace('\\[.*?\\]', '')}}", json!({"t": "a [x] b"}), "a  b"),
            ("{{t | regex_replace('\\\\<br\\\\>', ' ')}}", json!({"t": "a<br>b"}), "a b"),
            ("{{t | regex_search('\\\\<b\\\\>(\\\\w+)')}}", json!({"t": "b <b>é٣ि"}), "é٣"),
            (
                "{% for c in cs %}{{loop.index}}. {{c}}\n{% endfor %}",
                json!({"cs": ["a", "b"]}),
                "1. a\n2. b\n",
            ),
            ("{{ {'1': 'A'}.get(k, k) }}", json!({"k": "1"}), "A"),
            ("{{'%s' if false else t.split('_', 1)[1]}}", json!({"t": "a_b_c"}), "b_c"),
            ("<{{h}}>", json!({"h": "<&>"}), "<<&>>"),
        ] {
            assert_eq!(render(source, row).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn an_unknown_column_is_named_with_a_guess() {
        let error = render("{{questoin}}", json!({"question": "q", "answer": "a"})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "t.yaml:3:16: unknown column `questoin` in the template; the columns are question, answer"
        );
        assert_eq!(error.help().unwrap().to_string(), "did you mean `question`?");
    }

    #[test]
    fn a_bad_template_says_where() {
        assert!(template("{{ a").unwrap_err().to_string().starts_with("t.yaml:3:"));
        assert!(render("{{ a | nothing }}", json!({"a": 1})).unwrap_err().to_string().contains("nothing"));
        assert!(render("{{ a.b.c }}", json!({"a": {"b": {}}})).is_err(), "undefined attributes are errors");
    }

    #[test]
    fn endless_templates_end() {
        let source = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(render(source, json!({})).is_err());
    }

    #[test]
    fn a_column_name_is_the_column() {
        let row = Row::from_iter([("endings".to_string(), Cell::from(json!(["a", "b"])))]);
        assert_eq!(
            template("endings").unwrap().value(&Columns::new(row)).unwrap(),
            Cell::from(json!(["a", "b"]))
        );
    }
}
