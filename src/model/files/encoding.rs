//! How files store and name weights: the formats of [`weight_format`](crate::kernels::weight_format), and
//! llama.cpp's block formats, which candle dequantises.

use std::fmt;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

use crate::kernels::dtype::Dtype;
use crate::kernels::weight_format::{WeightFormat, of_dtype};

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy)]
pub enum Encoding {
    /// In one of our own formats.
    Format(&'static dyn WeightFormat),
    /// In llama.cpp's blocks; a row is a whole number of blocks.
    Ggml(GgmlDType),
}

/// Multiples of this column are block boundaries in every encoding.
pub const WHOLE_BLOCKS: usize = 256;

/// Our own formats: the name in safetensors, the type number in `ggml.h`, and the format.
const FORMATS: [(&str, u32, Dtype); 3] =
    [("F32", 0, Dtype::F32), ("F16", 1, Dtype::F16), ("BF16", 30, Dtype::Bf16)];

/// The dtype that a safetensors file names.
pub fn dtype_of_safetensors(name: &str) -> Option<Dtype> {
    FORMATS.iter().find(|(known, ..)| *known == name).map(|(.., dtype)| *dtype)
}

impl Encoding {
    /// The encoding of unquantised values.
    pub fn of_dtype(dtype: Dtype) -> Self {
        Self::Format(of_dtype(dtype))
    }

    /// The encoding with this type number in `ggml.h`; `None` if unsupported.
    pub fn of_ggml(number: u32) -> Option<Self> {
        if let Some((.., dtype)) = FORMATS.iter().find(|(_, known, _)| *known == number) {
            return Some(Self::of_dtype(*dtype));
        }
        Some(Self::Ggml(match number {
            2 => GgmlDType::Q4_0,
            3 => GgmlDType::Q4_1,
            6 => GgmlDType::Q5_0,
            7 => GgmlDType::Q5_1,
            8 => GgmlDType::Q8_0,
            10 => GgmlDType::Q2K,
            11 => GgmlDType::Q3K,
            12 => GgmlDType::Q4K,
            13 => GgmlDType::Q5K,
            14 => GgmlDType::Q6K,
            _ => return None,
        }))
    }

    /// Whether values are stored unquantised in this format.
    pub fn is_plain(self, dtype: Dtype) -> bool {
        matches!(self, Self::Format(format) if format.name() == dtype.name())
    }

    /// Values and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::Format(format) => (format.block_len(), format.block_bytes()),
            Self::Ggml(dtype) => (dtype.block_size(), dtype.type_size()),
        }
    }

    /// Bytes of `count` values, which must be whole blocks.
    pub fn bytes(self, count: usize) -> usize {
        let (numbers, bytes) = self.block();
        count / numbers * bytes
    }

    /// Reads whole blocks as single-precision values.
    ///
    /// # Errors
    /// candle's message for blocks that it can't dequantise.
    pub fn read(self, blocks: &[u8], to: &mut Vec<f32>) -> Result<(), String> {
        let (numbers, bytes) = self.block();
        let count = blocks.len() / bytes * numbers;
        match self {
            Self::Format(format) => {
                to.resize(count, 0.0);
                format.read(blocks, to);
            }
            Self::Ggml(dtype) => {
                *to = dequantised(dtype, blocks, count).map_err(|error| first_line(&error))?
            }
        }
        Ok(())
    }
}

/// The name used in files.
impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ggml(dtype) => write!(f, "{dtype:?}"),
            Self::Format(format) => {
                let named = FORMATS.iter().find(|(.., dtype)| dtype.name() == format.name());
                f.write_str(named.map_or(format.name(), |(name, ..)| name))
            }
        }
    }
}

fn dequantised(dtype: GgmlDType, blocks: &[u8], count: usize) -> candle_core::Result<Vec<f32>> {
    let storage = QStorage::from_data(blocks.into(), &Device::Cpu, dtype)?;
    QTensor::new(storage, count)?.dequantize(&Device::Cpu)?.to_vec1()
}

/// The message without the backtrace that candle appends.
pub fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or("unknown failure").to_owned()
}
