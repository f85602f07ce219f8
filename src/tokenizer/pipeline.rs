//! The library's steps, with patterns of the file matched within bounds.

use serde::{Serialize, Serializer};
use serde_json::Value;
use tokenizers::pattern::Invert;
use tokenizers::{
    Decoder, DecoderWrapper, NormalizedString, Normalizer, NormalizerWrapper, PreTokenizedString,
    PreTokenizer, PreTokenizerWrapper, SplitDelimiterBehavior,
};

use super::barrier::{LLAMA3_WORDS, QWEN2_WORDS};
use super::patterns::BoundedPattern;

/// Steps in the order in which they run, and how the library describes them.
pub struct Steps<W, S> {
    described: W,
    steps: Vec<S>,
}

impl<W: Serialize, S> Serialize for Steps<W, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.described.serialize(serializer)
    }
}

/// A step of the library, or one with a pattern.
pub enum Step<W> {
    Library(W),
    Replace { pattern: BoundedPattern, content: String },
    Split { pattern: BoundedPattern, behavior: SplitDelimiterBehavior, invert: bool },
}

/// What normalises a text.
pub type Normalizing = Steps<NormalizerWrapper, Step<NormalizerWrapper>>;
/// What splits a text into words.
pub type Splitting = Steps<PreTokenizerWrapper, Step<PreTokenizerWrapper>>;
/// What makes a text of tokens.
pub type Decoding = Steps<DecoderWrapper, Step<DecoderWrapper>>;

impl<W: serde::de::DeserializeOwned> Steps<W, Step<W>> {
    /// Steps by their description, whose sequences stand under the key `list`; `None` if it is null.
    ///
    /// # Errors
    /// The library's.
    pub fn read(description: &Value, list: &str) -> Result<Option<Self>, String> {
        if description.is_null() {
            return Ok(None);
        }
        let library =
            |value: &Value| serde_json::from_value::<W>(value.clone()).map_err(|error| error.to_string());
        let described = library(description)?;
        let mut steps = Vec::new();
        flatten(description, list, &mut |step| {
            let pattern = step["pattern"]["Regex"].as_str();
            let pattern = pattern.filter(|pattern| ![LLAMA3_WORDS, QWEN2_WORDS].contains(pattern));
            steps.push(match (pattern, step["type"].as_str()) {
                (Some(pattern), Some("Replace")) => Step::Replace {
                    pattern: BoundedPattern::new(pattern)?,
                    content: step["content"].as_str().unwrap_or_default().to_string(),
                },
                (Some(pattern), Some("Split")) => Step::Split {
                    pattern: BoundedPattern::new(pattern)?,
                    behavior: serde_json::from_value(step["behavior"].clone())
                        .map_err(|error| error.to_string())?,
                    invert: step["invert"] == true,
                },
                _ => Step::Library(library(step)?),
            });
            Ok(())
        })?;
        Ok(Some(Self { described, steps }))
    }
}

/// Calls `take` for each step that is no sequence.
fn flatten(
    step: &Value,
    list: &str,
    take: &mut dyn FnMut(&Value) -> Result<(), String>,
) -> Result<(), String> {
    match (step["type"].as_str(), step[list].as_array()) {
        (Some("Sequence"), Some(steps)) => steps.iter().try_for_each(|step| flatten(step, list, take)),
        _ => take(step),
    }
}

impl Normalizer for Normalizing {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Library(step) => step.normalize(text),
            Step::Replace { pattern, content } => text.replace(pattern, content),
            Step::Split { .. } => Ok(()),
        })
    }
}

impl PreTokenizer for Splitting {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Library(step) => step.pre_tokenize(text),
            Step::Split { pattern, behavior, invert: false } => {
                text.split(|_, part| part.split(pattern, *behavior))
            }
            Step::Split { pattern, behavior, invert: true } => {
                text.split(|_, part| part.split(Invert(pattern), *behavior))
            }
            Step::Replace { .. } => Ok(()),
        })
    }
}

impl Decoder for Decoding {
    fn decode_chain(&self, tokens: Vec<String>) -> tokenizers::Result<Vec<String>> {
        self.steps.iter().try_fold(tokens, |tokens, step| match step {
            Step::Library(step) => step.decode_chain(tokens),
            Step::Replace { pattern, content } => {
                tokens.iter().map(|token| replaced(token, pattern, content)).collect()
            }
            Step::Split { .. } => Ok(tokens),
        })
    }
}

fn replaced(token: &str, pattern: &BoundedPattern, content: &str) -> tokenizers::Result<String> {
    use tokenizers::pattern::Pattern;
    let parts = pattern.find_matches(token)?;
    Ok(parts.into_iter().map(|((from, to), found)| if found { content } else { &token[from..to] }).collect())
}
