//! Filters that extract an answer from a generated text.

use crate::python::regex::PythonRegex;
use crate::python::text::strip;
use crate::task::{Declared, Node, Yaml};

/// One step. Names and meanings are lm-evaluation-harness's, `regex_replace` and `strip` are ours.
#[derive(Debug, Clone)]
pub enum Filter {
    /// The match with index `select` (from the end if negative), or `fallback`.
    Regex { regex: PythonRegex, select: i64, fallback: String },
    /// `re.sub`.
    RegexReplace { regex: PythonRegex, replacement: String },
    /// Removes white space at both ends.
    Strip,
    /// In lower case.
    Lowercase,
    /// In upper case.
    Uppercase,
    /// The entry for the text, or `default`.
    Map { entries: Vec<(String, String)>, default: String },
    /// Filters that choose among several responses: with one response per document they change nothing.
    Keep,
}

/// A filter that task files may name.
pub struct FilterKind {
    /// As task files name it.
    pub name: &'static str,
    /// The names of its arguments.
    arguments: &'static [&'static str],
    /// Makes a step of the arguments.
    make: fn(&Declared) -> Result<Filter, String>,
}

/// All filters. To add one, add a variant of [`Filter`] and a row.
pub static FILTERS: [FilterKind; 10] = [
    FilterKind { name: "regex", arguments: &["regex_pattern", "group_select", "fallback"], make: regex },
    FilterKind { name: "regex_replace", arguments: &["regex_pattern", "replacement"], make: regex_replace },
    FilterKind { name: "remove_whitespace", arguments: &[], make: |_| Ok(Filter::Strip) },
    FilterKind { name: "strip", arguments: &[], make: |_| Ok(Filter::Strip) },
    FilterKind { name: "lowercase", arguments: &[], make: |_| Ok(Filter::Lowercase) },
    FilterKind { name: "uppercase", arguments: &[], make: |_| Ok(Filter::Uppercase) },
    FilterKind { name: "map", arguments: &["mapping_dict", "default_value"], make: map },
    FilterKind { name: "take_first", arguments: &[], make: |_| Ok(Filter::Keep) },
    FilterKind { name: "take_first_k", arguments: &["k"], make: |_| Ok(Filter::Keep) },
    FilterKind { name: "majority_vote", arguments: &[], make: |_| Ok(Filter::Keep) },
];

impl FilterKind {
    /// Reads a declared step. The error reports what is wrong, without the place.
    pub fn read(&self, step: &Declared) -> Result<Filter, String> {
        let unknown = |(name, _): &&(String, Node)| !self.arguments.contains(&name.as_str());
        match step.arguments.iter().find(unknown) {
            Some((name, _)) => Err(format!("filter `{}` has no argument `{name}`", self.name)),
            None => (self.make)(step),
        }
    }
}

fn regex(step: &Declared) -> Result<Filter, String> {
    Ok(Filter::Regex {
        regex: pattern(step, r"#### (\-?[0-9\.\,]+)")?,
        select: match argument(step, "group_select").map(|node| &node.yaml) {
            None | Some(Yaml::Null) => 0,
            Some(Yaml::Int(i)) => *i,
            Some(other) => {
                return Err(format!("`group_select` is {}, expected a whole number", other.kind()));
            }
        },
        fallback: text(argument(step, "fallback")).unwrap_or_else(|| "[invalid]".to_string()),
    })
}

fn regex_replace(step: &Declared) -> Result<Filter, String> {
    let regex = pattern(step, "")?;
    let replacement = text(argument(step, "replacement")).unwrap_or_default();
    regex.check_replacement(&replacement)?;
    Ok(Filter::RegexReplace { regex, replacement })
}

fn map(step: &Declared) -> Result<Filter, String> {
    Ok(Filter::Map {
        entries: match argument(step, "mapping_dict").map(|node| &node.yaml) {
            Some(Yaml::Map(entries)) => {
                entries.iter().map(|(k, v)| (k.name.clone(), text(Some(v)).unwrap_or_default())).collect()
            }
            _ => return Err("filter `map` needs a `mapping_dict`".to_string()),
        },
        default: text(argument(step, "default_value")).unwrap_or_default(),
    })
}

fn argument<'a>(step: &'a Declared, name: &str) -> Option<&'a Node> {
    step.arguments.iter().find(|(known, _)| known == name).map(|(_, node)| node)
}

fn pattern(step: &Declared, default: &str) -> Result<PythonRegex, String> {
    let pattern = text(argument(step, "regex_pattern")).unwrap_or_else(|| default.to_string());
    PythonRegex::new(&pattern).map_err(|e| format!("bad regular expression `{pattern}`: {e}"))
}

impl Filter {
    /// The filtered text.
    ///
    /// # Errors
    /// A regular expression that fails to match within its limits.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        Ok(match self {
            Filter::Regex { regex, select, fallback } => {
                let found = regex.find_all(text)?;
                let index = if *select < 0 { found.len() as i64 + select } else { *select };
                match usize::try_from(index).ok().and_then(|i| found.get(i)) {
                    // A match with several groups, all empty, counts as no match.
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
