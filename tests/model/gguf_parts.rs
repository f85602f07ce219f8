//! A model in several GGUF files is read as a whole, whichever of them is given.

use std::path::{Path, PathBuf};

use assay::model::{DtypeChoice, name_of};

use super::fixtures::{alone, assert_same, load};
use super::small_files::{GgufTensor, Meta, gguf, gguf_metadata, gguf_tensors};

/// Writes the small model in parts with so many tensors each; the first has the metadata, as llama.cpp writes them.
fn write_parts(folder: &Path, sizes: &[usize], tensors_declared: u32) -> Vec<PathBuf> {
    let mut tensors = gguf_tensors();
    assert_eq!(sizes.iter().sum::<usize>(), tensors.len());
    let mut paths = Vec::new();
    for (number, size) in sizes.iter().enumerate() {
        let mut metadata = if number == 0 { gguf_metadata() } else { Vec::new() };
        metadata.push(("split.no", Meta::U32(number as u32)));
        metadata.push(("split.count", Meta::U32(sizes.len() as u32)));
        metadata.push(("split.tensors.count", Meta::U32(tensors_declared)));
        let part: Vec<GgufTensor> = tensors.drain(..*size).collect();
        paths.push(folder.join(format!("small-{:05}-of-{:05}.gguf", number + 1, sizes.len())));
        std::fs::write(&paths[number], gguf(&metadata, &part)).unwrap();
    }
    paths
}

fn message(path: &Path) -> String {
    let error = load(path, DtypeChoice::Auto).err().unwrap_or_else(|| panic!("{} loads", path.display()));
    assert!(miette::Diagnostic::help(&error).is_some(), "{error}");
    error.to_string()
}

#[test]
fn any_part_is_the_whole_model() {
    let folder = tempfile::tempdir().unwrap();
    let single = folder.path().join("single.gguf");
    std::fs::write(&single, gguf(&gguf_metadata(), &gguf_tensors())).unwrap();
    let ids: Vec<u32> = (0..16).collect();
    let expected = alone(&load(&single, DtypeChoice::Auto).unwrap(), &ids);
    for sizes in [vec![5, 7], vec![0, 4, 8], vec![12, 0]] {
        let parts = write_parts(folder.path(), &sizes, 12);
        for part in &parts {
            let model = load(part, DtypeChoice::Auto).unwrap();
            assert_eq!((model.facts().name.as_str(), name_of(part).as_str()), ("small", "small"));
            assert_eq!(model.facts().weight_files, parts);
            assert_same("parts", &alone(&model, &ids), &expected, 0.0);
        }
    }
}

#[test]
fn a_part_that_is_missing_or_of_another_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = write_parts(folder.path(), &[4, 4, 4], 12);
    std::fs::remove_file(&parts[1]).unwrap();
    for given in [&parts[0], &parts[2]] {
        let text = message(given);
        assert!(text.contains("small-00002-of-00003.gguf: no such file: it is part 2 of the 3"), "{text}");
    }
    // A part of another model under the missing one's name.
    let other = tempfile::tempdir().unwrap();
    let others = write_parts(other.path(), &[6, 6], 12);
    std::fs::copy(&others[1], &parts[1]).unwrap();
    let text = message(&parts[0]);
    assert!(text.contains("small-00002-of-00003.gguf: it is part 2 of a model in 2 parts"), "{text}");
    // The same tensors twice, and too few.
    let parts = write_parts(folder.path(), &[6, 6], 12);
    let mut first = gguf_metadata();
    first.extend([("split.no", Meta::U32(1)), ("split.count", Meta::U32(2))]);
    std::fs::write(&parts[1], gguf(&first, &gguf_tensors())).unwrap();
    assert!(message(&parts[0]).contains("is in another part too"));
    let parts = write_parts(folder.path(), &[6, 6], 13);
    assert!(message(&parts[1]).contains("the 2 parts have 12 tensors, `split.tensors.count` is 13"));
    // Under a name that leads to no other part.
    let renamed = folder.path().join("model.gguf");
    std::fs::rename(&parts[0], &renamed).unwrap();
    assert!(message(&renamed).contains("model.gguf: it is part 1 of a model in 2 parts, but its name"));
}
