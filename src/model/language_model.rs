//! A loaded model, and its passes.

use std::path::Path;

use super::backend::Backend;
use super::config::model_config::ModelConfig;
use super::error::LoadError;
use super::facts::ModelFacts;
use super::kv_cache::{KvCache, KvCacheShape};
use super::machine;
use super::model_files::{ModelFiles, name_of};
use super::options::LoadOptions;
use super::pass::{ForwardError, Layout, Row, Segment};
use super::plain::device::OpenedDevice;
use super::weights::Weights;
use crate::kernels::elementwise::all_finite;

/// A loaded model.
pub struct Model {
    facts: ModelFacts,
    config: ModelConfig,
    backend: Backend,
}

impl Model {
    /// Opens and loads a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// As [`ModelFiles::open`] and [`load_files`](Self::load_files).
    pub fn load(path: &Path, options: LoadOptions) -> Result<Model, LoadError> {
        Self::load_files(&ModelFiles::open(path)?, options)
    }

    /// Loads a model from its opened files.
    ///
    /// # Errors
    /// [`LoadError`] if the weights are damaged, don't fit the configuration or change while they are read,
    /// or if the device can't be used or has no memory for them.
    pub fn load_files(files: &ModelFiles, options: LoadOptions) -> Result<Model, LoadError> {
        let device = OpenedDevice::open(options.device)?;
        let (path, config, checkpoint) = (files.path(), files.config(), files.checkpoint()?);
        let dtype = files.dtype(options.dtype)?;
        let mut weights = Weights::new(checkpoint, config, dtype);
        let backend = Backend::take(&mut weights, config, dtype, &device, options.kernels)?;
        let parameters = weights.finish()?;
        let facts = ModelFacts {
            name: name_of(path),
            path: path.to_owned(),
            architecture: config.architecture.class,
            vocab_size: config.vocab_size,
            max_length: config.max_positions,
            eos_token_ids: config.eos_token_ids.clone(),
            parameters,
            dtype,
            device: device.name,
            weight_bytes: parameters * dtype.size() as u64,
            kv_bytes_per_token: config.kv_bytes_per_token(dtype),
            kernels: backend.kernels(),
            weight_files: checkpoint.files(),
        };
        Ok(Model { facts, config: config.clone(), backend })
    }

    /// Facts about the loaded model.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Estimates the seconds per token in large passes: times part of one layer, and scales by the number of
    /// weights, embedding and output matrix included. Attention over long contexts comes on top.
    ///
    /// # Errors
    /// Those of the device.
    pub fn seconds_per_token(&self) -> Result<f64, ForwardError> {
        const ROWS: usize = 512;
        let (seconds, weights) = self.backend.time_layer(ROWS)?;
        Ok(seconds / ROWS as f64 * self.facts.parameters as f64 / weights as f64)
    }

    /// Seconds spent in passes since the model was loaded, by operation in the order of a pass; empty on the
    /// plain path.
    pub fn seconds_by_operation(&self) -> Vec<(&'static str, f64)> {
        match &self.backend {
            Backend::Plain(_) => Vec::new(),
            Backend::Cpu(network) => network.seconds_by_operation(),
        }
    }

    /// Bytes per second at which all threads together read the packed weights, the best of nine: the
    /// reference for decoding speed. Weights that fit in a cache are read from it. `None` on the plain path.
    pub fn read_rate(&self) -> Option<f64> {
        match &self.backend {
            Backend::Plain(_) => None,
            Backend::Cpu(network) => Some(network.read_rate(machine::TRIES)),
        }
    }

    /// An empty KV cache for this model.
    pub fn kv_cache(&self) -> KvCache {
        KvCache::new(self.kv_shape())
    }

    fn kv_shape(&self) -> KvCacheShape {
        KvCacheShape {
            layers: self.config.layers,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            dtype: self.facts.dtype,
        }
    }

    /// Computes all segments in one pass: linear layers over all rows at once, attention of each segment over its prefix
    /// and causally over itself. Positions start at the prefix's length.
    ///
    /// Keys and values of every segment stay in `kv` under its id until [`KvCache::release`]. `read` is
    /// called once for each element of `wanted`, from several threads and in any order, with the element's
    /// index and the row's logits: `vocab_size` values in single precision, rounded to the model's dtype
    /// first, like `logits.float()` in transformers.
    ///
    /// # Errors
    /// [`ForwardError`]; `kv` is then unchanged, though `read` may have been called.
    pub fn forward(
        &self,
        segments: &[Segment],
        wanted: &[Row],
        kv: &mut KvCache,
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        if kv.shape() != self.kv_shape() {
            return Err(ForwardError::OtherModel { path: self.facts.path.clone() });
        }
        self.check_tokens(segments)?;
        if segments.is_empty() && wanted.is_empty() {
            return Ok(());
        }
        let layout = Layout::open(segments, kv)?;
        let result = self.compute(&layout, wanted, kv, read);
        match result {
            Ok(()) => kv.commit(layout.ids()),
            Err(_) => kv.roll_back(layout.ids()),
        }
        result
    }

    fn compute(
        &self,
        layout: &Layout,
        wanted: &[Row],
        kv: &mut KvCache,
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        let longest = layout.positions.iter().max().map_or(0, |position| position + 1);
        if longest > self.facts.max_length {
            return Err(ForwardError::TooLong {
                path: self.facts.path.clone(),
                length: longest,
                max_length: self.facts.max_length,
            });
        }
        let mut rows = Vec::with_capacity(wanted.len());
        for &Row { segment, token } in wanted {
            let placed = layout.segments.get(segment).filter(|placed| token < placed.rows.len());
            let placed = placed.ok_or(ForwardError::NoSuchRow { segment, token })?;
            rows.push((placed.rows.start + token) as u32);
        }
        let read = |index: usize, logits: &[f32]| {
            if !all_finite(logits) {
                let Row { segment, token } = wanted[index];
                let id = layout.segments[segment].id;
                return Err(ForwardError::NotFinite {
                    path: self.facts.path.clone(),
                    what: "logits",
                    id,
                    token,
                });
            }
            read(index, logits);
            Ok(())
        };
        self.backend.forward(layout, &rows, kv, read)
    }

    fn check_tokens(&self, segments: &[Segment]) -> Result<(), ForwardError> {
        let vocab_size = self.facts.vocab_size;
        for segment in segments {
            if segment.tokens.is_empty() {
                return Err(ForwardError::Empty { id: segment.id });
            }
            if let Some(&token) = segment.tokens.iter().find(|&&token| token as usize >= vocab_size) {
                return Err(ForwardError::TokenOutOfRange {
                    path: self.facts.path.clone(),
                    token,
                    vocab_size,
                });
            }
        }
        Ok(())
    }
}
