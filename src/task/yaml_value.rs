//! YAML as data, with the place where each value stands.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where something stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub path: Arc<Path>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping with string keys, in the file's order.
    Map(Vec<(Key, Node)>),
    /// `!function module.name`: Python code, which `assay` does not run.
    Function(String),
}

impl Yaml {
    /// What the value is, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "a boolean",
            Yaml::Int(_) => "a whole number",
            Yaml::Float(_) => "a number",
            Yaml::Text(_) => "text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
            Yaml::Function(_) => "a Python function",
        }
    }
}

/// A mapping's key and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The key's text.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub yaml: Yaml,
    /// Where its first character stands.
    pub place: Place,
    /// Whether it is a block scalar (`|` or `>`), whose text begins on the next line.
    pub block: bool,
}

impl Node {
    /// The value as JSON, for records and for data given in a task file. A function becomes its name.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.yaml {
            Yaml::Null => Value::Null,
            Yaml::Bool(b) => Value::Bool(*b),
            Yaml::Int(i) => Value::from(*i),
            Yaml::Float(x) => Value::from(*x),
            Yaml::Text(text) => Value::from(text.as_str()),
            Yaml::Function(name) => Value::from(format!("!function {name}")),
            Yaml::List(items) => items.iter().map(Node::to_json).collect(),
            Yaml::Map(entries) => {
                Value::Object(entries.iter().map(|(k, v)| (k.name.clone(), v.to_json())).collect())
            }
        }
    }
}
