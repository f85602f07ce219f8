//! The decoder of the Llama family, after `modeling_llama.py`, `modeling_mistral.py` and `modeling_qwen2.py` of
//! transformers: the plain path, with candle's operations.
//!
//! Weights and activations are in the model's dtype between operations; norms, activation function, rotary
//! angles and attention are computed in single precision.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops::rms_norm;
use candle_nn::rotary_emb::rope;

use super::attention::{AttentionContext, attend};
use super::blocks::{self, Block};
use super::causal::{CausalAttention, causal_attention};
use super::tensors::{self, Angles};
use crate::kernels::dtype::Dtype;
use crate::model::config::model_config::ModelConfig;
use crate::model::config::tensor_role::{TensorId, TensorRole};
use crate::model::files::error::WeightsError;
use crate::model::kv_cache::KvCache;
use crate::model::pass::Layout;
use crate::model::rope::Rotary;
use crate::model::weights::Weights;

/// Takes tensors out of a checkpoint, and copies them to a device.
struct Taker<'t, 'w> {
    weights: &'t mut Weights<'w>,
    device: &'t Device,
}

impl Taker<'_, '_> {
    fn take(&mut self, tensor: TensorId, shape: &[usize]) -> WeightsResult<Tensor> {
        tensors::take(self.weights, self.device, tensor, shape)
    }
}

struct Linear {
    /// `[out, in]`.
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    fn take(
        taker: &mut Taker<'_, '_>,
        tensor: TensorId,
        out: usize,
        input: usize,
        bias: bool,
    ) -> WeightsResult<Self> {
        let weight = taker.take(tensor, &[out, input])?;
        let bias = bias.then(|| taker.take(tensor.bias(), &[out])).transpose()?;
        Ok(Self { weight, bias })
    }

    /// `[rows, in]` to `[rows, out]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        match &self.bias {
            None => Ok(y),
            Some(bias) => y.broadcast_add(bias),
        }
    }
}

/// Root mean square norm (<https://arxiv.org/abs/1910.07467>).
struct RmsNorm {
    weight: Tensor,
    /// Ones in single precision, if the model is in another format.
    unit: Option<Tensor>,
    epsilon: f32,
}

impl RmsNorm {
    fn take(taker: &mut Taker<'_, '_>, tensor: TensorId, config: &ModelConfig) -> WeightsResult<Self> {
        let weight = taker.take(tensor, &[config.hidden_size])?;
        let unit = match weight.dtype() {
            DType::F32 => None,
            _ => Some(tensors::ones(taker.weights, taker.device, config.hidden_size)?),
        };
        Ok(Self { weight, unit, epsilon: config.rms_norm_eps as f32 })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.unit {
            None => rms_norm(x, &self.weight, self.epsilon),
            // transformers rounds the normed row before it multiplies by the weight.
            Some(unit) => rms_norm(&x.to_dtype(DType::F32)?, unit, self.epsilon)?
                .to_dtype(x.dtype())?
                .broadcast_mul(&self.weight),
        }
    }
}

struct Layer {
    input_norm: RmsNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    post_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

type WeightsResult<T> = std::result::Result<T, WeightsError>;

impl Layer {
    fn take(taker: &mut Taker<'_, '_>, config: &ModelConfig, number: usize) -> WeightsResult<Self> {
        let of = |role: TensorRole| role.of_layer(number);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (query, kv) = (config.query_width(), config.kv_width());
        Ok(Self {
            input_norm: RmsNorm::take(taker, of(TensorRole::InputNorm), config)?,
            q: Linear::take(taker, of(TensorRole::Query), query, hidden, config.qkv_bias)?,
            k: Linear::take(taker, of(TensorRole::Key), kv, hidden, config.qkv_bias)?,
            v: Linear::take(taker, of(TensorRole::Value), kv, hidden, config.qkv_bias)?,
            o: Linear::take(taker, of(TensorRole::Output), hidden, query, config.output_bias)?,
            post_norm: RmsNorm::take(taker, of(TensorRole::PostNorm), config)?,
            gate: Linear::take(taker, of(TensorRole::Gate), inner, hidden, config.mlp_bias)?,
            up: Linear::take(taker, of(TensorRole::Up), inner, hidden, config.mlp_bias)?,
            down: Linear::take(taker, of(TensorRole::Down), hidden, inner, config.mlp_bias)?,
        })
    }

    /// What follows attention: output projection, and the MLP with SiLU (SwiGLU, <https://arxiv.org/abs/2002.05202>).
    fn after_attention(&self, x: &Tensor, attended: &Tensor) -> Result<Tensor> {
        let x = (x + self.o.forward(attended)?)?;
        let normed = self.post_norm.forward(&x)?;
        let gate = self.gate.forward(&normed)?;
        let gate = gate.to_dtype(DType::F32)?.silu()?.to_dtype(gate.dtype())?;
        let inner = (gate * self.up.forward(&normed)?)?;
        x + self.down.forward(&inner)?
    }
}

/// The whole network.
pub struct Decoder {
    /// `[vocab, hidden]`.
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `[vocab, hidden]`; the embedding itself if they are tied.
    head: Linear,
    rotary: Rotary,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    windows: Vec<Option<usize>>,
    /// For segments without a prefix, if the device has it.
    causal: Option<Box<dyn CausalAttention>>,
    dtype: Dtype,
    device: Device,
}

/// Maximum number of logits computed at a time for wanted rows: 64 MiB in single precision.
const MAX_LOGITS: usize = 1 << 24;

impl Decoder {
    /// Takes all tensors out of `weights`.
    pub fn take(
        weights: &mut Weights<'_>,
        config: &ModelConfig,
        dtype: Dtype,
        device: &Device,
    ) -> WeightsResult<Self> {
        let table = [config.vocab_size, config.hidden_size];
        let taker = &mut Taker { weights, device };
        let embedding = taker.take(TensorRole::Embedding.into(), &table)?;
        let layers = (0..config.layers)
            .map(|number| Layer::take(taker, config, number))
            .collect::<WeightsResult<Vec<_>>>()?;
        let norm = RmsNorm::take(taker, TensorRole::FinalNorm.into(), config)?;
        let head = if config.tied_embeddings {
            embedding.clone()
        } else {
            taker.take(TensorRole::Head.into(), &table)?
        };
        let divisors = taker.weights.take_rope_divisors()?;
        Ok(Self {
            embedding,
            layers,
            norm,
            head: Linear { weight: head, bias: None },
            rotary: Rotary::new(&config.rope, config.head_dim, divisors.as_deref()),
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            windows: config.windows.clone(),
            causal: causal_attention(device, dtype, config.head_dim),
            dtype,
            device: device.clone(),
        })
    }

    /// Name of the kernels in use.
    pub fn kernels(&self) -> &'static str {
        self.causal.as_ref().map_or("plain", |causal| causal.name())
    }

    #[cfg(test)]
    pub fn use_for_whole_segments(&mut self, causal: Option<Box<dyn CausalAttention>>) {
        self.causal = causal;
    }

    /// Times what follows attention in the first layer over `rows` rows, the best of three: seconds, and the
    /// number of weights used.
    pub fn time_layer(&self, rows: usize) -> Result<(f64, usize)> {
        let Some(layer) = self.layers.first() else { return Ok((0.0, 1)) };
        let dtype = self.embedding.dtype();
        let x = Tensor::zeros((rows, self.embedding.dim(1)?), dtype, &self.device)?;
        let attended = Tensor::zeros((rows, self.heads * self.head_dim), dtype, &self.device)?;
        let weights = [&layer.o, &layer.gate, &layer.up, &layer.down];
        let numbers = weights.iter().map(|linear| linear.weight.elem_count()).sum();
        let mut seconds = f64::INFINITY;
        for _ in 0..3 {
            let clock = std::time::Instant::now();
            layer.after_attention(&x, &attended)?;
            self.device.synchronize()?;
            seconds = seconds.min(clock.elapsed().as_secs_f64());
        }
        Ok((seconds, numbers))
    }

    /// Computes a pass: writes keys and values of all its rows to `kv`, and calls `read` with the logits of
    /// the rows in `wanted`, in their order.
    pub fn forward<E: From<candle_core::Error>>(
        &self,
        layout: &Layout,
        wanted: &[u32],
        kv: &mut KvCache,
        mut read: impl FnMut(usize, &[f32]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let tokens = Tensor::new(layout.tokens.as_slice(), &self.device)?;
        let angles = Angles::new(&self.rotary, &layout.positions, self.dtype, &self.device)?;
        let blocks = self.blocks(layout)?;
        let mut x = self.embedding.index_select(&tokens, 0)?;
        for (number, (layer, window)) in self.layers.iter().zip(&self.windows).enumerate() {
            let blocks = blocks.iter().find(|(of, _)| of == window).map_or(&[][..], |(_, blocks)| blocks);
            let last = number + 1 == self.layers.len();
            let normed = layer.input_norm.forward(&x)?;
            let k = self.rotated(layer.k.forward(&normed)?, self.kv_heads, &angles)?;
            let v = self.by_head(layer.v.forward(&normed)?, self.kv_heads)?;
            for placed in &layout.segments {
                let (start, rows) = (placed.rows.start, placed.rows.len());
                let Some((tensors, length)) = kv.tensors_mut(placed.id) else {
                    return Err(candle_core::Error::msg(
                        "keys and values are written before a segment is opened",
                    )
                    .into());
                };
                tensors.write(number, length, &k.narrow(1, start, rows)?, &v.narrow(1, start, rows)?)?;
            }
            if last && wanted.is_empty() {
                break;
            }
            // In the last layer only wanted rows are computed further; keys and values are already written.
            let needed =
                |block: &Block| !last || wanted.iter().any(|&row| block.rows.contains(&(row as usize)));
            let q = self.rotated(layer.q.forward(&normed)?, self.heads, &angles)?;
            let context =
                AttentionContext { kv: &*kv, layer: number, window: *window, causal: self.causal.as_deref() };
            let attended = attend(&q, &k, &v, blocks, needed, &context)?;
            if !last {
                x = layer.after_attention(&x, &attended)?;
                continue;
            }
            let piece = (MAX_LOGITS / self.head.weight.dim(0)?).max(1);
            for (at, rows) in wanted.chunks(piece).enumerate() {
                let index = Tensor::new(rows, &self.device)?;
                let x =
                    layer.after_attention(&x.index_select(&index, 0)?, &attended.index_select(&index, 0)?)?;
                let logits = self.head.forward(&self.norm.forward(&x)?)?;
                let logits = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
                for (i, row) in logits.chunks(logits.len() / rows.len()).enumerate() {
                    read(at * piece + i, row)?;
                }
            }
        }
        Ok(())
    }

    /// Blocks of attention for each distinct window of the layers.
    fn blocks(&self, layout: &Layout) -> Result<Vec<(Option<usize>, Vec<Block>)>> {
        let mut blocks: Vec<(Option<usize>, Vec<Block>)> = Vec::new();
        for &window in &self.windows {
            if blocks.iter().all(|(of, _)| *of != window) {
                blocks.push((
                    window,
                    blocks::blocks(layout, window, self.heads, self.causal.is_some(), &self.device)?,
                ));
            }
        }
        Ok(blocks)
    }

    /// `[rows, heads * head_dim]` to `[heads, rows, head_dim]`.
    fn by_head(&self, x: Tensor, heads: usize) -> Result<Tensor> {
        x.reshape(((), heads, self.head_dim))?.transpose(0, 1)?.contiguous()
    }

    /// As [`by_head`](Self::by_head), rotated by the rows' positions.
    fn rotated(&self, x: Tensor, heads: usize, angles: &Angles) -> Result<Tensor> {
        rope(&self.by_head(x, heads)?.unsqueeze(0)?, &angles.cos, &angles.sin)?.squeeze(0)
    }
}
