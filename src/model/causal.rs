//! Attention of a text over itself alone, where a device has something better for it than blocks with masks.

use candle_core::{Device, Result, Tensor};

use super::config::Dtype;

/// `softmax(q k^T / sqrt(head_dim)) v` of one text that begins in the pass. All that depends on the device is behind it.
pub(super) trait CausalAttention: Send + Sync {
    /// As `run.json` names what computes.
    fn name(&self) -> &'static str;

    /// `q` is `[rows, heads, head_dim]`, `k` and `v` are `[rows, kv_heads, head_dim]`, rotated and contiguous in the last
    /// dimension; the result is as `q`. A row sees itself and those before it, with a window the last `window` of these.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, window: Option<usize>) -> Result<Tensor>;
}

/// What this build has for the device and the format; nothing on a CPU.
pub(super) fn causal_attention(
    device: &Device,
    dtype: Dtype,
    head_dim: usize,
) -> Option<Box<dyn CausalAttention>> {
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
        // Rows to the left of a row, and to its right.
        let left = window.map(|window| window.saturating_sub(1));
        candle_flash_attn::flash_attn_windowed(&q, &k, &v, scale, left, Some(0))?.squeeze(0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::{D, DType};
    use candle_nn::ops::softmax_last_dim;

    use super::*;
    use crate::model::checkpoint::Checkpoint;
    use crate::model::config::ModelConfig;
    use crate::model::decoder::Decoder;
    use crate::model::kv::{KvCache, KvShape, SegmentId};
    use crate::model::pass::{ForwardError, Layout, Segment};
    use crate::model::weights::Weights;

    /// The whole text at once, by candle's operations.
    struct Direct;

    impl CausalAttention for Direct {
        fn name(&self) -> &'static str {
            "direct"
        }

        fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, window: Option<usize>) -> Result<Tensor> {
            let (rows, heads, head_dim) = q.dims3()?;
            let group = heads / k.dim(1)?;
            let by_head = |x: &Tensor| x.transpose(0, 1)?.to_dtype(DType::F32)?.contiguous();
            let repeated = |x: &Tensor| {
                let (rows, kv_heads, head_dim) = x.dims3()?;
                by_head(
                    &x.unsqueeze(2)?
                        .broadcast_as((rows, kv_heads, group, head_dim))?
                        .reshape((rows, heads, head_dim))?,
                )
            };
            let seen = |row: usize, key: usize| key <= row && window.is_none_or(|window| row - key < window);
            let mask: Vec<f32> = (0..rows)
                .flat_map(|row| {
                    (0..rows).map(move |key| if seen(row, key) { 0.0 } else { f32::NEG_INFINITY })
                })
                .collect();
            let mask = Tensor::from_vec(mask, (1, rows, rows), q.device())?;
            let scores = (by_head(q)?.matmul(&repeated(k)?.transpose(D::Minus1, D::Minus2)?)?
                * (1.0 / (head_dim as f64).sqrt()))?;
            let weights = softmax_last_dim(&scores.broadcast_add(&mask)?)?;
            weights.matmul(&repeated(v)?)?.transpose(0, 1)?.to_dtype(q.dtype())
        }
    }

    /// Logits of three passes: texts with and without a prefix, texts that grow, texts of several blocks.
    fn logits(dtype: Dtype, window: Option<usize>, causal: Option<Box<dyn CausalAttention>>) -> Vec<f32> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
        let mut config = ModelConfig::from_hf_file(&folder.join("config.json")).unwrap();
        config.windows[0] = window;
        let checkpoint = Checkpoint::open_folder(&folder).unwrap();
        let mut weights = Weights::new(&checkpoint, &config, dtype, &Device::Cpu);
        let mut decoder = Decoder::take(&mut weights, &config, dtype, &Device::Cpu).unwrap();
        assert_eq!(decoder.kernels(), "plain");
        decoder.use_for_whole_texts(causal);
        let (layers, kv_heads, head_dim) = (config.layers, config.kv_heads, config.head_dim);
        let mut kv = KvCache::new(KvShape { layers, kv_heads, head_dim, dtype });
        let segment = |id: usize, prefix: &[usize], tokens: std::ops::Range<u32>| Segment {
            id: SegmentId(id),
            prefix: prefix.iter().copied().map(SegmentId).collect(),
            tokens: tokens.map(|i| i * 37 % config.vocab_size as u32).collect(),
        };
        let passes = [
            vec![segment(0, &[], 0..300), segment(1, &[0], 3..21), segment(2, &[0], 5..6)],
            vec![segment(1, &[0], 1..2), segment(3, &[], 2..3), segment(4, &[], 9..50)],
            vec![segment(4, &[], 1..8), segment(5, &[4], 7..9), segment(6, &[], 2..10)],
        ];
        let mut all = Vec::new();
        for pass in &passes[..] {
            let layout = Layout::open(pass, &mut kv).unwrap();
            let wanted: Vec<u32> = (0..layout.tokens.len() as u32).rev().step_by(3).collect();
            let read = |_: usize, row: &[f32]| {
                all.extend_from_slice(row);
                Ok::<_, ForwardError>(())
            };
            decoder.forward(&layout, &wanted, &mut kv, read).unwrap();
            kv.commit(layout.ids());
        }
        all
    }

    #[test]
    fn whole_texts_attend_as_they_do_block_by_block() {
        for window in [None, Some(5), Some(64)] {
            for (dtype, tolerance) in [(Dtype::F32, 1e-4), (Dtype::Bf16, 0.2)] {
                let expected = logits(dtype, window, None);
                let found = logits(dtype, window, Some(Box::new(Direct)));
                assert_eq!(found.len(), expected.len());
                let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
                let most = differences.fold(0.0, f32::max);
                assert!(most < tolerance, "{dtype}, window {window:?}: {most}");
            }
        }
        let narrow = logits(Dtype::F32, Some(5), Some(Box::new(Direct)));
        assert_ne!(narrow, logits(Dtype::F32, None, Some(Box::new(Direct))), "the window counts");
    }
}
