//! YAML as data, with the position of each value.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A position in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's path as given.
    pub path: Arc<Path>,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
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
    Int(i64),
    Float(f64),
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

/// A mapping's key and its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub place: Place,
}

/// A value and its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub yaml: Yaml,
    /// Position of its first character.
    pub place: Place,
    /// Whether it is a block scalar (`|` or `>`), whose text begins on the next line.
    pub block: bool,
}

impl Node {
    /// The value as JSON, for records and for data given in a task file. A function becomes the text
    /// `!function NAME`.
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
