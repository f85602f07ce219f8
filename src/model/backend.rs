//! The implementation that computes a model: our own kernels, or candle.

use super::config::model_config::ModelConfig;
use super::cpu::network::Network;
use super::files::error::WeightsError;
use super::kv_cache::KvCache;
use super::options::Kernels;
use super::pass::{ForwardError, Layout};
use super::plain::decoder::Decoder;
use super::plain::device::OpenedDevice;
use super::weights::Weights;
use crate::kernels::dtype::Dtype;
use crate::kernels::isa::Isa;

/// A network with its weights.
pub enum Backend {
    Plain(Decoder),
    Cpu(Box<Network>),
}

impl Backend {
    /// Takes all tensors out of `weights`.
    pub fn take(
        weights: &mut Weights<'_>,
        config: &ModelConfig,
        dtype: Dtype,
        device: &OpenedDevice,
        kernels: Kernels,
    ) -> Result<Self, WeightsError> {
        if kernels == Kernels::Fast && device.is_cpu() {
            Ok(Backend::Cpu(Box::new(Network::take(weights, config, dtype, Isa::best())?)))
        } else {
            Ok(Backend::Plain(Decoder::take(weights, config, dtype, &device.device)?))
        }
    }

    /// Name of the kernels in use.
    pub fn kernels(&self) -> &'static str {
        match self {
            Backend::Plain(decoder) => decoder.kernels(),
            Backend::Cpu(network) => network.kernels(),
        }
    }

    /// Computes a pass: writes keys and values of all its rows to `kv`, and calls `read` with the logits of
    /// the rows in `wanted`.
    pub fn forward(
        &self,
        layout: &Layout,
        wanted: &[u32],
        kv: &mut KvCache,
        read: impl Fn(usize, &[f32]) -> Result<(), ForwardError> + Sync,
    ) -> Result<(), ForwardError> {
        match self {
            Backend::Plain(decoder) => decoder.forward(layout, wanted, kv, read),
            Backend::Cpu(network) => network.forward(layout, wanted, kv, read),
        }
    }

    /// Times part of a layer over `rows` rows: seconds, and the number of weights used.
    pub fn time_layer(&self, rows: usize) -> Result<(f64, usize), ForwardError> {
        match self {
            Backend::Plain(decoder) => Ok(decoder.time_layer(rows)?),
            Backend::Cpu(network) => network.time_layer(rows),
        }
    }
}
