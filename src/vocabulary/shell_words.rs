//! A command line that can be typed again.

/// A command line that a shell splits into these arguments.
pub fn shell_words(arguments: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%".contains(c);
    let quoted = |argument: &String| {
        if !argument.is_empty() && argument.chars().all(plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::shell_words;

    #[test]
    fn a_command_can_be_typed_again() {
        let arguments = ["assay", "eval", "--tasks", "hendrycksTest-*", "--output", "my run", "it's", ""];
        assert_eq!(
            shell_words(&arguments.map(String::from)),
            r"assay eval --tasks 'hendrycksTest-*' --output 'my run' 'it'\''s' ''"
        );
    }
}
