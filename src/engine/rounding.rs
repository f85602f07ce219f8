//! How far rounding to the model's number format may have moved a logit, and which argmax decisions depend on
//! it.

use crate::model::Dtype;

/// Half a unit in the last place of `logit` in `dtype`, in nats: the largest error of rounding to nearest.
///
/// `2^(e - p)` for magnitudes from `2^e` up to `2^(e + 1)`, with `p` significant bits including the hidden
/// one. For subnormal numbers and zero it is half the smallest spacing. At a power of two the neighbour
/// towards zero is only half as far; the larger spacing is used. Source: IEEE 754-2019, 3.3 and 4.3.1.
pub fn half_ulp(logit: f32, dtype: Dtype) -> f64 {
    // Significant bits, and exponent of the smallest normal number.
    let (bits, least) = match dtype {
        Dtype::Bf16 => (8, -126),
        Dtype::F16 => (11, -14),
        Dtype::F32 => (24, -126),
    };
    let exponent = ((logit.to_bits() >> 23) & 0xff) as i32 - 127;
    power_of_two(exponent.max(least) - bits)
}

/// Whether two logits, `upper >= lower`, could have been equal or in the opposite order before they were
/// rounded.
///
/// Of several lower logits only the largest needs a check: `x + half_ulp(x)` grows with `x`.
pub fn is_near_tie(upper: f32, lower: f32, dtype: Dtype) -> bool {
    // Exact: both sides need fewer bits than double precision has.
    f64::from(upper) - half_ulp(upper, dtype) <= f64::from(lower) + half_ulp(lower, dtype)
}

/// Exact for the exponents of single precision; `powi` guarantees no precision.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use proptest::prelude::*;

    const DTYPES: [Dtype; 3] = [Dtype::Bf16, Dtype::F16, Dtype::F32];

    fn round(x: f32, dtype: Dtype) -> f32 {
        match dtype {
            Dtype::Bf16 => bf16::from_f32(x).to_f32(),
            Dtype::F16 => f16::from_f32(x).to_f32(),
            Dtype::F32 => x,
        }
    }

    /// The next number of larger magnitude.
    fn next(x: f32, dtype: Dtype) -> f32 {
        match dtype {
            Dtype::Bf16 => bf16::from_bits(bf16::from_f32(x).to_bits() + 1).to_f32(),
            Dtype::F16 => f16::from_bits(f16::from_f32(x).to_bits() + 1).to_f32(),
            Dtype::F32 => f32::from_bits(x.to_bits() + 1),
        }
    }

    #[test]
    fn powers_of_two_are_exact() {
        for (dtype, bits) in DTYPES.into_iter().zip([8, 11, 24]) {
            assert_eq!(half_ulp(1.0, dtype), 0.5f64.powi(bits));
            assert_eq!(half_ulp(-16.0, dtype), 16.0 * 0.5f64.powi(bits));
            assert_eq!(half_ulp(31.5, dtype), 16.0 * 0.5f64.powi(bits));
            assert_eq!(half_ulp(0.25, dtype), 0.25 * 0.5f64.powi(bits));
        }
        assert_eq!(half_ulp(0.0, Dtype::F16), 0.5f64.powi(25));
        assert_eq!(half_ulp(-0.0, Dtype::Bf16), 0.5f64.powi(134));
        assert_eq!(half_ulp(f32::from_bits(1), Dtype::F32), 0.5f64.powi(150));
    }

    #[test]
    fn half_the_way_to_the_next_number_of_the_format() {
        for dtype in DTYPES {
            let smallest = next(0.0, dtype);
            for start in [0.0, smallest, 3e-8, 6e-5, 6.2e-5, 0.1, 0.5, 1.0, 1.5, 3.99, 17.3, 4096.0, 30000.0]
            {
                let x = round(start, dtype);
                let spacing = f64::from(next(x, dtype)) - f64::from(x);
                assert_eq!(half_ulp(x, dtype), spacing / 2.0, "{x} in {dtype}");
                assert_eq!(half_ulp(-x, dtype), spacing / 2.0, "-{x} in {dtype}");
            }
        }
    }

    #[test]
    fn equal_logits_are_near_ties_and_neighbours_too() {
        for dtype in DTYPES {
            // Two numbers that round to the same one.
            assert!(is_near_tie(round(20.01, dtype), round(20.01, dtype), dtype));
            let x = round(20.0, dtype);
            assert!(is_near_tie(next(x, dtype), x, dtype), "they meet half way");
            assert!(!is_near_tie(next(next(x, dtype), dtype), x, dtype));
        }
        assert!(!is_near_tie(1.0, f32::NEG_INFINITY, Dtype::Bf16), "a vocabulary of one token");
    }

    proptest! {
        #[test]
        fn logits_that_rounding_turns_round_are_near_ties(
            a in -40.0f32..40.0, gap in 0.0f32..0.5, which in 0usize..3,
        ) {
            let dtype = DTYPES[which];
            let (low, high) = (a.min(a + gap), a.max(a + gap));
            prop_assert!((f64::from(round(a, dtype)) - f64::from(a)).abs() <= half_ulp(round(a, dtype), dtype));
            // Rounding keeps the order or makes both equal, so equal numbers may have had any order before.
            if round(low, dtype) == round(high, dtype) {
                prop_assert!(is_near_tie(round(low, dtype), round(high, dtype), dtype));
            }
            let reach = |x: f32| f64::from(x) + half_ulp(x, dtype);
            prop_assert!(reach(round(low, dtype)) <= reach(round(high, dtype)), "the largest tells for all");
        }
    }
}
