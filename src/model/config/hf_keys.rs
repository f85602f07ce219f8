//! `config.json` as Hugging Face writes it, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`,
//! `torch_dtype`) and of transformers 5 (`rope_parameters`, `dtype`).
//!
//! An absent key gets the default of the architecture's class in transformers if saved files rely on that
//! default (noted at each one); otherwise it is an error.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::model_config::SizeNames;
use crate::disk;
use crate::kernels::dtype::Dtype;
use crate::vocabulary::is_lfs_pointer;

/// Names of the sizes in `config.json`.
pub fn size_names() -> SizeNames {
    let name = str::to_owned;
    SizeNames {
        hidden_size: name("hidden_size"),
        intermediate_size: name("intermediate_size"),
        layers: name("num_hidden_layers"),
        heads: name("num_attention_heads"),
        kv_heads: name("num_key_value_heads"),
        head_dim: name("head_dim"),
        vocab_size: name("vocab_size"),
        max_positions: name("max_position_embeddings"),
        rms_norm_eps: name("rms_norm_eps"),
        rope_theta: name("rope_theta"),
    }
}

/// Reads a file that holds a JSON object.
///
/// # Errors
/// [`ConfigError`] if the file can't be read or holds something else.
pub fn read_object(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let text =
        disk::read(path, disk::TEXT).map_err(|reason| ConfigError::Read { path: path.to_owned(), reason })?;
    if is_lfs_pointer(&text) {
        return Err(ConfigError::Pointer { path: path.to_owned() });
    }
    let value: Value = serde_json::from_slice(&text).map_err(|error| ConfigError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        reason: error.to_string(),
    })?;
    match value {
        Value::Object(map) => Ok(map),
        value => Err(ConfigError::Value {
            path: path.to_owned(),
            key: "the whole file".to_owned(),
            found: shown(&value),
            expected: "a JSON object".to_owned(),
        }),
    }
}

/// The keys of one JSON object, and its file.
pub struct HfKeys<'a> {
    pub path: &'a Path,
    pub map: &'a Map<String, Value>,
    /// Name of the enclosing key and a dot, or empty at the top level.
    pub inside: &'static str,
}

/// A value as text, truncated to 60 characters.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

impl<'a> HfKeys<'a> {
    /// The keys of a file's top-level object.
    pub fn new(path: &'a Path, map: &'a Map<String, Value>) -> Self {
        Self { path, map, inside: "" }
    }

    /// The value of a key; JSON's null counts as absent.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.inside)
    }

    /// The error for a key with an invalid value.
    pub fn wrong(&self, key: &str, found: &Value, expected: &str) -> ConfigError {
        ConfigError::Value {
            path: self.path.to_owned(),
            key: self.name(key),
            found: shown(found),
            expected: expected.to_owned(),
        }
    }

    /// The error for a key that requires something unsupported.
    pub fn unsupported(&self, key: &str, found: &Value, computes: &str) -> ConfigError {
        ConfigError::Unsupported {
            path: self.path.to_owned(),
            key: self.name(key),
            found: shown(found),
            computes: computes.to_owned(),
        }
    }

    /// The error for a key that another architecture computes with.
    pub fn foreign(&self, key: &str, found: &Value, class: &str, neutral: String) -> ConfigError {
        ConfigError::ForeignKey {
            path: self.path.to_owned(),
            key: self.name(key),
            found: shown(found),
            class: class.to_owned(),
            neutral,
        }
    }

    /// The error for a required key that is absent.
    pub fn missing(&self, key: &str, expected: &str) -> ConfigError {
        ConfigError::Missing {
            path: self.path.to_owned(),
            key: self.name(key),
            expected: expected.to_owned(),
        }
    }

    /// The value of a required key.
    pub fn required(&self, key: &str, expected: &str) -> Result<&'a Value, ConfigError> {
        self.get(key).ok_or_else(|| self.missing(key, expected))
    }

    /// A value as a non-negative integer.
    pub fn whole(&self, key: &str, value: &Value) -> Result<usize, ConfigError> {
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.wrong(key, value, "a whole number that is not negative"))
    }

    /// A required key as a non-negative integer.
    pub fn size(&self, key: &str) -> Result<usize, ConfigError> {
        self.whole(key, self.required(key, "a whole number")?)
    }

    /// A value as a finite number.
    pub fn number(&self, key: &str, value: &Value) -> Result<f64, ConfigError> {
        value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.wrong(key, value, "a number"))
    }

    /// A key as a boolean, if present.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.get(key)
            .map(|value| value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false")))
            .transpose()
    }

    /// A value as an object, whose keys have the prefix `inside` in messages.
    pub fn object(
        &self,
        key: &str,
        value: &'a Value,
        inside: &'static str,
    ) -> Result<HfKeys<'a>, ConfigError> {
        match value {
            Value::Object(map) => Ok(HfKeys { path: self.path, map, inside }),
            _ => Err(self.wrong(key, value, "an object")),
        }
    }

    /// The window of each layer by `layer_types`, if given; `window` is that of its sliding layers.
    pub fn layer_types(
        &self,
        layers: usize,
        window: Option<usize>,
    ) -> Result<Option<Vec<Option<usize>>>, ConfigError> {
        let Some(value) = self.get("layer_types") else { return Ok(None) };
        let windows = value.as_array().filter(|types| types.len() == layers).and_then(|types| {
            types
                .iter()
                .map(|kind| match (kind.as_str(), window) {
                    (Some("full_attention"), _) => Some(None),
                    (Some("sliding_attention"), Some(window)) => Some(Some(window)),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()
        });
        let expected =
            "for each layer \"full_attention\", or \"sliding_attention\" where a sliding window is in use";
        windows.map(Some).ok_or_else(|| self.wrong("layer_types", value, expected))
    }

    /// `sliding_window`, or `absent` if the key is missing; null means no window.
    pub fn sliding_window(&self, absent: Option<usize>) -> Result<Option<usize>, ConfigError> {
        match self.map.get("sliding_window") {
            None => Ok(absent),
            Some(Value::Null) => Ok(None),
            Some(value) => match self.whole("sliding_window", value)? {
                0 => Err(self.wrong("sliding_window", value, "null or a whole number above 0")),
                window => Ok(Some(window)),
            },
        }
    }

    /// `head_dim` if given, else `hidden_size / heads`.
    pub fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize, ConfigError> {
        if let Some(value) = self.get("head_dim") {
            return self.whole("head_dim", value);
        }
        if heads == 0 || !hidden_size.is_multiple_of(heads) {
            let expected = format!("a divisor of hidden_size {hidden_size}, as there is no head_dim");
            return Err(self.wrong("num_attention_heads", &Value::from(heads), &expected));
        }
        Ok(hidden_size / heads)
    }

    /// End-of-sequence tokens.
    pub fn eos_token_ids(&self) -> Result<Vec<u32>, ConfigError> {
        let wrong = |value: &Value| self.wrong("eos_token_id", value, "a token id or a list of them");
        let id =
            |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value));
        match self.get("eos_token_id") {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(id).collect(),
            Some(value) => Ok(vec![id(value)?]),
        }
    }

    /// The dtype of the weights, if named.
    pub fn dtype(&self) -> Result<Option<Dtype>, ConfigError> {
        let (key, value) = match (self.get("dtype"), self.get("torch_dtype")) {
            (None, None) => return Ok(None),
            (Some(new), Some(old)) if new != old => {
                return Err(self.wrong("torch_dtype", old, "the same as dtype"));
            }
            (Some(value), _) => ("dtype", value),
            (None, Some(value)) => ("torch_dtype", value),
        };
        match value.as_str() {
            Some("float32") => Ok(Some(Dtype::F32)),
            Some("bfloat16") => Ok(Some(Dtype::Bf16)),
            Some("float16") => Ok(Some(Dtype::F16)),
            _ => Err(self.unsupported(key, value, "\"float32\", \"bfloat16\", \"float16\"")),
        }
    }

    /// Rejects what is supported for no architecture.
    pub fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        let activation = self.required("hidden_act", "\"silu\"")?;
        if activation.as_str() != Some("silu") {
            return Err(self.unsupported("hidden_act", activation, "\"silu\""));
        }
        if let Some(found) = self.get("quantization_config") {
            return Err(self.unsupported(
                "quantization_config",
                found,
                "float32, bfloat16 and float16 weights, and GGUF files",
            ));
        }
        if let Some(found) = self.get("partial_rotary_factor")
            && self.number("partial_rotary_factor", found)? != 1.0
        {
            return Err(self.unsupported("partial_rotary_factor", found, "1.0"));
        }
        Ok(())
    }

    /// Rejects a switch that is on but isn't in the architecture's class: the file was made by other code.
    pub fn refuse_switch(&self, key: &str) -> Result<(), ConfigError> {
        match self.flag(key)? {
            Some(true) => Err(self.unsupported(key, &Value::Bool(true), "false for this architecture")),
            _ => Ok(()),
        }
    }
}
