//! The replacements of a `Precompiled` normaliser, checked before the library follows them.
//!
//! SentencePiece writes them as a trie in a double array and the texts to put in
//! (<https://github.com/google/sentencepiece/blob/master/doc/normalization.md>): the array's length in bytes, its units of 32 bits, and
//! texts that each end with a zero byte. The library believes the length when it allocates, follows offsets out of the array and
//! cuts texts inside of characters. So everything that a text can reach is walked here.

/// Longest key that is looked up, in bytes: characters, and clusters of them of less than 6 bytes.
const KEY: usize = 5;
/// Longest replacement, in bytes: the longest of NFKC has 33.
const REPLACEMENT: usize = 1024;
/// Longest map, in base64. NFKC's has 400,000 bytes.
const LONGEST: usize = 8 << 20;

/// By how much a text may grow at most.
///
/// # Errors
/// What is wrong with the map.
pub fn growth(base64: &str) -> Result<f64, String> {
    if base64.len() > LONGEST {
        return Err(format!("`precompiled_charsmap` has {} bytes, expected {LONGEST} at most", base64.len()));
    }
    let bytes = decode(base64).ok_or("`precompiled_charsmap` is not base64")?;
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or("`precompiled_charsmap` is empty")?;
    let length = u32::from_le_bytes(*length) as usize / 4 * 4;
    if length > rest.len() || length == 0 {
        let what = format!("`precompiled_charsmap` has a trie of {length} bytes, and {} follow", rest.len());
        return Err(what);
    }
    let (units, texts) = rest.split_at(length);
    let units: Vec<usize> =
        units.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit) as usize).collect();
    let texts =
        std::str::from_utf8(texts).map_err(|_| "the texts of `precompiled_charsmap` are not UTF-8")?;
    let mut map = Map { units, texts, visits: 0, growth: 1.0 };
    map.walk(offset(map.units[0]), 1)?;
    Ok(map.growth)
}

struct Map<'t> {
    units: Vec<usize>,
    texts: &'t str,
    /// Nodes that were walked.
    visits: usize,
    growth: f64,
}

fn offset(unit: usize) -> usize {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

impl Map<'_> {
    /// Walks the nodes below the one at `from`, whose keys have `length` bytes.
    fn walk(&mut self, from: usize, length: usize) -> Result<(), String> {
        // Bytes from 0xf5 on are in no text.
        for byte in 1..0xf5 {
            let unit = self.unit(from ^ byte)?;
            // The highest bit marks what is no node.
            if unit & (1 << 31 | 0xff) != byte {
                continue;
            }
            // A node of a tree is reached once.
            self.visits += 1;
            if self.visits > self.units.len() {
                return Err("the trie of `precompiled_charsmap` runs in a circle".into());
            }
            let below = from ^ byte ^ offset(unit);
            if unit >> 8 & 1 == 1 {
                let at = self.unit(below)? & ((1 << 31) - 1);
                let replacement = self.texts.get(at..).ok_or_else(|| {
                    format!(
                        "a text of `precompiled_charsmap` is at byte {at}, and there are {}",
                        self.texts.len()
                    )
                })?;
                let size = replacement.find('\0').unwrap_or(replacement.len());
                if size > REPLACEMENT {
                    return Err(format!("`precompiled_charsmap` puts in a text of {size} bytes"));
                }
                self.growth = self.growth.max(size as f64 / length as f64);
            }
            if length < KEY {
                self.walk(below, length + 1)?;
            }
        }
        Ok(())
    }

    fn unit(&self, at: usize) -> Result<usize, String> {
        let outside = || {
            let count = self.units.len();
            format!("the trie of `precompiled_charsmap` leads to unit {at}, and there are {count}")
        };
        self.units.get(at).copied().ok_or_else(outside)
    }
}

/// Base64 with padding, as the library reads it; it refuses what is no canonical form itself.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    for group in digits.chunks(4) {
        let mut number = 0u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            number = number << 6 | u32::from(value);
        }
        number <<= 6 * (4 - group.len());
        let [_, a, b, c] = number.to_be_bytes();
        bytes.extend_from_slice(&[a, b, c][..group.len().checked_sub(1).filter(|count| *count > 0)?]);
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Base64 of bytes whose number is a multiple of 3.
    pub fn encoded(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let number = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            text.extend([18, 12, 6, 0].map(|shift| DIGITS[(number >> shift) as usize & 63] as char));
        }
        text
    }

    /// A map whose trie has these units, the rest of 256 being none.
    pub fn map(units: &[(usize, u32)], texts: &str) -> String {
        let mut trie = vec![0u32; 256];
        units.iter().for_each(|(at, unit)| trie[*at] = *unit);
        let mut bytes = 1024u32.to_le_bytes().to_vec();
        bytes.extend(trie.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(texts.bytes());
        while !bytes.len().is_multiple_of(3) {
            bytes.push(0);
        }
        encoded(&bytes)
    }

    const A: u32 = b'a' as u32;

    #[test]
    fn a_map_of_one_letter() {
        // The root's offset is 0; the node of `a` is at 97, its value at 97 ^ 1.
        let units = [(97, A | 1 << 8 | 1 << 10), (96, 1 << 31 | 1)];
        assert_eq!(growth(&map(&units, "xbcd\0")), Ok(3.0));
        let library: tokenizers::NormalizerWrapper = serde_json::from_value(
            serde_json::json!({"type": "Precompiled", "precompiled_charsmap": map(&units, "xbcd\0")}),
        )
        .unwrap();
        let mut text = tokenizers::NormalizedString::from("a-a");
        tokenizers::Normalizer::normalize(&library, &mut text).unwrap();
        assert_eq!(text.get(), "bcd-bcd");
    }

    #[test]
    fn maps_that_lead_astray() {
        for (units, texts, expected) in [
            (vec![(97, A | 1 << 8 | 1 << 20)], "", "leads to unit 1121"),
            (vec![(97, A | 1 << 8 | 1 << 10), (96, 1 << 31 | 9)], "bcd", "is at byte 9"),
            (vec![(97, A | 1 << 8 | 1 << 10), (96, 1 << 31 | 1)], "é", "is at byte 1"),
            ((1..0xf5).map(|byte| (byte as usize, byte | byte << 10)).collect(), "", "runs in a circle"),
            (vec![(0, 1 << 30)], "", "leads to unit"),
        ] {
            let found = growth(&map(&units, texts)).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
        let long = "b".repeat(REPLACEMENT + 1);
        let found = growth(&map(&[(97, A | 1 << 8 | 1 << 10), (96, 1 << 31)], &long)).unwrap_err();
        assert!(found.ends_with("puts in a text of 1025 bytes"), "{found}");
        for (base64, expected) in [
            ("/////wAAAAAAAAAAAAAA", "a trie of 4294967292 bytes, and 11 follow"),
            ("AAAA", "is empty"),
            ("AAAAAAAA", "a trie of 0 bytes"),
            ("A", "not base64"),
            ("AA A", "not base64"),
        ] {
            let found = growth(base64).unwrap_err();
            assert!(found.contains(expected), "{base64}: {found}");
        }
    }
}
