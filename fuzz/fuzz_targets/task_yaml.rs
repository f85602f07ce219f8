//! A task file: its YAML, its schema, its templates, and rendering them over one row.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use assay::task::{Choices, Columns, Rendering, Target, TaskIndex, parse_yaml};
use assay::vocabulary::{Cell, Row};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

static ROW: LazyLock<Columns> = LazyLock::new(|| {
    let row = json!({"question": "Why?", "answer": "1", "label": 1, "choices": ["a", "b"], "wrong": "x", "right": "y"});
    match Cell::from(row) {
        Cell::Struct(row) => Columns::new(row),
        _ => Columns::new(Row::new()),
    }
});

fn render(rendering: &Rendering) {
    let _ = rendering.doc_to_text.render(&ROW);
    if let Some(Target::Template(template)) = &rendering.doc_to_target {
        let _ = template.value(&ROW);
    }
    if let Some(Choices::Template(template)) = &rendering.doc_to_choice {
        let _ = template.value(&ROW);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("fuzz.yaml");
    if let Ok(node) = parse_yaml(source, path.into()) {
        let _ = node.to_json();
    }
    let Ok(index) = TaskIndex::of_source(source, path) else { return };
    // A file may declare thousands of tasks of one shape.
    for name in index.names().into_iter().take(4) {
        let Ok(selection) = index.select(&[name]) else { continue };
        for task in selection.tasks.iter().take(4) {
            render(&task.rendering);
            render(&task.fewshot.rendering);
            for template in [&task.description, &task.doc_to_gold, &task.gen_prefix].into_iter().flatten() {
                let _ = template.render(&ROW);
            }
        }
    }
});
