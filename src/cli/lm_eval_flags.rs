//! The flags of `lm_eval run` 0.4.13 (its `_cli/run.py`), and what becomes of each.

/// A flag of `lm_eval run`.
#[derive(Debug)]
pub struct Flag {
    /// As it is written there, without dashes.
    pub name: &'static str,
    pub short: Option<char>,
    pub takes: Takes,
    pub becomes: Becomes,
}

/// How many words it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    One,
    /// One or none.
    Perhaps,
    /// One or more, up to the next flag.
    Many,
}

/// What becomes of a flag.
#[derive(Debug, Clone, Copy)]
pub enum Becomes {
    /// The flag of ours with this name, and the same value.
    Own(&'static str),
    /// Nothing: why it changes no result.
    Nothing(&'static str),
    /// An error: why, and what to do.
    Refused(&'static str, &'static str),
    /// `--config`: more flags, from a file.
    Config,
    /// Names of tasks, as several words.
    Tasks,
    /// The kind of a model, or its path.
    Model,
    /// `key=value` of the model.
    ModelArguments,
    /// `key=value` of generations.
    Generation,
    /// The folder of runs, or a file in it.
    Output,
    /// Numbers of documents by task; without a value it is a flag of ours.
    Samples,
    /// Seeds of four generators.
    Seed,
    /// A level of logging.
    Verbosity,
}

const SENT: &str = "nothing is sent to a service: runs stay in their folders";
const KEPT: &str = "leave it out: results.json and samples/ in the run's folder can be sent by other tools";

/// All of them, in the order of `lm_eval run --help`.
pub const FLAGS: &[Flag] = {
    use Becomes::{Nothing, Own, Refused};
    use Takes::{Many, One, Perhaps};
    &[
        flag("config", Some('C'), One, Becomes::Config),
        flag("tasks", Some('t'), Many, Becomes::Tasks),
        flag("model", Some('M'), One, Becomes::Model),
        flag("model_args", Some('a'), Many, Becomes::ModelArguments),
        flag("apply_chat_template", None, Perhaps, Own("apply-chat-template")),
        flag("limit", Some('L'), One, Own("limit")),
        flag(
            "use_cache",
            Some('c'),
            One,
            Nothing("answers are always kept across runs, in a folder that ASSAY_CACHE names"),
        ),
        flag("num_fewshot", Some('f'), One, Own("num-fewshot")),
        flag("batch_size", Some('b'), One, Nothing("passes are sized by tokens, whatever the batch")),
        flag("max_batch_size", None, One, Nothing("passes are sized by tokens, whatever the batch")),
        flag("device", None, One, Own("device")),
        flag("gen_kwargs", None, Many, Becomes::Generation),
        flag("output_path", Some('o'), One, Becomes::Output),
        flag("log_samples", Some('s'), Takes::Nothing, Nothing("every run keeps its samples")),
        flag("samples", Some('E'), Perhaps, Becomes::Samples),
        flag("cache_requests", None, Perhaps, Nothing("prompts are built anew in every run")),
        flag(
            "check_integrity",
            None,
            Takes::Nothing,
            Nothing("rows are checked against their pins in every run"),
        ),
        flag("system_instruction", None, One, Own("system-instruction")),
        flag("fewshot_as_multiturn", None, Perhaps, Own("fewshot-as-multiturn")),
        flag("include_path", None, One, Own("include")),
        flag("verbosity", None, One, Becomes::Verbosity),
        flag("write_out", Some('w'), Takes::Nothing, Nothing("`assay requests` prints prompts")),
        flag(
            "show_config",
            None,
            Takes::Nothing,
            Nothing("run.json keeps each task's file, and `assay tasks NAME` shows one"),
        ),
        flag("wandb_args", None, Many, Refused(SENT, KEPT)),
        flag("wandb_config_args", None, Many, Refused(SENT, KEPT)),
        flag("trackio_args", None, Many, Refused(SENT, KEPT)),
        flag("hf_hub_log_args", None, Many, Refused(SENT, KEPT)),
        flag(
            "predict_only",
            Some('x'),
            Takes::Nothing,
            Nothing("every run keeps its samples, with metrics beside them"),
        ),
        flag("seed", None, One, Becomes::Seed),
        flag(
            "trust_remote_code",
            None,
            Takes::Nothing,
            Nothing("code that comes with models or data is never run"),
        ),
        flag(
            "confirm_run_unsafe_code",
            None,
            Takes::Nothing,
            Nothing("code that a model writes is never run, and tasks that need it are refused"),
        ),
        flag(
            "metadata",
            None,
            Many,
            Refused(
                "the tasks that need it make their documents by Python code, which is not run",
                "leave it out; tasks of rows and templates need none",
            ),
        ),
    ]
};

const fn flag(name: &'static str, short: Option<char>, takes: Takes, becomes: Becomes) -> Flag {
    Flag { name, short, takes, becomes }
}

/// The flag of this name, with underscores or hyphens, without dashes before it.
pub fn long(name: &str) -> Option<&'static Flag> {
    let name = name.replace('-', "_");
    FLAGS.iter().find(|flag| flag.name == name)
}

/// The flag of this letter. `-m` is `--model` before 0.4.10.
pub fn short(letter: char) -> Option<&'static Flag> {
    let letter = if letter == 'm' { 'M' } else { letter };
    FLAGS.iter().find(|flag| flag.short == Some(letter))
}
