//! Plain scalars as PyYAML's safe loader resolves them: YAML 1.1.

use super::yaml_value::Yaml;

/// PyYAML's implicit resolvers for a plain scalar.
pub fn resolve(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Yaml::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Yaml::Bool(false),
        _ => {}
    }
    if let Some(int) = resolve_int(text) {
        return Yaml::Int(int);
    }
    match resolve_float(text) {
        Some(x) => Yaml::Float(x),
        None => Yaml::Text(text.to_string()),
    }
}

fn resolve_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain = digits.replace('_', "");
    let value = if let Some(binary) = plain.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = plain.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if plain.len() > 1 && plain.starts_with('0') {
        i64::from_str_radix(&plain, 8).ok()?
    } else {
        plain.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

fn resolve_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // PyYAML requires a decimal point, and a sign in the exponent.
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e)),
        None => (unsigned, None),
    };
    let signed = exponent.is_none_or(|e| e.len() > 1 && e.starts_with(['-', '+']));
    let numeric = mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_');
    if !signed || !numeric || mantissa.matches('.').count() != 1 || mantissa == "." {
        return None;
    }
    text.replace('_', "").parse().ok()
}
