//! What distinguishes an architecture from others, as plain data.

use std::fmt;

/// An architecture: how files name it and its tensors.
///
/// How its configuration is read is in its own file below `model/arch/`.
pub struct Architecture {
    /// A single word. It is part of a configuration's hash in run records.
    pub name: &'static str,
    /// The class in transformers, as `architectures` of config.json names it.
    pub class: &'static str,
    /// `general.architecture` of GGUF files; `None` if they don't name it.
    pub gguf: Option<&'static str>,
    /// Names of the tensors in Hugging Face checkpoints and in GGUF files, without `.weight` and `.bias`;
    /// `{}` stands for the layer's number.
    pub tensors: &'static [(&'static str, &'static str)],
    /// Whether GGUF files store the rows of q and k in pairs: llama.cpp rotates adjacent rows of a head,
    /// transformers row `i` with row `i + head_dim / 2`. The converter therefore stores row
    /// `half * head_dim / 2 + i` at `2 * i + half` (`permute` in `convert_hf_to_gguf.py`).
    pub gguf_has_paired_rows: bool,
}

impl Architecture {
    /// The GGUF name of the tensor that is called `name` in a Hugging Face checkpoint; `None` if the
    /// architecture has no such tensor.
    pub fn gguf_tensor(&self, name: &str) -> Option<String> {
        let (stem, ending) = name.rsplit_once('.')?;
        self.tensors.iter().find_map(|(hf, gguf)| match hf.split_once("{}") {
            None => (*hf == stem).then(|| format!("{gguf}.{ending}")),
            Some((before, behind)) => {
                let layer = stem.strip_prefix(before)?.strip_suffix(behind)?;
                let is_number = !layer.is_empty() && layer.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| format!("{}.{ending}", gguf.replace("{}", layer)))
            }
        })
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
            gguf: Some("test"),
            tensors: &[("model.norm", "output_norm"), ("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up")],
            gguf_has_paired_rows: false,
        };
        let named = |name| architecture.gguf_tensor(name);
        assert_eq!(named("model.norm.weight").as_deref(), Some("output_norm.weight"));
        assert_eq!(named("model.layers.17.mlp.up_proj.bias").as_deref(), Some("blk.17.ffn_up.bias"));
        for unknown in
            ["model.norm", "model.layers..mlp.up_proj.weight", "model.layers.1.2.mlp.up_proj.weight", "x"]
        {
            assert_eq!(named(unknown), None, "{unknown}");
        }
        assert_eq!(format!("{architecture:?}"), "Test");
    }
}
