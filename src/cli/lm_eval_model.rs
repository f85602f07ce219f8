//! `--model` and `--model_args` of lm_eval: which model they mean, and with which settings.

use std::path::Path;

use serde_json::Value;

use super::failure::Failure;
use super::lm_eval_values::Pair;

/// What becomes of a key of `--model_args`.
enum Key {
    /// Where the model is.
    Path,
    /// A folder inside of it.
    Subfolder,
    /// A file inside of it.
    GgufFile,
    /// The tokenizer's folder, or its `tokenizer.json`.
    Tokenizer,
    /// The type of numbers, by torch's names.
    Dtype,
    /// The flag of ours with this name.
    Own(&'static str),
    /// Nothing: where and how weights are held changes no result here.
    Nothing,
    /// Refused with this reason, unless the value (in lower case) is one of these.
    Only(&'static [&'static str], &'static str),
}

const UNSET: &[&str] = &["none", "false", "null", ""];
const CONTEXT: &str = "the context is as long as the model's files say";
const ADAPTER: &str = "weights are not put together here: merge the adapter into the model first";
const QUANTISED: &str = "weights are not quantised while they load: give a GGUF file";
const SIDE: &str = "prompts that are too long lose their beginning, as in lm_eval";
const THINKING: &str = "chat templates are rendered without settings of one's own";

/// The keys of its models `hf`, `vllm` and `sglang`, and those that they hand to transformers or the engine.
fn key(name: &str) -> Option<Key> {
    use Key::{Nothing, Only, Own};
    Some(match name {
        "pretrained" | "model_path" => Key::Path,
        "subfolder" => Key::Subfolder,
        "gguf_file" => Key::GgufFile,
        "tokenizer" | "tokenizer_path" => Key::Tokenizer,
        "dtype" | "torch_dtype" => Key::Dtype,
        "device" => Own("device"),
        "add_bos_token" => Own("add-bos-token"),
        "batch_size"
        | "max_batch_size"
        | "logits_cache"
        | "parallelize"
        | "max_memory_per_gpu"
        | "max_cpu_memory"
        | "offload_folder"
        | "tp_plan"
        | "device_map"
        | "device_map_option"
        | "low_cpu_mem_usage"
        | "use_safetensors"
        | "attn_implementation"
        | "cache_dir"
        | "token"
        | "local_files_only"
        | "force_download"
        | "trust_remote_code"
        | "tensor_parallel_size"
        | "tp_size"
        | "data_parallel_size"
        | "dp_size"
        | "pipeline_parallel_size"
        | "gpu_memory_utilization"
        | "mem_fraction_static"
        | "swap_space"
        | "seed"
        | "enforce_eager"
        | "enable_prefix_caching"
        | "max_num_seqs"
        | "max_num_batched_tokens"
        | "enable_chunked_prefill"
        | "chunked_prefill_size"
        | "distributed_executor_backend"
        | "disable_log_stats"
        | "download_dir"
        | "max_lora_rank"
        | "attention_backend" => Nothing,
        "revision" | "tokenizer_revision" => {
            Only(&["main", "none"], "a folder holds one revision: give the folder of that one")
        }
        "backend" => Only(&["default", "causal"], "models of encoder and decoder are not computed"),
        "truncation" => Only(UNSET, SIDE),
        "truncation_side" => Only(&["left"], SIDE),
        "max_length" | "max_model_len" | "context_length" => Only(UNSET, CONTEXT),
        "max_gen_toks" => Only(&["256"], "the longest generation is the task's, or 256 tokens"),
        "softmax_dtype" => Only(
            &["none", "float32", "torch.float32"],
            "scores are computed in float32 and summed in double precision",
        ),
        "mixed_precision_dtype" => Only(UNSET, "all layers compute in one type: give it as dtype"),
        "use_fast_tokenizer" => Only(&["true", "none"], "tokenizer.json is the fast tokenizer"),
        "tokenizer_mode" | "load_format" | "kv_cache_dtype" => {
            Only(&["auto"], "files and types are the model's own")
        }
        "prefix_token_id" => {
            Only(UNSET, "what an empty context begins with follows from the tokenizer, as in lm_eval")
        }
        "peft" | "delta" | "lora_local_path" | "enable_lora" => Only(UNSET, ADAPTER),
        "autogptq"
        | "gptqmodel"
        | "load_in_8bit"
        | "load_in_4bit"
        | "quantization"
        | "quantization_config" => Only(UNSET, QUANTISED),
        "think_end_token" => Only(UNSET, "answers are scored whole, with what precedes them"),
        "enable_thinking" => Only(&["none", "null"], THINKING),
        "chat_template_args" => Only(&["none", "null", "{}"], THINKING),
        _ => return None,
    })
}

/// The kinds of models that lm_eval 0.4.13 registers and that are not read here, with the reason.
fn refused_kind(kind: &str) -> Option<&'static str> {
    const SERVER: &str = "it asks a server, and assay computes in this process";
    const FORMAT: &str = "it reads files of another runtime";
    const OTHER: &str = "it computes more than a language model of text";
    Some(match kind {
        "gguf"
        | "ggml"
        | "local-completions"
        | "local-chat-completions"
        | "openai-completions"
        | "openai-chat-completions"
        | "azure-openai-chat-completions"
        | "anthropic-completions"
        | "anthropic-chat"
        | "anthropic-chat-completions"
        | "litellm"
        | "litellm-chat"
        | "litellm-chat-completions"
        | "textsynth"
        | "watsonx_llm"
        | "sglang-generate" => SERVER,
        "openvino" | "ipex" | "habana" | "neuronx" | "onnxruntime" | "onnxruntime-genai" | "winml"
        | "trtllm" | "nemo_lm" | "megatron_lm" | "mamba_ssm" => FORMAT,
        "hf-multimodal" | "vllm-vlm" | "hf-audiolm-qwen" | "hf-mistral3" | "steered" => OTHER,
        "dummy" => "it answers at random",
        _ => return None,
    })
}

/// The kinds whose models are read here.
const LOCAL: [&str; 5] = ["hf", "hf-auto", "huggingface", "vllm", "sglang"];

/// What a model of lm_eval becomes.
#[derive(Debug, Default)]
pub struct ModelFlags {
    /// Flags of ours without dashes, and their values.
    pub flags: Vec<(&'static str, String)>,
    /// Keys that change nothing.
    pub idle: Vec<String>,
}

/// The flags of ours that a model of lm_eval becomes.
///
/// `kind` is the value of `--model`, `said` how its arguments are named in errors.
///
/// # Errors
/// What cannot be done, with the reason.
pub fn model_flags(kind: Option<&str>, arguments: Option<(&[Pair], &str)>) -> Result<ModelFlags, Failure> {
    let folder = "give a folder of safetensors or a .gguf file: --model PATH, or --model hf --model_args pretrained=PATH";
    let mut path = None;
    if let Some(kind) = kind {
        // A folder of that name wins where nothing says that a kind is meant.
        if LOCAL.contains(&kind) {
            if arguments.is_none() && !Path::new(kind).exists() {
                let what = format!("--model {kind}: no --model_args say which model");
                return Err(Failure::bad_input(what, folder));
            }
            path = arguments.is_none().then(|| kind.to_string());
        } else if let Some(why) = refused_kind(kind).filter(|_| !Path::new(kind).exists()) {
            return Err(Failure::bad_input(format!("--model {kind}: {why}"), folder));
        } else {
            path = Some(kind.to_string());
        }
    }
    let Some((pairs, said)) = arguments else {
        let flags = path.map(|path| ("model", path)).into_iter().collect();
        return Ok(ModelFlags { flags, idle: Vec::new() });
    };
    let (mut flags, mut idle) = (Vec::new(), Vec::new());
    let (mut subfolder, mut file) = (String::new(), None);
    let mut tokenizer = None;
    for Pair { key: name, value, text } in pairs {
        let lower = text.to_lowercase();
        let refused = |why: &str| {
            Failure::bad_input(format!("{said}: {name}={text}: {why}"), format!("leave {name} out"))
        };
        let unset = value.is_null() || lower == "none";
        match key(name) {
            None => {
                let what = format!("{said}: `{name}` is no argument that is known of models");
                let hint =
                    "leave it out if it changes no result; docs/from-lm-eval.md lists those that are known";
                return Err(Failure::bad_input(what, hint));
            }
            Some(Key::Only(allowed, why)) => {
                if !allowed.contains(&lower.as_str()) {
                    return Err(refused(why));
                }
            }
            Some(Key::Nothing) => idle.push(name.clone()),
            Some(_) if unset => {}
            Some(Key::Path) => {
                if path.as_ref().is_some_and(|path| path != text) {
                    let what =
                        format!("--model names {}, and {said} {name}={text}", path.unwrap_or_default());
                    return Err(Failure::bad_input(what, "name one model"));
                }
                path = Some(text.clone());
            }
            Some(Key::Subfolder) => subfolder = text.clone(),
            Some(Key::GgufFile) => file = Some(text.clone()),
            Some(Key::Tokenizer) => tokenizer = Some(text.clone()),
            Some(Key::Dtype) => match dtype(&lower) {
                Some(dtype) => flags.push(("dtype", dtype.to_string())),
                None => return Err(refused("expected auto, float32, bfloat16 or float16")),
            },
            Some(Key::Own(flag)) => {
                let text = if matches!(value, Value::Bool(_)) { lower } else { text.clone() };
                flags.push((flag, text));
            }
        }
    }
    let Some(path) = path else {
        return Err(Failure::bad_input(format!("{said}: no pretrained=, which says which model"), folder));
    };
    // The other kinds follow the tokenizer; this one has `add_bos_token=False` as its default.
    if kind == Some("sglang") && !flags.iter().any(|(flag, _)| *flag == "add-bos-token") {
        flags.push(("add-bos-token", "false".to_string()));
    }
    if let Some(tokenizer) = tokenizer.filter(|tokenizer| *tokenizer != path) {
        let inside = Path::new(&tokenizer).join("tokenizer.json");
        let file = if inside.exists() { inside.display().to_string() } else { tokenizer };
        flags.push(("tokenizer", file));
    }
    let mut place = Path::new(&path).to_path_buf();
    if !subfolder.is_empty() {
        place.push(subfolder);
    }
    place.extend(file);
    flags.insert(0, ("model", place.display().to_string()));
    Ok(ModelFlags { flags, idle })
}

/// Our name of a type that torch has.
fn dtype(name: &str) -> Option<&'static str> {
    Some(match name.strip_prefix("torch.").unwrap_or(name) {
        "auto" => "auto",
        "float32" | "float" | "f32" => "float32",
        "bfloat16" | "bf16" => "bfloat16",
        "float16" | "half" | "f16" => "float16",
        _ => return None,
    })
}
