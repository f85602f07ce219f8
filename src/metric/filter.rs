//! Filters that make an answer of a generated text.

use crate::python::regex::PythonRegex;
use crate::python::text::strip;
use crate::task::{Declared, Node, Yaml};

/// One step. Names and meanings are lm-evaluation-harness's, `regex_replace` and `strip` are ours.
#[derive(Debug, Clone)]
pub enum Filter {
    /// The match number `select` (from the end where negative), or `fallback`.
    Regex { regex: PythonRegex, select: i64, fallback: String },
    /// `re.sub`.
    RegexReplace { regex: PythonRegex, replacement: String },
    /// Without white space around it.
    Strip,
    /// In lower case.
    Lowercase,
    /// In upper case.
    Uppercase,
    /// Looked up.
    Map { entries: Vec<(String, String)>, default: String },
    /// With one response a document, those that choose among several change nothing.
    Keep,
}

/// Names that a task file may use.
pub const NAMES: [&str; 10] = [
    "regex",
    "regex_replace",
    "remove_whitespace",
    "strip",
    "lowercase",
    "uppercase",
    "map",
    "take_first",
    "take_first_k",
    "majority_vote",
];

impl Filter {
    /// Reads a declared step. The error says what is wrong, without the place.
    pub fn read(step: &Declared) -> Result<Option<Filter>, String> {
        let argument = |name: &str| step.arguments.iter().find(|(n, _)| n == name).map(|(_, node)| node);
        let known: &[&str] = match step.function.as_str() {
            "regex" => &["regex_pattern", "group_select", "fallback"],
            "regex_replace" => &["regex_pattern", "replacement"],
            "map" => &["mapping_dict", "default_value"],
            "take_first_k" => &["k"],
            _ => &[],
        };
        if let Some((name, _)) = step.arguments.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(format!("filter `{}` has no argument `{name}`", step.function));
        }
        let regex = |default: &str| {
            let pattern = text(argument("regex_pattern")).unwrap_or_else(|| default.to_string());
            PythonRegex::new(&pattern).map_err(|e| format!("bad regular expression `{pattern}`: {e}"))
        };
        Ok(Some(match step.function.as_str() {
            "regex" => Filter::Regex {
                regex: regex(r"#### (\-?[0-9\.\,]+)")?,
                select: match argument("group_select").map(|node| &node.yaml) {
                    None | Some(Yaml::Null) => 0,
                    Some(Yaml::Int(i)) => *i,
                    Some(other) => {
                        return Err(format!("`group_select` is {}, expected a whole number", other.kind()));
                    }
                },
                fallback: text(argument("fallback")).unwrap_or_else(|| "[invalid]".to_string()),
            },
            "regex_replace" => Filter::RegexReplace {
                regex: regex("")?,
                replacement: text(argument("replacement")).unwrap_or_default(),
            },
            "map" => Filter::Map {
                entries: match argument("mapping_dict").map(|node| &node.yaml) {
                    Some(Yaml::Map(entries)) => entries
                        .iter()
                        .map(|(k, v)| (k.name.clone(), text(Some(v)).unwrap_or_default()))
                        .collect(),
                    _ => return Err("filter `map` needs a `mapping_dict`".to_string()),
                },
                default: text(argument("default_value")).unwrap_or_default(),
            },
            "remove_whitespace" | "strip" => Filter::Strip,
            "lowercase" => Filter::Lowercase,
            "uppercase" => Filter::Uppercase,
            "take_first" | "take_first_k" | "majority_vote" => Filter::Keep,
            _ => return Ok(None),
        }))
    }

    /// The filtered text.
    ///
    /// # Errors
    /// A regular expression that gives up.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        Ok(match self {
            Filter::Regex { regex, select, fallback } => {
                let found = regex.find_all(text)?;
                let index = if *select < 0 { found.len() as i64 + select } else { *select };
                match usize::try_from(index).ok().and_then(|i| found.get(i)) {
                    // A match of which every one of several groups is empty counts as none.
                    Some(found) if found.is_empty() && regex.has_several_groups() => {
                        strip(fallback).to_string()
                    }
                    Some(found) => strip(found).to_string(),
                    None => fallback.clone(),
                }
            }
            Filter::RegexReplace { regex, replacement } => regex.sub(text, replacement, 0)?,
            Filter::Strip => strip(text).to_string(),
            Filter::Lowercase => text.to_lowercase(),
            Filter::Uppercase => text.to_uppercase(),
            Filter::Map { entries, default } => {
                entries.iter().find(|(key, _)| key == text).map_or(default, |(_, value)| value).clone()
            }
            Filter::Keep => text.to_string(),
        })
    }
}

fn text(node: Option<&Node>) -> Option<String> {
    match &node?.yaml {
        Yaml::Text(text) => Some(text.clone()),
        Yaml::Int(i) => Some(i.to_string()),
        Yaml::Float(x) => Some(crate::python::literal::repr_float(*x)),
        Yaml::Bool(b) => Some(if *b { "True" } else { "False" }.to_string()),
        _ => None,
    }
}
