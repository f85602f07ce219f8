//! Rotary position embedding as `config.json` describes it.

use serde_json::Value;

use super::error::ConfigError;
use super::hf_keys::HfKeys;
use super::model_config::{Rope, RopeScaling};

impl HfKeys<'_> {
    /// Base and scaling of the rotary frequencies.
    pub fn rope(&self) -> Result<Rope, ConfigError> {
        // An empty object says nothing, as for transformers.
        let some =
            |key: &str| self.get(key).filter(|value| value.as_object().is_none_or(|map| !map.is_empty()));
        if let Some(value) = some("rope_parameters") {
            let parameters = self.object("rope_parameters", value, "rope_parameters.")?;
            let theta = match (parameters.get("rope_theta"), self.get("rope_theta")) {
                (None, Some(theta)) => self.number("rope_theta", theta)?,
                _ => parameters.number("rope_theta", parameters.required("rope_theta", "a number")?)?,
            };
            let scaling = parameters.rope_scaling(self)?;
            const AGREES: &str = "nothing beside rope_parameters, or the same value";
            if let Some(other) = self.get("rope_theta")
                && other.as_f64() != Some(theta)
            {
                return Err(self.wrong("rope_theta", other, AGREES));
            }
            if let Some(other) = some("rope_scaling") {
                let older = self.object("rope_scaling", other, "rope_scaling.")?;
                let inner = older.get("rope_theta").is_none_or(|inner| inner.as_f64() == Some(theta));
                if !inner || older.rope_scaling(self)? != scaling {
                    return Err(self.wrong("rope_scaling", other, AGREES));
                }
            }
            return Ok(Rope { theta, scaling });
        }
        // transformers 4: the classes of all three architectures default to 10000; Llama 1 and 2 rely on it.
        let theta = match self.get("rope_theta") {
            Some(value) => self.number("rope_theta", value)?,
            None => 10_000.0,
        };
        let scaling = match some("rope_scaling") {
            Some(value) => self.object("rope_scaling", value, "rope_scaling.")?.rope_scaling(self)?,
            None => RopeScaling::None,
        };
        Ok(Rope { theta, scaling })
    }

    /// The scaling, where `self` is the object `rope_scaling` or `rope_parameters` of `config`.
    fn rope_scaling(&self, config: &HfKeys<'_>) -> Result<RopeScaling, ConfigError> {
        const KINDS: &str = "\"default\" and \"llama3\"";
        const UNSCALED: [&str; 2] = ["rope_theta", "partial_rotary_factor"];
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
            // transformers takes the default, but drops the other keys with a warning.
            (None, None) if self.map.keys().all(|key| UNSCALED.contains(&key.as_str())) => {
                return Ok(RopeScaling::None);
            }
            (None, None) => return Err(self.missing("rope_type", KINDS)),
        };
        match kind.as_str() {
            Some("default") => Ok(RopeScaling::None),
            Some("llama3") => {
                const POSITIVE: &str = "a number above 0";
                let positive_in = |keys: &HfKeys<'_>, key: &str| {
                    let value = keys.required(key, POSITIVE)?;
                    let number = keys.number(key, value)?;
                    if number > 0.0 { Ok(number) } else { Err(keys.wrong(key, value, POSITIVE)) }
                };
                let positive = |key: &str| positive_in(self, key);
                // As `standardize_rope_params` of transformers 5 has it: the key beside the object counts before the one in it,
                // and without either it is the length of the model.
                const ORIGINAL: &str = "original_max_position_embeddings";
                let original_max_positions = if config.get(ORIGINAL).is_some() {
                    positive_in(config, ORIGINAL)?
                } else if self.get(ORIGINAL).is_some() {
                    positive(ORIGINAL)?
                } else {
                    positive_in(config, "max_position_embeddings")?
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
                    original_max_positions,
                })
            }
            _ => Err(self.unsupported("rope_type", kind, KINDS)),
        }
    }
}
