//! What is done to rows of activations between products. Numbers are kept in single precision and rounded to the model's
//! format after every operation that transformers rounds after.
//!
//! Loops are plain, over 16 numbers at a time, and compiled once for each width of vectors. Their order is fixed, and no
//! operation is fused but where `mul_add` says so: all widths give the same bits.

use super::isa::Vector;
use super::vector::UNIT;
use crate::model::Dtype;

/// Rounding to a number format, to nearest, ties to even.
trait Rounding {
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
        // Below 2^-14 numbers lie 2^-24 apart, as single-precision numbers between 1/2 and 1 do.
        let small = (magnitude + 0.5) - 0.5;
        let rounded = if magnitude < 6.103_515_6e-5 { small } else { normal };
        let rounded = if rounded > 65_504.0 { f32::INFINITY } else { rounded };
        if x.is_nan() { x } else { f32::from_bits(rounded.to_bits() | sign) }
    }
}

/// Compiles a function for each width of vectors, and calls the one for `vector`. The body may use `$round`, a [`Rounding`].
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
                // SAFETY: a processor without these instructions is not found to have them.
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
    /// Rounds numbers to the model's format, after adding `bias` where there is one.
    pub fn round<R>(numbers: &mut [f32], bias: Option<&[f32]>) {
        match bias {
            None => numbers.iter_mut().for_each(|x| *x = R::round(*x)),
            Some(bias) => numbers.iter_mut().zip(bias).for_each(|(x, b)| *x = R::round(*x + b)),
        }
    }
}

vectorised! {
    /// `x += numbers`, both rounded.
    pub fn add<R>(x: &mut [f32], numbers: &[f32]) {
        x.iter_mut().zip(numbers).for_each(|(x, n)| *x = R::round(*x + R::round(*n)));
    }
}

vectorised! {
    /// Root mean square norm (<https://arxiv.org/abs/1910.07467>) of a row; transformers rounds the normed row before it
    /// multiplies by the weight.
    pub fn norm<R>(x: &[f32], weight: &[f32], epsilon: f32, to: &mut [f32]) {
        let mut lanes = [0.0f32; UNIT];
        let (chunks, rest) = x.as_chunks::<UNIT>();
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
    /// Turns a head by the angles of its row's position: `rotate_half` of transformers.
    pub fn rotate<R>(head: &mut [f32], cos: &[f32], sin: &[f32]) {
        let (low, high) = head.split_at_mut(cos.len());
        for (((low, high), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            let (x, y) = (*low, *high);
            *low = R::round(R::round(x * c) - R::round(y * s));
            *high = R::round(R::round(y * c) + R::round(x * s));
        }
    }
}

vectorised! {
    /// `silu(gate) * up` (SwiGLU, <https://arxiv.org/abs/2002.05202>), both rounded first; the result goes to `gate`.
    pub fn gated<R>(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            let g = R::round(*gate);
            let silu = R::round(g / (1.0 + exp(-g)));
            *gate = R::round(silu * R::round(*up));
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
    /// The exponentials of `scores[from..to]` less their maximum, zeros elsewhere; returns their sum. The length is a multiple
    /// of 16, and sums are by place: whole units of zeros before or behind change nothing.
    pub fn softmax<R>(scores: &mut [f32], from: usize, to: usize) -> f32 {
        // Rounding is none of its business: scores are in single precision whatever the model.
        let _ = R::round;
        let (units, _) = scores.as_chunks_mut::<UNIT>();
        let (first, last) = (from / UNIT, to.div_ceil(UNIT));
        units[..first].as_flattened_mut().fill(0.0);
        units[last..].as_flattened_mut().fill(0.0);
        // What lies in the first and last unit beside the range can be anything.
        for place in (first * UNIT..from).chain(to..last * UNIT) {
            units[place / UNIT][place % UNIT] = f32::NEG_INFINITY;
        }
        let units = &mut units[first..last];
        let mut highest = [f32::NEG_INFINITY; UNIT];
        for scores in units.iter() {
            for (highest, score) in highest.iter_mut().zip(scores) {
                *highest = if *score > *highest { *score } else { *highest };
            }
        }
        let highest = highest.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut sums = [0.0f32; UNIT];
        for scores in units {
            for (sum, score) in sums.iter_mut().zip(scores) {
                *score = exp_below_zero(*score - highest);
                *sum += *score;
            }
        }
        total(sums)
    }
}

vectorised! {
    /// The upper halves of numbers that are bfloat16 already.
    pub fn to_bf16<R>(numbers: &[f32], to: &mut [u16]) {
        let _ = R::round;
        to.iter_mut().zip(numbers).for_each(|(to, x)| *to = (x.to_bits() >> 16) as u16);
    }
}

/// The sum of 16 numbers, in a fixed order.
#[inline(always)]
fn total(lanes: [f32; UNIT]) -> f32 {
    let mut lanes = lanes;
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Below it `e^x` counts as zero: it would be no normal number.
const LOWEST: f32 = -87.336_54;

/// `e^x` as `p * 2^n`, to about one unit in the last place: `n` and `p`, for `x` within the range of numbers.
///
/// `x = n ln(2) + r` with `|r| <= ln(2) / 2`; the polynomial is that of Cephes' `expf` (<https://www.netlib.org/cephes/>).
#[inline(always)]
fn parts_of_exp(x: f32) -> (i32, f32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// Adding it rounds to a whole number.
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

/// `e^x`; zero below -87.3, infinity above 88.7. NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const HIGHEST: f32 = 88.722_83;
    let bounded = if x < LOWEST { LOWEST } else { x };
    let bounded = if bounded > HIGHEST { HIGHEST } else { bounded };
    let (n, p) = parts_of_exp(bounded);
    // In two steps, since 2^128 is no number.
    let y = p * power_of_two(n >> 1) * power_of_two(n - (n >> 1));
    let y = if x < LOWEST { 0.0 } else { y };
    let y = if x > HIGHEST { f32::INFINITY } else { y };
    if x.is_nan() { x } else { y }
}

/// `e^x` for `x` that is not above zero; zero below -87.3. NaN stays NaN.
#[inline(always)]
fn exp_below_zero(x: f32) -> f32 {
    let (n, p) = parts_of_exp(if x < LOWEST { LOWEST } else { x });
    if x < LOWEST { 0.0 } else { p * power_of_two(n) }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::model::cpu::isa::Isa;

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
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            if x <= 0.0 {
                assert_eq!(exp_below_zero(x).to_bits(), exp(x).to_bits());
            }
            if x < -87.3365 {
                assert_eq!(found, 0.0);
            } else if expected < f64::from(f32::MAX) {
                let error = (found - expected).abs() / expected;
                assert!(error < 1.3e-7, "exp({x}) is {found:e}, expected {expected:e}");
            } else {
                assert!(x > 88.7 && exp(x).is_infinite());
            }
            x += 0.000_97;
        }
        assert!(exp(f32::NAN).is_nan() && exp_below_zero(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
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
                gated(vector, dtype, &mut to, &y);
                all.extend_from_slice(&to);
                add(vector, dtype, &mut to, &y);
                rotate(vector, dtype, &mut to[..64], &x[..32], &y[..32]);
                round(vector, dtype, &mut to, Some(&x));
                all.extend_from_slice(&to);
                let mut scores = [x.clone(), y.clone(), vec![f32::NAN; 10]].concat();
                all.push(softmax(vector, dtype, &mut scores, 3, 130));
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
        let sum = softmax(vector, Dtype::F32, &mut alone, 5, 40);
        assert_eq!(softmax(vector, Dtype::F32, &mut among, 37, 72).to_bits(), sum.to_bits());
        assert_eq!(among[32..80], alone);
        assert!(alone[..5].iter().chain(&alone[40..]).all(|&x| x == 0.0));
    }
}
