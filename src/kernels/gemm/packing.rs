//! Packing of stored rows into panels.

use std::ops::Range;

use crate::kernels::isa::Vector;
use crate::kernels::layout::NR;
use crate::kernels::transpose::{LINE_BYTES, transpose};

/// What each panel of a matrix holds, in order: the index of a part and a range of its rows. `outputs` are
/// the numbers of rows of the parts, whose panels lie one part after another or, if `interleaved`, in turn.
pub fn panels_of(outputs: &[usize], interleaved: bool) -> Vec<(usize, Range<usize>)> {
    let panels = |part: usize| outputs[part].div_ceil(NR);
    let panel = |part: usize, panel: usize| (part, panel * NR..((panel + 1) * NR).min(outputs[part]));
    let parts = 0..outputs.len();
    if !interleaved {
        return parts.flat_map(|part| (0..panels(part)).map(move |number| panel(part, number))).collect();
    }
    let most = parts.clone().map(panels).max().unwrap_or(0);
    let of_turn = |number| {
        parts.clone().filter(move |&part| number < panels(part)).map(move |part| panel(part, number))
    };
    (0..most).flat_map(of_turn).collect()
}

/// Transposes a piece, `[rows][columns]`, into a panel in words of four bytes, if it has all rows of a panel
/// and its rows are whole cache lines. Otherwise it writes nothing and returns false.
pub fn pack_words(vector: Vector, piece: &[u8], rows: usize, panel: &mut [u8]) -> bool {
    let is_whole = rows == NR && (piece.len() / NR).is_multiple_of(LINE_BYTES);
    if is_whole {
        transpose(vector, piece, &mut panel[..piece.len()]);
    }
    is_whole
}

/// Packs a piece element by element: `index(term, column)` is an element's index in the panel.
pub fn pack_each<const SIZE: usize>(
    piece: &[u8],
    rows: usize,
    panel: &mut [u8],
    index: impl Fn(usize, usize) -> usize,
) {
    let (piece, panel) = (piece.as_chunks::<SIZE>().0, panel.as_chunks_mut::<SIZE>().0);
    let columns = piece.len() / rows.max(1);
    for k in 0..columns {
        for row in 0..rows {
            panel[index(k, row)] = piece[row * columns + k];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_parts_in_a_row_or_in_turn() {
        assert_eq!(panels_of(&[40, 1], false), [(0, 0..32), (0, 32..40), (1, 0..1)]);
        assert_eq!(panels_of(&[40, 40], true), [(0, 0..32), (1, 0..32), (0, 32..40), (1, 32..40)]);
        assert_eq!(panels_of(&[0], false), []);
    }
}
