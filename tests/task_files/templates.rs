//! Single templates over one row, as the harness renders them.

use std::path::Path;

use assay::task::{Columns, Place, Template};
use serde_json::Value;

use super::read_json;

fn render(source: &str, row: &Value) -> Result<String, String> {
    let Value::Object(row) = row else { unreachable!("a row is an object") };
    let place = Place { path: Path::new("t.yaml").into(), line: 1, column: 1 };
    let template = Template::new(source, &place, false).map_err(|e| e.to_string())?;
    template.render(&Columns::new(row.clone())).map_err(|e| e.to_string())
}

#[test]
fn templates_render_as_jinja2_renders_them() {
    let file = read_json("templates.json");
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 500, "the fixture is whole");
    for case in cases {
        let source = case[0].as_str().unwrap();
        assert_eq!(render(source, &file["row"]).as_deref(), Ok(case[1].as_str().unwrap()), "{source}");
    }
}

/// What Jinja2 renders and `assay` does not must fail, rather than render something else.
#[test]
fn what_is_not_rendered_is_an_error() {
    let row = read_json("templates.json")["row"].clone();
    for (source, message) in [
        (
            "{{ s|wordwrap(5) }}",
            "t.yaml:1:6: the template failed: filter wordwrap is unknown (at `wordwrap(5)`)",
        ),
        ("{{ cs|pprint }}", "t.yaml:1:7: the template failed: filter pprint is unknown (at `pprint`)"),
        (
            "{{ s.encode() }}",
            "t.yaml:1:5: the template failed: string has no method named encode (at `.encode()`)",
        ),
        (
            "{% set _ = cs.append('x') %}",
            "t.yaml:1:14: the template failed: `.append` would change a list, which templates here cannot: build a \
             new one with `+` (at `.append('x')`)",
        ),
        ("{{ nobody }}", "t.yaml:1:4: unknown column `nobody` in the template; the columns are "),
        (
            "{% if nobody %}x{% endif %}",
            "t.yaml:1:7: unknown column `nobody` in the template; the columns are ",
        ),
        ("{{ d.nothing }}", "t.yaml:1:4: the template failed: `d.nothing` is undefined (at `d.nothing`)"),
        ("{{ cs[9] }}", "t.yaml:1:4: the template failed: `cs[9]` is undefined (at `cs[9]`)"),
        ("{{ 1 / 0 }}", "t.yaml:1:4: the template failed: unable to calculate 1 / 0 (at `1 / 0`)"),
        ("{% for c in cs %}", "t.yaml:1:16: bad template: unexpected end of input, expected end of block"),
    ] {
        let error = render(source, &row).unwrap_err();
        assert!(error.starts_with(message), "{source}: {error}");
    }
}
