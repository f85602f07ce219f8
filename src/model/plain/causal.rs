//! Attention of a segment without a prefix, if the device has a better kernel for it than blocks with masks.

use candle_core::{Device, Result, Tensor};

use crate::kernels::dtype::Dtype;

/// `softmax(q k^T / sqrt(head_dim)) v` of one segment without a prefix. Hides what depends on the device.
pub trait CausalAttention: Send + Sync {
    /// Name of the kernels, as in `run.json`.
    fn name(&self) -> &'static str;

    /// `q` is `[rows, heads, head_dim]`, `k` and `v` are `[rows, kv_heads, head_dim]`, rotated and contiguous
    /// in the last dimension; the result has the shape of `q`. A row attends to itself and the rows before
    /// it, with a window to the last `window` of these.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, window: Option<usize>) -> Result<Tensor>;
}

/// What this build has for the device and the dtype; `None` on a CPU.
pub fn causal_attention(device: &Device, dtype: Dtype, head_dim: usize) -> Option<Box<dyn CausalAttention>> {
    #[cfg(feature = "flash-attn")]
    if device.is_cuda() && dtype != Dtype::F32 && head_dim.is_multiple_of(8) && head_dim <= 256 {
        return Some(Box::new(Flash));
    }
    let _ = (device, dtype, head_dim);
    None
}

/// FlashAttention 2 (<https://arxiv.org/abs/2307.08691>), in half precision and bfloat16. It rounds the weights of the
/// softmax to the format, as PyTorch's own does.
#[cfg(feature = "flash-attn")]
struct Flash;

#[cfg(feature = "flash-attn")]
impl CausalAttention for Flash {
    fn name(&self) -> &'static str {
        "flash-attn"
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, window: Option<usize>) -> Result<Tensor> {
        let (q, k, v) = (q.unsqueeze(0)?, k.unsqueeze(0)?, v.unsqueeze(0)?);
        let scale = 1.0 / (q.dim(3)? as f32).sqrt();
        // Rows to the left of a row; none to its right.
        let left = window.map(|window| window.saturating_sub(1));
        candle_flash_attn::flash_attn_windowed(&q, &k, &v, scale, left, Some(0))?.squeeze(0)
    }
}
