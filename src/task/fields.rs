//! Reads a mapping key by key, so that an unknown key is an error.

use miette::Diagnostic;
use thiserror::Error;

use super::spelling::closest;
use super::template::{Template, TemplateError};
use super::yaml::YamlError;
use super::yaml_value::{Key, Node, Place, Yaml};

/// A file that is valid YAML but not a valid task, suite or manifest.
#[derive(Debug, Error, Diagnostic)]
pub enum SchemaError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Yaml(#[from] YamlError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Template(#[from] TemplateError),
    #[error("{place}: unknown key `{name}` in {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    UnknownKey {
        place: Place,
        name: String,
        /// The mapping that contains it, in words.
        what: &'static str,
        hint: String,
    },
    /// A value of the wrong kind.
    #[error("{place}: `{key}` is {found}, expected {expected}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    WrongValue { place: Place, key: String, found: String, expected: String, hint: String },
    #[error("{place}: {what} has no `{key}`")]
    #[diagnostic(code(assay::input), help("add `{key}: {example}`"))]
    MissingKey {
        /// Where the mapping begins.
        place: Place,
        what: &'static str,
        key: &'static str,
        /// An example of its value.
        example: &'static str,
    },
    /// A feature of lm-evaluation-harness that `assay` does not support.
    #[error("{place}: `{key}` is not supported: {why}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unsupported { place: Place, key: String, why: &'static str, hint: &'static str },
}

/// A mapping whose keys are taken one at a time.
pub struct Fields {
    what: &'static str,
    place: Place,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
}

impl Fields {
    /// The mapping at `node`, called `what` in errors.
    pub fn new(node: Node, what: &'static str) -> Result<Self, SchemaError> {
        match node.yaml {
            Yaml::Map(entries) => Ok(Self { what, place: node.place, entries, known: Vec::new() }),
            other => Err(SchemaError::WrongValue {
                place: node.place,
                key: what.to_string(),
                found: other.kind().to_string(),
                expected: "a mapping of keys to values".into(),
                hint: "write `key: value` lines".into(),
            }),
        }
    }

    /// Where the mapping begins.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The value of `key`, if it is there and not null.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let at = self.entries.iter().position(|(k, _)| k.name == key)?;
        let node = self.entries.remove(at).1;
        (node.yaml != Yaml::Null).then_some(node)
    }

    /// The value of `key` where null differs from a missing key: an inner `None` is a null.
    pub fn take_or_null(&mut self, key: &'static str) -> Option<Option<Node>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(k, _)| k.name == key)?;
        Some(Some(self.entries.remove(at).1).filter(|node| node.yaml != Yaml::Null))
    }

    /// Accepts a key that has no effect.
    pub fn ignore(&mut self, key: &'static str) {
        self.take(key);
    }

    /// Rejects a key, unless its value is null or false.
    pub fn refuse(
        &mut self,
        key: &'static str,
        why: &'static str,
        hint: &'static str,
    ) -> Result<(), SchemaError> {
        match self.take(key) {
            Some(node) if node.yaml != Yaml::Bool(false) => {
                Err(SchemaError::Unsupported { place: node.place, key: key.into(), why, hint })
            }
            _ => Ok(()),
        }
    }

    /// Text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>, SchemaError> {
        self.take(key).map(|node| text_of(&node, key)).transpose()
    }

    /// Required text.
    pub fn required_text(&mut self, key: &'static str, example: &'static str) -> Result<String, SchemaError> {
        let missing = SchemaError::MissingKey { place: self.place.clone(), what: self.what, key, example };
        self.text(key)?.ok_or(missing)
    }

    /// A list of texts, or one text.
    pub fn texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, SchemaError> {
        self.take(key)
            .map(|node| match &node.yaml {
                Yaml::List(items) => items.iter().map(|item| text_of(item, key)).collect(),
                _ => text_of(&node, key).map(|text| vec![text]),
            })
            .transpose()
    }

    /// A whole number that is not negative.
    pub fn count(&mut self, key: &'static str) -> Result<Option<usize>, SchemaError> {
        self.take(key)
            .map(|node| match node.yaml {
                Yaml::Int(i) if i >= 0 => Ok(i as usize),
                _ => Err(wrong(&node, key, "a whole number of at least 0")),
            })
            .transpose()
    }

    /// A boolean.
    pub fn flag(&mut self, key: &'static str) -> Result<Option<bool>, SchemaError> {
        self.take(key)
            .map(|node| match node.yaml {
                Yaml::Bool(b) => Ok(b),
                _ => Err(wrong(&node, key, "true or false")),
            })
            .transpose()
    }

    /// A template. Numbers are templates that print themselves.
    pub fn template(&mut self, key: &'static str) -> Result<Option<Template>, SchemaError> {
        self.take(key).map(|node| template_of(&node, key)).transpose()
    }

    /// The remaining entries, for mappings whose keys are data.
    pub fn rest(&mut self) -> Vec<(Key, Node)> {
        std::mem::take(&mut self.entries)
    }

    /// Returns an error for the first unknown key.
    pub fn finish(self) -> Result<(), SchemaError> {
        let Some((key, _)) = self.entries.into_iter().find(|(k, _)| !self.known.contains(&k.name.as_str()))
        else {
            return Ok(());
        };
        let hint = match closest(&key.name, self.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys of {} are {}", self.what, self.known.join(", ")),
        };
        Err(SchemaError::UnknownKey { place: key.place, name: key.name, what: self.what, hint })
    }
}

/// An error for a value of the wrong kind.
pub fn wrong(node: &Node, key: &str, expected: &str) -> SchemaError {
    if let Yaml::Function(name) = &node.yaml {
        return SchemaError::Unsupported {
            place: node.place.clone(),
            key: format!("{key}: !function {name}"),
            why: "task files are data, and no Python is run",
            hint: "write it as a template: they have filters such as `regex_replace`",
        };
    }
    let hint = match &node.yaml {
        Yaml::Bool(_) => "yes, no, on, off, true and false are booleans in YAML: put the word in quotes",
        _ => "the README lists the keys of a task file and what they take",
    };
    let found = match &node.yaml {
        Yaml::Int(i) => i.to_string(),
        Yaml::Text(text) if text.len() < 40 => format!("`{text}`"),
        other => other.kind().to_string(),
    };
    SchemaError::WrongValue {
        place: node.place.clone(),
        key: key.to_string(),
        found,
        expected: expected.to_string(),
        hint: hint.into(),
    }
}

/// A scalar as text.
pub fn text_of(node: &Node, key: &str) -> Result<String, SchemaError> {
    match &node.yaml {
        Yaml::Text(text) => Ok(text.clone()),
        Yaml::Int(i) => Ok(i.to_string()),
        Yaml::Float(x) => Ok(crate::python::literal::repr_float(*x)),
        _ => Err(wrong(node, key, "text")),
    }
}

/// A scalar as a template.
pub fn template_of(node: &Node, key: &str) -> Result<Template, SchemaError> {
    Ok(Template::new(&text_of(node, key)?, &node.place, node.block)?)
}

pub fn list_of(node: Node, key: &str) -> Result<Vec<Node>, SchemaError> {
    match node.yaml {
        Yaml::List(items) => Ok(items),
        _ => Err(wrong(&node, key, "a list")),
    }
}
