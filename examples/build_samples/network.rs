//! The sample model: Mistral's architecture in operations that candle can differentiate.
//!
//! candle's fused `rope`, `rms_norm` and `softmax_last_dim` have no backward pass, hence the plain ones here.

use std::collections::{BTreeMap, HashMap};

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::rms_norm_slow;
use candle_nn::rotary_emb::rope_slow;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::tokenizer::{BEGIN, END, VOCABULARY};

/// Positions that the model's configuration allows: enough for 25 shots and 256 new tokens.
pub const CONTEXT: usize = 4096;

const HIDDEN: usize = 128;
const INTERMEDIATE: usize = 256;
const LAYERS: usize = 3;
const HEADS: usize = 4;
const KEY_VALUE_HEADS: usize = 2;
const HEAD: usize = 32;
const EPSILON: f32 = 1e-5;
const ROPE_THETA: f32 = 10_000.0;
const SPREAD: f32 = 0.02;

/// The weights, by the names that they have in a checkpoint.
pub struct Network {
    weights: BTreeMap<String, Var>,
}

impl Network {
    /// An untrained network.
    pub fn untrained(seed: u32) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let mut weights = BTreeMap::new();
        for (name, shape) in shapes() {
            let tensor = if shape.len() == 1 {
                Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu)?
            } else {
                // Projections into the residual stream start smaller, or even three layers would swamp it.
                let narrow = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
                let spread = if narrow { SPREAD / (2.0 * LAYERS as f32).sqrt() } else { SPREAD };
                let values: Vec<f32> = (0..shape.iter().product()).map(|_| spread * dice.normal()).collect();
                Tensor::from_vec(values, shape, &Device::Cpu)?
            };
            weights.insert(name, Var::from_tensor(&tensor)?);
        }
        Ok(Self { weights })
    }

    /// The network of a checkpoint.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Result<Self> {
        let weights = tensors
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(tensor)?)))
            .collect::<Result<_>>()?;
        Ok(Self { weights })
    }

    /// Every weight under its checkpoint name, in the order of the names.
    pub fn weights(&self) -> &BTreeMap<String, Var> {
        &self.weights
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.weights.values().map(|weight| weight.elem_count()).sum()
    }

    /// Logits `[batch, length, vocabulary]` of ids `[batch, length]`.
    pub fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, length) = ids.dims2()?;
        let (cos, sin) = rotations(length)?;
        let mask = causal_mask(length)?;
        let table = self.weight("model.embed_tokens.weight")?;
        let mut hidden = table.index_select(&ids.flatten_all()?, 0)?.reshape((batch, length, HIDDEN))?;
        for layer in 0..LAYERS {
            let prefix = format!("model.layers.{layer}");
            let normed = self.norm(&hidden, &format!("{prefix}.input_layernorm"))?;
            let attended = self.attend(&normed, &format!("{prefix}.self_attn"), (&cos, &sin), &mask)?;
            hidden = (hidden + attended)?;
            let normed = self.norm(&hidden, &format!("{prefix}.post_attention_layernorm"))?;
            hidden = (hidden + self.gated(&normed, &format!("{prefix}.mlp"))?)?;
        }
        self.linear(&self.norm(&hidden, "model.norm")?, "lm_head")
    }

    fn attend(
        &self,
        x: &Tensor,
        prefix: &str,
        (cos, sin): (&Tensor, &Tensor),
        mask: &Tensor,
    ) -> Result<Tensor> {
        let (batch, length, _) = x.dims3()?;
        let split = |name: &str, heads: usize| {
            self.linear(x, &format!("{prefix}.{name}"))?
                .reshape((batch, length, heads, HEAD))?
                .transpose(1, 2)?
                .contiguous()
        };
        let query = rope_slow(&split("q_proj", HEADS)?, cos, sin)?;
        let key = repeat(&rope_slow(&split("k_proj", KEY_VALUE_HEADS)?, cos, sin)?)?;
        let value = repeat(&split("v_proj", KEY_VALUE_HEADS)?)?;
        let scores = (query.matmul(&key.transpose(2, 3)?.contiguous()?)? * (HEAD as f64).powf(-0.5))?;
        let weights = softmax(&scores.broadcast_add(mask)?)?;
        let mixed = weights.matmul(&value)?.transpose(1, 2)?.reshape((batch, length, HEADS * HEAD))?;
        self.linear(&mixed, &format!("{prefix}.o_proj"))
    }

    fn gated(&self, x: &Tensor, prefix: &str) -> Result<Tensor> {
        let gate = self.linear(x, &format!("{prefix}.gate_proj"))?.silu()?;
        let up = self.linear(x, &format!("{prefix}.up_proj"))?;
        self.linear(&(gate * up)?, &format!("{prefix}.down_proj"))
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        rms_norm_slow(x, self.weight(&format!("{name}.weight"))?, EPSILON)
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let (batch, length, width) = x.dims3()?;
        let weight = self.weight(&format!("{name}.weight"))?;
        // One large product instead of one per batch row.
        x.reshape((batch * length, width))?.matmul(&weight.t()?)?.reshape((batch, length, weight.dim(0)?))
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        match self.weights.get(name) {
            Some(weight) => Ok(weight.as_tensor()),
            None => candle_core::bail!("the checkpoint lacks {name}"),
        }
    }
}

/// `config.json` of this network.
pub fn config() -> Value {
    json!({
        "architectures": ["MistralForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": CONTEXT,
        "model_type": "mistral",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "rms_norm_eps": 1e-5,
        "rope_theta": ROPE_THETA,
        "sliding_window": CONTEXT,
        "tie_word_embeddings": false,
        "torch_dtype": "float32",
        "use_cache": true,
        "vocab_size": VOCABULARY,
    })
}

/// Names and shapes of the weights, `[out, in]` as in every checkpoint of the hub.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
        ("lm_head.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let parts: [(&str, Vec<usize>); 9] = [
            ("input_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![HEADS * HEAD, HIDDEN]),
            ("self_attn.k_proj", vec![KEY_VALUE_HEADS * HEAD, HIDDEN]),
            ("self_attn.v_proj", vec![KEY_VALUE_HEADS * HEAD, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HEADS * HEAD]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("mlp.gate_proj", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.up_proj", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INTERMEDIATE]),
        ];
        for (part, shape) in parts {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    shapes
}

/// Softmax over the last dimension. The maximum only guards against overflow, so it is detached; candle's own
/// `softmax` would compute its gradient in vain.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

/// Mean negative log-probability of the `next` ids under logits `[positions, vocabulary]`.
pub fn cross_entropy(logits: &Tensor, next: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_total = shifted.exp()?.sum(D::Minus1)?.log()?;
    let right = shifted.gather(&next.unsqueeze(1)?, 1)?.squeeze(1)?;
    (log_total - right)?.mean_all()
}

/// Each key or value head serves a group of neighbouring query heads.
fn repeat(x: &Tensor) -> Result<Tensor> {
    let (batch, heads, length, width) = x.dims4()?;
    let group = HEADS / heads;
    x.unsqueeze(2)?.broadcast_as((batch, heads, group, length, width))?.reshape((batch, HEADS, length, width))
}

/// Cosines and sines `[length, HEAD / 2]` of the rotary embedding.
fn rotations(length: usize) -> Result<(Tensor, Tensor)> {
    let half = HEAD / 2;
    let angles: Vec<f32> = (0..length)
        .flat_map(|position| {
            (0..half).map(move |pair| position as f32 * ROPE_THETA.powf(-(pair as f32) / half as f32))
        })
        .collect();
    let angles = Tensor::from_vec(angles, (length, half), &Device::Cpu)?;
    Ok((angles.cos()?, angles.sin()?))
}

/// Zero where a token may attend, minus infinity where it may not.
fn causal_mask(length: usize) -> Result<Tensor> {
    let mask: Vec<f32> = (0..length)
        .flat_map(|row| (0..length).map(move |column| if column > row { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (length, length), &Device::Cpu)
}
