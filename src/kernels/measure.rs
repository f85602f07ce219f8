//! Peak rates of this machine, measured with our own kernels: a model's speed is compared with them.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::dtype::Dtype;
use super::elementwise;
use super::gemm::activations::GemmInput;
use super::gemm::packed_matrix::PackedMatrix;
use super::isa::Isa;
use super::memory::{Aligned, NoMemory};
use super::team;

/// Floating-point operations per second of a product of `rows` rows with a matrix `[outputs, inputs]`, the
/// best of `tries`.
pub fn product_rate(
    dtype: Dtype,
    rows: usize,
    inputs: usize,
    outputs: usize,
    tries: usize,
) -> Result<f64, NoMemory> {
    let isa = Isa::best();
    let row: Vec<f32> = (0..inputs).map(|k| (k % 17) as f32 / 16.0 - 0.5).collect();
    let mut bytes = vec![0; inputs * dtype.size()];
    dtype.write(&row, &mut bytes);
    let matrix = PackedMatrix::pack(isa, dtype, &[(bytes.repeat(outputs), outputs)], inputs, false)?;
    let mut a = GemmInput::zeros(matrix.kernel(), rows, inputs)?;
    a.write_rows(isa.vector, dtype, inputs, |_, numbers| numbers.fill(0.5));
    let width = matrix.width();
    let mut c = Aligned::<f32>::zeros(rows * width)?;
    let mut seconds = f64::INFINITY;
    for _ in 0..tries + 1 {
        let clock = Instant::now();
        team::together(|| {
            matrix.multiply_into(&a, &mut c, (width, width), &|sums, to| {
                elementwise::store(isa.vector, Dtype::F32, sums.numbers, sums.width, None, to);
            });
        });
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    black_box(c.first());
    Ok(2.0 * (rows * inputs * outputs) as f64 / seconds)
}

/// Bytes per second at which all threads together read `parts` repeatedly, the best of `tries`.
pub fn read_rate(parts: &[&[f32]], tries: usize) -> f64 {
    let isa = Isa::best();
    let pieces: Vec<&[f32]> = parts.iter().flat_map(|part| part.chunks(1 << 18)).collect();
    let mut seconds = f64::INFINITY;
    for _ in 0..tries + 1 {
        let clock = Instant::now();
        // All sums are used, so that no read is optimised away.
        let sums = pieces.par_iter().map(|piece| elementwise::sum(isa.vector, Dtype::F32, piece));
        black_box(sums.sum::<f32>());
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    parts.iter().map(|part| size_of_val(*part)).sum::<usize>() as f64 / seconds
}
