//! Row-wise operations on activations between products. Activations are stored in single precision and
//! rounded to the model's format after every operation that transformers rounds after.
//!
//! Loops are plain, over 16 elements at a time, and compiled once for each vector width. Their order is
//! fixed, and only `mul_add` is fused, so all widths give bitwise identical results.

use super::dtype::Dtype;
use super::isa::Vector;
use super::layout::{LANES, NR};
use super::memory::BlockMut;

/// Rounding to a number format, to nearest, ties to even.
trait Rounding {
    const IS_BF16: bool = false;

    fn round(x: f32) -> f32;
}

struct ToF32;
struct ToBf16;
struct ToF16;

impl Rounding for ToF32 {
    #[inline(always)]
    fn round(x: f32) -> f32 {
        x
    }
}

impl Rounding for ToBf16 {
    const IS_BF16: bool = true;

    #[inline(always)]
    fn round(x: f32) -> f32 {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
        if x.is_nan() { x } else { f32::from_bits(rounded) }
    }
}

impl Rounding for ToF16 {
    #[inline(always)]
    fn round(x: f32) -> f32 {
        let (sign, magnitude) = (x.to_bits() & 0x8000_0000, x.abs());
        let bits = magnitude.to_bits();
        let normal = f32::from_bits(bits.wrapping_add(0xfff + (bits >> 13 & 1)) & 0xffff_e000);
        // Below 2^-14 the spacing is 2^-24, as that of single-precision numbers between 1/2 and 1.
        let small = (magnitude + 0.5) - 0.5;
        let rounded = if magnitude < 6.103_515_6e-5 { small } else { normal };
        let rounded = if rounded > 65_504.0 { f32::INFINITY } else { rounded };
        if x.is_nan() { x } else { f32::from_bits(rounded.to_bits() | sign) }
    }
}

/// Compiles a function for each vector width and calls the one for `vector`. The body may use `$round`, a
/// [`Rounding`].
macro_rules! vectorised {
    ($(#[$doc:meta])* pub fn $name:ident<$round:ident>($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        pub fn $name(vector: Vector, dtype: Dtype, $($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn rounded<$round: Rounding>($($arg: $type),*) $(-> $result)? $body
            #[inline(always)]
            fn plain(dtype: Dtype, $($arg: $type),*) $(-> $result)? {
                match dtype {
                    Dtype::F32 => rounded::<ToF32>($($arg),*),
                    Dtype::Bf16 => rounded::<ToBf16>($($arg),*),
                    Dtype::F16 => rounded::<ToF16>($($arg),*),
                }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512(dtype: Dtype, $($arg: $type),*) $(-> $result)? {
                plain(dtype, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2(dtype: Dtype, $($arg: $type),*) $(-> $result)? {
                plain(dtype, $($arg),*)
            }
            match vector {
                // SAFETY: this width is chosen only where the processor has the instructions.
                #[cfg(target_arch = "x86_64")]
                Vector::Avx512 => unsafe { avx512(dtype, $($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Vector::Avx2 => unsafe { avx2(dtype, $($arg),*) },
                Vector::Portable => plain(dtype, $($arg),*),
            }
        }
    };
}

vectorised! {
    /// Adds the bias, if any, to rows of `width` sums and writes them, rounded, to `to`.
    pub fn store<R>(sums: &[f32], width: usize, bias: Option<&[f32]>, to: &mut BlockMut<'_>) {
        for (row, sums) in sums.chunks_exact(width).enumerate() {
            let to = to.row(row);
            match bias {
                None => to.iter_mut().zip(sums).for_each(|(to, x)| *to = R::round(*x)),
                Some(bias) => to.iter_mut().zip(sums).zip(bias).for_each(|((to, x), b)| *to = R::round(*x + b)),
            }
        }
    }
}

vectorised! {
    /// Adds the bias, if any, to rows of `width` sums, rounds them, adds them to `x`, and rounds again.
    pub fn add<R>(sums: &[f32], width: usize, bias: Option<&[f32]>, x: &mut BlockMut<'_>) {
        for (row, sums) in sums.chunks_exact(width).enumerate() {
            let x = x.row(row);
            match bias {
                None => x.iter_mut().zip(sums).for_each(|(x, n)| *x = R::round(*x + R::round(*n))),
                Some(bias) => x.iter_mut().zip(sums).zip(bias).for_each(|((x, n), b)| *x = R::round(*x + R::round(*n + b))),
            }
        }
    }
}

vectorised! {
    /// Root mean square norm (<https://arxiv.org/abs/1910.07467>) of a row. Like transformers, it rounds the
    /// normalised row before multiplying by the weight.
    pub fn norm<R>(x: &[f32], weight: &[f32], epsilon: f32, to: &mut [f32]) {
        let mut lanes = [0.0f32; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane = x.mul_add(*x, *lane);
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane = x.mul_add(*x, *lane);
        }
        let scale = 1.0 / (total(lanes) / x.len() as f32 + epsilon).sqrt();
        for ((to, x), weight) in to.iter_mut().zip(x).zip(weight) {
            *to = R::round(R::round(x * scale) * weight);
        }
    }
}

vectorised! {
    /// Rotates heads by the angles of their row's position: `rotate_half` of transformers.
    pub fn rotate<R>(heads: &mut [f32], cos: &[f32], sin: &[f32]) {
        for head in heads.chunks_exact_mut(2 * cos.len()) {
            let (low, high) = head.split_at_mut(cos.len());
            for (((low, high), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (x, y) = (*low, *high);
                *low = R::round(R::round(x * c) - R::round(y * s));
                *high = R::round(R::round(y * c) + R::round(x * s));
            }
        }
    }
}

vectorised! {
    /// `silu(gate) * up` (SwiGLU, <https://arxiv.org/abs/2002.05202>) of rows of `width` sums, with panels of
    /// gates and of ups in turn. The bias, if any, is added to both, and they are rounded first. The result
    /// replaces the gates.
    pub fn gated<R>(sums: &mut [f32], width: usize, bias: Option<&[f32]>) {
        for sums in sums.chunks_exact_mut(width) {
            for (pair, both) in sums.chunks_exact_mut(2 * NR).enumerate() {
                let (gate, up) = both.split_at_mut(NR);
                if let Some(bias) = bias {
                    let (g, u) = bias[pair * 2 * NR..][..2 * NR].split_at(NR);
                    gate.iter_mut().zip(g).for_each(|(gate, b)| *gate = R::round(*gate + b));
                    up.iter_mut().zip(u).for_each(|(up, b)| *up = R::round(*up + b));
                }
                for (gate, up) in gate.iter_mut().zip(up) {
                    let g = R::round(*gate);
                    let silu = R::round(g / (1.0 + exp_within(-g)));
                    *gate = R::round(silu * R::round(*up));
                }
            }
        }
    }
}

vectorised! {
    /// `to = x * factor`, rounded.
    pub fn scale<R>(x: &[f32], factor: f32, to: &mut [f32]) {
        to.iter_mut().zip(x).for_each(|(to, x)| *to = R::round(x * factor));
    }
}

vectorised! {
    /// Replaces `scores[from..to]` by `exp((score - maximum) * factor)`, rounded, and all other elements by
    /// zero. Returns the sum of the exponentials before rounding. The length is a multiple of 16, and lanes
    /// are summed separately, so whole units of zeros before or behind do not change the sum.
    pub fn softmax<R>(scores: &mut [f32], from: usize, to: usize, factor: f32) -> f32 {
        let (units, _) = scores.as_chunks_mut::<LANES>();
        let (first, last) = (from / LANES, to.div_ceil(LANES));
        units[..first].as_flattened_mut().fill(0.0);
        units[last..].as_flattened_mut().fill(0.0);
        // Elements of the first and last unit outside the range may hold anything.
        for at in (first * LANES..from).chain(to..last * LANES) {
            units[at / LANES][at % LANES] = f32::NEG_INFINITY;
        }
        let units = &mut units[first..last];
        let mut highest = [f32::NEG_INFINITY; LANES];
        for scores in units.iter() {
            for (highest, score) in highest.iter_mut().zip(scores) {
                *highest = if *score > *highest { *score } else { *highest };
            }
        }
        let highest = highest.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut sums = [0.0f32; LANES];
        for scores in units {
            for (sum, score) in sums.iter_mut().zip(scores) {
                let exponential = exp_below_zero((*score - highest) * factor);
                *sum += exponential;
                *score = R::round(exponential);
            }
        }
        total(sums)
    }
}

vectorised! {
    /// Approximate sum of whole runs of 128 numbers, at the speed of reading them: enough independent sums to
    /// hide the latency of an addition.
    pub fn sum<R>(numbers: &[f32]) -> f32 {
        let _ = R::round;
        let mut lanes = [0.0f32; 128];
        for run in numbers.as_chunks::<128>().0 {
            lanes.iter_mut().zip(run).for_each(|(lane, x)| *lane += x);
        }
        lanes.iter().sum()
    }
}

vectorised! {
    /// Writes the upper halves of numbers that are already rounded to bfloat16.
    pub fn to_bf16<R>(numbers: &[f32], to: &mut [u16]) {
        let _ = R::round;
        to.iter_mut().zip(numbers).for_each(|(to, x)| *to = (x.to_bits() >> 16) as u16);
    }
}

vectorised! {
    /// Writes the bytes of numbers that are already rounded to the model's format.
    pub fn to_bytes<R>(numbers: &[f32], to: &mut [u8]) {
        match size_of_val(to) / numbers.len().max(1) {
            4 => {
                let to = to.as_chunks_mut::<4>().0;
                to.iter_mut().zip(numbers).for_each(|(to, x)| *to = x.to_ne_bytes());
            }
            _ if R::IS_BF16 => {
                let to = to.as_chunks_mut::<2>().0;
                to.iter_mut().zip(numbers).for_each(|(to, x)| *to = ((x.to_bits() >> 16) as u16).to_ne_bytes());
            }
            _ => {
                let to = to.as_chunks_mut::<2>().0;
                to.iter_mut().zip(numbers).for_each(|(to, x)| *to = half::f16::from_f32(*x).to_bits().to_ne_bytes());
            }
        }
    }
}

vectorised! {
    /// Reads numbers from bytes that [`to_bytes`] wrote.
    pub fn from_bytes<R>(bytes: &[u8], to: &mut [f32]) {
        match bytes.len() / to.len().max(1) {
            4 => {
                let bytes = bytes.as_chunks::<4>().0;
                to.iter_mut().zip(bytes).for_each(|(to, bytes)| *to = f32::from_ne_bytes(*bytes));
            }
            _ if R::IS_BF16 => {
                let bytes = bytes.as_chunks::<2>().0;
                let widened = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_ne_bytes(*bytes)) << 16);
                to.iter_mut().zip(bytes).for_each(|(to, bytes)| *to = widened(bytes));
            }
            _ => {
                let bytes = bytes.as_chunks::<2>().0;
                let widened = |bytes: &[u8; 2]| half::f16::from_ne_bytes(*bytes).to_f32();
                to.iter_mut().zip(bytes).for_each(|(to, bytes)| *to = widened(bytes));
            }
        }
    }
}

/// Whether all numbers are finite: an exponent of all ones is infinity or NaN. Written so that the compiler
/// vectorises it.
pub fn all_finite(numbers: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    !numbers.iter().fold(false, |found, n| found | (n.to_bits() & EXPONENT == EXPONENT))
}

/// The sum of 16 numbers, in a fixed order.
#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Below it `e^x` would be subnormal: [`exp_below_zero`] returns zero, [`exp_within`] clamps `x`.
const LOWEST: f32 = -87.336_54;

/// `n` and `p` with `e^x = p * 2^n`, to about one unit in the last place, for `x` whose `e^x` is in range.
///
/// `x = n ln(2) + r` with `|r| <= ln(2) / 2`; the polynomial is that of Cephes' `expf` (<https://www.netlib.org/cephes/>).
#[inline(always)]
fn parts_of_exp(x: f32) -> (i32, f32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// Adding it rounds to an integer.
    const ROUNDER: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = 1.987_569_1e-4f32;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p.mul_add(r, coefficient);
    }
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    (n, p.mul_add(r * r, r + 1.0))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `e^x` of `x` clamped to -87.3..88. NaN stays NaN.
#[inline(always)]
fn exp_within(x: f32) -> f32 {
    const HIGHEST: f32 = 88.0;
    let bounded = if x < LOWEST { LOWEST } else { x };
    let bounded = if bounded > HIGHEST { HIGHEST } else { bounded };
    let (n, p) = parts_of_exp(bounded);
    p * power_of_two(n)
}

/// `e^x` for `x <= 0`; zero below -87.3. NaN stays NaN.
#[inline(always)]
fn exp_below_zero(x: f32) -> f32 {
    let (n, p) = parts_of_exp(if x < LOWEST { LOWEST } else { x });
    if x < LOWEST { 0.0 } else { p * power_of_two(n) }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::kernels::isa::Isa;
    use crate::kernels::memory::Table;

    #[test]
    fn rounding_is_that_of_half() {
        for high in 0..=u16::MAX {
            for low in [0u32, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                if x.is_nan() {
                    assert!(ToBf16::round(x).is_nan() && ToF16::round(x).is_nan());
                    continue;
                }
                assert_eq!(ToBf16::round(x).to_bits(), bf16::from_f32(x).to_f32().to_bits(), "{x:e}");
                assert_eq!(ToF16::round(x).to_bits(), f16::from_f32(x).to_f32().to_bits(), "{x:e}");
            }
        }
    }

    #[test]
    fn exponentials_are_right_to_a_unit_in_the_last_place() {
        let mut x = -90.0f32;
        while x < 90.0 {
            let (found, expected) = (f64::from(exp_within(x)), f64::from(x.clamp(LOWEST, 88.0)).exp());
            if x <= 0.0 {
                let expected = if x < LOWEST { 0.0 } else { exp_within(x) };
                assert_eq!(exp_below_zero(x).to_bits(), expected.to_bits());
            }
            let error = (found - expected).abs() / expected;
            assert!(error < 1.3e-7, "exp({x}) is {found:e}, expected {expected:e}");
            x += 0.000_97;
        }
        assert!(exp_within(f32::NAN).is_nan() && exp_below_zero(f32::NAN).is_nan());
        assert_eq!(exp_within(0.0), 1.0);
    }

    #[test]
    fn every_width_gives_the_same_bits() {
        let numbers = |seed: f32| (0..75).map(|i| (i as f32 * seed).sin() * 3.0).collect::<Vec<_>>();
        let (x, y) = (numbers(1.7), numbers(0.9));
        let run = |vector| {
            let mut all = Vec::new();
            for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
                let mut to = vec![0.0; 75];
                norm(vector, dtype, &x, &y, 1e-5, &mut to);
                all.extend_from_slice(&to);
                rotate(vector, dtype, &mut to[..64], &x[..32], &y[..32]);
                all.extend_from_slice(&to);
                let mut sums: Vec<f32> = [x.clone(), y.clone()].concat()[..128].to_vec();
                let bias: Vec<f32> = y.iter().chain(&x).map(|n| n * 0.3).skip(64).take(64).collect();
                let mut written = vec![1.5; 256];
                for bias in [None, Some(&*bias)] {
                    gated(vector, dtype, &mut sums, 64, bias);
                    let table = Table::new(&mut written, 128);
                    // SAFETY: one at a time.
                    let block = |columns| unsafe { table.block(0..2, columns) };
                    store(vector, dtype, &sums, 64, bias, &mut block(64..128));
                    add(vector, dtype, &sums, 64, bias, &mut block(64..120));
                }
                all.extend_from_slice(&written);
                let mut bytes = vec![0; 75 * dtype.size()];
                to.iter_mut().for_each(|x| *x = dtype.rounded(*x));
                to_bytes(vector, dtype, &to, &mut bytes);
                let mut back = vec![f32::NAN; 75];
                from_bytes(vector, dtype, &bytes, &mut back);
                assert_eq!(back, to);
                let mut scores = [x.clone(), y.clone(), vec![f32::NAN; 10]].concat();
                all.push(softmax(vector, dtype, &mut scores, 3, 130, 0.7));
                all.extend(scores);
            }
            all.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let expected = run(Vector::Portable);
        for vector in Isa::vectors() {
            assert_eq!(run(vector), expected, "{vector:?}");
        }
    }

    #[test]
    fn zeros_around_a_row_of_scores_change_nothing() {
        let scores: Vec<f32> = (0..48).map(|i| (i as f32).cos() * 5.0).collect();
        let vector = Isa::best().vector;
        let (mut alone, mut among) = (scores.clone(), [vec![7.0; 32], scores, vec![9.0; 16]].concat());
        let sum = softmax(vector, Dtype::F32, &mut alone, 5, 40, 1.0);
        assert_eq!(softmax(vector, Dtype::F32, &mut among, 37, 72, 1.0).to_bits(), sum.to_bits());
        assert_eq!(among[32..80], alone);
        assert!(alone[..5].iter().chain(&alone[40..]).all(|&x| x == 0.0));
    }
}
