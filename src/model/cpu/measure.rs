//! What this machine does at best, as our own kernels find it: the marks that a model's speed is held against.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::inputs::Rows;
use super::isa::Isa;
use super::matrix::Matrix;
use super::memory::{Aligned, NoMemory, Table};
use super::rows;
use super::team;
use crate::model::Dtype;
use crate::model::numbers::Numbers;

/// Floating-point operations a second of a product of `rows` rows with a matrix `[outputs, inputs]`, the best of `tries`.
pub fn product_rate(
    dtype: Dtype,
    rows: usize,
    inputs: usize,
    outputs: usize,
    tries: usize,
) -> Result<f64, NoMemory> {
    let isa = Isa::best();
    let no_room = |_| NoMemory { bytes: outputs * inputs * dtype.size() };
    let mut weights = Numbers::with_capacity(dtype, outputs * inputs).map_err(no_room)?;
    let line: Vec<f32> = (0..inputs).map(|k| (k % 17) as f32 / 16.0 - 0.5).collect();
    (0..outputs).for_each(|_| weights.push_f32(&line));
    let matrix = Matrix::pack(isa, &[(weights, outputs)], inputs, false)?;
    let mut a = Rows::zeros(isa, matrix.format(), rows, inputs)?;
    let half = vec![0.5; inputs];
    let places = a.places();
    // SAFETY: nobody else writes.
    (0..rows).for_each(|row| unsafe { places.write(isa.vector, dtype, row, 0, &half) });
    let mut c = Aligned::<f32>::zeros(rows * matrix.width())?;
    let mut seconds = f64::INFINITY;
    for _ in 0..tries + 1 {
        let clock = Instant::now();
        let table = Table::new(&mut c, matrix.width());
        team::together(|| {
            matrix.multiply(&a, 1, |block| rows::store(isa.vector, Dtype::F32, block, None, &table));
        });
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    black_box(c.first());
    Ok(2.0 * (rows * inputs * outputs) as f64 / seconds)
}

/// Bytes a second at which all threads together read `parts` again and again, the best of `tries`.
pub fn read_rate(parts: &[&[f32]], tries: usize) -> f64 {
    let isa = Isa::best();
    let pieces: Vec<&[f32]> = parts.iter().flat_map(|part| part.chunks(1 << 18)).collect();
    let mut seconds = f64::INFINITY;
    for _ in 0..tries + 1 {
        let clock = Instant::now();
        // All are used, or less would be read.
        let sums = pieces.par_iter().map(|piece| rows::sum(isa.vector, Dtype::F32, piece));
        black_box(sums.sum::<f32>());
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    parts.iter().map(|part| size_of_val(*part)).sum::<usize>() as f64 / seconds
}
