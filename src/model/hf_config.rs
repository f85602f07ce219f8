//! `config.json` as Hugging Face writes it, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`,
//! `torch_dtype`) and of transformers 5 (`rope_parameters`, `dtype`).
//!
//! A key that is absent gets the default of the architecture's class in transformers where that class has one that its
//! saved files rely on (said at each), and is an error otherwise.

use std::path::Path;

use serde_json::{Map, Value};

use super::config::{Architecture, ConfigError, Dtype, ModelConfig, Rope, RopeScaling, SizeNames};

const NAMES: SizeNames = SizeNames {
    hidden_size: "hidden_size",
    intermediate_size: "intermediate_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    kv_heads: "num_key_value_heads",
    head_dim: "head_dim",
    vocab_size: "vocab_size",
    max_positions: "max_position_embeddings",
    rms_norm_eps: "rms_norm_eps",
    rope_theta: "rope_theta",
};

impl ModelConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`], where the file can't be read, isn't JSON, lacks a key, has a value that can't be, or asks for
    /// something that isn't computed here.
    pub fn from_hf_file(path: &Path) -> Result<Self, ConfigError> {
        let mut model = Keys { path, map: &read_object(path)?, inside: "" }.model()?;
        // transformers' `generate` asks this file where there is one; instruct models list more tokens here.
        let generation = path.with_file_name("generation_config.json");
        if generation.exists() {
            let keys = Keys { path: &generation, map: &read_object(&generation)?, inside: "" };
            for id in keys.eos_token_ids()? {
                if !model.eos_token_ids.contains(&id) {
                    model.eos_token_ids.push(id);
                }
            }
        }
        Ok(model)
    }
}

fn read_object(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let text = std::fs::read(path).map_err(|reason| ConfigError::Read { path: path.to_owned(), reason })?;
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

/// The keys of one JSON object, and where it came from.
struct Keys<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
    /// Name of the enclosing key and a dot, or nothing.
    inside: &'static str,
}

/// A value cut to what fits in one line.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

impl<'a> Keys<'a> {
    fn model(&self) -> Result<ModelConfig, ConfigError> {
        let architecture = self.architecture()?;
        self.refuse_what_is_not_computed(architecture)?;
        let hidden_size = self.size("hidden_size")?;
        let layers = self.size("num_hidden_layers")?;
        let heads = self.size("num_attention_heads")?;
        let config = ModelConfig {
            architecture,
            hidden_size,
            intermediate_size: self.size("intermediate_size")?,
            layers,
            heads,
            kv_heads: self.kv_heads(architecture, heads)?,
            head_dim: self.head_dim(hidden_size, heads)?,
            vocab_size: self.size("vocab_size")?,
            max_positions: self.size("max_position_embeddings")?,
            rms_norm_eps: self
                .required("rms_norm_eps", "a number")
                .and_then(|v| self.number("rms_norm_eps", v))?,
            rope: self.rope()?,
            windows: Vec::new(),
            qkv_bias: match architecture {
                Architecture::Llama => self.flag("attention_bias")?.unwrap_or(false),
                Architecture::Mistral => false,
                Architecture::Qwen2 => true,
            },
            output_bias: architecture == Architecture::Llama && self.flag("attention_bias")?.unwrap_or(false),
            mlp_bias: architecture == Architecture::Llama && self.flag("mlp_bias")?.unwrap_or(false),
            // False in the classes of all three architectures.
            tied_embeddings: self.flag("tie_word_embeddings")?.unwrap_or(false),
            eos_token_ids: self.eos_token_ids()?,
            dtype: self.dtype()?,
        };
        config.check(self.path, &NAMES)?;
        Ok(ModelConfig { windows: self.windows(architecture, layers)?, ..config })
    }

    /// The value of a key; JSON's null is as good as absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.inside)
    }

    fn wrong(&self, key: &str, found: &Value, expected: &str) -> ConfigError {
        ConfigError::Value {
            path: self.path.to_owned(),
            key: self.name(key),
            found: shown(found),
            expected: expected.to_owned(),
        }
    }

    fn unsupported(&self, key: &str, found: &Value, computes: &str) -> ConfigError {
        ConfigError::Unsupported {
            path: self.path.to_owned(),
            key: self.name(key),
            found: shown(found),
            computes: computes.to_owned(),
        }
    }

    fn missing(&self, key: &str, expected: &str) -> ConfigError {
        ConfigError::Missing {
            path: self.path.to_owned(),
            key: self.name(key),
            expected: expected.to_owned(),
        }
    }

    fn required(&self, key: &str, expected: &str) -> Result<&'a Value, ConfigError> {
        self.get(key).ok_or_else(|| self.missing(key, expected))
    }

    fn whole(&self, key: &str, value: &Value) -> Result<usize, ConfigError> {
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.wrong(key, value, "a whole number that is not negative"))
    }

    fn size(&self, key: &str) -> Result<usize, ConfigError> {
        self.whole(key, self.required(key, "a whole number")?)
    }

    fn number(&self, key: &str, value: &Value) -> Result<f64, ConfigError> {
        value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.wrong(key, value, "a number"))
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.get(key)
            .map(|value| value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false")))
            .transpose()
    }

    fn architecture(&self) -> Result<Architecture, ConfigError> {
        const KNOWN: &str = "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM";
        let value = self.required("architectures", KNOWN)?;
        match value.as_array().map(Vec::as_slice) {
            Some([Value::String(name)]) => match name.as_str() {
                "LlamaForCausalLM" => Ok(Architecture::Llama),
                "MistralForCausalLM" => Ok(Architecture::Mistral),
                "Qwen2ForCausalLM" => Ok(Architecture::Qwen2),
                _ => Err(self.unsupported("architectures", value, KNOWN)),
            },
            _ => Err(self.wrong("architectures", value, "a list of one class name")),
        }
    }

    fn refuse_what_is_not_computed(&self, architecture: Architecture) -> Result<(), ConfigError> {
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
        // Mistral's and Qwen2's classes have no such switches; a file that turns one on was made by other code.
        if architecture != Architecture::Llama {
            for key in ["attention_bias", "mlp_bias"] {
                if self.flag(key)? == Some(true) {
                    return Err(self.unsupported(key, &Value::Bool(true), "false for this architecture"));
                }
            }
        }
        Ok(())
    }

    fn kv_heads(&self, architecture: Architecture, heads: usize) -> Result<usize, ConfigError> {
        match self.map.get("num_key_value_heads") {
            Some(Value::Null) => Ok(heads),
            Some(value) => self.whole("num_key_value_heads", value),
            // Llama 1's files lack it. Mistral's and Qwen2's classes default to 8 and 32, right for one size only.
            None if architecture == Architecture::Llama => Ok(heads),
            None => Err(self.missing("num_key_value_heads", "a whole number")),
        }
    }

    fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize, ConfigError> {
        if let Some(value) = self.get("head_dim") {
            return self.whole("head_dim", value);
        }
        if heads == 0 || !hidden_size.is_multiple_of(heads) {
            let expected = format!("a divisor of hidden_size {hidden_size}, as there is no head_dim");
            return Err(self.wrong("num_attention_heads", &Value::from(heads), &expected));
        }
        Ok(hidden_size / heads)
    }

    fn rope(&self) -> Result<Rope, ConfigError> {
        if let Some(value) = self.get("rope_parameters") {
            let parameters = self.object("rope_parameters", value, "rope_parameters.")?;
            let theta = parameters.required("rope_theta", "a number")?;
            let theta = parameters.number("rope_theta", theta)?;
            for key in ["rope_theta", "rope_scaling"] {
                if let Some(other) = self.get(key)
                    && (key == "rope_scaling" || other.as_f64() != Some(theta))
                {
                    return Err(self.wrong(key, other, "nothing beside rope_parameters, or the same value"));
                }
            }
            return Ok(Rope { theta, scaling: parameters.rope_scaling()? });
        }
        // transformers 4: the classes of all three architectures default to 10000, which Llama 1's and 2's files rely on.
        let theta = match self.get("rope_theta") {
            Some(value) => self.number("rope_theta", value)?,
            None => 10_000.0,
        };
        let scaling = match self.get("rope_scaling") {
            Some(value) => self.object("rope_scaling", value, "rope_scaling.")?.rope_scaling()?,
            None => RopeScaling::None,
        };
        Ok(Rope { theta, scaling })
    }

    fn object(&self, key: &str, value: &'a Value, inside: &'static str) -> Result<Keys<'a>, ConfigError> {
        match value {
            Value::Object(map) => Ok(Keys { path: self.path, map, inside }),
            _ => Err(self.wrong(key, value, "an object")),
        }
    }

    /// Of the object `rope_scaling` or `rope_parameters`.
    fn rope_scaling(&self) -> Result<RopeScaling, ConfigError> {
        const KINDS: &str = "\"default\" and \"llama3\"";
        const KNOWN: [&str; 8] = [
            "rope_theta",
            "rope_type",
            "type",
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
            "partial_rotary_factor",
        ];
        if let Some((key, value)) =
            self.map.iter().find(|(key, value)| !value.is_null() && !KNOWN.contains(&key.as_str()))
        {
            return Err(self.unsupported(key, value, &KNOWN.join(", ")));
        }
        if let Some(found) = self.get("partial_rotary_factor")
            && self.number("partial_rotary_factor", found)? != 1.0
        {
            return Err(self.unsupported("partial_rotary_factor", found, "1.0"));
        }
        let kind = match (self.get("rope_type"), self.get("type")) {
            (Some(kind), None) | (None, Some(kind)) => kind,
            (Some(kind), Some(other)) if kind == other => kind,
            (Some(_), Some(other)) => return Err(self.wrong("type", other, "the same as rope_type")),
            (None, None) => return Err(self.missing("rope_type", KINDS)),
        };
        match kind.as_str() {
            Some("default") => Ok(RopeScaling::None),
            Some("llama3") => {
                let positive = |key: &str| {
                    let value = self.required(key, "a number above 0")?;
                    let number = self.number(key, value)?;
                    if number > 0.0 { Ok(number) } else { Err(self.wrong(key, value, "a number above 0")) }
                };
                let (low, high) = (positive("low_freq_factor")?, positive("high_freq_factor")?);
                if high <= low {
                    return Err(self.wrong(
                        "high_freq_factor",
                        &Value::from(high),
                        "more than low_freq_factor",
                    ));
                }
                Ok(RopeScaling::Llama3 {
                    factor: positive("factor")?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_positions: positive("original_max_position_embeddings")?,
                })
            }
            _ => Err(self.unsupported("rope_type", kind, KINDS)),
        }
    }

    /// One window a layer.
    fn windows(&self, architecture: Architecture, layers: usize) -> Result<Vec<Option<usize>>, ConfigError> {
        let window = |absent: Option<usize>| match self.map.get("sliding_window") {
            None => Ok(absent),
            Some(Value::Null) => Ok(None),
            Some(value) => match self.whole("sliding_window", value)? {
                0 => Err(self.wrong("sliding_window", value, "null or a whole number above 0")),
                window => Ok(Some(window)),
            },
        };
        match architecture {
            Architecture::Llama => match self.get("sliding_window") {
                Some(found) if self.flag("use_sliding_window")? != Some(false) => {
                    Err(self.unsupported("sliding_window", found, "full attention for this architecture"))
                }
                _ => {
                    self.layer_types(layers, None)?;
                    Ok(vec![None; layers])
                }
            },
            Architecture::Mistral => {
                // The class of transformers defaults to 4096; v0.2 and later say null.
                let window = window(Some(4096))?;
                let windows = vec![window; layers];
                match self.layer_types(layers, window)? {
                    Some(types) if types != windows => Err(self.unsupported(
                        "layer_types",
                        self.get("layer_types").unwrap_or(&Value::Null),
                        "one window for all layers",
                    )),
                    _ => Ok(windows),
                }
            }
            Architecture::Qwen2 => {
                // Off, 4096 and 28 are the class's defaults.
                let window = match self.flag("use_sliding_window")?.unwrap_or(false) {
                    true => window(Some(4096))?,
                    false => None,
                };
                if let Some(windows) = self.layer_types(layers, window)? {
                    return Ok(windows);
                }
                let first =
                    self.get("max_window_layers").map_or(Ok(28), |v| self.whole("max_window_layers", v))?;
                Ok((0..layers).map(|layer| window.filter(|_| layer >= first)).collect())
            }
        }
    }

    /// `layer_types`, where it is given, with the window of its sliding layers.
    fn layer_types(
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

    fn eos_token_ids(&self) -> Result<Vec<u32>, ConfigError> {
        let wrong = |value: &Value| self.wrong("eos_token_id", value, "a token id or a list of them");
        let id =
            |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value));
        match self.get("eos_token_id") {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(id).collect(),
            Some(value) => Ok(vec![id(value)?]),
        }
    }

    fn dtype(&self) -> Result<Option<Dtype>, ConfigError> {
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
}
