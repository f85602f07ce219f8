//! `decimal.Decimal` as Python prints it.

use std::sync::Arc;

use crate::vocabulary::{Cell, PythonClass, PythonObject};

/// The number `unscaled / 10^scale`; `unscaled` is a big-endian two's complement.
pub fn decimal(unscaled: &[u8], scale: u32) -> Cell {
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = unscaled.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    let digits = digits(magnitude);
    let first = digits.len() as i64 - i64::from(scale);
    let mut str = String::from(if negative { "-" } else { "" });
    if first > -6 {
        // A point inside the digits, or zeros before them.
        let zeros = usize::try_from(1 - first).unwrap_or(0);
        let digits = "0".repeat(zeros) + &digits;
        let (whole, part) = digits.split_at(digits.len() - scale as usize);
        str.push_str(whole);
        if !part.is_empty() {
            str.push('.');
            str.push_str(part);
        }
    } else {
        let (lead, rest) = digits.split_at(1);
        str.push_str(lead);
        if !rest.is_empty() {
            str.push('.');
            str.push_str(rest);
        }
        str.push_str(&format!("E{}", first - 1));
    }
    let repr = format!("Decimal('{str}')");
    // Numbers beyond 38 digits keep their sign only.
    let whole = digits.parse().unwrap_or(i128::MAX);
    let order = if negative { -whole } else { whole };
    Cell::Object(Arc::new(PythonObject {
        class: PythonClass::Decimal,
        str,
        repr,
        order,
        attributes: Vec::new(),
    }))
}

/// The decimal digits of a big-endian number.
fn digits(mut number: Vec<u8>) -> String {
    let mut digits = Vec::new();
    loop {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 10) as u8;
            rest = value % 10;
        }
        digits.push(b'0' + rest as u8);
        if number.iter().all(|byte| *byte == 0) {
            break;
        }
    }
    digits.iter().rev().map(|digit| *digit as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_in_python() {
        for (unscaled, scale, expected) in [
            (150i128, 2, "1.50"),
            (-5, 2, "-0.05"),
            (150, 0, "150"),
            (0, 0, "0"),
            (0, 2, "0.00"),
            (150, 10, "1.50E-8"),
            (0, 10, "0E-10"),
            (0, 6, "0.000000"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
            (i128::MAX, 3, "170141183460469231731687303715884105.727"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        ] {
            let Cell::Object(object) = decimal(&unscaled.to_be_bytes(), scale) else { unreachable!() };
            assert_eq!(object.str, expected);
        }
    }
}
