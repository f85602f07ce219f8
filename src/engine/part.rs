//! Parts of a pass, for a device without memory for the whole pass.

use crate::model::{Row, Segment};

/// Some rows of a pass, in the pass's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The segments of the rows, possibly incomplete.
    pub segments: Vec<Segment>,
    /// The rows whose logits are read, by segment and token.
    pub wanted: Vec<Row>,
    /// For each of `wanted`, the index of its use in the pass.
    pub uses: Vec<usize>,
}

impl Part {
    /// All of a pass. `wanted` is sorted by segment and token.
    pub fn whole(segments: Vec<Segment>, wanted: Vec<Row>) -> Self {
        let uses = (0..wanted.len()).collect();
        Self { segments, wanted, uses }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.segments.iter().map(|segment| segment.tokens.len()).sum()
    }

    /// Splits into the first `rows` rows, at least one and fewer than all, and the others.
    ///
    /// A segment may be split: it grows when the second part is computed. Segments that continue it come
    /// after it in the pass, so none of them is in the first part.
    pub fn split(mut self, rows: usize) -> (Part, Part) {
        let (mut cut, mut offset) = (0, rows);
        while let Some(segment) = self.segments.get(cut)
            && offset >= segment.tokens.len()
        {
            offset -= segment.tokens.len();
            cut += 1;
        }
        let mut segments = self.segments.split_off(cut);
        if let Some(segment) = segments.first_mut()
            && offset > 0
        {
            let later = segment.tokens.split_off(offset);
            let tokens = std::mem::replace(&mut segment.tokens, later);
            self.segments.push(Segment { tokens, ..segment.clone() });
        }
        let read = self.wanted.partition_point(|row| (row.segment, row.token) < (cut, offset));
        let mut wanted = self.wanted.split_off(read);
        for row in &mut wanted {
            if row.segment == cut {
                row.token -= offset;
            }
            row.segment -= cut;
        }
        let uses = self.uses.split_off(read);
        (self, Part { segments, wanted, uses })
    }

    /// Removes the rows of some uses, and the tokens that follow those in their segments; `None` if nothing
    /// is left.
    pub fn without(mut self, is_left_out: impl Fn(usize) -> bool) -> Option<Part> {
        for (row, &which) in self.wanted.iter().zip(&self.uses) {
            if is_left_out(which) {
                self.segments[row.segment].tokens.truncate(row.token);
            }
        }
        let mut left = 0;
        let places: Vec<usize> = self
            .segments
            .iter()
            .map(|segment| {
                left += usize::from(!segment.tokens.is_empty());
                left.saturating_sub(1)
            })
            .collect();
        let is_there = |row: &Row| row.token < self.segments[row.segment].tokens.len();
        let kept = self.wanted.iter().zip(&self.uses).filter(|(row, _)| is_there(row));
        let (wanted, uses) =
            kept.map(|(row, which)| (Row { segment: places[row.segment], ..*row }, *which)).unzip();
        self.segments.retain(|segment| !segment.tokens.is_empty());
        (!self.segments.is_empty()).then_some(Part { segments: self.segments, wanted, uses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SegmentId;
    use proptest::prelude::*;

    /// A pass whose tokens are numbered, and the token of each wanted row.
    fn pass(lengths: &[usize], wanted: &[bool]) -> (Part, Vec<u32>) {
        let (mut segments, mut rows, mut read, mut token) = (Vec::new(), Vec::new(), Vec::new(), 0u32);
        for (id, &length) in lengths.iter().enumerate() {
            for at in 0..length {
                if wanted.get(token as usize + at).copied().unwrap_or_default() {
                    rows.push(Row { segment: id, token: at });
                    read.push(token + at as u32);
                }
            }
            let tokens = (token..token + length as u32).collect();
            token += length as u32;
            let prefix = (0..id).map(SegmentId).collect();
            segments.push(Segment { id: SegmentId(id), prefix, tokens });
        }
        (Part::whole(segments, rows), read)
    }

    #[test]
    fn a_segment_is_cut_and_its_rows_are_counted_anew() {
        let (whole, _) = pass(&[2, 3], &[true, false, true, false, true]);
        let (first, second) = whole.split(3);
        assert_eq!(
            first.segments.iter().map(|s| s.tokens.clone()).collect::<Vec<_>>(),
            [vec![0, 1], vec![2]]
        );
        assert_eq!(first.wanted, [Row { segment: 0, token: 0 }, Row { segment: 1, token: 0 }]);
        assert_eq!(second.segments.iter().map(|s| s.tokens.clone()).collect::<Vec<_>>(), [vec![3, 4]]);
        assert_eq!((second.wanted, second.uses), (vec![Row { segment: 0, token: 1 }], vec![2]));
        assert_eq!(first.segments[1].id, second.segments[0].id);
    }

    #[test]
    fn rows_are_left_out_with_what_follows_them() {
        let (whole, _) = pass(&[1, 3, 2], &[true; 6]);
        let part = whole.clone().without(|which| [0, 2, 3].contains(&which)).unwrap();
        let tokens: Vec<Vec<u32>> = part.segments.iter().map(|s| s.tokens.clone()).collect();
        assert_eq!(tokens, [vec![1], vec![4, 5]]);
        let row = |segment, token| Row { segment, token };
        assert_eq!((part.wanted, part.uses), (vec![row(0, 0), row(1, 0), row(1, 1)], vec![1, 4, 5]));
        assert_eq!(whole.without(|_| true), None);
    }

    proptest! {
        #[test]
        fn parts_are_the_whole(
            lengths in prop::collection::vec(1usize..6, 1..8),
            wanted in prop::collection::vec(any::<bool>(), 40),
            cut in any::<prop::sample::Index>(),
        ) {
            let (whole, read) = pass(&lengths, &wanted);
            let rows = whole.rows();
            prop_assume!(rows > 1);
            let at = 1 + cut.index(rows - 1);
            let (first, second) = whole.split(at);
            prop_assert_eq!((first.rows(), second.rows()), (at, rows - at));
            let uses: Vec<usize> = (0..read.len()).collect();
            prop_assert_eq!([first.uses.clone(), second.uses.clone()].concat(), uses);
            let tokens = |part: &Part| part.segments.iter().flat_map(|s| s.tokens.clone()).collect::<Vec<_>>();
            prop_assert_eq!([tokens(&first), tokens(&second)].concat(), (0..rows as u32).collect::<Vec<_>>());
            let reads = |part: &Part| -> Vec<u32> {
                part.wanted.iter().map(|row| part.segments[row.segment].tokens[row.token]).collect()
            };
            prop_assert_eq!([reads(&first), reads(&second)].concat(), read);
            for part in [&first, &second] {
                prop_assert!(part.segments.iter().all(|segment| !segment.tokens.is_empty()));
                let prefixes = part.segments.iter().all(|s| s.prefix.len() == s.id.0);
                prop_assert!(prefixes);
            }
        }
    }
}
