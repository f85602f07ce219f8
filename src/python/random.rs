//! CPython 3's `random.Random`: the methods that the harness uses.
//!
//! Source: CPython `Lib/random.py` (`shuffle`, `sample`, `_randbelow_with_getrandbits`) and
//! `Modules/_randommodule.c` (`init_by_array` over the seed's 32-bit digits, `getrandbits`).

use std::collections::HashSet;

use rand_mt::Mt;

/// A Mersenne Twister seeded with an integer, as by `random.Random(seed)`.
pub struct PythonRandom {
    twister: Mt,
}

impl PythonRandom {
    /// `random.Random(seed)`.
    pub fn new(seed: u64) -> Self {
        let low = seed as u32;
        let high = (seed >> 32) as u32;
        let digits: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        Self { twister: Mt::new_with_key(digits.iter().copied()) }
    }

    /// `random.getrandbits(bits)` for 1 to 32 bits.
    fn bits(&mut self, bits: u32) -> u32 {
        self.twister.next_u32() >> (32 - bits)
    }

    /// `random._randbelow(n)`: uniform in `0..n`, by rejection. `n` must not be 0.
    fn below(&mut self, n: u32) -> u32 {
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let r = self.bits(bits);
            if r < n {
                return r;
            }
        }
    }

    /// `random.shuffle(items)`. Lists of 2^32 items or more are shuffled differently from CPython.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u32 + 1) as usize;
            items.swap(i, j);
        }
    }

    /// `random.sample(range(n), k)`; `None` if `k` is larger than `n`, where CPython raises.
    pub fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        // As in CPython: the pool of all items if it takes no more memory than the set of drawn ones. 21 is
        // the size of a small set minus that of an empty list.
        let mut set_size = 21;
        if k > 5 {
            set_size += 4usize.pow((3.0 * k as f64).log(4.0).ceil() as u32);
        }
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            return Some(
                (0..k)
                    .map(|i| {
                        let j = self.below((n - i) as u32) as usize;
                        let drawn = pool[j];
                        pool[j] = pool[n - i - 1];
                        drawn
                    })
                    .collect(),
            );
        }
        let mut seen = HashSet::with_capacity(k);
        let mut drawn = Vec::with_capacity(k);
        while drawn.len() < k {
            let j = self.below(n as u32) as usize;
            if seen.insert(j) {
                drawn.push(j);
            }
        }
        Some(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_from_a_pool_is_cpythons() {
        let drawn = PythonRandom::new(42).sample(30, 25).unwrap();
        let expected =
            [20, 3, 0, 23, 8, 7, 24, 4, 28, 17, 2, 18, 13, 1, 27, 16, 21, 29, 25, 9, 15, 11, 12, 5, 6];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn shuffle_then_sample_from_one_generator_is_cpythons() {
        // r = random.Random(42); x = list(range(1172)); r.shuffle(x); x[:3]; r.sample(range(1119), 25)
        let mut random = PythonRandom::new(42);
        let mut rows: Vec<usize> = (0..1172).collect();
        random.shuffle(&mut rows);
        assert_eq!(rows[..3], [595, 716, 511]);
        let shots = random.sample(1119, 25).unwrap();
        let expected = [
            888, 201, 205, 908, 340, 613, 59, 94, 664, 114, 600, 734, 767, 882, 298, 500, 1087, 843, 368,
            348, 358, 161, 783, 493, 1019,
        ];
        assert_eq!(shots, expected);
    }

    #[test]
    fn more_than_there_are_cannot_be_sampled() {
        assert_eq!(PythonRandom::new(1).sample(4, 5), None);
        assert_eq!(PythonRandom::new(1).sample(4, 0), Some(vec![]));
    }

    #[test]
    fn a_seed_beyond_32_bits_is_two_digits() {
        // random.Random(2**32 + 5).sample(range(1000), 3)
        assert_eq!(PythonRandom::new((1 << 32) + 5).sample(1000, 3), Some(vec![161, 497, 289]));
    }
}
