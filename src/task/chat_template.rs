//! A model's chat template, rendered as transformers renders it.
//!
//! transformers compiles it in `ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)` with loop controls, a `generation`
//! tag and the functions in [`chat_functions`](super::chat_functions). Templates come from strangers: they have the limits of task files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use miette::Diagnostic;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use thiserror::Error;

use super::jinja::base_environment;
use super::nesting::too_deep;
use super::size_limits::{MAX_RENDERED, Rendered};
use super::template::one_line;
use super::{chat_functions, percent};

/// A chat template that does not compile, or does not render a conversation.
#[derive(Debug, Clone, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum ChatTemplateError {
    /// The source is not a valid template.
    #[error("{origin}: bad chat template, line {line}: {what}")]
    #[diagnostic(help(
        "the model's chat template must be one that transformers compiles: fetch the file again"
    ))]
    Syntax { origin: String, line: usize, what: String },
    /// The template refuses a conversation, or fails on it.
    #[error("{origin}: the chat template failed, line {line}: {what}")]
    #[diagnostic(help(
        "templates refuse what their models were not trained on: leave --system-instruction or --apply-chat-template out, or give --fewshot-as-multiturn false"
    ))]
    Render { origin: String, line: usize, what: String },
    /// The last turn, which the model is to continue, is not in the text.
    #[error(
        "{origin}: the chat template does not write the beginning of the answer, {prefix:?}, as it stands"
    )]
    #[diagnostic(help("the task's `gen_prefix` needs a template that keeps the last turn's text"))]
    LostPrefix { origin: String, prefix: String },
}

/// A compiled chat template, with the variables that it may read besides the conversation.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    source: Arc<str>,
    origin: Arc<str>,
    variables: BTreeMap<String, String>,
    day: u64,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChatTemplate(of {})", self.origin)
    }
}

const NAME: &str = "chat";

/// What transformers appends to a message that is to be continued: the text ends before it.
const END_MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

impl ChatTemplate {
    /// Compiles `source`, which was read from `origin`. `variables` are special tokens, by names such as `bos_token`. A template that asks
    /// for the time is told the beginning of a day, counted from 1970, in UTC.
    ///
    /// # Errors
    /// [`ChatTemplateError::Syntax`].
    pub fn new(
        source: &str,
        origin: &str,
        variables: BTreeMap<String, String>,
        day: u64,
    ) -> Result<Self, ChatTemplateError> {
        let fault =
            |line: usize, what: String| ChatTemplateError::Syntax { origin: origin.to_string(), line, what };
        let normal = source.replace("\r\n", "\n").replace('\r', "\n");
        if let Some((line, what)) = too_deep(&normal) {
            return Err(fault(line, what));
        }
        let mut environment = base_environment().clone();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| fault(1, one_line(&e)))?);
        chat_functions::add(&mut environment, day.saturating_mul(86_400));
        let normal = percent::rewrite(&normal);
        environment
            .add_template_owned(NAME, without_generation(&normal).into_owned())
            .map_err(|e| fault(e.line().unwrap_or(1), one_line(&e)))?;
        Ok(Self {
            environment: Arc::new(environment),
            source: source.into(),
            origin: origin.into(),
            variables,
            day,
        })
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where it was read from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The special tokens that it may read.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The day that it is told, counted from 1970.
    pub fn day(&self) -> u64 {
        self.day
    }

    /// Whether its text depends on the time.
    pub fn asks_for_time(&self) -> bool {
        self.source.contains("strftime_now")
    }

    /// The text of a conversation of (role, text). It ends where an answer begins; if `to_continue`, the last turn is the beginning of
    /// an answer, and the text ends with that.
    ///
    /// # Errors
    /// The template refuses the conversation, fails, or takes too long.
    pub fn render(&self, turns: &[(&str, &str)], to_continue: bool) -> Result<String, ChatTemplateError> {
        let mut messages: Vec<(&str, Cow<'_, str>)> =
            turns.iter().map(|(role, text)| (*role, Cow::Borrowed(*text))).collect();
        if let Some((_, last)) = messages.last_mut().filter(|_| to_continue) {
            last.to_mut().push_str(END_MARK);
        }
        let text = self.render_messages(&messages, !to_continue)?;
        let Some((_, prefix)) = turns.last().filter(|_| to_continue) else { return Ok(text) };
        let at = text.rfind(END_MARK.trim_end()).filter(|_| text.contains(prefix.trim()));
        let Some(at) = at else {
            let (origin, prefix) = (self.origin.to_string(), prefix.to_string());
            return Err(ChatTemplateError::LostPrefix { origin, prefix });
        };
        // A template that trims the turn has trimmed the mark, and would have trimmed the text before it.
        let kept = if text[at..].starts_with(END_MARK) { &text[..at] } else { text[..at].trim_end() };
        Ok(kept.to_string())
    }

    fn render_messages(
        &self,
        messages: &[(&str, Cow<'_, str>)],
        add_generation_prompt: bool,
    ) -> Result<String, ChatTemplateError> {
        let fault = |line: Option<usize>, what: String| ChatTemplateError::Render {
            origin: self.origin.to_string(),
            line: line.unwrap_or(1),
            what,
        };
        let messages: Vec<Value> = messages
            .iter()
            .map(|(role, text)| {
                let entries = [("role", Value::from(*role)), ("content", Value::from(text.as_ref()))];
                Value::from(entries.map(|(k, v)| (Value::from(k), v)).into_iter().collect::<IndexMap<_, _>>())
            })
            .collect();
        let mut context: IndexMap<Value, Value> =
            self.variables.iter().map(|(name, token)| (Value::from(name), Value::from(token))).collect();
        for (name, value) in [
            ("messages", Value::from(messages)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ] {
            context.insert(Value::from(name), value);
        }
        let template = self.environment.get_template(NAME).map_err(|e| fault(e.line(), one_line(&e)))?;
        let mut rendered = Rendered::default();
        match template.render_captured_to(Value::from(context), &mut rendered) {
            Ok(_) => Ok(rendered.into_text()),
            Err(_) if rendered.full => Err(fault(None, format!("it renders more than {MAX_RENDERED} bytes"))),
            Err(error) => Err(fault(error.line(), why_it_failed(&error))),
        }
    }
}

/// An error of rendering: the words of `raise_exception` as the template wrote them, and otherwise those of minijinja with the place.
fn why_it_failed(error: &minijinja::Error) -> String {
    let code = error.range().and_then(|range| error.template_source()?.get(range));
    match error.detail() {
        Some(refusal) if code.is_some_and(|code| code.starts_with("raise_exception")) => {
            refusal.replace('\n', " ")
        }
        _ => one_line(error),
    }
}

/// `source` with `{% generation %}` blocks, which mark what a model learns and print their content, as blocks of their own scope.
fn without_generation(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else { break };
        let inner = &tag[..end];
        let name = inner.trim_matches(['-', '+']).trim();
        let block = match name {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        out.push_str(&inner.replacen(name, block, 1));
        rest = &tag[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> Result<ChatTemplate, ChatTemplateError> {
        let variables = BTreeMap::from([("bos_token".to_string(), "<s>".to_string())]);
        ChatTemplate::new(source, "t.jinja", variables, 0)
    }

    fn render(source: &str) -> Result<String, ChatTemplateError> {
        template(source)?.render(&[("user", "Hi")], false)
    }

    #[test]
    fn a_template_s_own_refusal_is_the_error() {
        let error = render("{{ bos_token }}\n{{ raise_exception('only   ducks') }}").unwrap_err();
        assert_eq!(error.to_string(), "t.jinja: the chat template failed, line 2: only   ducks");
        let error = template("{% for m in messages %}").unwrap_err().to_string();
        assert!(error.starts_with("t.jinja: bad chat template, line 1: "), "{error}");
    }

    #[test]
    fn endless_templates_end() {
        for source in [
            "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
            "{% set ns = namespace(t='xxxxxxxx') %}{% for a in range(90000) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{{ messages | tojson(indent=100000000000) }}{{ [messages] * 100000000 | tojson }}",
        ] {
            assert!(render(source).is_err(), "{source}");
        }
        assert!(template(&format!("{{{{ messages{} }}}}", ".a".repeat(100_000))).is_err());
    }

    #[test]
    fn the_time_is_the_one_that_was_given() {
        let source = "{{ strftime_now('%d %b %Y, %A %j %B %y %H:%M:%S %p %I %a %m %%') }}";
        assert_eq!(render(source).unwrap(), "01 Jan 1970, Thursday 001 January 70 00:00:00 AM 12 Thu 01 %");
        assert!(template(source).unwrap().asks_for_time());
        assert!(render("{{ strftime_now('%Q') }}").unwrap_err().to_string().contains("%Q"));
    }

    #[test]
    fn an_answer_s_beginning_must_be_kept() {
        let turns = [("user", "Hi"), ("assistant", "Well, ")];
        let all = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}";
        assert_eq!(template(all).unwrap().render(&turns, true).unwrap(), "<user>Hi</s><assistant>Well, ");
        let trimmed = all.replace("m.content", "m.content | trim");
        assert_eq!(template(&trimmed).unwrap().render(&turns, true).unwrap(), "<user>Hi</s><assistant>Well,");
        let lost = template("{{ messages[0].content }}").unwrap().render(&turns, true);
        assert!(matches!(lost, Err(ChatTemplateError::LostPrefix { .. })));
    }
}
