//! Reads a task from its file's mapping, key by key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields::{Fields, SchemaError, template_of, text_of, wrong};
use super::known_as::read_known_as;
use super::read_metrics::{read_filters, read_metrics};
use super::schema::{
    Choices, DatasetRef, Fewshot, Generation, OutputType, RandomOrder, Rendering, Sampler, Splits, Target,
    Task,
};
use super::template::Template;
use super::views::read_views;
use super::yaml::parse;
use super::yaml_value::{Node, Yaml};
use crate::vocabulary::{AddBosToken, Fingerprint, TextBegin, row};

const NO_PYTHON: &str = "task files are data, and no Python is run";

/// Reads a task from its merged mapping.
///
/// # Errors
/// Unknown keys, values of the wrong kind, templates that do not compile.
pub fn read_task(
    node: Node,
    constants: Map<String, Value>,
    fingerprint: Fingerprint,
) -> Result<Task, SchemaError> {
    let config = node.to_json();
    let mut fields = Fields::new(node, "a task file")?;
    let place = fields.place().clone();
    let name = fields.required_text("task", "my_task")?;
    for key in [
        "include",
        "for_each",
        "task_alias",
        "group_alias",
        "should_decontaminate",
        "doc_to_decontamination_query",
        "unsafe_code",
    ] {
        fields.ignore(key);
    }
    fields.refuse(
        "process_results",
        NO_PYTHON,
        "declare metrics in `metric_list`, with `choices` and `gold` templates",
    )?;
    fields.refuse(
        "process_docs",
        NO_PYTHON,
        "write what it does in the templates: they have filters such as `regex_replace`",
    )?;
    fields.refuse("custom_dataset", NO_PYTHON, "name a dataset with `dataset_path`")?;
    fields.refuse("use_prompt", "promptsource is not read", "write the prompt as `doc_to_text`")?;
    for key in ["doc_to_image", "doc_to_audio"] {
        fields.refuse(key, "models here read text", "leave the key out")?;
    }
    if let Some(node) = fields.take("repeats").filter(|node| node.yaml != Yaml::Int(1)) {
        return Err(SchemaError::Unsupported {
            place: node.place,
            key: "repeats".into(),
            why: "greedy answers do not differ between repeats",
            hint: "leave the key out",
        });
    }
    let mut tags = fields.texts("tag")?.unwrap_or_default();
    tags.extend(fields.texts("group")?.unwrap_or_default());

    let dataset = read_dataset(&mut fields)?;
    let splits = Splits {
        training: fields.text("training_split")?,
        validation: fields.text("validation_split")?,
        test: fields.text("test_split")?,
        fewshot: fields.text("fewshot_split")?,
    };
    if splits.test.is_none() && splits.validation.is_none() {
        return Err(SchemaError::MissingKey {
            place,
            what: "a task file",
            key: "test_split",
            example: "test",
        });
    }
    let output_type = read_output_type(&mut fields)?;
    let description = fields.template("description")?;
    let rendering = read_rendering(&mut fields, None)?;
    let gen_prefix = fields.template("gen_prefix")?;
    let (fewshot, fewshot_split) =
        read_fewshot(&mut fields, &rendering, gen_prefix.as_ref(), splits.fewshot.clone())?;
    let splits = Splits { fewshot: fewshot_split, ..splits };
    let generation = read_generation(&mut fields, &rendering)?;
    let metrics = read_metrics(&mut fields, output_type)?;
    let views = fields.take("views").map(|node| read_views(node, &generation.until, &metrics)).transpose()?;
    let known_as = fields.take("known_as").map(|node| read_known_as(node, &constants)).transpose()?;
    let version = match fields.take("metadata") {
        Some(node) => node.to_json().get("version").cloned().unwrap_or(Value::Null),
        None => Value::Null,
    };
    let random = read_random(&mut fields)?;
    let text_begin = read_text_begin(&mut fields, random)?;
    let task = Task {
        name: name.into(),
        included: false,
        place,
        tags,
        dataset,
        splits,
        output_type,
        constants,
        description,
        doc_to_gold: fields.template("doc_to_gold")?,
        gen_prefix,
        fewshot,
        random,
        text_begin,
        generation,
        filters: read_filters(&mut fields)?,
        metrics,
        views,
        known_as: known_as.unwrap_or_default(),
        rendering,
        version,
        fingerprint,
        config,
    };
    fields.finish()?;
    check_targets(&task)?;
    Ok(task)
}

/// The task whose `config` a run's record, at `path`, holds. Use it for its metrics only: its templates may
/// lack the constants that they need.
///
/// # Errors
/// As [`read_task`].
pub fn task_of_config(config: &Value, path: &Path) -> Result<Task, SchemaError> {
    // JSON is YAML.
    let text = config.to_string();
    let node = parse(&text, Arc::from(path))?;
    read_task(node, Map::new(), Fingerprint::of(text.as_bytes()))
}

/// Checks that the keys that the output type requires are present.
fn check_targets(task: &Task) -> Result<(), SchemaError> {
    let missing = |key, example| SchemaError::MissingKey {
        place: task.place.clone(),
        what: "a task file",
        key,
        example,
    };
    if task.output_type == OutputType::MultipleChoice && task.rendering.doc_to_choice.is_none() {
        return Err(missing("doc_to_choice", "\"{{choices}}\""));
    }
    if task.rendering.doc_to_target.is_none() && task.doc_to_gold.is_none() {
        return Err(missing("doc_to_target", "\"{{answer}}\""));
    }
    if task.output_type == OutputType::Loglikelihood && task.rendering.doc_to_target.is_none() {
        return Err(missing("doc_to_target", "\"{{answer}}\""));
    }
    Ok(())
}

fn read_dataset(fields: &mut Fields) -> Result<DatasetRef, SchemaError> {
    let base = fields.place().path.parent().map(PathBuf::from).unwrap_or_default();
    let path = fields.required_text("dataset_path", "owner/name")?;
    let config = fields.text("dataset_name")?;
    let mut data_files = Vec::new();
    if let Some(node) = fields.take("dataset_kwargs") {
        let mut kwargs = Fields::new(node, "dataset_kwargs")?;
        kwargs.ignore("trust_remote_code");
        if let Some(node) = kwargs.take("data_files") {
            // Relative to the task file if it exists there, otherwise to the working folder, as the hub's
            // loaders have it.
            let locate = |file: String| {
                let beside = base.join(&file);
                if beside.exists() { beside } else { PathBuf::from(file) }
            };
            let list = |node: &Node| -> Result<Vec<PathBuf>, SchemaError> {
                match &node.yaml {
                    Yaml::List(items) => items.iter().map(|i| text_of(i, "data_files").map(locate)).collect(),
                    _ => Ok(vec![locate(text_of(node, "data_files")?)]),
                }
            };
            match &node.yaml {
                Yaml::Map(entries) => {
                    for (split, files) in entries {
                        data_files.push((split.name.clone(), list(files)?));
                    }
                }
                // The hub's loaders call a lone file the training split.
                _ => data_files.push(("train".into(), list(&node)?)),
            }
        }
        kwargs.finish()?;
    }
    Ok(DatasetRef { path, config, data_files })
}

fn read_output_type(fields: &mut Fields) -> Result<OutputType, SchemaError> {
    let Some(node) = fields.take("output_type") else { return Ok(OutputType::GenerateUntil) };
    match text_of(&node, "output_type")?.as_str() {
        "multiple_choice" => Ok(OutputType::MultipleChoice),
        "loglikelihood" => Ok(OutputType::Loglikelihood),
        "generate_until" => Ok(OutputType::GenerateUntil),
        "loglikelihood_rolling" => Err(SchemaError::Unsupported {
            place: node.place,
            key: "output_type: loglikelihood_rolling".into(),
            why: "perplexity of whole texts is not scored yet",
            hint: "use `loglikelihood` with a context and a target",
        }),
        _ => Err(wrong(&node, "output_type", "one of multiple_choice, loglikelihood, generate_until")),
    }
}

fn read_choices(node: &Node) -> Result<Choices, SchemaError> {
    let texts = |items: &mut dyn Iterator<Item = &Node>| -> Result<Vec<String>, SchemaError> {
        items.map(|item| text_of(item, "doc_to_choice")).collect()
    };
    match &node.yaml {
        Yaml::List(items) => Ok(Choices::Fixed(texts(&mut items.iter())?)),
        Yaml::Map(entries) => Ok(Choices::Fixed(texts(&mut entries.iter().map(|(_, v)| v))?)),
        _ => template_of(node, "doc_to_choice").map(Choices::Template),
    }
}

fn read_target(node: &Node) -> Result<Target, SchemaError> {
    match &node.yaml {
        Yaml::List(items) => items
            .iter()
            .map(|item| text_of(item, "doc_to_target"))
            .collect::<Result<_, _>>()
            .map(Target::Fixed),
        _ => template_of(node, "doc_to_target").map(Target::Template),
    }
}

/// The keys that both a task and its `fewshot_config` may have; the latter falls back to the former.
fn read_rendering(fields: &mut Fields, parent: Option<&Rendering>) -> Result<Rendering, SchemaError> {
    let place = fields.place().clone();
    let doc_to_text = match (fields.template("doc_to_text")?, parent) {
        (Some(template), _) => template,
        (None, Some(parent)) => parent.doc_to_text.clone(),
        (None, None) => {
            let (what, key) = ("a task file", "doc_to_text");
            return Err(SchemaError::MissingKey {
                place,
                what,
                key,
                example: "\"Question: {{question}}\\nAnswer:\"",
            });
        }
    };
    let inherited = |f: fn(&Rendering) -> String, default: &str| parent.map_or(default.to_string(), f);
    Ok(Rendering {
        doc_to_text,
        doc_to_target: match fields.take("doc_to_target") {
            Some(node) => Some(read_target(&node)?),
            None => parent.and_then(|p| p.doc_to_target.clone()),
        },
        doc_to_choice: match fields.take_or_null("doc_to_choice") {
            Some(node) => node.as_ref().map(read_choices).transpose()?,
            None => parent.and_then(|p| p.doc_to_choice.clone()),
        },
        target_delimiter: fields
            .text("target_delimiter")?
            .unwrap_or_else(|| inherited(|p| p.target_delimiter.clone(), " ")),
        fewshot_delimiter: fields
            .text("fewshot_delimiter")?
            .unwrap_or_else(|| inherited(|p| p.fewshot_delimiter.clone(), "\n\n")),
    })
}

/// The shots, and the split that they come from: `declared`, unless `fewshot_config` sets another.
fn read_fewshot(
    fields: &mut Fields,
    rendering: &Rendering,
    gen_prefix: Option<&Template>,
    declared: Option<String>,
) -> Result<(Fewshot, Option<String>), SchemaError> {
    let mut fewshot = Fewshot {
        count: fields.count("num_fewshot")?,
        sampler: Sampler::Random,
        rendering: rendering.clone(),
        gen_prefix: gen_prefix.cloned(),
        samples: None,
    };
    let mut split = declared;
    if let Some(node) = fields.take("fewshot_config") {
        let mut config = Fields::new(node, "fewshot_config")?;
        if let Some(node) = config.take("sampler") {
            fewshot.sampler = match text_of(&node, "sampler")?.as_str() {
                "default" => Sampler::Random,
                "first_n" => Sampler::FirstN,
                _ => return Err(wrong(&node, "sampler", "default or first_n")),
            };
        }
        // A null removes what the task itself declares.
        if let Some(node) = config.take_or_null("split") {
            split = node.map(|node| text_of(&node, "split")).transpose()?;
        }
        if let Some(node) = config.take_or_null("gen_prefix") {
            fewshot.gen_prefix = node.map(|node| template_of(&node, "gen_prefix")).transpose()?;
        }
        if let Some(node) = config.take("samples") {
            let Value::Array(rows) = node.to_json() else {
                return Err(wrong(&node, "samples", "a list of mappings"));
            };
            let rows = rows.into_iter().map(|entries| match entries {
                Value::Object(entries) => Ok(row(entries)),
                _ => Err(wrong(&node, "samples", "a list of mappings")),
            });
            fewshot.samples = Some(rows.collect::<Result<_, _>>()?);
        }
        fewshot.rendering = read_rendering(&mut config, Some(rendering))?;
        config.refuse("process_docs", NO_PYTHON, "write what it does in the templates")?;
        config.refuse("fewshot_indices", "shots are drawn or the first", "use `sampler: first_n`")?;
        config.finish()?;
    }
    Ok((fewshot, split))
}

fn read_generation(fields: &mut Fields, rendering: &Rendering) -> Result<Generation, SchemaError> {
    let until = vec![rendering.fewshot_delimiter.clone()];
    let mut generation = Generation { until, beyond: None, max_new_tokens: 256 };
    let Some(node) = fields.take("generation_kwargs") else { return Ok(generation) };
    let mut kwargs = Fields::new(node, "generation_kwargs")?;
    if let Some(until) = kwargs.texts("until")? {
        generation.until = until;
    }
    // Other programs' names for the key come last; the first key present counts.
    let mut counts = Vec::new();
    for key in ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"] {
        counts.extend(kwargs.count(key)?);
    }
    if let Some(count) = counts.first() {
        generation.max_new_tokens = *count;
    }
    let greedy = "answers are greedy";
    let sampled = match kwargs.take("do_sample") {
        None => None,
        Some(node) if node.yaml == Yaml::Bool(false) => Some(false),
        Some(node) => {
            let (key, hint) = ("do_sample".into(), "set `do_sample: false`");
            return Err(SchemaError::Unsupported { place: node.place, key, why: greedy, hint });
        }
    };
    // Without sampling the temperature has no effect.
    if let Some(node) = kwargs.take("temperature")
        && sampled.is_none()
        && !matches!(node.yaml, Yaml::Int(0))
        && node.yaml != Yaml::Float(0.0)
    {
        let (key, hint) = ("temperature".into(), "set `temperature: 0.0`, or `do_sample: false`");
        return Err(SchemaError::Unsupported { place: node.place, key, why: greedy, hint });
    }
    if let Some(node) = kwargs.take("num_beams").filter(|node| node.yaml != Yaml::Int(1)) {
        let (key, hint) = ("num_beams".into(), "leave the key out");
        return Err(SchemaError::Unsupported { place: node.place, key, why: greedy, hint });
    }
    for key in ["top_p", "top_k"] {
        kwargs.ignore(key);
    }
    kwargs.finish()?;
    Ok(generation)
}

/// A task whose documents are in the order of harnesses before 0.4 also has texts that begin as theirs did.
fn read_text_begin(fields: &mut Fields, random: RandomOrder) -> Result<TextBegin, SchemaError> {
    let default = if random.shuffle_documents { TextBegin::BEFORE_0_4 } else { TextBegin::SINCE_0_4 };
    const KEY: &str = "add_bos_token";
    let Some(node) = fields.take(KEY) else { return Ok(default) };
    let word = match &node.yaml {
        Yaml::Bool(flag) => flag.to_string(),
        Yaml::Text(word) => word.clone(),
        _ => String::new(),
    };
    let add_bos_token = AddBosToken::of_word(&word);
    let add_bos_token = add_bos_token.ok_or_else(|| wrong(&node, KEY, "true, false or tokenizer"))?;
    Ok(TextBegin { add_bos_token, ..default })
}

fn read_random(fields: &mut Fields) -> Result<RandomOrder, SchemaError> {
    let mut order = RandomOrder { seed: 1234, shuffle_documents: false };
    if let Some(node) = fields.take("random") {
        let mut random = Fields::new(node, "random")?;
        if let Some(seed) = random.count("seed")? {
            order.seed = seed as u64;
        }
        if let Some(shuffle) = random.flag("shuffle_documents")? {
            order.shuffle_documents = shuffle;
        }
        random.finish()?;
    }
    Ok(order)
}
