//! Small files that ask for all memory end in one line that says how much, and never in the end of the process.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{repository, stderr};

/// Address space of a command, in KiB: enough for its threads on a large machine.
const SPACE: u64 = 1_500_000;

/// A command over the task `t` in `folder`, whose rows are in `file`.
fn command(folder: &Path, loader: &str, file: &str, text: &str, arguments: &str) -> Output {
    let task = format!(
        "task: t\ndataset_path: {loader}\ndataset_kwargs: {{data_files: {{test: {file}}}}}\noutput_type: multiple_choice\n\
         test_split: test\ndoc_to_text: \"{text}\"\ndoc_to_choice: [a, b]\ndoc_to_target: 0\nmetric_list: [{{metric: acc}}]\n"
    );
    std::fs::write(folder.join("t.yaml"), task).unwrap();
    let line = format!("ulimit -v {SPACE}; exec \"$0\" {arguments} --include .");
    let mut command = Command::new("bash");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_assay")]);
    command.current_dir(folder).env("ASSAY_CACHE", folder.join("cache")).env("RAYON_NUM_THREADS", "2");
    command.output().unwrap()
}

fn assert_too_large(output: &Output, parts: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(parts.iter().all(|part| error.contains(part)), "{said}, expected {parts:?}");
    assert!(said.lines().any(|line| line.starts_with("hint: ")) && !said.contains("panicked"), "{said}");
}

#[test]
fn columns_times_rows() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..2000).map(|i| format!("{{\"{i}\":1}}\n")).collect();
    std::fs::write(folder.path().join("d.jsonl"), rows).unwrap();
    let output = command(folder.path(), "json", "d.jsonl", "x", "tasks t");
    assert_too_large(&output, &["d.jsonl: 2000 columns x 2000 rows are 4000000 values, expected "]);
    let rows = format!("{}\n{}", ",".repeat(1999), "1\n".repeat(2000));
    std::fs::write(folder.path().join("d.csv"), rows).unwrap();
    let output = command(folder.path(), "csv", "d.csv", "x", "tasks t");
    assert_too_large(&output, &["d.csv: 2000 columns x 2000 rows are 4000000 values, expected "]);
}

#[test]
fn pages_that_are_open_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let columns = 8;
    let fields: String = (0..columns).map(|i| format!("required binary c{i} (UTF8); ")).collect();
    let schema = Arc::new(parse_message_type(&format!("message m {{ {fields} }}")).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::ZSTD(Default::default()))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let file = std::fs::File::create(folder.path().join("d.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let value: ByteArray = vec![b'x'; 80 << 20].into();
    for _ in 0..columns {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(std::slice::from_ref(&value), None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let output = command(folder.path(), "parquet", "d.parquet", "x", "tasks t");
    assert_too_large(
        &output,
        &["d.parquet: the open pages of 8 columns together take 13421", " bytes of memory"],
    );
}

#[test]
fn the_prompts_of_a_task_together() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.jsonl"), "{\"q\": 1}\n".repeat(300)).unwrap();
    let tokenizer = repository("sample_model/tokenizer.json");
    let arguments = format!("plan --tasks t --tokenizer {}", tokenizer.display());
    let output = command(folder.path(), "json", "d.jsonl", "{{ 'a ' * 3000000 }}", &arguments);
    assert_too_large(&output, &["task `t`: the prompts of ", " documents take ", " bytes of memory"]);
}
