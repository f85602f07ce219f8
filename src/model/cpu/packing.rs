//! From rows as they are stored to panels.

use std::ops::Range;

use super::isa::Vector;
use super::matrix::{PANEL, pair_place};
use super::transpose::{LINE_BYTES, transpose};
use super::vector::Format;

/// What each panel of a matrix holds, in their order: a part and its rows. Panels of the parts, each with so many
/// outputs, lie one part after another or, where `interleaved`, in turn.
pub fn panels_of(outputs: &[usize], interleaved: bool) -> Vec<(usize, Range<usize>)> {
    let panels = |part: usize| outputs[part].div_ceil(PANEL);
    let panel = |part: usize, panel: usize| (part, panel * PANEL..((panel + 1) * PANEL).min(outputs[part]));
    let parts = 0..outputs.len();
    if !interleaved {
        return parts.flat_map(|part| (0..panels(part)).map(move |place| panel(part, place))).collect();
    }
    let most = parts.clone().map(panels).max().unwrap_or(0);
    let of_place =
        |place| parts.clone().filter(move |&part| place < panels(part)).map(move |part| panel(part, place));
    (0..most).flat_map(of_place).collect()
}

/// Writes a piece of `[rows][columns]` little-endian numbers to a panel of `format`, from that of its bytes on where the
/// piece's first column belongs.
pub fn pack(vector: Vector, format: Format, piece: &[u8], rows: usize, to: &mut [u8]) {
    if rows == 0 {
        return;
    }
    let stride = piece.len() / rows;
    if rows == PANEL && stride.is_multiple_of(LINE_BYTES) {
        let to = &mut to[..piece.len()];
        transpose(vector, piece, to);
        if format == Format::F16 {
            part_pairs(to);
        }
        return;
    }
    match format {
        Format::F32 => plain::<4>(piece, rows, to, |k, column| k * PANEL + column),
        Format::F16 => plain::<2>(piece, rows, to, |k, column| k * PANEL + column),
        Format::Bf16Pairs => plain::<2>(piece, rows, to, pair_place),
    }
}

/// Pairs of 16-bit numbers of 32 columns become 32 numbers of one row and 32 of the next.
fn part_pairs(panel: &mut [u8]) {
    for both in panel.as_chunks_mut::<{ PANEL * 4 }>().0 {
        let pairs = *both;
        let (even, odd) = both.split_at_mut(PANEL * 2);
        let numbers = even.as_chunks_mut::<2>().0.iter_mut().zip(odd.as_chunks_mut::<2>().0);
        for ((even, odd), &[a, b, c, d]) in numbers.zip(pairs.as_chunks::<4>().0) {
            (*even, *odd) = ([a, b], [c, d]);
        }
    }
}

/// Number by number, where a panel or a line isn't full.
fn plain<const SIZE: usize>(piece: &[u8], rows: usize, to: &mut [u8], place: impl Fn(usize, usize) -> usize) {
    let (piece, to) = (piece.as_chunks::<SIZE>().0, to.as_chunks_mut::<SIZE>().0);
    let columns = piece.len() / rows;
    for k in 0..columns {
        for row in 0..rows {
            to[place(k, row)] = piece[row * columns + k];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cpu::isa::Isa;

    #[test]
    fn whole_blocks_are_packed_as_numbers_are_one_by_one() {
        for (format, size) in [(Format::F32, 4), (Format::F16, 2), (Format::Bf16Pairs, 2)] {
            let columns = 96;
            let piece: Vec<u8> = (0..PANEL * columns * size).map(|at| ((at * 40_503) >> 7) as u8).collect();
            let mut expected = vec![0; piece.len()];
            match format {
                Format::F32 => plain::<4>(&piece, PANEL, &mut expected, |k, column| k * PANEL + column),
                Format::F16 => plain::<2>(&piece, PANEL, &mut expected, |k, column| k * PANEL + column),
                _ => plain::<2>(&piece, PANEL, &mut expected, pair_place),
            }
            for vector in Isa::vectors() {
                let mut found = vec![0; piece.len()];
                pack(vector, format, &piece, PANEL, &mut found);
                assert!(found == expected, "{vector:?}, {format:?}");
            }
        }
    }

    #[test]
    fn panels_hold_parts_in_a_row_or_in_turn() {
        assert_eq!(panels_of(&[40, 1], false), [(0, 0..32), (0, 32..40), (1, 0..1)]);
        assert_eq!(panels_of(&[40, 40], true), [(0, 0..32), (1, 0..32), (0, 32..40), (1, 32..40)]);
        assert_eq!(panels_of(&[0], false), []);
    }
}
