//! The decoder of the Llama family on the CPU, by our own kernels.
//!
//! The same network as the plain path's; see there for sources. Each number of a row is computed by the same operations in
//! the same order whatever else is in the pass, so responses have the same bits under any schedule.

use std::path::PathBuf;
use std::sync::Mutex;

use super::clock::Clock;
use super::embedding::Embedding;
use super::isa::Isa;
use super::kept::KeptShape;
use super::layer::Layer;
use super::matrix::Matrix;
use super::measure;
use super::memory::{NoMemory, Weightroom};
use super::packer::{Packer, Taken};
use super::team;
use super::workspace::Workspace;
use crate::model::config::{Dtype, ModelConfig};
use crate::model::pass::ForwardError;
use crate::model::rope::Rotary;
use crate::model::weights::Weights;

/// The whole network.
pub struct Network {
    /// Of the model, for messages.
    pub(super) path: PathBuf,
    pub(super) isa: Isa,
    pub(super) dtype: Dtype,
    pub(super) config: ModelConfig,
    /// `[vocab, hidden]`; `None` where it is the head.
    pub(super) embedding: Option<Embedding>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) head: Matrix,
    pub(super) rotary: Rotary,
    pub(super) clock: Clock,
    /// What the last pass worked in, for the next one: for all rows, and for those that are wanted.
    pub(super) workspaces: Mutex<Option<[Workspace; 2]>>,
}

const EMBEDDING: &str = "model.embed_tokens";

impl From<NoMemory> for ForwardError {
    fn from(error: NoMemory) -> Self {
        ForwardError::OutOfMemory { reason: format!("no room for {} bytes", error.bytes) }
    }
}

impl Network {
    /// Takes all tensors out of `weights`.
    pub fn take(weights: &mut Weights<'_>, config: &ModelConfig, dtype: Dtype, isa: Isa) -> Taken<Self> {
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let mut packer = Packer { weights, isa, dtype, room: Weightroom::default() };
        let name = if config.tied_embeddings { EMBEDDING } else { "lm_head" };
        let head = packer.matrix(&[(name.to_owned(), vocabulary)], hidden)?;
        let embedding = match config.tied_embeddings {
            true => None,
            false => Some(packer.embedding(&format!("{EMBEDDING}.weight"), vocabulary, hidden)?),
        };
        let layers = (0..config.layers)
            .map(|number| Layer::take(&mut packer, config, number))
            .collect::<Taken<Vec<_>>>()?;
        let norm = packer.vector("model.norm.weight", config.hidden_size)?;
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

    /// Bytes a second at which all threads together read the matrices where they are, the best of `tries`.
    pub fn read_rate(&self, tries: usize) -> f64 {
        let matrices = self.layers.iter().flat_map(Layer::matrices).chain([&self.head]);
        measure::read_rate(&matrices.map(Matrix::numbers).collect::<Vec<_>>(), tries)
    }

    /// Name of the kernels in use.
    pub fn kernels(&self) -> &'static str {
        self.isa.name(self.dtype)
    }

    /// Seconds that passes took since it was loaded, by operation.
    pub fn seconds_by_operation(&self) -> Vec<(&'static str, f64)> {
        self.clock.seconds()
    }

    /// How keys and values are kept.
    pub fn kept_shape(&self) -> KeptShape {
        KeptShape { kv_heads: self.config.kv_heads, head_dim: self.config.head_dim, dtype: self.dtype }
    }

    /// Times the MLP of the first layer over `rows` rows, warmed up: seconds, and the weights that were used.
    pub fn time_layer(&self, rows: usize) -> Result<(f64, usize), ForwardError> {
        let Some(layer) = self.layers.first() else { return Ok((0.0, 1)) };
        let mut workspace = Workspace::new(self)?;
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
