//! Canonical form of a JSON number: its decimal value as coefficient and power of ten. Must not know where the number stands.

/// Longest exponent in digits, leading zeros not counted, with which the value is computed; beyond that the text stands.
const MAX_EXPONENT_DIGITS: usize = 15;

/// Writes a number: `0`, or the sign if negative, the coefficient without leading and trailing zeros, `e` and the exponent, so that
/// `100`, `1e2` and `100.0` are all `1e2`.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    if !write_value(text, out) {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Writes the number's value; `false`: its exponent is too long, and nothing was written.
fn write_value(text: &str, out: &mut Vec<u8>) -> bool {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let total = whole.len() + fraction.len();
    let Some(leading) = digits().position(|digit| digit != b'0') else {
        out.push(b'0');
        return true;
    };
    let trailing = digits().rev().take_while(|digit| *digit == b'0').count();
    let Some(exponent) = parse_exponent(exponent) else { return false };
    let (Ok(after_point), Ok(dropped)) = (i64::try_from(fraction.len()), i64::try_from(trailing)) else {
        return false;
    };
    out.extend_from_slice(sign.as_bytes());
    out.extend(digits().take(total - trailing).skip(leading));
    out.extend_from_slice(format!("e{}", exponent - after_point + dropped).as_bytes());
    true
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let digits = digits.trim_start_matches('0');
    if digits.len() > MAX_EXPONENT_DIGITS {
        return None;
    }
    let value: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    #[test]
    fn equal_values_have_one_form() {
        for (text, form) in [
            ("0", "0"),
            ("-0.00e7", "0"),
            ("1", "1e0"),
            ("1.0", "1e0"),
            ("100", "1e2"),
            ("1e2", "1e2"),
            ("1E+02", "1e2"),
            ("0.01", "1e-2"),
            ("-12.50", "-125e-1"),
            ("1e400", "1e400"),
            ("10e399", "1e400"),
            ("0.1000000000000000055511151231257827", "1000000000000000055511151231257827e-34"),
            ("12345678901234567890123456789", "12345678901234567890123456789e0"),
            ("1e0000000000000000000002", "1e2"),
            ("1e1000000000000000", "1e1000000000000000"),
            ("1.50E1000000000000000", "1.50E1000000000000000"),
        ] {
            let mut out = Vec::new();
            super::write(text, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), form, "{text}");
        }
    }
}
