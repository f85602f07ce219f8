//! Metrics over generated text.

use crate::python::regex::PythonRegex;
use crate::task::{Node, Yaml};

/// The arguments of a metric, by name.
pub type Arguments = [(String, Node)];

/// A document's value, of its text and the right ones; an error if a regular expression fails to match within its limits.
pub type TextMetric = Box<dyn Fn(&str, &[&str]) -> Result<f64, String> + Send + Sync>;

/// `exact_match` and what it ignores, as Hugging Face's metric of that name.
#[derive(Debug, Clone, Default)]
struct ExactMatch {
    /// Deleted from both sides first, one after the other.
    regexes_to_ignore: Vec<PythonRegex>,
    /// Compare in lower case.
    ignore_case: bool,
    /// Without ASCII punctuation.
    ignore_punctuation: bool,
    /// Without ASCII digits.
    ignore_numbers: bool,
}

impl ExactMatch {
    /// 1 if the text is one of the right ones.
    ///
    /// # Errors
    /// A regular expression that fails to match within its limits.
    fn score(&self, text: &str, right: &[&str]) -> Result<f64, String> {
        let text = self.reduced(text)?;
        for answer in right {
            if self.reduced(answer)? == text {
                return Ok(1.0);
            }
        }
        Ok(0.0)
    }

    fn reduced(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_string();
        for regex in &self.regexes_to_ignore {
            text = regex.sub(&text, "", 0)?;
        }
        if self.ignore_case {
            text = text.to_lowercase();
        }
        text.retain(|c| {
            !(self.ignore_punctuation && c.is_ascii_punctuation()
                || self.ignore_numbers && c.is_ascii_digit())
        });
        Ok(text)
    }
}

/// Reads the arguments of `exact_match`.
pub fn exact_match(arguments: &Arguments) -> Result<TextMetric, String> {
    let mut matcher = ExactMatch::default();
    for (name, node) in arguments {
        let flag = || match node.yaml {
            Yaml::Bool(flag) => Ok(flag),
            _ => Err(format!("`{name}` is {}, expected true or false", node.yaml.kind())),
        };
        match name.as_str() {
            "ignore_case" => matcher.ignore_case = flag()?,
            "ignore_punctuation" => matcher.ignore_punctuation = flag()?,
            "ignore_numbers" => matcher.ignore_numbers = flag()?,
            "regexes_to_ignore" => {
                let Yaml::List(patterns) = &node.yaml else {
                    return Err(format!("`{name}` is {}, expected a list", node.yaml.kind()));
                };
                for pattern in patterns {
                    let Yaml::Text(pattern) = &pattern.yaml else {
                        return Err(format!("`{name}` holds {}, expected text", pattern.yaml.kind()));
                    };
                    let regex = PythonRegex::new(pattern)
                        .map_err(|e| format!("bad regular expression `{pattern}`: {e}"))?;
                    matcher.regexes_to_ignore.push(regex);
                }
            }
            _ => return Err(format!("metric `exact_match` has no argument `{name}`")),
        }
    }
    Ok(Box::new(move |text, right| matcher.score(text, right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_patterns_are_those_of_python() {
        let regexes_to_ignore = vec![PythonRegex::new(r"\</?i\>").unwrap(), PythonRegex::new(r"\s").unwrap()];
        let matcher = ExactMatch { regexes_to_ignore, ..Default::default() };
        assert_eq!(matcher.score("<i>B</i>\u{1c}", &["A", "B"]).unwrap(), 1.0);
        assert_eq!(matcher.score("i>B", &["B"]).unwrap(), 0.0);
    }
}
