//! Differences between the records of two runs.

use std::fmt;

use serde_json::Value;

/// A value that differs between two records.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its location: keys and list indices, joined by dots.
    pub path: String,
    /// In the left record, called "there" in messages that do not name it.
    pub left: Option<Value>,
    /// In the right record, called "here".
    pub right: Option<Value>,
}

impl Difference {
    /// In words, with the names of both records.
    pub fn between(&self, left: impl fmt::Display, right: impl fmt::Display) -> String {
        let path = if self.path.is_empty() { String::new() } else { format!("{} ", self.path) };
        format!("{path}{} in {left}, {} in {right}", shown(self.left.as_ref()), shown(self.right.as_ref()))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        write!(f, "{path}{} there, {} here", shown(self.left.as_ref()), shown(self.right.as_ref()))
    }
}

/// A value formatted for a message; long ones are truncated.
pub fn shown(value: Option<&Value>) -> String {
    const LONGEST: usize = 80;
    let text = match value {
        None => return "nothing".into(),
        Some(Value::Null) => return "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// All differences, in the order of the left record's keys; keys that only the right record has come last.
pub fn differences(left: &Value, right: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    collect("", Some(left), Some(right), &mut found);
    found
}

fn collect(path: &str, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<Difference>) {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match (left, right) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for (key, value) in a {
                collect(&below(key), Some(value), b.get(key), found);
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                collect(&below(key), None, Some(value), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for place in 0..a.len().max(b.len()) {
                collect(&below(&place.to_string()), a.get(place), b.get(place), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => {
            found.push(Difference { path: path.to_string(), left: left.cloned(), right: right.cloned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_that_differs_is_named_with_its_path() {
        let left = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": null});
        let right = json!({"a": 1, "b": {"c": [1, 3, 4], "d": "x"}, "f": true});
        let found: Vec<String> = differences(&left, &right).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "b.c.1: `2` there, `3` here",
                "b.c.2: nothing there, `4` here",
                "e: none there, nothing here",
                "f: nothing there, `true` here",
            ]
        );
        assert_eq!(differences(&left, &left), []);
    }
}
