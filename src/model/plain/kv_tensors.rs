//! Cached keys and values of a segment on the plain path.

use candle_core::{Result, Tensor};

/// Keys and values of each layer, each `[kv_heads, capacity, head_dim]`.
#[derive(Default)]
pub struct KvTensors {
    layers: Vec<(Tensor, Tensor)>,
}

impl KvTensors {
    /// Allocated elements, including spare capacity.
    pub fn numbers(&self) -> usize {
        self.layers.iter().map(|(keys, values)| keys.elem_count() + values.elem_count()).sum()
    }

    /// Writes keys and values of one layer, `[kv_heads, rows, head_dim]`, after the first `length` rows.
    /// Layers are written in order.
    pub fn write(&mut self, layer: usize, length: usize, keys: &Tensor, values: &Tensor) -> Result<()> {
        match self.layers.get_mut(layer) {
            None => self.layers.push((keys.contiguous()?, values.contiguous()?)),
            Some((old_keys, old_values)) => {
                append(old_keys, length, keys)?;
                append(old_values, length, values)?;
            }
        }
        Ok(())
    }

    /// Keys and values of tokens `first..first + count` in one layer, each `[kv_heads, count, head_dim]`.
    pub fn read(&self, layer: usize, first: usize, count: usize) -> Result<(Tensor, Tensor)> {
        match self.layers.get(layer) {
            Some((keys, values)) => Ok((keys.narrow(1, first, count)?, values.narrow(1, first, count)?)),
            None => candle_core::bail!("layer {layer} of a segment is read before it is written"),
        }
    }
}

/// Writes `rows` after the first `length` rows of `buffer`. If they don't fit, the buffer is replaced by one
/// of at least twice the size.
fn append(buffer: &mut Tensor, length: usize, rows: &Tensor) -> Result<()> {
    let (heads, capacity, width) = buffer.dims3()?;
    let needed = length + rows.dim(1)?;
    if needed > capacity {
        let larger =
            Tensor::zeros((heads, needed.max(2 * capacity), width), buffer.dtype(), buffer.device())?;
        larger.slice_set(&buffer.narrow(1, 0, length)?.contiguous()?, 1, 0)?;
        *buffer = larger;
    }
    buffer.slice_set(&rows.contiguous()?, 1, length)
}
