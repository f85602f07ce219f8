//! A sequence's logits do not depend on how it is cut into segments and passes.

use assay::model::{ForwardError, Row, Segment, SegmentError, SegmentId};

use super::fixtures::{all_logits, alone, assert_same, logits, references, references_in_all, segment};

#[test]
fn a_chain_of_segments_is_one_text() {
    for (name, model, sequences, tolerance) in references_in_all() {
        let ids = &sequences.last().unwrap().ids;
        let expected = alone(&model, ids);
        for cuts in [vec![1], vec![50], vec![99], vec![3, 20, 21, 70]] {
            let what = format!("{name} cut at {cuts:?}");
            let ends = cuts.iter().copied().chain([ids.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let prefixes: Vec<usize> = (0..=cuts.len()).collect();
            let segments: Vec<Segment> = starts
                .zip(ends)
                .enumerate()
                .map(|(id, (start, end))| segment(id, &prefixes[..id], &ids[start..end]))
                .collect();
            let one_pass = all_logits(&model, &segments, &mut model.kv_cache());
            assert_same(&format!("{what}, one pass"), &one_pass, &expected, tolerance);

            let mut kv = model.kv_cache();
            let passes: Vec<_> = segments
                .iter()
                .flat_map(|segment| all_logits(&model, std::slice::from_ref(segment), &mut kv))
                .collect();
            assert_same(&format!("{what}, passes"), &passes, &expected, tolerance);
            assert_eq!(kv.tokens(), ids.len());
        }
    }
}

#[test]
fn a_segment_grows_token_by_token() {
    for (name, model, sequences, tolerance) in references_in_all() {
        let ids = &sequences.last().unwrap().ids;
        let expected = alone(&model, ids);
        let mut kv = model.kv_cache();
        let mut rows = all_logits(&model, &[segment(0, &[], &ids[..30])], &mut kv);
        rows.extend(all_logits(&model, &[segment(1, &[0], &ids[30..33])], &mut kv));
        for &id in &ids[33..] {
            rows.extend(all_logits(&model, &[segment(1, &[0], &[id])], &mut kv));
        }
        assert_same(&name, &rows, &expected, tolerance);
        assert_eq!(kv.length(SegmentId(1)), Some(ids.len() - 30));
        kv.release(SegmentId(0));
        kv.release(SegmentId(1));
        assert_eq!((kv.tokens(), kv.bytes()), (0, 0));
    }
}

#[test]
fn what_is_cut_off_a_segment_is_as_if_it_had_not_been() {
    for (name, model, sequences, tolerance) in references_in_all() {
        let ids = &sequences.last().unwrap().ids;
        let expected = alone(&model, ids);
        let mut kv = model.kv_cache();
        let mut rows = all_logits(&model, &[segment(0, &[], &ids[..30])], &mut kv);
        let mut kept = 30;
        // A few right tokens and some wrong ones, within units of keys and across them.
        for (right, wrong) in [(1, 1), (2, 5), (1, 40), (13, 2), (3, 17), (1, 0), (15, 16)].iter().cycle() {
            let end = (kept + right).min(ids.len());
            let tokens: Vec<u32> = ids[kept..end].iter().chain(&ids[..*wrong]).copied().collect();
            let fed = all_logits(&model, &[segment(1, &[0], &tokens)], &mut kv);
            rows.extend(fed.into_iter().take(end - kept));
            kept = end;
            kv.truncate(SegmentId(1), kept - 30).unwrap();
            assert_eq!(kv.length(SegmentId(1)), Some(kept - 30));
            if kept == ids.len() {
                break;
            }
        }
        assert_same(&name, &rows, &expected, tolerance);
    }
}

#[test]
fn texts_of_one_pass_do_not_see_each_other() {
    for (name, model, sequences, tolerance) in references_in_all() {
        let ids = &sequences.last().unwrap().ids;
        // Two roots; endings of several lengths continue the first, one of them is continued itself.
        let endings = [&ids[40..43], &ids[60..61], &ids[70..95], &ids[1..6]];
        let root = &ids[..40];
        let mut segments = vec![segment(7, &[], &ids[10..30]), segment(0, &[], root)];
        segments.extend(endings.iter().enumerate().map(|(i, ending)| segment(i + 1, &[0], ending)));
        segments.push(segment(8, &[0, 3], &ids[..4]));
        let found = all_logits(&model, &segments, &mut model.kv_cache());

        let mut expected = alone(&model, &ids[10..30]);
        expected.extend(alone(&model, root));
        for ending in endings {
            expected.extend(alone(&model, &[root, ending].concat()).split_off(root.len()));
        }
        let last = [root, endings[2], &ids[..4]].concat();
        expected.extend(alone(&model, &last).split_off(last.len() - 4));
        assert_same(&format!("{name}, one pass"), &found, &expected, tolerance);

        // Roots first, the others in a later pass, one of them in two passes.
        let mut kv = model.kv_cache();
        let mut found = all_logits(&model, &segments[..2], &mut kv);
        let (first, second) = (segment(4, &[0], &endings[3][..2]), segment(4, &[0], &endings[3][2..]));
        found.extend(all_logits(&model, &[&segments[2..5], &[first]].concat(), &mut kv));
        found.extend(all_logits(&model, &[second, segments[6].clone()], &mut kv));
        assert_same(&format!("{name}, three passes"), &found, &expected, tolerance);
    }
}

#[test]
fn many_rows_are_cut_in_blocks() {
    for (name, model, sequences, tolerance) in references_in_all() {
        // Longer than a block of attention, and many endings that together are longer than a block.
        let long: Vec<u32> = sequences.iter().flat_map(|s| s.ids.iter().copied()).cycle().take(230).collect();
        let endings: Vec<&[u32]> = (0..60).map(|i| &long[i..i + 7]).collect();
        let mut segments = vec![segment(0, &[], &long[..200])];
        segments.extend(endings.iter().enumerate().map(|(i, ending)| segment(i + 1, &[0], ending)));
        let found = all_logits(&model, &segments, &mut model.kv_cache());
        let mut expected = alone(&model, &long[..200]);
        for ending in &endings {
            expected.extend(alone(&model, &[&long[..200], ending].concat()).split_off(200));
        }
        assert_same(&name, &found, &expected, tolerance);
    }
}

#[test]
fn wanted_rows_are_read_each_by_its_index() {
    let Some((_, model, sequences)) = references().into_iter().next() else { return };
    let ids = &sequences.last().unwrap().ids;
    let all = alone(&model, ids);
    let wanted = [99, 3, 3, 50];
    let rows: Vec<Row> = wanted.map(|token| Row { segment: 0, token }).to_vec();
    let mut kv = model.kv_cache();
    let found = logits(&model, &[segment(0, &[], ids)], &rows, &mut kv);
    assert_same("wanted", &found, &wanted.map(|token| all[token].clone()), 0.0);
    assert_eq!(kv.length(SegmentId(0)), Some(100));
}

#[test]
fn what_does_not_fit_is_an_error_and_leaves_no_trace() {
    let Some((_, model, _)) = references().into_iter().next() else { return };
    let mut kv = model.kv_cache();
    all_logits(&model, &[segment(0, &[], &[1, 2, 3])], &mut kv);
    let mut fails = |segments: &[Segment], wanted: &[Row]| {
        let error = model.forward(segments, wanted, &mut kv, &|_, _| ()).unwrap_err();
        assert_eq!(kv.tokens(), 3, "{error}");
        assert!(!error.to_string().contains('\n'));
        error
    };
    let row = Row { segment: 0, token: 2 };
    let id = SegmentId(1);
    assert!(matches!(fails(&[segment(1, &[], &[96])], &[]), ForwardError::TokenOutOfRange { token: 96, .. }));
    assert!(matches!(fails(&[segment(1, &[], &[])], &[]), ForwardError::Empty { .. }));
    assert!(matches!(fails(&[segment(1, &[0], &[5, 6])], &[row]), ForwardError::NoSuchRow { .. }));
    assert!(matches!(fails(&[segment(1, &[0], &[5; 254])], &[]), ForwardError::TooLong { length: 257, .. }));
    let link = SegmentId(9);
    for (segments, expected) in [
        (vec![segment(1, &[9], &[5])], SegmentError::Unknown { id, link }),
        (
            vec![segment(2, &[0], &[5]), segment(1, &[2], &[5])],
            SegmentError::Broken { id, link: SegmentId(2) },
        ),
        (vec![segment(1, &[0], &[5]), segment(1, &[0], &[5])], SegmentError::Repeated { id }),
        (vec![segment(1, &[0], &[5]), segment(0, &[], &[5])], SegmentError::Continued { id: SegmentId(0) }),
    ] {
        match fails(&segments, &[]) {
            ForwardError::Segment(found) => assert_eq!(found, expected),
            other => panic!("{other}"),
        }
    }
}
