//! The model: weights, forward pass, keys and values. The only room that names candle.
//!
//! A model is loaded from a Hugging Face folder or a GGUF file, and computes passes: [`Segment`]s of tokens, each
//! continuing a chain of others, whose keys and values stay in a [`KvCache`] until they are released. Logits are given
//! for the rows that are asked for, and for no others.

mod attention;
mod causal;
mod checkpoint;
mod config;
mod cpu;
mod decoder;
mod device;
mod gguf;
mod gguf_config;
mod gguf_header;
mod hf_config;
mod kv;
pub mod machine;
mod numbers;
mod pass;
mod rope;
mod safetensors;
mod stored;
mod weight_file;
mod weights;

use std::path::{Path, PathBuf};

use candle_core::Device;

pub use config::{Architecture, ConfigError, Dtype, ModelConfig, Rope, RopeScaling};
pub use device::{DeviceChoice, DeviceError};
pub use gguf::{GgufError, GgufMetadata, GgufValue};
pub use gguf_config::GgufConfigError;
pub use kv::{KvCache, SegmentError, SegmentId};
pub use pass::{ForwardError, Row, Segment};
pub use safetensors::{SafetensorsError, safetensors_names};
pub use weight_file::WeightFileError;
pub use weights::WeightsError;

use checkpoint::Checkpoint;
use cpu::{Isa, Network};
use decoder::Decoder;
use gguf::GgufFile;
use kv::KvShape;
use pass::Layout;
use weights::Weights;

/// The number format asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtypeChoice {
    /// The configuration's, or else that of the weights; single precision for GGUF.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
    /// Half precision.
    F16,
}

/// How to load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Number format of weights and activations.
    pub dtype: DtypeChoice,
    /// Where it runs.
    pub device: DeviceChoice,
    /// What it computes with.
    pub kernels: Kernels,
}

/// What a model computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// On the CPU our own, chosen by what the processor has; elsewhere the plain ones.
    #[default]
    Fast,
    /// candle's operations: the reference.
    Plain,
}

/// Why a model can't be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// Nothing is there.
    #[error("{}: no such model: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("pass a folder with config.json and safetensors, or a .gguf file"))]
    NotFound {
        /// As given.
        path: PathBuf,
        /// From the system.
        reason: std::io::Error,
    },
    /// A folder without configuration.
    #[error("{}: no config.json in this folder", path.display())]
    #[diagnostic(code(assay::input), help("pass a folder as the hub lays it out, or the .gguf file itself"))]
    NoConfig {
        /// The folder.
        path: PathBuf,
    },
    /// Neither configuration nor weights name one number format.
    #[error("{}: config.json names no dtype, and the weights are of several", path.display())]
    #[diagnostic(code(assay::input), help("say with --dtype which to compute in"))]
    NoDtype {
        /// The folder.
        path: PathBuf,
    },
    /// `config.json` is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// A GGUF file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Gguf(#[from] GgufError),
    /// A GGUF file's metadata is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    GgufConfig(#[from] GgufConfigError),
    /// The weights are wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Weights(#[from] WeightsError),
    /// The device can't be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Device(#[from] DeviceError),
}

/// What a loaded model is.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// The last part of the path: folder name, or file name without `.gguf`.
    pub name: String,
    /// As given.
    pub path: PathBuf,
    /// The class in transformers, such as `LlamaForCausalLM`.
    pub architecture: &'static str,
    /// Rows of the embedding; token ids are below it.
    pub vocab_size: usize,
    /// Positions the model was made for (`max_position_embeddings`).
    pub max_length: usize,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Numbers in the weights; a tied output matrix counts once.
    pub parameters: u64,
    /// Number format in which it computes.
    pub dtype: Dtype,
    /// `cpu`, or `cuda:` and a number.
    pub device: String,
    /// Bytes of the loaded weights.
    pub weight_bytes: u64,
    /// Bytes of keys and values that a token takes.
    pub kv_bytes_per_token: u64,
    /// What computes: `plain` for candle's operations, `flash-attn` for these with FlashAttention, or the instructions of our own kernels, such as `avx512`.
    pub kernels: &'static str,
    /// Files with weights, in the order in which they were read.
    pub weight_files: Vec<PathBuf>,
}

/// The network, by what computes it.
enum Computes {
    Plain(Decoder),
    Cpu(Box<Network>),
}

/// A loaded model.
pub struct Model {
    facts: ModelFacts,
    config: ModelConfig,
    decoder: Computes,
}

impl Model {
    /// Loads a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// [`LoadError`], where a file is missing, damaged, inconsistent, or describes a model that isn't computed here, and
    /// where the device can't be had or has no room.
    pub fn load(path: &Path, options: LoadOptions) -> Result<Model, LoadError> {
        let kind = std::fs::metadata(path)
            .map_err(|reason| LoadError::NotFound { path: path.to_owned(), reason })?;
        let (device, device_name) = options.device.open()?;
        let (config, checkpoint) = match kind.is_dir() {
            true => open_folder(path)?,
            false => {
                let file = GgufFile::open(path)?;
                (ModelConfig::from_gguf(&file)?, Checkpoint::Gguf(Box::new(file)))
            }
        };
        let dtype = match (options.dtype, &checkpoint) {
            (DtypeChoice::F32, _) => Dtype::F32,
            (DtypeChoice::Bf16, _) => Dtype::Bf16,
            (DtypeChoice::F16, _) => Dtype::F16,
            (DtypeChoice::Auto, Checkpoint::Gguf(_)) => Dtype::F32,
            (DtypeChoice::Auto, Checkpoint::Safetensors { .. }) => config
                .dtype
                .or_else(|| checkpoint.stored_dtype())
                .ok_or_else(|| LoadError::NoDtype { path: path.to_owned() })?,
        };
        let (decoder, parameters) = take_all(&checkpoint, &config, dtype, &device, options.kernels)?;
        let size = dtype.size() as u64;
        let facts = ModelFacts {
            name: name_of(path),
            path: path.to_owned(),
            architecture: config.architecture.name(),
            vocab_size: config.vocab_size,
            max_length: config.max_positions,
            eos_token_ids: config.eos_token_ids.clone(),
            parameters,
            dtype,
            device: device_name,
            weight_bytes: parameters * size,
            kv_bytes_per_token: config.kv_bytes_per_token(dtype),
            kernels: match &decoder {
                Computes::Plain(decoder) => decoder.kernels(),
                Computes::Cpu(network) => network.kernels(),
            },
            weight_files: checkpoint.files(),
        };
        Ok(Model { facts, config, decoder })
    }

    /// What was loaded.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// The configuration it was loaded by.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// About how many seconds a token takes in large passes, from timing a part of one layer. Attention over long contexts and
    /// the output matrix come on top.
    ///
    /// # Errors
    /// The device's.
    pub fn seconds_per_token(&self) -> Result<f64, ForwardError> {
        const ROWS: usize = 512;
        let (seconds, weights) = match &self.decoder {
            Computes::Plain(decoder) => decoder.time_layer(ROWS)?,
            Computes::Cpu(network) => network.time_layer(ROWS)?,
        };
        Ok(seconds / ROWS as f64 * self.facts.parameters as f64 / weights as f64)
    }

    /// Seconds that passes took since the model was loaded, by operation in the order of a pass; nothing on the plain path.
    pub fn seconds_by_operation(&self) -> Vec<(&'static str, f64)> {
        match &self.decoder {
            Computes::Plain(_) => Vec::new(),
            Computes::Cpu(network) => network.seconds_by_operation(),
        }
    }

    /// Bytes a second at which all threads together read the weights where they are, the best of nine: the mark for decoding. What
    /// fits a cache is read from there. Nothing on the plain path.
    pub fn read_rate(&self) -> Option<f64> {
        match &self.decoder {
            Computes::Plain(_) => None,
            Computes::Cpu(network) => Some(network.read_rate(machine::TRIES)),
        }
    }

    /// An empty store of keys and values for this model.
    pub fn kv_cache(&self) -> KvCache {
        KvCache::new(self.kv_shape())
    }

    fn kv_shape(&self) -> KvShape {
        KvShape {
            layers: self.config.layers,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            dtype: self.facts.dtype,
        }
    }

    /// Computes all segments in one pass: linear layers over all rows at once, attention of each segment over its prefix
    /// and causally over itself. Positions are the prefix's length and on.
    ///
    /// Keys and values of every segment stay in `kv` under its id until [`KvCache::release`]. `read` is called once for
    /// each of `wanted`, from several threads and in any order, with its index there and the row's logits: `vocab_size`
    /// numbers, in single precision, but rounded to the model's number format first, as transformers' `logits.float()` gives
    /// them.
    ///
    /// # Errors
    /// [`ForwardError`]; `kv` is then as it was before, though `read` may have been called.
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
        match &self.decoder {
            Computes::Plain(decoder) => decoder.forward(layout, &rows, kv, read),
            Computes::Cpu(network) => network.forward(layout, &rows, kv, read),
        }
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

/// Positions of the model at `path`, and the bytes that keys and values of a token take in its own number format (two bytes a
/// number where it names none): what a plan needs, read from its configuration alone.
///
/// # Errors
/// As [`Model::load`], for the configuration.
pub fn shape_of(path: &Path) -> Result<(usize, u64), LoadError> {
    let config = config_of(path)?;
    let dtype = if path.is_dir() { config.dtype.unwrap_or(Dtype::Bf16) } else { Dtype::F32 };
    Ok((config.max_positions, config.kv_bytes_per_token(dtype)))
}

/// The files that the weights of the model at `path` are read from, in order.
///
/// # Errors
/// As [`Model::load`], for the files' headers.
pub fn weight_files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let kind =
        std::fs::metadata(path).map_err(|reason| LoadError::NotFound { path: path.to_owned(), reason })?;
    match kind.is_dir() {
        true => Ok(open_folder(path)?.1.files()),
        false => Ok(vec![path.to_owned()]),
    }
}

/// The configuration of the model at `path`, without its weights.
///
/// # Errors
/// As [`Model::load`], for the configuration.
pub fn config_of(path: &Path) -> Result<ModelConfig, LoadError> {
    let kind =
        std::fs::metadata(path).map_err(|reason| LoadError::NotFound { path: path.to_owned(), reason })?;
    if !kind.is_dir() {
        return Ok(ModelConfig::from_gguf(&GgufFile::open(path)?)?);
    }
    let file = path.join("config.json");
    match file.exists() {
        true => Ok(ModelConfig::from_hf_file(&file)?),
        false => Err(LoadError::NoConfig { path: path.to_owned() }),
    }
}

fn open_folder(folder: &Path) -> Result<(ModelConfig, Checkpoint), LoadError> {
    let config = folder.join("config.json");
    if !config.exists() {
        return Err(LoadError::NoConfig { path: folder.to_owned() });
    }
    Ok((ModelConfig::from_hf_file(&config)?, Checkpoint::open_folder(folder)?))
}

/// The network, and how many numbers it holds.
fn take_all(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    dtype: Dtype,
    device: &Device,
    kernels: Kernels,
) -> Result<(Computes, u64), WeightsError> {
    let mut weights = Weights::new(checkpoint, config, dtype, device);
    let computes = match kernels == Kernels::Fast && device.is_cpu() {
        true => Computes::Cpu(Box::new(Network::take(&mut weights, config, dtype, Isa::best())?)),
        false => Computes::Plain(Decoder::take(&mut weights, config, dtype, device)?),
    };
    let parameters = weights.finish()?;
    Ok((computes, parameters))
}

/// What the model at `path` is called: its folder's name, or its file's without the ending.
pub fn name_of(path: &Path) -> String {
    // `.` and `..` have no name of their own.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Written so that the compiler does it many numbers at a time: an exponent of all ones is infinity or NaN.
fn all_finite(numbers: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    !numbers.iter().fold(false, |found, n| found | (n.to_bits() & EXPONENT == EXPONENT))
}
