//! Single templates over one row, as the harness renders them.

use std::path::Path;

use assay::task::{Columns, Place, Template};
use assay::vocabulary::Cell;
use serde_json::Value;

use super::read_json;

fn render(source: &str, row: &Value) -> Result<String, String> {
    let Cell::Struct(row) = Cell::from(row.clone()) else { unreachable!("a row is an object") };
    let place = Place { path: Path::new("t.yaml").into(), line: 1, column: 1 };
    let template = Template::new(source, &place, false).map_err(|e| e.to_string())?;
    template.render(&Columns::new(row)).map_err(|e| e.to_string())
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

/// Every template terminates, with a text of bounded size or an error.
#[test]
fn no_template_takes_all_memory_or_time_or_stack() {
    let row = serde_json::json!({"s": "x".repeat(1000), "l": ["a", "b"], "n": 1_000_000_000, "b": "x".repeat(1 << 20)});
    let long = [
        "{{ 'x' * 10**9 }}",
        "{{ 'x' * n }}",
        "{{ ['x'] * n }}",
        "{{ (['x'] * n)|length }}",
        "{{ 'x' * 20000000 }}",
        "{{ 'x' * 15000000 ~ 'x' * 15000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (n, 1) }}",
        "{{ '%.1000000000f' % 1 }}",
        "{{ '{:>1000000000}'.format('x') }}",
        "{{ '{:>{}}'.format('x', n) }}",
        "{{ '{:{}}'.format('x', n) }}",
        "{{ ('{}' * 1000).format(*([b] * 1000)) }}",
        "{{ ('{0}' * 1000).format(b) }}",
        "{{ s.ljust(n) }}",
        "{{ s.rjust(n) }}",
        "{{ s.center(n) }}",
        "{{ s.zfill(n) }}",
        "{{ s|center(n) }}",
        "{{ s|center(-1) }}",
        "{{ s|indent(n) }}",
        "{{ ('\\n' * 100000)|indent(100000, true, true) }}",
        "{{ ('\\t' * 100000).expandtabs(100000) }}",
        "{{ '\\t'.expandtabs(n) }}",
        "{{ range(10**9)|list }}",
        "{{ range(99999)|list|tojson(60)|tojson|tojson|tojson|tojson|tojson }}",
        "{{ b.replace('x', b) }}",
        "{{ b.replace('', b) }}",
        "{{ b|replace('x', b) }}",
        "{{ b|regex_replace('x', b) }}",
        "{{ b|regex_replace('(x+)', '\\\\1' * 1000) }}",
        "{{ ','.join([b] * 100000) }}",
        "{{ b.join(range(100000)) }}",
        "{{ ([b] * 100000)|join }}",
        "{{ [b] * 100000 }}",
        "{{ ([b] * 100000)|tojson }}",
        "{{ ([b] * 100000)|string|length }}",
        "{% set x = namespace(v='x') %}{% for i in range(60) %}{% set x.v = x.v ~ x.v %}{% endfor %}{{ x.v }}",
        "{% set x = namespace(v=[1]) %}{% for i in range(60) %}{% set x.v = [x.v, x.v] %}{% endfor %}{{ x.v }}",
        "{% for a in range(99999) %}{{ b }}{% endfor %}",
        "{% for a in range(99999) %}{{ b.find('y') }}{% endfor %}",
        "{% for a in range(99999) %}{{ s|regex_replace('(x+x+)+y', '') }}{% endfor %}",
        "{% for a in range(99999) %}{% set _ = b.split('x') %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ];
    for source in long {
        assert!(render(source, &row).is_err(), "{source}");
    }
    let deep = 200_000;
    for (before, inside, after) in [
        ("{{ ", "(", "1 }}"),
        ("{{ ", "[", "1 }}"),
        ("{{ ", "{'a':", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ ", "+", "1 }}"),
        ("{{ s", "|upper", " }}"),
        ("{{ s", ".upper()", " }}"),
        ("{{ s", ".a", " }}"),
        ("{{ s", "[0]", " }}"),
        ("{{ s", "()", " }}"),
        ("{{ 1", "+n", " }}"),
        ("{{ 1", "~n", " }}"),
        ("{{ 1", "*n", " }}"),
        ("{{ 1", "**n", " }}"),
        ("{{ 1", " and n", " }}"),
        ("{{ 1", " or n", " }}"),
        ("{{ 1", " if n else 1", " }}"),
        ("{{ 1", " == n", " }}"),
        ("{{ 1", " in n", " }}"),
        ("{{ 1", " is odd", " }}"),
        ("{{ s", " % s", " }}"),
        ("{{ '%s'", " % '%s'", " }}"),
        ("", "{% if n %}", ""),
        ("", "{% for a in l %}", ""),
        ("{% if s %}", "{% elif n %}", "{% endif %}"),
        ("", "{% filter upper %}", ""),
        ("", "{% set x %}", ""),
        ("", "{% with %}", ""),
        ("", "{{ ", ""),
        ("", "{# ", ""),
        ("", "{% raw %}", ""),
    ] {
        // It may render, but it must terminate.
        let _ = render(&format!("{before}{}{after}", inside.repeat(deep)), &row);
    }
    let pattern = format!("{{{{ s|regex_search('{}x{}') }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(render(&pattern, &row).is_err());
}

/// Where `assay` cannot render what Jinja2 does, it must fail rather than render something else.
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
