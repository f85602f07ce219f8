//! Attention of the rows of a pass over cached keys and the pass's own.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use rayon::prelude::*;

use super::blocks::Block;
use super::causal::CausalAttention;
use crate::model::kv_cache::KvCache;

/// What attention in a layer needs besides the rows of the pass.
pub struct AttentionContext<'a> {
    pub kv: &'a KvCache,
    pub layer: usize,
    pub window: Option<usize>,
    /// For blocks that are whole segments.
    pub causal: Option<&'a dyn CausalAttention>,
}

/// `softmax(q k^T / sqrt(head_dim)) v` for each head (<https://arxiv.org/abs/1706.03762>), with grouped queries.
///
/// `q` is `[heads, rows, head_dim]`, `k` and `v` are `[kv_heads, rows, head_dim]`, rotated; the result is
/// `[rows, heads * head_dim]` in the dtype of `q`. Rows of blocks for which `needed` is false are zero.
///
/// Scores, softmax and sum are in single precision whatever the model's format. PyTorch's fused attention on a CPU, and our
/// kernels, round exponentials of bfloat16 models before the sum; its math path and this one don't.
pub fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    blocks: &[Block],
    needed: impl Fn(&Block) -> bool + Sync,
    context: &AttentionContext<'_>,
) -> Result<Tensor> {
    let (heads, _, head_dim) = q.dims3()?;
    let kv_heads = k.dim(0)?;
    let dtype = q.dtype();
    let whole = |block: &Block| {
        let Some(causal) = context.causal else { candle_core::bail!("nothing attends to whole texts") };
        let rows = block.rows.len();
        let part = |x: &Tensor| x.narrow(1, block.rows.start, rows)?.transpose(0, 1);
        causal.attend(&part(q)?, &part(k)?, &part(v)?, context.window)?.reshape((rows, heads * head_dim))
    };
    let wide_q = (q.to_dtype(DType::F32)? * (1.0 / (head_dim as f64).sqrt()))?;
    let (wide_k, wide_v) = (k.to_dtype(DType::F32)?, v.to_dtype(DType::F32)?);
    let attended = |block: &Block| {
        let rows = block.rows.len();
        if !needed(block) {
            return Tensor::zeros((rows, heads * head_dim), dtype, q.device());
        }
        if block.whole {
            return whole(block);
        }
        // Query heads of a group are contiguous, so they are rows of one product with the group's keys.
        let q = wide_q.narrow(1, block.rows.start, rows)?.reshape((
            kv_heads,
            heads / kv_heads * rows,
            head_dim,
        ))?;
        let scores_of = |keys: &Tensor, mask: &Option<Tensor>| {
            let scores = q.matmul(&keys.transpose(1, 2)?)?;
            match mask {
                None => Ok(scores),
                Some(mask) => {
                    let count = keys.dim(1)?;
                    scores.reshape((heads, rows, count))?.broadcast_add(mask)?.reshape(scores.shape())
                }
            }
        };
        let mut scores = Vec::with_capacity(block.kept.len() + 1);
        let mut values = Vec::with_capacity(block.kept.len() + 1);
        for cached in &block.kept {
            let Some(tensors) = context.kv.tensors(cached.id) else {
                candle_core::bail!("keys and values of segment {} are not kept", cached.id.0)
            };
            let (keys, cached_values) = tensors.read(context.layer, cached.first, cached.count)?;
            scores.push(scores_of(&keys.to_dtype(DType::F32)?, &cached.mask)?);
            values.push(cached_values.to_dtype(DType::F32)?);
        }
        scores.push(scores_of(&wide_k.narrow(1, block.own.start, block.own.len())?, &block.mask)?);
        values.push(wide_v.narrow(1, block.own.start, block.own.len())?);

        let weights = softmax_last_dim(&concatenated(scores, D::Minus1)?)?;
        let mut output: Option<Tensor> = None;
        let mut at = 0;
        for values in &values {
            let count = values.dim(1)?;
            let mut part = weights.narrow(2, at, count)?;
            // cuBLAS takes contiguous matrices only.
            if !part.device().is_cpu() {
                part = part.contiguous()?;
            }
            let product = part.matmul(values)?;
            output = Some(match output {
                None => product,
                Some(output) => (output + product)?,
            });
            at += count;
        }
        let Some(output) = output else { candle_core::bail!("a block of attention sees no keys") };
        let output =
            output.reshape((heads, rows, head_dim))?.transpose(0, 1)?.reshape((rows, heads * head_dim))?;
        output.to_dtype(dtype)
    };
    // On the CPU much of a block's work is single-threaded, so blocks run in parallel.
    let outputs = if q.device().is_cpu() {
        blocks.par_iter().map(attended).collect::<Result<Vec<_>>>()?
    } else {
        blocks.iter().map(attended).collect::<Result<Vec<_>>>()?
    };
    concatenated(outputs, 0)
}

fn concatenated(mut parts: Vec<Tensor>, dim: impl candle_core::shape::Dim) -> Result<Tensor> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Tensor::cat(&parts, dim),
    }
}
