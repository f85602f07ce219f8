//! What distinguishes an architecture from others, as plain data.

use std::fmt;

use super::tensor_role::{TensorId, TensorRole};

/// An architecture: how files name it and its tensors.
///
/// How its configuration is read is in its own file below `model/arch/`.
pub struct Architecture {
    /// A single word. It is part of a configuration's hash in run records.
    pub name: &'static str,
    /// The class in transformers, as `architectures` of config.json names it.
    pub class: &'static str,
    /// What `model_type` of config.json calls it: by this, transformers chooses the class.
    pub model_type: &'static str,
    /// `general.architecture` of GGUF files; `None` if they don't name it.
    pub gguf: Option<&'static str>,
    /// Role, name in Hugging Face checkpoints and name in GGUF files, without `.weight` and `.bias`; `{}` stands for the layer's
    /// number.
    pub tensors: &'static [(TensorRole, &'static str, &'static str)],
    /// Whether GGUF files store the rows of q and k in pairs: llama.cpp rotates adjacent rows of a head,
    /// transformers row `i` with row `i + head_dim / 2`. The converter therefore stores row
    /// `half * head_dim / 2 + i` at `2 * i + half` (`permute` in `convert_hf_to_gguf.py`).
    pub gguf_has_paired_rows: bool,
}

impl Architecture {
    /// The name of a tensor in Hugging Face checkpoints; `None` if the architecture has no such tensor.
    pub fn hf_tensor(&self, tensor: TensorId) -> Option<String> {
        self.tensor(tensor, |&(_, hf, _)| hf)
    }

    /// The name of a tensor in GGUF files; `None` if the architecture has no such tensor.
    pub fn gguf_tensor(&self, tensor: TensorId) -> Option<String> {
        self.tensor(tensor, |&(.., gguf)| gguf)
    }

    fn tensor(
        &self,
        tensor: TensorId,
        name: impl Fn(&'static (TensorRole, &'static str, &'static str)) -> &'static str,
    ) -> Option<String> {
        let name = name(self.tensors.iter().find(|(role, ..)| *role == tensor.role)?);
        let ending = if tensor.is_bias { "bias" } else { "weight" };
        Some(format!("{}.{ending}", name.replace("{}", &tensor.layer.to_string())))
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Architecture {}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_their_names_in_both_kinds_of_files() {
        let architecture = Architecture {
            name: "Test",
            class: "TestForCausalLM",
            model_type: "test",
            gguf: Some("test"),
            tensors: &[
                (TensorRole::FinalNorm, "model.norm", "output_norm"),
                (TensorRole::Up, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
            ],
            gguf_has_paired_rows: false,
        };
        let norm = TensorRole::FinalNorm.into();
        assert_eq!(architecture.hf_tensor(norm).as_deref(), Some("model.norm.weight"));
        assert_eq!(architecture.gguf_tensor(norm).as_deref(), Some("output_norm.weight"));
        let up = TensorRole::Up.of_layer(17).bias();
        assert_eq!(architecture.hf_tensor(up).as_deref(), Some("model.layers.17.mlp.up_proj.bias"));
        assert_eq!(architecture.gguf_tensor(up).as_deref(), Some("blk.17.ffn_up.bias"));
        assert_eq!(architecture.hf_tensor(TensorRole::Head.into()), None);
        assert_eq!(format!("{architecture:?}"), "Test");
    }
}
