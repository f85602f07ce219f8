//! The decoder of the Llama family on the CPU, with our own kernels.
//!
//! The same network as the plain path's; see there for sources. Each value of a row is computed by the same
//! operations in the same order whatever else is in the pass, so responses have the same bits under any
//! schedule.

use std::path::PathBuf;
use std::sync::Mutex;

use super::clock::Clock;
use super::embedding::Embedding;
use super::layer::Layer;
use super::packer::Packer;
use super::workspace::{Widths, Workspace};
use crate::kernels::attention::kv_rows::KvShape;
use crate::kernels::dtype::Dtype;
use crate::kernels::gemm::packed_matrix::PackedMatrix;
use crate::kernels::isa::Isa;
use crate::kernels::measure;
use crate::kernels::memory::{NoMemory, WeightArena};
use crate::kernels::team;
use crate::model::config::model_config::ModelConfig;
use crate::model::config::tensor_role::TensorRole;
use crate::model::files::error::WeightsError;
use crate::model::pass::ForwardError;
use crate::model::rope::Rotary;
use crate::model::weights::Weights;

/// The whole network.
pub struct Network {
    /// Path of the model, for messages.
    pub path: PathBuf,
    pub isa: Isa,
    pub dtype: Dtype,
    pub config: ModelConfig,
    /// `[vocab, hidden]`; `None` if tied to the head.
    pub embedding: Option<Embedding>,
    pub layers: Vec<Layer>,
    pub norm: Vec<f32>,
    pub head: PackedMatrix,
    pub rotary: Rotary,
    pub clock: Clock,
    /// Scratch memory of the last pass, reused by the next one: for all rows, and for the wanted rows.
    pub workspaces: Mutex<Option<[Workspace; 2]>>,
}

impl Network {
    /// Takes all tensors out of `weights`.
    pub fn take(
        weights: &mut Weights<'_>,
        config: &ModelConfig,
        dtype: Dtype,
        isa: Isa,
    ) -> Result<Self, WeightsError> {
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let mut packer = Packer { weights, isa, dtype, arena: WeightArena::default() };
        let head = if config.tied_embeddings { TensorRole::Embedding } else { TensorRole::Head };
        let head = packer.matrix(&[(head.into(), vocabulary)], hidden)?;
        let embedding = if config.tied_embeddings {
            None
        } else {
            Some(packer.embedding(TensorRole::Embedding.into(), vocabulary, hidden)?)
        };
        let layers = (0..config.layers)
            .map(|number| Layer::take(&mut packer, config, number))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = packer.vector(TensorRole::FinalNorm.into(), config.hidden_size)?;
        let divisors = weights.take_rope_divisors()?;
        let rotary = Rotary::new(&config.rope, config.head_dim, divisors.as_deref());
        let path = weights.path().to_owned();
        Ok(Self {
            path,
            isa,
            dtype,
            config: config.clone(),
            embedding,
            layers,
            norm,
            head,
            rotary,
            clock: Clock::default(),
            workspaces: Mutex::default(),
        })
    }

    /// Bytes per second at which all threads together read the packed matrices, the best of `tries + 1`.
    pub fn read_rate(&self, tries: usize) -> f64 {
        let matrices = self.layers.iter().flat_map(Layer::matrices).chain([&self.head]);
        measure::read_rate(&matrices.map(PackedMatrix::numbers).collect::<Vec<_>>(), tries)
    }

    /// Name of the kernels in use.
    pub fn kernels(&self) -> &'static str {
        self.isa.name(self.dtype)
    }

    /// Seconds spent in passes since the model was loaded, by operation.
    pub fn seconds_by_operation(&self) -> Vec<(&'static str, f64)> {
        self.clock.seconds()
    }

    /// Dimensions and dtype of cached keys and values.
    pub fn kv_shape(&self) -> KvShape {
        KvShape { kv_heads: self.config.kv_heads, head_dim: self.config.head_dim, dtype: self.dtype }
    }

    /// An empty workspace.
    pub(super) fn workspace(&self) -> Result<Workspace, NoMemory> {
        let widths = Widths {
            hidden: self.config.hidden_size,
            qkv: self.layers.first().map_or(0, |layer| layer.qkv.width()),
            attended: self.config.query_width(),
            inner: self.config.intermediate_size,
            logits: self.head.width(),
        };
        Workspace::new(widths, self.head.kernel(), self.kv_shape())
    }

    /// Times the MLP of the first layer over `rows` rows, the best of three: seconds, and the number of
    /// weights used.
    pub fn time_layer(&self, rows: usize) -> Result<(f64, usize), ForwardError> {
        let Some(layer) = self.layers.first() else { return Ok((0.0, 1)) };
        let mut workspace = self.workspace()?;
        workspace.set_count(rows)?;
        let mut seconds = f64::INFINITY;
        for _ in 0..3 {
            let clock = std::time::Instant::now();
            team::together(|| self.mlp(layer, &mut workspace));
            seconds = seconds.min(clock.elapsed().as_secs_f64());
        }
        Ok((seconds, layer.gate_up.len() + layer.down.len()))
    }
}
