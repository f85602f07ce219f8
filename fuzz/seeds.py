#!/usr/bin/env python3
"""Writes the seeds below seeds/, which are kept in the repository. The parquet ones need pyarrow."""

import base64
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "seeds"


def put(target, name, data):
    (HERE / target).mkdir(parents=True, exist_ok=True)
    (HERE / target / name).write_bytes(data.encode() if isinstance(data, str) else data)


def safetensors(header, data=b""):
    text = header if isinstance(header, str) else json.dumps(header, separators=(",", ":"))
    return struct.pack("<Q", len(text)) + text.encode() + data


entry = lambda dtype, shape, begin, end: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
put("safetensors", "empty", safetensors({}))
put("safetensors", "two", safetensors({"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 2], 0, 16),
                                       "b": entry("BF16", [3], 16, 22)}, bytes(22)))
put("safetensors", "zero", safetensors({"a": entry("F16", [0, 4], 0, 0)}))
put("safetensors", "overlap", safetensors({"a": entry("F16", [2], 0, 4), "b": entry("F16", [2], 2, 6)}, bytes(6)))
put("safetensors", "huge", safetensors({"a": entry("F32", [1 << 62], 0, 1 << 63)}))

word = lambda text: struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(values, tensors=b"", count=0, data=b"", version=3):
    head = b"GGUF" + struct.pack("<IQQ", version, count, len(values)) + b"".join(values) + tensors
    return head + bytes(-len(head) % 32) + data


def value(key, kind, data):
    return word(key) + struct.pack("<I", kind) + data


numbers = [value("u8", 0, b"\1"), value("i8", 1, b"\xff"), value("u16", 2, b"\1\2"), value("i16", 3, b"\1\2"),
           value("u32", 4, struct.pack("<I", 7)), value("i32", 5, struct.pack("<i", -7)),
           value("f32", 6, struct.pack("<f", 1.5)), value("flag", 7, b"\1"), value("u64", 10, struct.pack("<Q", 9)),
           value("i64", 11, struct.pack("<q", -9)), value("f64", 12, struct.pack("<d", 2.5))]
put("gguf", "values", gguf(numbers))
put("gguf", "arrays", gguf([
    value("texts", 9, struct.pack("<IQ", 8, 2) + word("a") + word("bc")),
    value("numbers", 9, struct.pack("<IQ", 6, 3) + struct.pack("<3f", 1, 2, 3)),
    value("general.alignment", 4, struct.pack("<I", 32)), value("general.architecture", 8, word("llama"))]))
tensor = lambda name, shape, kind, offset: (
    word(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset))
put("gguf", "tensors", gguf([], tensor("a", [4, 2], 0, 0) + tensor("b", [32], 2, 32), 2, bytes(64), 2))
put("gguf", "huge", gguf([], tensor("a", [1 << 40, 1 << 40], 0, 0), 1))

def tokenizer(**parts):
    model = {"type": "BPE", "dropout": None, "unk_token": "?", "byte_fallback": False, "ignore_merges": False,
             "vocab": {"?": 0, "a": 1, "e": 2, " ": 3, "ae": 4, "\u2581": 5}, "merges": [["a", "e"]]}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [{"id": 6, "content": "<s>", **flags}],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}
    return json.dumps(file | parts, separators=(",", ":"))


put_in = lambda kind, **keys: {"type": kind, **keys}
replace = lambda pattern, content: put_in("Replace", pattern=pattern, content=content)
put("tokenizer", "bpe", tokenizer())
put("tokenizer", "llama", tokenizer(
    normalizer=put_in("Sequence", normalizers=[put_in("Prepend", prepend="\u2581"), replace({"String": " "}, "\u2581")]),
    decoder=put_in("Sequence", decoders=[replace({"String": "\u2581"}, " "), put_in("ByteFallback"), put_in("Fuse"),
                                         put_in("Strip", content=" ", start=1, stop=0)]),
    post_processor=put_in("TemplateProcessing", single=[{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                                        {"Sequence": {"id": "A", "type_id": 0}}],
                          pair=[{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                          special_tokens={"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}})))
put("tokenizer", "words", tokenizer(
    normalizer=put_in("Sequence", normalizers=[put_in("NFKC"), put_in("Lowercase"), replace({"Regex": " {2,}"}, " ")]),
    pre_tokenizer=put_in("Sequence", pretokenizers=[
        put_in("Split", pattern={"Regex": "\\s+(?!\\S)|\\w+"}, behavior="Isolated", invert=False),
        put_in("Digits", individual_digits=True), put_in("ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)]),
    decoder=put_in("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True)))
put("tokenizer", "wordpiece", tokenizer(
    normalizer=put_in("BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    pre_tokenizer=put_in("BertPreTokenizer"), decoder=put_in("WordPiece", prefix="##", cleanup=True),
    model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
           "vocab": {"[UNK]": 0, "a": 1, "##e": 2}}))
trie = [0] * 256
trie[97], trie[96] = 97 | 1 << 8 | 1 << 10, 1 << 31
put("tokenizer", "unigram", tokenizer(
    normalizer=put_in("Precompiled", precompiled_charsmap=base64.b64encode(
        struct.pack("<257I", 1024, *trie) + b"b\0").decode()),
    pre_tokenizer=put_in("Metaspace", replacement="\u2581", prepend_scheme="always", split=True),
    decoder=put_in("Metaspace", replacement="\u2581", prepend_scheme="always", split=True),
    model={"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": [["<unk>", 0.0], ["\u2581", -1.0], ["b", -2.5]]}))
put("tokenizer", "wordlevel", tokenizer(
    pre_tokenizer=put_in("WhitespaceSplit"), model={"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1}}))

TASK = """task: capitals
dataset_path: csv
dataset_kwargs:
  data_files: {test: capitals.csv}
output_type: multiple_choice
test_split: test
"""
put("task_yaml", "choices", TASK + """doc_to_text: "The capital of {{question}} is"
doc_to_choice: "{{[wrong, right]}}"
doc_to_target: 1
metric_list:
  - metric: acc
    choices: "[0, 2]"
    gold: "{{label}}"
""")
put("task_yaml", "generation", TASK.replace("multiple_choice", "generate_until") + """tag: [x, y]
num_fewshot: 2
fewshot_config: {sampler: first_n, samples: [{question: a, answer: b}], doc_to_target: "{{answer}}"}
doc_to_text: |
  Question: {{question}}
  Answer:
doc_to_target: answer
description: "Some text."
gen_prefix: "So"
generation_kwargs: {until: ["\\n", Q], max_gen_toks: 8, do_sample: false, temperature: 0.0}
filter_list:
  - name: strict
    filter:
      - {function: regex, regex_pattern: "(\\\\d+)"}
      - function: take_first
random: {seed: 42, shuffle_documents: true}
metadata: {version: 1.0}
""")
put("task_yaml", "for_each", TASK.replace("capitals", "t_{{k}}", 1) + """for_each: {k: [a, b], j: [1, 2]}
doc_to_text: "{{k}}{{j}}{{question}}"
doc_to_choice: [a, b]
doc_to_target: "{{label}}"
""")
put("task_yaml", "group", "group: g\ntask:\n  - a\n  - {task: b, num_fewshot: 1}\n  - group: h\n    task: [c]\nmetadata: {version: 1}\n")
put("task_yaml", "suite", "suite: s\naliases: [t]\ntitle: T\ncolumns:\n  - {name: A, tasks: a, metric: acc}\n")
put("task_yaml", "yaml", """base: &b {x: 1, y: [2, ~, yes, 010, 0x1F, 1_000, .5, "a\\tb", 'it''s']}
<<: *b
f: !function utils.go
folded: >-
  one
  two
  b: 'three
four'
t: !!str 5
""")
put("task_yaml", "anchors", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, {<<: [{k: 1}]}]\n")

TEMPLATES = {
    "if": "{% if n > 3 and s is defined %}{{ s.upper() }}{% elif y %}b{% else %}c{% endif %}",
    "for": "{% for c in l %}{{ loop.index }}. {{ c|trim }}\n{% else %}none{% endfor %}{{ range(3)|list|tojson(2) }}",
    "macro": "{% macro m(a, b=2) %}{{ a ~ b }}{% endmacro %}{{ m(1) }}{% set x = namespace(v=1) %}{% set x.v = x.v + 1 %}",
    "percent": "{{ '%s of %05.2f' % (s, f) }}{{ '%(k)s' % d }}{{ '{:>8}|{0!r}'.format(n) }}",
    "methods": "{{ s.split(' ', 1)[1].replace('q', 'Q').ljust(40, '.').find('fox') }}{{ t.strip().splitlines() }}",
    "more": "{{ s.partition(' ') }}{{ t.expandtabs(4).center(20) }}{{ '-7'.zfill(5) }}{{ ','.join(l) }}{{ s.title().swapcase() }}",
    "filters": "{{ s|regex_replace('\\\\[(.*?)\\\\]', '<\\\\1>')|indent(2, true)|truncate(20)|wordcount }}{{ l|join(', ')|e }}",
    "search": "{{ s|regex_search('(\\\\d+)')|int + 1 }}{{ (l|sort(true))[:2] }}{{ m|map('first')|sum }}{{ d|dictsort }}",
    "values": "{{ [1, 'a', none, true, 1.0, (1,), {'k': [2]}] }}{{ 2**10 // 3 % 7 - -1 }}{{ l + ['x'] * 2 }}{{ s[::-1] }}",
    "blocks": "{# note #}{% raw %}{{ x }}{% endraw %}{%- filter upper -%} a {%- endfilter %}{% with a=1 %}{{ a }}{% endwith %}",
    "column": "l",
    "long": "{{ 'x' * 10**9 }}{{ s.ljust(10**9) }}",
}
for name, source in TEMPLATES.items():
    put("template", name, source)


def parquet():
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.table({"q": ["why?", "how?", None], "n": pa.array([1, 2, 3], pa.int64()), "x": [0.5, None, 2.0],
                     "b": [True, False, None]})
    nested = pa.table({"choices": [["a", "b"], [], ["c"]], "answers": [{"text": ["x"], "label": [1]}] * 3})
    kinds = pa.table({"i": pa.array([1, 2], pa.int32()), "u": pa.array([1, 2], pa.uint8()), "f": pa.array([1, 2], pa.float32()),
                      "t": pa.array([1, 2], pa.timestamp("ms")), "d": pa.array([1, 2], pa.date32()),
                      "z": pa.array([b"ab", b"cd"], pa.binary(2)), "m": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int32()))})
    for name, table, options in [
        ("plain", flat, dict(compression="none", use_dictionary=False)),
        ("snappy", flat, dict(compression="snappy")),
        ("zstd", flat, dict(compression="zstd", data_page_version="2.0")),
        ("nested", nested, dict(compression="none")),
        ("kinds", kinds, dict(compression="none")),
        ("groups", flat, dict(compression="none", row_group_size=1, write_statistics=False)),
        ("delta", flat.select(["q"]), dict(compression="none", use_dictionary=False, column_encoding={"q": "DELTA_BYTE_ARRAY"})),
        ("lengths", flat.select(["q"]), dict(compression="none", use_dictionary=False, data_page_version="2.0",
                                             column_encoding={"q": "DELTA_LENGTH_BYTE_ARRAY"})),
        ("packed", flat.select(["n"]), dict(compression="none", use_dictionary=False, column_encoding={"n": "DELTA_BINARY_PACKED"})),
    ]:
        out = io.BytesIO()
        pq.write_table(table, out, store_schema=False, **options)
        put("parquet", name, out.getvalue())


parquet()

records = [
    {"run": {"assay": "0.1.0", "limit": None, "tasks": [{"task": "t", "documents": 2}]}},
    {"session": {"started": "2026-01-01T00:00:00Z", "threads": 2}},
    {"answer": {"task": "t", "doc_id": 0, "request": 1, "response": {
        "loglikelihood": -1.25, "is_greedy": True, "num_tokens": 2, "rounding": 0.0625, "greedy_near_tie": False}}},
    {"answer": {"task": "t", "doc_id": 1, "request": 0, "response": {"text": "4", "num_tokens": 1, "near_ties": 0}}},
    {"work": {"seconds": 0.5, "cpu_seconds": None, "peak_memory_bytes": 1, "requests_computed": 2, "tokens_computed": 9,
              "tokens_generated": 1, "passes": 1}},
    {"finished": {}},
]
lines = [json.dumps(record, separators=(",", ":")) for record in records]
put("journal", "records", "\n".join(lines))
put("journal", "twice", "\n".join(lines[:3] + lines[2:3]))
put("journal", "no_run", "\n".join(lines[1:]))
# As `assay` wrote it: {"run":{}} and {"session":{}} with their checksums.
put("journal", "file", '369f3b451d9b77e9 {"run":{}}\n460d337de3642210 {"session":{}}\n')
