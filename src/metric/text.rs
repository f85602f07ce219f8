//! Metrics over generated text.

use crate::python::regex::PythonRegex;

/// `exact_match` and what it overlooks, as Hugging Face's metric of that name.
#[derive(Debug, Clone, Default)]
pub struct ExactMatch {
    /// Deleted from both sides first, one after the other.
    pub regexes_to_ignore: Vec<PythonRegex>,
    /// Compare in lower case.
    pub ignore_case: bool,
    /// Without ASCII punctuation.
    pub ignore_punctuation: bool,
    /// Without ASCII digits.
    pub ignore_numbers: bool,
}

impl ExactMatch {
    /// 1 if the text is one of the right ones.
    ///
    /// # Errors
    /// A regular expression that gives up.
    pub fn score(&self, text: &str, right: &[&str]) -> Result<f64, String> {
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
